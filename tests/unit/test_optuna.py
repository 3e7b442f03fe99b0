import json
import subprocess
import sys

import optuna
import pytest

from automl_core.errors import RequestError
from automl_core.interfaces import Problem, SearchSpace
from automl_core.plugins import Registry
from automl_core.sampling import RandomSampler
from automl_core.testing.doubles import ToyDescription, ToySpace
from automl_core.types import Job, Objective, Outcome
from automl_optuna.searcher import Optuna

ACCURACY = (Objective("accuracy"),)


class Space(SearchSpace):
    """A search space of the given hyperparameters, conditions and clauses."""

    name = "given"

    def __init__(self, *parts):
        from ConfigSpace import ConfigurationSpace

        self._config_space = ConfigurationSpace()
        self._config_space.add(*parts)

    @property
    def config_space(self):
        return self._config_space

    def decode(self, configuration):
        return ToyDescription((), 0.0)


def numbers():
    from ConfigSpace import Float, Integer

    return Space(Float("x", (0.0, 1.0)), Integer("n", (1, 100), log=True))


def started(searcher=None, space=None, trials=20, seed=0, objectives=ACCURACY):
    searcher = searcher or Optuna(arguments={"n_startup_trials": 3})
    searcher.start(Problem(space or ToySpace(digits=4), objectives, 1, 8, trials, seed))
    return searcher


def told(searcher, number, values=None):
    job = searcher.ask(number)
    if job is not None:
        done = Outcome("done", 8, values=values) if values else Outcome("failed", 0, error="it was told to fail")
        searcher.tell(job, done)
    return job


def states(searcher):
    return [trial.state.name for trial in searcher._study._study.get_trials(deepcopy=False)]


# --- samplers --------------------------------------------------------------------------------------------------------


def test_decides_as_optuna_itself():
    searcher = started(space=numbers(), trials=12, seed=7)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=3, seed=7), direction="maximize")
    for number in range(12):
        trial = study.ask()
        n, x = trial.suggest_int("n", 1, 100, log=True), trial.suggest_float("x", 0.0, 1.0)
        job = told(searcher, number, values=(x - n / 50,))
        assert job.configuration == {"n": n, "x": pytest.approx(x, abs=1e-12)}
        study.tell(trial, x - n / 50)


@pytest.mark.parametrize("sampler", ["TPESampler", "NSGAIIISampler", "QMCSampler", "GPSampler"])
def test_takes_samplers_by_name(sampler):
    searcher = started(Optuna(sampler), numbers(), trials=3)
    assert [told(searcher, number, values=(0.5,)).to_budget for number in range(3)] == [8, 8, 8]
    assert searcher.finished()
    assert type(searcher._study._study.sampler).__name__ == sampler


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("TPESampelr",), r"unknown sampler of Optuna 'TPESampelr'; did you mean 'TPESampler'"),
        (("BaseSampler",), "unknown sampler of Optuna 'BaseSampler'"),
        (("nsgaii",), "unknown sampler of Optuna 'nsgaii'"),
        (("GridSampler",), "GridSampler cannot: .*--searcher grid"),
        (("BruteForceSampler",), "BruteForceSampler cannot: .*--searcher grid"),
        (("PartialFixedSampler",), "PartialFixedSampler cannot: it wraps another"),
        (("TPESampler", {"multivarate": True}), "unknown argument of TPESampler 'multivarate'; did you mean 'multiv"),
        (("TPESampler", {"seed": 3}), "the sampler's seed is the study's.*--seed"),
        (("NSGAIISampler", {"population_size": 1}), "with population_size=1 it refuses: .*population_size"),
        (("NSGAIISampler", {"population_size": "many"}), "with population_size='many' it refuses"),
    ],
)
def test_refuses_what_cannot_work(arguments, message):
    with pytest.raises(RequestError, match=message):
        Optuna(*arguments)


def test_says_how_to_install_optuna(monkeypatch):
    monkeypatch.delitem(sys.modules, "automl_optuna.samplers", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RequestError, match=r"pip install 'automl-graph\[optuna\]'"):
        Registry().create("searcher", "optuna")


def test_says_what_a_sampler_lacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(RequestError, match=r"^CmaEsSampler needs the package cmaes, .* installed; pip install cmaes$"):
        started(Optuna("CmaEsSampler"), numbers())


