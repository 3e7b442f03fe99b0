"""What goes wrong with strangers' parts, files and unlucky moments is mended, or recorded, and never spreads."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from test_study import AtUnit, shown, toy
from toys import TEACHER, TaughtEvaluator, toy_registry

from automl_core import (
    Context,
    Description,
    Estimate,
    Estimator,
    Evaluation,
    Job,
    Outcome,
    Searcher,
    Study,
    StudyFailed,
)
from automl_core.engine.keeping import Keeper
from automl_core.engine.serial import SerialExecutor
from automl_core.errors import RequestError
from automl_core.interfaces import ArtefactRequest
from automl_core.plugins import use_registry
from automl_core.records import Workspace
from automl_core.testing.doubles import ToyDescription, ToyEvaluation, ToyEvaluator, ToySpace
from automl_core.types import Observation, Split

SMALL = {"space": {"digits": 2}}


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry()):
        yield


class Scripted(Searcher):
    """Asks for the given jobs, one after another."""

    def __init__(self, *jobs: tuple[int, int, int, int]) -> None:
        self.jobs = list(jobs)
        self.out = 0

    def ask(self, next_trial: int) -> Job | None:
        if self.out or not self.jobs:
            return None
        self.out = 1
        trial, digit, start, end = self.jobs.pop(0)
        return Job(trial, {"digit_1": digit, "digit_2": 3}, start, end)

    def tell(self, job: Job, outcome: Outcome) -> None:
        self.out = 0

    def finished(self) -> bool:
        return not self.jobs


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_time_limit_cuts_a_long_job_at_its_next_unit(tmp_path: Path) -> None:
    toy(tmp_path / "whole", trials=1, min_budget=4).run()

    class Slow(AtUnit):
        def observed(self, job: Job, observation: Observation) -> None:
            time.sleep(0.3)

    cut = toy(tmp_path / "cut", trials=1, min_budget=4).run(time_limit=0.4, progress=Slow(0, None))
    assert cut.status == "time-limit"
    assert cut.record.trials()[0].status == "interrupted", "the one job was not finished"
    Study.resume("study", workspace=tmp_path / "cut")
    assert shown(tmp_path / "cut") == shown(tmp_path / "whole")


def test_an_executor_object_that_was_cut_can_go_on(tmp_path: Path) -> None:
    study = toy(tmp_path, executor=SerialExecutor())
    study.run(progress=AtUnit(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert study.status == "interrupted"
    assert study.run().status == "finished"


# -- other studies' files ---------------------------------------------------------------------------------------------


def test_a_deleted_studys_checkpoints_are_never_taken_for_anothers(tmp_path: Path) -> None:
    toy(tmp_path / "w", checkpoint="all", name="old").run()
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "w" / "checkpoints" / "1", left)
    Workspace(tmp_path / "w").delete("old")
    toy(tmp_path / "w", name="new", seed=1)
    shutil.copytree(left, tmp_path / "w" / "checkpoints" / "1")  # as if the deletion had been killed half-way
    shutil.copytree(left, tmp_path / "w" / "checkpoints" / "2")  # and even if the new study had the same number
    toy(tmp_path / "w", name="new", seed=1).run()
    toy(tmp_path / "clean", name="new", seed=1).run()
    assert shown(tmp_path / "w", "new") == shown(tmp_path / "clean", "new")


def test_evaluator_objects_do_not_share_artefacts(tmp_path: Path) -> None:
    def teachers(noise: float, name: str) -> list[Any]:
        study = toy(tmp_path, evaluator=TaughtEvaluator(noise=noise), trials=12, name=name).run()
        return [row.metrics for row in study.record.trials() if row.label == "teacher"]

    one, other = teachers(0.01, "one"), teachers(0.2, "other")
    assert one and other and one != other


# -- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_trial_told_a_known_curve_can_go_on(tmp_path: Path) -> None:
    jobs = ((0, 1, 0, 1), (1, 1, 0, 1), (1, 1, 1, 3), (0, 1, 1, 3))
    study = toy(tmp_path, searcher=Scripted(*jobs), options=SMALL).run()
    first, twin = study.record.trials()
    assert (twin.status, twin.budget) == ("paused", 3)
    assert first.metrics == twin.metrics


@pytest.mark.parametrize("damage", ["content", "manifest", "everything"])
def test_a_damaged_checkpoint_is_trained_again_and_comes_out_equal(damage: str, tmp_path: Path) -> None:
    toy(tmp_path / "whole").run()
    toy(tmp_path / "cut").run(progress=AtUnit(4, lambda: os.kill(os.getpid(), signal.SIGINT)))
    (kept,) = (path for path in (tmp_path / "cut" / "checkpoints" / "1").glob("*/unit-*"))
    if damage == "content":
        (kept / "evaluation" / "state.json").write_text("[")
    elif damage == "manifest":
        (kept / "manifest.json").write_text("{}")
    else:
        shutil.rmtree(kept.parent)
    Study.resume("study", workspace=tmp_path / "cut")
    assert shown(tmp_path / "cut") == shown(tmp_path / "whole")


class MeanOfAll(Estimator):
    """The mean over all units seen, which only its own state knows."""

    needs: ClassVar[frozenset[str]] = frozenset({"network"})

    def __init__(self) -> None:
        self.seen: list[float] = []

    def observe(self, observation: Observation) -> None:
        self.seen.append(observation.metrics["value"])

    def estimate(self) -> Estimate:
        return Estimate({"value": sum(self.seen) / len(self.seen)})

    def save(self, directory: Path) -> None:
        np.save(directory / "seen.npy", np.array(self.seen))

    def load(self, directory: Path) -> None:
        self.seen = np.load(directory / "seen.npy", allow_pickle=False).tolist()


class MeanPlugin:
    @staticmethod
    def registered() -> Any:
        from automl_core import hookimpl

        class Plugin:
            @hookimpl
            def automl_estimators(self, register: Any) -> None:
                register("mean", f"{__name__}:MeanOfAll", summary="mean of all units")

        return Plugin()


def test_an_estimator_beside_a_function_survives_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_core.functions import FunctionEvaluator

    monkeypatch.setattr(FunctionEvaluator, "offers", frozenset({"network"}))

    def value(configuration: dict[str, Any], budget: int, seed: int) -> float:
        return float(budget * configuration["digit_1"])

    def study(directory: Path) -> Study:
        return toy(directory, evaluator=value, estimator="mean", options=SMALL, searcher="asha")

    with use_registry(toy_registry(MeanPlugin.registered())):
        study(tmp_path / "whole").run()
        cut = study(tmp_path / "cut").run(progress=AtUnit(2, lambda: os.kill(os.getpid(), signal.SIGINT)))
        assert cut.status == "interrupted"
        Study.resume("study", workspace=tmp_path / "cut", evaluator=value)
        assert shown(tmp_path / "cut") == shown(tmp_path / "whole")
        with pytest.raises(RequestError, match="'mean' needs network and evaluator 'toy' offers nothing"):
            toy(tmp_path / "other", estimator="mean")


# -- strangers' mistakes fail their trial alone -----------------------------------------------------------------------


class Moody(TaughtEvaluator):
    """Fails where it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def requires(self, description: Description, max_budget: int, split: Split) -> Sequence[ArtefactRequest]:
        assert isinstance(description, ToyDescription)
        if self.where == "requires" and sum(description.digits) % 2:
            raise KeyError("no idea what this requires")
        if self.where == "itself" and (description == TEACHER or sum(description.digits) % 2):
            return [ArtefactRequest("teacher", TEACHER, max_budget, split)]
        if self.where == "endless" and (len(description.digits) == 1 or sum(description.digits) % 2):
            further = ToyDescription((sum(description.digits) + 1,), 0.5)
            return [ArtefactRequest(f"teacher {further.digits}", further, max_budget, split)]
        return super().requires(description, max_budget, split) if self.where in ("baselines", "final") else ()

    def baselines(self, description: Description, budget: int) -> Sequence[ArtefactRequest]:
        if self.where == "baselines":
            raise KeyError("nothing to compare with")
        return ()

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        evaluation = ToyEvaluation(self, description, context.seed)
        if sum(description.digits) % 2 == 0:
            return evaluation
        if self.where == "start":
            raise KeyError("no such network")
        if self.where in ("unit", "report", "metric", "numpy", "text"):
            return Odd(self, description, context.seed, self.where)
        return evaluation


