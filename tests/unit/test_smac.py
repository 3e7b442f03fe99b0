import json
import logging
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from smac import BlackBoxFacade, HyperparameterOptimizationFacade, Scenario
from smac.model.gaussian_process import GaussianProcess
from smac.runhistory.dataclasses import TrialValue
from smac.runhistory.enumerations import StatusType

from automl_core.errors import RequestError
from automl_core.interfaces import Problem, SearchSpace
from automl_core.testing.doubles import ToyDescription, ToySpace
from automl_core.types import Objective, Outcome
from automl_smac.parts import order_search
from automl_smac.searcher import SMAC

ACCURACY = (Objective("accuracy"),)


class Numbers(SearchSpace):
    """Two numbers, the second on a logarithmic scale."""

    name = "numbers"

    def __init__(self, *parts):
        from ConfigSpace import ConfigurationSpace, Float, Integer

        self._config_space = ConfigurationSpace()
        self._config_space.add(*(parts or (Float("x", (0.0, 1.0)), Integer("n", (1, 100), log=True))))

    @property
    def config_space(self):
        return self._config_space

    def decode(self, configuration):
        return ToyDescription((), 0.0)


def loss(configuration):
    return (configuration["x"] - 0.3) ** 2 + abs(math.log(configuration["n"] / 20))


@pytest.fixture(autouse=True)
def _small_models(monkeypatch):
    """Models and searches for candidates of a small size."""

    def get_model(scenario):
        kernel = BlackBoxFacade.get_kernel(scenario)
        return GaussianProcess(scenario.configspace, kernel, n_restarts=0, seed=scenario.seed)

    monkeypatch.setattr(BlackBoxFacade, "get_model", staticmethod(get_model))
    for facade in (BlackBoxFacade, HyperparameterOptimizationFacade):
        get = facade.get_acquisition_maximizer
        small = staticmethod(lambda scenario, get=get: get(scenario, challengers=30, local_search_iterations=2))
        monkeypatch.setattr(facade, "get_acquisition_maximizer", small)


def problem(space=None, min_budget=1, max_budget=9, trials=10, seed=0, objectives=ACCURACY):
    return Problem(space or ToySpace(digits=4), objectives, min_budget, max_budget, trials, seed)


def started(facade="black-box", eta=3, initial=None, **of_the_problem):
    searcher = SMAC(facade, eta, initial)
    searcher.start(problem(**of_the_problem))
    return searcher


def done(job, *values):
    return Outcome("done", job.to_budget, values=values)


def failed(job):
    return Outcome("failed", job.from_budget, error="it was told to fail")


def history(searcher):
    """(values, budget, cost, status) of everything that SMAC3 has been told, in order."""
    runs = searcher.facade.runhistory
    return [
        (tuple(dict(runs.get_config(key.config_id)).values()), key.budget, value.cost, value.status.name)
        for key, value in runs.items()
    ]


def run(searcher, respond, trials=100):
    """Runs one job after another; gives them."""
    jobs, number = [], 0
    while len(jobs) < trials and (job := searcher.ask(number)) is not None:
        jobs.append(job)
        number = max(number, job.trial + 1)
        searcher.tell(job, respond(job))
    return jobs


# --- SMAC3 decides ---------------------------------------------------------------------------------------------------


def test_decides_as_smac_itself(tmp_path):
    space = Numbers()
    searcher = started(space=Numbers(), initial=3, trials=7, seed=5, objectives=(Objective("loss", "min"),))
    scenario = Scenario(
        space.config_space, deterministic=True, seed=5, n_trials=7, objectives="loss:min", output_directory=tmp_path
    )
    maximizer = order_search(BlackBoxFacade.get_acquisition_maximizer(scenario), scenario)
    design = BlackBoxFacade.get_initial_design(scenario, n_configs=3, max_ratio=1.0)
    smac = BlackBoxFacade(scenario, acquisition_maximizer=maximizer, initial_design=design, logging_level=False)
    for job in run(searcher, lambda job: done(job, loss(job.configuration))):
        info = smac.ask()
        assert job.configuration == {"n": info.config["n"], "x": pytest.approx(info.config["x"], abs=1e-9)}
        smac.tell(info, TrialValue(loss(job.configuration)), save=False)
    assert searcher.finished()


DIGEST = """
import sys
from smac import HyperparameterOptimizationFacade as Facade
from automl_core.interfaces import Problem
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Outcome
from automl_smac.searcher import SMAC

get, forest = Facade.get_acquisition_maximizer, Facade.get_model
Facade.get_acquisition_maximizer = staticmethod(lambda scenario: get(scenario, challengers=30))
Facade.get_model = staticmethod(lambda scenario: forest(scenario, n_trees=2))
searcher = SMAC("hyperparameter-optimization", initial=6)
searcher.start(Problem(ToySpace(digits=8), (Objective("accuracy"),), 1, 8, 9, 0))
for number in range(9):
    job = searcher.ask(number)
    searcher.tell(job, Outcome("done", 8, values=(sum(job.configuration.values()) / 24,)))
    print(*job.configuration.values())
"""