def missing():
    return ModuleNotFoundError("No module named 'lack.of'", name="lack.of")


def deferred():
    """As Optuna keeps back what an import raised."""
    error = ImportError("Tried to import 'lack.of' but failed.")
    error.__cause__ = missing()
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (missing(), "Lacking needs the package lack, but it is not installed; pip install lack"),
        (deferred(), "Lacking needs the package lack, but it is not installed; pip install lack"),
        (
            ImportError("cannot import name 'x' from 'lack'", name="lack"),
            "Lacking needs the package lack, but it cannot be imported: cannot import name 'x' from 'lack'; "
            "pip install --upgrade lack",
        ),
        (ImportError("no such thing"), "Lacking needs a package that cannot be imported: no such thing; install it"),
    ],
)
def test_a_sampler_that_lacks_a_package_when_it_is_built_says_so(monkeypatch, error, message):
    class Lacking(optuna.samplers.RandomSampler):
        def __init__(self):
            raise error

    monkeypatch.setattr("automl_optuna.samplers.sampler_kinds", lambda: {"Lacking": Lacking})
    with pytest.raises(RequestError) as refused:
        started(Optuna("Lacking"))
    assert str(refused.value) == message


def test_refuses_a_problem_that_the_sampler_does_not_take(monkeypatch):
    class Picky(optuna.samplers.TPESampler):
        def sample_relative(self, study, trial, search_space):
            raise ValueError("one objective alone")

    monkeypatch.setattr(optuna.samplers, "TPESampler", Picky)
    with pytest.raises(
        RequestError, match=r"TPESampler must take the search space 'toy' and 1 obj.*one objective alone"
    ):
        started(Optuna())


def test_arguments_come_from_yaml():
    options = {"sampler": "TPESampler", "arguments": {"multivariate": True, "prior_weight": 0.5}}
    searcher = Registry().create("searcher", "optuna", options)
    assert searcher._arguments == options["arguments"]
    with pytest.raises(RequestError, match="option 'arguments' of searcher optuna"):
        Registry().create("searcher", "optuna", {"arguments": {"gamma": [1, 2]}})


@pytest.mark.parametrize(("option", "value"), [("trials", 0), ("max_budget", 0)])
def test_refuses_impossible_bounds(option, value):
    bounds = {"space": ToySpace(), "objectives": ACCURACY, "min_budget": 1, "max_budget": 8, "trials": 5, "seed": 0}
    with pytest.raises(RequestError, match=f"{option} must be at least 1, but got 0"):
        Optuna().start(Problem(**bounds | {option: value}))


def test_can_only_be_extended():
    searcher = started(trials=3)
    with pytest.raises(RequestError, match="this one has 3, and 2 were asked for"):
        searcher.extend(2)


# --- what Optuna is told ---------------------------------------------------------------------------------------------


def test_outcomes_arrive_with_their_directions():
    searcher = started(space=numbers(), objectives=(Objective("accuracy"), Objective("loss", "min")))
    told(searcher, 0, values=(0.5, 2.0))
    told(searcher, 1)
    told(searcher, 2, values=(0.5, float("inf")))
    study = searcher._study._study
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.trials[0].values == [0.5, 2.0]
    assert states(searcher) == ["COMPLETE", "FAIL", "FAIL"]


def test_what_is_not_allowed_or_known_is_told_and_not_trained():
    searcher = started(Optuna("RandomSampler"), ToySpace(digits=2, choices=3), trials=100)
    jobs = []
    while (job := told(searcher, len(jobs), values=(0.5,))) is not None:
        jobs.append(job)
    space = ToySpace(digits=2, choices=3)
    assert len({space.canonical(job.configuration) for job in jobs}) == len(jobs) == 5
    assert set(states(searcher)) == {"COMPLETE", "PRUNED"}
    for trial in searcher._study._study.trials:
        zeros = set(trial.params.values()) == {0}
        assert trial.state.name == ("PRUNED" if zeros else "COMPLETE")
        assert trial.values == (None if zeros else [0.5])


def test_a_known_trial_that_runs_is_told_as_failed():
    space = ToySpace(digits=2, choices=2)  # three configurations, two of them the same
    searcher = started(Optuna("RandomSampler"), space, trials=2)
    assert {space.canonical(searcher.ask(number).configuration) for number in range(2)} == {(0, 1), (1, 1)}
    assert set(states(searcher)) <= {"RUNNING", "FAIL", "PRUNED"}