class Odd(ToyEvaluation):
    def __init__(self, evaluator: ToyEvaluator, description: ToyDescription, seed: int, where: str) -> None:
        super().__init__(evaluator, description, seed)
        self.where = where

    def advance(self, job: Job) -> Iterator[Observation]:
        for observation in super().advance(job):
            metrics: Any = dict(observation.metrics)
            if self.where == "numpy":
                metrics = {name: np.float32(value) for name, value in metrics.items()}
            if self.where == "text":
                metrics["accuracy"] = "high"
            yield Observation(0 if self.where == "unit" and observation.unit else observation.unit, metrics)

    def report(self) -> Any:
        return {1, 2} if self.where == "report" else None


@pytest.mark.parametrize("where", ["requires", "itself", "endless", "start", "unit", "report", "text"])
def test_what_an_evaluator_raises_fails_its_trial_alone(where: str, tmp_path: Path) -> None:
    study = toy(tmp_path, evaluator=Moody(where), trials=16).run()
    rows = [row for row in study.record.trials() if row.role == "candidate"]
    odd = [row for row in rows if sum(value for value in row.configuration.values()) % 2]  # type: ignore[misc]
    assert odd and len(odd) < len(rows)
    assert {row.status for row in odd} == {"failed"}
    assert all(row.error for row in odd)
    assert not any(row.status == "failed" for row in rows if row not in odd)
    assert Study.resume("study", workspace=tmp_path, evaluator=Moody(where)).status == "finished"


