"""``automl replay``: the decisions that another estimator would have changed, on studies where they are known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ConfigSpace import ConfigurationSpace
from toys import toy_registry

from automl_cli.application import application
from automl_core import RequestError, Study, hookimpl
from automl_core.auditing import audit
from automl_core.engine.progress import Progress
from automl_core.hookspecs import Register
from automl_core.interfaces import Context, Description, Estimator, Evaluation, Segment
from automl_core.plugins import use_registry
from automl_core.records import Workspace
from automl_core.replaying import Replay
from automl_core.testing.doubles import ToyDescription, ToyEstimator, ToyEvaluation, ToyEvaluator
from automl_core.types import Configuration, Estimate, Job, Observation, Outcome
from automl_searchers.asha import ASHA

CURVES = {
    #  unit: 0    1    2    3
    0: (0.0, 0.10, 0.0, 0.0),
    1: (0.0, 0.20, 0.0, 0.0),
    2: (0.95, 0.30, 0.0, 0.0),
    3: (0.0, 0.40, 0.0, 0.0),
    4: (0.0, 0.50, 0.0, 0.0),
    5: (0.0, 0.60, 0.0, 0.0),
    6: (0.0, 0.70, 0.99, 0.7),
    7: (0.0, 0.80, 0.0, 0.8),
    8: (0.0, 0.90, 0.0, 0.9),
}
"""Accuracy by trial and unit; afterwards it stays. Last values let 8, 7 and 6 go on from unit 1, and 8 from unit 3; the
best values so far let 2, 8 and 7 go on from unit 1, and of 6, 7 and 8, which came to unit 3, the first."""


class BentEvaluator(ToyEvaluator):
    """Curves that are known."""

    offers = frozenset({"features"})

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        return BentEvaluation(self, description, context.seed)


class BentEvaluation(ToyEvaluation):
    def advance(self, job: Job) -> Iterator[Observation]:
        for unit in range(job.from_budget + (job.from_budget > 0), job.to_budget + 1):
            self._unit = unit
            accuracy = CURVES[job.trial][min(unit, 3)]
            yield Observation(unit, {"accuracy": accuracy, "loss": 1.0 - accuracy})


class NeedyEstimator(ToyEstimator):
    """Sees more than the curve, and finds that the first trials are the best.

    Args:
        pessimism: What it takes off.
    """

    needs = frozenset({"features"})

    def __init__(self, pessimism: float = 0.0) -> None:
        super().__init__()
        self.pessimism = pessimism


class CrowdEstimator(Estimator):
    """Ranks by how many values that others had have been lower; what it is told later, it tells differently.

    Args:
        steepness: How much each of them counts.
    """

    def __init__(self, steepness: float = 0.01) -> None:
        self.steepness = steepness

    def learn(self, configuration: Configuration, history: Sequence[Segment]) -> None:
        assert set(configuration) == {"digit_1", "digit_2", "digit_3"}
        self.others = [segment.points[-1].metrics["accuracy"] for segment in history]

    def observe(self, observation: Observation) -> None:
        self.last = observation.metrics

    def estimate(self) -> Estimate:
        lower = sum(one < self.last["accuracy"] for one in self.others)
        return Estimate({**self.last, "accuracy": self.steepness * lower})


class BrokenEstimator(ToyEstimator):
    """Cannot bear high accuracies, and has something to say.

    Args:
        bearable: What it can bear.
    """

    def __init__(self, bearable: float = 0.9) -> None:
        super().__init__()
        self.bearable = bearable

    def check(self, evaluator: Any) -> Sequence[str]:
        return ["beware"]

    def estimate(self) -> Estimate:
        if self._best >= self.bearable:
            raise ValueError("too good to be true")
        return super().estimate()


class StubbornSearch(ASHA):
    """Hears only what it expects."""

    def tell(self, job: Job, outcome: Outcome) -> None:
        if job.to_budget == 1 and outcome.values[0] > 0.92:
            raise RuntimeError("that cannot be")
        super().tell(job, outcome)


class Parts:
    @hookimpl
    def automl_searchers(self, register: Register) -> None:
        register("hyperband", "automl_searchers.hyperband:HyperBand", summary="brackets")
        register("grid", "automl_searchers.complete:GridSearch", summary="all")
        register("bohb", "automl_searchers.bohb:BOHB", summary="brackets with a model")
        register("stubborn", "test_cli_replay:StubbornSearch", summary="hears what it expects")

    @hookimpl
    def automl_evaluators(self, register: Register) -> None:
        register("bent", "test_cli_replay:BentEvaluator", summary="known curves")

    @hookimpl
    def automl_estimators(self, register: Register) -> None:
        register("needy", "test_cli_replay:NeedyEstimator", summary="needs features")
        register("crowd", "test_cli_replay:CrowdEstimator", summary="looks at the others")
        register("broken", "test_cli_replay:BrokenEstimator", summary="fails now and then")


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry(Parts())):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "w"


def automl(workspace: Path, *arguments: object) -> Result:
    words = [*map(str, arguments), "--workspace", str(workspace)]
    return CliRunner().invoke(application, words, prog_name="automl")


def ran(workspace: Path, *arguments: object) -> str:
    result = automl(workspace, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(workspace: Path, *arguments: object) -> str:
    result = automl(workspace, "replay", *arguments)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1), result.stderr
    return result.stderr


def document(workspace: Path, *arguments: object) -> Any:
    return json.loads(ran(workspace, "replay", *arguments, "--json", "--quiet"))


BENT = ("--space", "toy", "--evaluator", "bent", "--set", "space.digits=3", "--trials", "9", "--max-budget", "9")


def start(workspace: Path, *more: object) -> None:
    searcher = () if "--searcher" in more else ("--searcher", "hyperband")
    ran(workspace, "run", *BENT, *searcher, "--name", "one", "--quiet", *more)


def test_the_decisions_that_would_have_changed_are_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    start(workspace)
    shown = ran(workspace, "replay", "one", "--estimator", "toy").splitlines()
    assert shown[0] == "study one, ranked by last measured, replayed with toy from the curves"
    assert shown[1].split() == ["epochs", "came", "went", "on", "same", "instead", "tau", "tau", "of", "toy"]
    assert shown[2].split() == ["1", "9", "3", "2", "1", "1.00", "1.00"]
    assert shown[3].split() == ["3", "3", "1", "0", "1", "-", "-"]
    assert "  trial 2 (95.0 %, rank 1 of 9 at 1 epoch) would have gone on, trial 6 not" in shown
    assert "  trial 6 (99.0 %, rank 1 of 3 at 3 epochs) would have gone on, trial 8 not" in shown
    assert "4 of 12 decisions would have changed." in shown
    assert "The best trial at 9 epochs would have been the same, trial 8." in shown
    assert [line.split() for line in shown[-2:]] == [
        ["trial", "last", "measured", "toy"],
        ["8", "90.0", "%", "90.0", "%"],
    ]
    assert all(len(line) <= 80 for line in shown)


def test_the_document_has_everything(workspace: Path) -> None:
    start(workspace)
    found = document(workspace, "one", "--estimator", "toy")
    assert (found["decisions"], found["changed"], found["computed"]) == (12, 4, True)
    assert [(rung["budget"], rung["came"], rung["went_on"], rung["same"]) for rung in found["rungs"]] == [
        (1, 9, 3, 2),
        (3, 3, 1, 0),
    ]
    (instead,), (no_more,) = found["rungs"][0]["instead"], found["rungs"][0]["no_more"]
    assert instead == {
        "trial": 2,
        "recorded": [0.3],
        "recorded_rank": 7,
        "replayed": [0.95],
        "replayed_rank": 1,
        "measured": [0.3],
    }
    assert no_more == {
        "trial": 6,
        "recorded": [0.7],
        "recorded_rank": 3,
        "replayed": [0.7],
        "replayed_rank": 4,
        "measured": [0.7],
    }
    assert [one["trial"] for one in found["best"]] == [8]
    assert found["audit"][0] == {
        "budget": 1,
        "later": 3,
        "trials": 3,
        "tau": {"last measured": 1.0, "recorded": 1.0, "replayed": 1.0},
    }
    assert Study.load("one", workspace=workspace).replay("toy").to_json() == found


def test_the_final_choice_is_compared_where_nothing_else_depends_on_estimates(workspace: Path) -> None:
    start(workspace, "--searcher", "random", "--max-budget", "1")
    shown = ran(workspace, "replay", "one", "--estimator", "toy")
    assert "no decision depends on estimates but the final choice" in shown
    assert "The best trial at 1 epoch would have been trial 2 instead of trial 8." in shown
    found = document(workspace, "one", "--estimator", "toy")
    assert (found["decisions"], found["rungs"], found["audit"]) == (0, [], [])


@pytest.mark.parametrize("searcher", ["random", "grid", "asha", "hyperband", "bohb"])
@pytest.mark.parametrize("estimator", ["toy", "crowd"])
def test_what_ranked_changes_nothing_recorded_or_computed_anew(workspace: Path, searcher: str, estimator: str) -> None:
    """With a teacher in between, on several virtual workers, in a study that was extended."""
    evaluator = ("--evaluator", "taught", "--set", "evaluator.noise=0.2", "--set", "evaluator.fail=[4]")
    executor = ("--executor", "simulated", "--workers", "3", "--estimator", estimator, "--trials", "14")
    start(workspace, "--searcher", searcher, *evaluator, *executor)
    ran(workspace, "resume", "one", "--trials", "20")
    study = Study.load("one", workspace=workspace)
    recorded = study.replay(estimator)
    option = {"steepness": 0.01} if estimator == "crowd" else {}
    computed = study.replay(estimator, {"estimator": option})
    assert (recorded.computed, computed.computed) == (False, bool(option))
    for found in (recorded, computed):
        assert [rung.error for rung in found.rungs] == [""] * len(found.rungs)
        assert (found.changed, found.best) == (0, found.best_instead)
        assert all(one.recorded == one.replayed for one in found.best)
        assert (found.decisions > 0) == (searcher in ("asha", "hyperband", "bohb"))
    says = f"No decision would have changed, of {recorded.decisions}." if recorded.rungs else "complete alone"
    assert says in ran(workspace, "replay", "one", "--estimator", estimator)


class Cut(Progress):
    """Audits and replays a study while it runs, and interrupts it after some outcomes."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.compared: list[int] = []
        self.found: list[Replay] = []

    def started(self, study: Study) -> None:
        self.study = study

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        self.after -= 1
        self.compared.append(audit(self.study.record)[0].trials)
        self.found.append(self.study.replay("crowd"))
        if self.after == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["stop", "promote"])