class OnlyOne(ToySpace):
    """Allows what Optuna's sampler never comes to."""

    def __init__(self):
        super().__init__(digits=8)

    def violation(self, configuration):
        return None if set(configuration.values()) == {3} else "only threes"

    def enumerate(self, seed=0):
        yield dict.fromkeys(self.config_space, 3)


def test_what_is_drawn_at_random_optuna_is_told_as_well():
    searcher = started(space=OnlyOne())
    job = told(searcher, 0, values=(0.5,))
    assert set(job.configuration.values()) == {3}
    *refused, last = searcher._study._study.trials
    assert {trial.state.name for trial in refused} == {"PRUNED"}
    assert last.values == [0.5]
    assert set(last.params.values()) == {3}
    assert searcher.finished()


# --- search spaces ---------------------------------------------------------------------------------------------------


def every_kind():
    from ConfigSpace import (
        AndConjunction,
        Beta,
        Categorical,
        Constant,
        EqualsCondition,
        Float,
        ForbiddenAndConjunction,
        ForbiddenEqualsClause,
        GreaterThanCondition,
        Integer,
        Normal,
        NotEqualsCondition,
        OrdinalHyperparameter,
    )

    kind = Categorical("kind", [True, 2, 0.5, "text", None], weights=[1, 2, 3, 4, 5])
    size = OrdinalHyperparameter("size", ["s", "m", "l"])
    depth = Integer("depth", (1, 50), log=True)
    rate = Float("rate", (1e-4, 1.0), log=True)
    deep = Categorical("deep", ["yes", "no"])
    normal = Float("normal", (-2.0, 2.0), distribution=Normal(0.0, 1.0))
    beta = Integer("beta", (0, 9), distribution=Beta(2.0, 3.0))
    return Space(
        kind, size, depth, rate, deep, normal, beta, Constant("constant", "c"),
        NotEqualsCondition(size, kind, 2),
        AndConjunction(EqualsCondition(deep, kind, "text"), GreaterThanCondition(deep, depth, 5)),
        ForbiddenAndConjunction(ForbiddenEqualsClause(kind, 0.5), ForbiddenEqualsClause(size, "m")),
    )  # fmt: skip


def test_suggestions_are_legal_configurations_of_plain_values():
    from ConfigSpace import Configuration

    space = every_kind()
    searcher = started(Optuna("RandomSampler"), space, trials=200)
    seen = set()
    for number in range(200):
        job = told(searcher, number, values=(0.5,))
        Configuration(space.config_space, values=dict(job.configuration)).check_valid_configuration()
        assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
        assert job.configuration["constant"] == "c"
        seen |= {(name, repr(value)) for name, value in job.configuration.items() if name in ("kind", "deep", "size")}
    assert len(seen) == 5 + 2 + 3, "every value must come up"
    assert "PRUNED" in states(searcher), "a forbidden combination must come up, and be refused"


def test_drawn_configurations_reach_optuna_as_they_are():
    space = every_kind()
    study = started(space=space)._study
    sampler = RandomSampler(space, 5)
    for _ in range(100):
        drawn = sampler.draw()
        _, configuration = study.ask(study.suggestions.parameters(drawn))
        numbers = {name for name, value in drawn.items() if type(value) is float and name != "kind"}
        assert {**configuration, **dict.fromkeys(numbers, 0)} == {**drawn, **dict.fromkeys(numbers, 0)}
        assert [configuration[name] for name in numbers] == [pytest.approx(drawn[name], rel=1e-9) for name in numbers]


# --- neighbours ------------------------------------------------------------------------------------------------------


def test_says_nothing_and_leaves_optunas_settings_alone(capfd):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        searcher = started(Optuna("QMCSampler"), every_kind(), trials=5)
        for number in range(5):
            told(searcher, number, values=(0.5,))
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr() == ("", "")


def test_is_listed_and_described_without_importing_optuna():
    code = (
        "import sys; from automl_core.options import describe; from automl_core.plugins import Registry; "
        "print([option.name for option in describe(Registry().load('searcher', 'optuna'))], 'optuna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['sampler', 'arguments'] False"