def test_numbers_of_other_libraries_are_plain_in_the_journal(tmp_path: Path) -> None:
    study = toy(tmp_path, evaluator=Moody("numpy")).run()
    assert study.status == "finished" and not study.record.failures()


def test_a_comparison_that_cannot_be_made_does_not_undo_the_search(tmp_path: Path) -> None:
    assert toy(tmp_path, evaluator=Moody("baselines")).run().status == "finished"


def test_a_space_whose_decode_raises_fails_the_trial(tmp_path: Path) -> None:
    class Space(ToySpace):
        def decode(self, configuration: Any) -> ToyDescription:
            if configuration["digit_1"] == 1:
                raise ArithmeticError("cannot decode this")
            return super().decode(configuration)

    study = toy(tmp_path, space=Space(digits=4), evaluator="toy", trials=16).run()
    failed = study.record.failures()
    assert failed and all("ArithmeticError: cannot decode this" in row.error for row in failed)
    assert all(row.configuration["digit_1"] == 1 for row in failed)


def test_a_failed_final_training_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = toy(tmp_path, evaluator="taught", trials=12).run()
    needy = next(row for row in study.record.trials() if sum(row.configuration.values() or [0]) % 2)  # type: ignore[arg-type]
    advance = ToyEvaluation.advance

    def full(self: ToyEvaluation, job: Job) -> Iterator[Observation]:
        if self._description == TEACHER:
            raise MemoryError("not today")
        return advance(self, job)

    with monkeypatch.context() as patch, pytest.raises(StudyFailed, match="not today"):
        patch.setattr(ToyEvaluation, "advance", full)
        study.retrain(trial=needy.number, repeats=1)
    assert Study.load("study", workspace=tmp_path).retrain(trial=needy.number, repeats=1)["status"] == "finished"


# -- a search and its retrainings keep apart --------------------------------------------------------------------------


def test_a_retraining_leaves_an_unfinished_search_alone(tmp_path: Path) -> None:
    study = toy(tmp_path)
    study.run(progress=AtUnit(12, lambda: os.kill(os.getpid(), signal.SIGINT)))
    before = [row for row in study.record.trials() if row.role == "candidate"]
    assert any(row.status == "interrupted" for row in before)
    assert study.retrain(repeats=1)["status"] == "finished"
    assert [row for row in study.record.trials() if row.role == "candidate"] == before
    assert Study.resume("study", workspace=tmp_path).status == "finished"