def test_a_study_that_runs_or_was_interrupted_can_be_audited_and_replayed(workspace: Path, kind: str) -> None:
    options = {"space": {"digits": 3}, "searcher": {"kind": kind}, "evaluator": {"noise": 0.2}}
    estimators, cut = ("toy", "crowd"), Cut(18)
    study = Study("toy", "asha", estimator=estimators, trials=12, options=options, workspace=workspace, max_budget=8)
    with pytest.raises(KeyboardInterrupt):
        study.run(progress=cut)
    assert [rung.error for found in cut.found for rung in found.rungs] == [""] * 18 * 3
    assert max(found.changed for found in cut.found) > 0
    assert [found.rungs[0].came for found in cut.found[:2]] == [1, 1 if kind == "stop" else 2]
    assert (cut.compared[0], cut.compared[-1]) == (0, audit(study.record)[0].trials)
    assert cut.compared[-1] > 2
    assert study.replay("crowd") == cut.found[-1]
    assert study.replay("toy").changed == 0


def test_nothing_is_written_and_nobody_is_kept_waiting(workspace: Path) -> None:
    start(workspace)
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file() and "-shm" not in path.name}
    opened = Workspace(workspace)
    with opened.lock(opened.record("one").journal):
        ran(workspace, "replay", "one", "--estimator", "toy")
    opened.close()
    after = {path: path.read_bytes() for path in before if path.exists()}
    assert {path: data for path, data in before.items() if after.get(path, b"") != data and data} == {}