def test_decides_alike_in_every_process():
    """Python seeds the hashes of strings anew in every process, and SMAC3 goes through sets of configurations."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(printed) == 1


def test_the_facade_says_whether_it_is_multi_fidelity():
    assert [SMAC(name).multi_fidelity for name in ("black-box", "hyperparameter-optimization", "multi-fidelity")] == [
        False, False, True,
    ]  # fmt: skip


def test_several_objectives_are_minimised():
    searcher = started(trials=4, objectives=(Objective("accuracy"), Objective("flops", "min")))
    run(searcher, lambda job: done(job, 0.25, 100.0) if job.trial else failed(job))
    costs = [cost for _, _, cost, _ in history(searcher)]
    assert costs[0] == [math.inf, math.inf]
    assert [-0.25, 100.0] in costs
    assert type(searcher.facade.runhistory.multi_objective_algorithm).__name__ == "ParEGO"


# --- what SMAC3 is told ----------------------------------------------------------------------------------------------


def test_what_is_not_allowed_or_known_is_told_and_not_trained():
    space = ToySpace(digits=2, choices=2)  # 00 is not allowed, 01 and 10 are the same
    searcher = started(space=space, trials=10, initial=4)
    jobs = run(searcher, lambda job: done(job, sum(job.configuration.values())))
    assert searcher.finished()
    assert sorted(space.canonical(job.configuration) for job in jobs) == [(0, 1), (1, 1)]
    for (first, second), _, cost, status in history(searcher):
        assert (cost, status) == ((-(first + second), "SUCCESS") if first + second else (math.inf, "CRASHED"))


def test_failures_count_as_the_worst_for_the_model():
    searcher = started(space=Numbers(), trials=6)
    values = [0.5, math.nan, 0.25]
    for number, value in enumerate(values):
        job = searcher.ask(number)
        searcher.tell(job, failed(job) if math.isnan(value) else done(job, value))
    encoder = searcher.facade._runhistory_encoder
    _, targets = encoder.transform(budget_subset=[None])
    assert targets.ravel().tolist() == [-0.5, -0.25, -0.25]
    assert [status for *_, status in history(searcher)] == ["SUCCESS", "CRASHED", "SUCCESS"]


def test_a_failed_trial_that_is_asked_for_again_is_answered():
    searcher = started("multi-fidelity", trials=14, min_budget=1, max_budget=9)
    jobs = run(searcher, failed)
    assert searcher.finished()
    assert len(jobs) == len({job.trial for job in jobs}) == 14
    crashed = [(values, budget) for values, budget, _, status in history(searcher) if status == "CRASHED"]
    assert len(crashed) > 14, "SMAC3 goes on with failed trials where all have failed"
    assert len({values for values, _ in crashed if any(values)}) == 14


class OnlyThrees(ToySpace):
    """Allows what SMAC3 hardly comes to."""

    def violation(self, configuration):
        return None if set(configuration.values()) == {3} else "only threes"

    def enumerate(self, seed=0):
        yield dict.fromkeys(self.config_space, 3)


@pytest.mark.parametrize("facade", ["black-box", "multi-fidelity"])
def test_draws_at_random_where_smac_finds_nothing_allowed(facade):
    searcher = started(facade, space=OnlyThrees(digits=8), initial=30, trials=50)
    (*_, last) = run(searcher, lambda job: done(job, 0.5))
    assert last.trial == 0, "there is one configuration"
    assert last.to_budget == 9
    assert searcher.finished()
    *refused, told = [one for one in history(searcher) if one[1] in (None, 1.0)]
    assert set(told[0]) == {3}
    assert told[2:] == (-0.5, "SUCCESS")
    assert refused
    assert {status for *_, status in refused} == {"CRASHED"}


def test_draws_at_random_where_smac_gives_up(monkeypatch):
    searcher = started(trials=2)

    def give_up():
        raise StopIteration

    monkeypatch.setattr(searcher.facade, "ask", give_up)
    jobs = run(searcher, lambda job: done(job, 0.5))
    assert [job.trial for job in jobs] == [0, 1]
    assert searcher.finished()
    assert [cost for _, _, cost, _ in history(searcher)] == [-0.5, -0.5]


# --- brackets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "greatest", "eta", "rungs"),
    [(1, 81, 3, (1, 3, 9, 27, 81)), (2, 20, 3, (2, 7, 20)), (1, 8, 2, (1, 2, 4, 8)), (3, 9, 3, (3, 9))],
)
def test_budgets_are_whole(least, greatest, eta, rungs):
    searcher = started("multi-fidelity", eta, min_budget=least, max_budget=greatest)
    assert searcher.rungs() == rungs
    assert started(min_budget=least, max_budget=greatest).rungs() == (greatest,)


@pytest.mark.parametrize(("trials", "lowest"), [(1, 1), (2, 2), (5, 5), (9, 9), (12, 9), (30, 18)])
def test_brackets_are_cut_to_the_trials_that_are_left(trials, lowest):
    """Brackets begin 9 trials at budget 1, 5 at budget 3, 3 at budget 9, 9 again, and so on."""
    searcher = started("multi-fidelity", trials=trials, min_budget=1, max_budget=9)
    jobs = run(searcher, lambda job: done(job, sum(job.configuration.values())))
    assert searcher.finished()
    assert len({job.trial for job in jobs}) == trials
    reached = [sum(job.to_budget == rung for job in jobs) for rung in searcher.rungs()]
    assert reached[0] == lowest
    assert reached[-1] >= 1, "a bracket that was cut ends at the maximum budget, too"


def test_the_best_go_on_and_the_others_are_let_go():
    searcher = started("multi-fidelity", trials=9, min_budget=1, max_budget=9)
    jobs = run(searcher, lambda job: done(job, -job.trial))
    assert [job.trial for job in jobs if job.to_budget == 3] == [0, 1, 2]
    assert [job.trial for job in jobs if job.to_budget == 9] == [0]
    assert not any(searcher.may_continue(trial) for trial in range(9))


def test_what_may_go_on_is_kept():
    searcher = started("multi-fidelity", trials=9, min_budget=1, max_budget=9)
    run(searcher, lambda job: done(job, -job.trial), trials=4)
    assert [searcher.may_continue(trial) for trial in range(5)] == [True, True, True, True, False]


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"facade": "black-bocks"}, "facade of searcher smac must be one of black-box, .*: 'black-bocks'"),
        ({"eta": 1}, "eta of searcher smac must be at least 2, but got 1"),
        ({"initial": 0}, "initial of searcher smac must be at least 1, but got 0"),
    ],
)
def test_refuses_impossible_options(options, message):
    with pytest.raises(RequestError, match=message):
        SMAC(**options)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"trials": 0}, "trials must be at least 1, but got 0"),
        ({"min_budget": 0}, "min_budget must be at least 1, but got 0"),
        ({"min_budget": 10}, "min_budget <= max_budget must hold, but got 10 and 9"),
        ({"min_budget": 4}, r"max_budget >= eta \* min_budget, but got 9, 3 and 4; raise --max-budget"),
        ({"min_budget": 9}, r"max_budget >= eta \* min_budget, but got 9, 3 and 9"),
    ],
)
def test_refuses_impossible_bounds(bounds, message):
    with pytest.raises(RequestError, match=message):
        started("multi-fidelity", **bounds)


def test_refuses_a_space_that_smac_does_not_model():
    from ConfigSpace import Categorical, EqualsCondition, Float, Normal

    normal = Float("normal", (-1.0, 1.0), distribution=Normal(0.0, 1.0))
    kind = Categorical("kind", ["a", "b"])
    with pytest.raises(
        RequestError, match="'black-box' must be able to model the search space 'numbers', but says: Inac"
    ):
        started(space=Numbers(kind, normal, EqualsCondition(normal, kind, "a")))


def test_can_only_be_extended():
    searcher = started(trials=3)
    with pytest.raises(RequestError, match="this one has 3, and 2 were asked for"):
        searcher.extend(2)


# --- neighbours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facade", ["black-box", "multi-fidelity"])
def test_leaves_everything_else_alone(facade, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    space = Numbers()
    drawn = space.config_space.random.get_state()[1].tolist()
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(started(facade, space=space, initial=2, trials=5), lambda job: done(job, 0.5) if job.trial else failed(job))
    assert list(Path.cwd().iterdir()) == []
    assert (list(root.handlers), root.level) == (handlers, level)
    assert capfd.readouterr() == ("", "")
    assert space.config_space.random.get_state()[1].tolist() == drawn
    assert np.random.get_state()[1].tolist() == before


def test_jobs_hold_plain_values():
    from ConfigSpace import Categorical, Constant, OrdinalHyperparameter

    space = Numbers(
        Categorical("kind", [True, 2, 0.5, "text", None]), OrdinalHyperparameter("size", ["s", 3]), Constant("c", 1)
    )
    jobs = run(started(space=space, trials=10, initial=10), lambda job: done(job, 0.5))
    for job in jobs:
        assert json.loads(json.dumps(dict(job.configuration))) == job.configuration
        assert job.configuration["c"] == 1
    assert {repr(job.configuration["kind"]) for job in jobs} == {"True", "2", "0.5", "'text'", "None"}


def test_a_status_that_is_not_done_is_a_crash():
    searcher = started(trials=4)
    for number, status in enumerate(("failed", "diverged", "infeasible")):
        searcher.tell(searcher.ask(number), Outcome(status, 0, error="over"))
    assert {value.status for value in searcher.facade.runhistory.values()} == {StatusType.CRASHED}