def test_a_search_leaves_an_unfinished_retraining_alone(tmp_path: Path) -> None:
    study = toy(tmp_path).run()
    study.retrain(repeats=4, progress=AtUnit(3, lambda: os.kill(os.getpid(), signal.SIGINT)))

    def unfinished() -> list[int]:
        return [row.number for row in study.record.trials() if row.role == "support" and row.status == "interrupted"]

    before = unfinished()
    assert before
    Study.resume("study", workspace=tmp_path, trials=10)
    assert unfinished() == before


# -- searchers --------------------------------------------------------------------------------------------------------


class Counting(Searcher):
    """Puts the number that a new trial would have into every instruction, as the contract allows."""

    def ask(self, next_trial: int) -> Job | None:
        self.asked = getattr(self, "asked", 0)
        if self.asked == 4:
            return None
        self.asked += 1
        new = self.asked <= 2
        budgets = (0, 2) if new else (2, 4)
        trial = next_trial if new else self.asked - 3
        return Job(trial, {"digit_1": trial, "digit_2": 1}, *budgets, instruction={"next": next_trial})

    def tell(self, job: Job, outcome: Outcome) -> None:
        pass

    def finished(self) -> bool:
        return getattr(self, "asked", 0) == 4


def test_replaying_asks_with_the_number_that_was_given_then(tmp_path: Path) -> None:
    toy(tmp_path, searcher=Counting(), options=SMALL).run()
    assert Study.resume("study", workspace=tmp_path, searcher=Counting()).status == "finished"


def test_freeing_checkpoints_does_not_look_at_every_trial_at_every_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    needed = Keeper._needed

    def counted(self: Keeper, number: int) -> bool:
        nonlocal looks
        looks += 1
        return needed(self, number)

    monkeypatch.setattr(Keeper, "_needed", counted)
    study = Study(
        space="toy",
        evaluator=lambda configuration, budget, seed: sum(configuration.values()),
        trials=600,
        max_budget=8,
        workspace=tmp_path,
        options={"searcher": {"kind": "promote"}},
    ).run()
    jobs = sum(rung["reached"] for rung in study.record.rungs())
    assert looks < 6 * jobs


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_workspace_that_can_only_be_read_is_shown_and_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy(tmp_path / "w").run()
    expected = shown(tmp_path / "w")
    monkeypatch.setattr("automl_core.journal.database.os.access", lambda path, mode: False)
    assert shown(tmp_path / "w") == expected
    assert [study.name for study in Workspace(tmp_path / "w").studies()] == ["study"]
    assert Study.load("study", workspace=tmp_path / "w").export(tmp_path / "out")["trial"] == expected["best"]["trial"]
    for refused in (
        lambda: Study.resume("study", workspace=tmp_path / "w"),
        lambda: Workspace(tmp_path / "w").delete("study"),
    ):
        with pytest.raises(RequestError, match="can only be read"):
            refused()


def test_a_half_damaged_journal_is_named(tmp_path: Path) -> None:
    toy(tmp_path, trials=40).run().workspace.close()
    journal = tmp_path / "journal.sqlite"
    content = journal.read_bytes()
    journal.write_bytes(content[:12288] + b"\xaa" * (len(content) - 12288))
    with pytest.raises(RequestError, match="put back a copy of it"):
        Workspace(tmp_path).record("study").to_json()


def test_a_refused_resume_leaves_the_study_as_it_was(tmp_path: Path) -> None:
    from automl_core import ReplayError
    from automl_searchers.asha import ASHA

    toy(tmp_path, searcher=ASHA()).run()
    with pytest.raises(ReplayError):
        Study.resume("study", workspace=tmp_path, searcher=ASHA(eta=3))
    assert Workspace(tmp_path).record("study").status == "finished"


def test_a_metric_that_is_no_number_is_named(tmp_path: Path) -> None:
    study = toy(tmp_path, evaluator=lambda c, b, s: {"value": 1.0, "note": "hi"}, trials=1)
    with pytest.raises(StudyFailed, match="metric 'note' must be a number, but is 'hi'"):
        study.run()