def test_an_estimator_that_needs_more_than_curves_must_have_been_recorded(workspace: Path) -> None:
    start(workspace, "--estimator", "needy")
    found = document(workspace, "one", "--estimator", "needy")
    assert (found["changed"], found["computed"], found["ranking"]) == (0, False, "needy")
    words = refused(workspace, "one", "--estimator", "needy", "--set", "estimator.pessimism=1")
    assert "is recorded without these options; choose needy (recorded) or broken, crowd, toy (from the curves)" in words
    ran(workspace, "delete", "one", "--yes")
    start(workspace)
    words = refused(workspace, "one", "--estimator", "needy")
    assert "needs features and was not recorded; choose broken, crowd, toy (from the curves)" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one"], "a replay needs an estimator, but got none; pass --estimator NAME: broken, crowd, toy"),
        (["one", "--estimator", "tyo"], "unknown estimator 'tyo'; did you mean 'toy'?"),
        (["oen", "--estimator", "toy"], "did you mean 'one'"),
        (["one", "--estimator", "crowd", "--set", "estimator.steep=1"], "did you mean 'steepness'"),
        (["one", "--estimator", "crowd", "--set", "searcher.eta=2"], "options of the estimator alone"),
        (["one", "--estimator", "toy", "--estimator-option", "1"], "No such option"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(workspace: Path, arguments: list[str], words: str) -> None:
    start(workspace)
    assert words in refused(workspace, *arguments)


def test_an_objective_that_is_not_estimated_is_named(workspace: Path) -> None:
    start(workspace, "--objective", "accuracy", "--objective", "loss")
    words = refused(workspace, "one", "--estimator", "toy")
    assert "'toy' gives accuracy and not 'loss'" in words


def test_several_objectives_are_replayed_together(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    start(workspace, "--objective", "accuracy", "--objective", "loss")
    found = document(workspace, "one", "--estimator", "crowd", "--set", "estimator.steepness=-1")
    assert found["objectives"] == ["accuracy:max", "loss:min"]
    assert len(found["best"][0]["replayed"]) == 2
    shown = ran(workspace, "replay", "one", "--estimator", "crowd", "--set", "estimator.steepness=-1")
    assert "The front at 9 epochs would have been" in shown


def test_an_estimator_that_fails_now_and_then_ends_those_trials(workspace: Path) -> None:
    start(workspace)
    shown = ran(workspace, "replay", "one", "--estimator", "broken")
    assert "note: beware" in shown
    assert "note: it failed 5 times, first for trial 2 at budget 1: ValueError: too good to be true" in shown
    assert "trial 5 (60.0 %, rank 3 of 9 at 1 epoch) would have gone on, trial 8 not" in shown
    found = document(workspace, "one", "--estimator", "broken")
    gone = found["rungs"][0]["no_more"]
    assert [(one["trial"], one["replayed"]) for one in gone] == [(8, [None])]
    assert [one["trial"] for one in found["rungs"][0]["instead"]] == [5]
    assert "would have been none instead of trial 8" in shown
    shown = ran(workspace, "replay", "one", "--estimator", "broken", "--set", "estimator.bearable=-1")
    assert "trial 8 (no estimate, rank 9 of 9 at 1 epoch) would not have gone on" in shown
    assert "4 of 12 decisions would have changed." in shown


def test_a_searcher_that_cannot_take_other_values_says_so_for_that_rung(workspace: Path) -> None:
    start(workspace, "--searcher", "stubborn", "--set", "searcher.eta=3")
    found = document(workspace, "one", "--estimator", "toy")
    first, second = found["rungs"]
    assert "that cannot be" in first["error"]
    assert (first["came"], second["error"]) == (9, "")
    assert found["decisions"] == second["came"]
    assert "not replayed at 1 epoch: RuntimeError: that cannot be" in ran(
        workspace, "replay", "one", "--estimator", "toy"
    )


def test_a_study_of_python_objects_is_replayed_from_python(workspace: Path) -> None:
    def value(configuration: dict[str, Any], budget: int, seed: int) -> dict[str, float]:
        return {"accuracy": configuration["x"] * (1.0 if budget > 1 else -1.0)}

    objects = {"space": ConfigurationSpace({"x": (0.0, 1.0)}), "evaluator": value, "searcher": ASHA(eta=2)}
    Study(**objects, objective="accuracy", max_budget=4, trials=8, name="one", workspace=workspace).run()  # type: ignore[arg-type]
    words = refused(workspace, "one", "--estimator", "toy")
    assert "Study.load('one', space=..., searcher=..., evaluator=...).replay('toy')" in words
    found = Study.load("one", workspace=workspace, **objects).replay("toy")
    assert [rung.budget for rung in found.rungs] == [1, 2]
    with pytest.raises(RequestError, match="unknown estimator"):
        Study.load("one", workspace=workspace, **objects).replay("nobody")


def test_one_estimator_is_replayed_at_a_time(workspace: Path) -> None:
    start(workspace)
    assert "takes one estimator, but got toy and last" in refused(
        workspace, "one", "--estimator", "toy", "--estimator", "last"
    )
