"""Several jobs at once, on a clock of its own: lost workers, simulated time, and what replays from it."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from toys import toy_registry

from automl_core import RequestError, Study, StudyFailed, hookimpl
from automl_core.engine.state import StudyState
from automl_core.engine.worker import Task, Worker
from automl_core.hookspecs import Register
from automl_core.interfaces import Executor
from automl_core.plugins import use_registry
from automl_core.records import Workspace
from automl_core.storage import Store
from automl_core.types import Job, Outcome


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry()):
        yield


class Shuffling(Executor):
    """Holds several jobs and ends them in an order of its own; some lose their worker.

    Args:
        slots: How many jobs it holds.
        lose: Gives whether a job's worker is lost.
        seed: Of the order.
    """

    def __init__(self, slots: int, lose: Mapping[int, int] | None = None, seed: int = 0) -> None:
        self._slots = slots
        self.lose = dict(lose or {})
        self.random = random.Random(seed)
        self.tasks: list[Task] = []
        self.most = 0
        self.performed: list[Job] = []

    @property
    def slots(self) -> int:
        return self._slots

    def start(self, worker: Worker, since: float = 0.0) -> None:
        self.worker = worker
        self.tasks.clear()
        self._cut = False

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self.most = max(self.most, len(self.tasks))

    def wait(self) -> Sequence[tuple[Job, Outcome]]:
        task = self.tasks.pop(self.random.randrange(len(self.tasks)))
        self.performed.append(task.job)
        if self.lose.get(task.job.trial, 0) > task.job.attempt:
            self.worker.forget(task.job.trial)
            return [(task.job, Outcome("lost", task.job.from_budget))]
        return [(task.job, self.worker.perform(task, lambda: self._cut))]

    def cut(self) -> None:
        self._cut = True

    def close(self) -> None:
        self.tasks.clear()


def toy(directory: Path, **settings: Any) -> Study:
    return Study(**{"space": "toy", "trials": 12, "max_budget": 4, "name": "study", "workspace": directory} | settings)


def shown(workspace: Path, name: str = "study") -> Any:
    return Workspace(workspace).record(name).to_json(times=False)["trials"]


def test_all_slots_are_used_and_the_journal_replays_to_the_same_decisions(tmp_path: Path) -> None:
    executor = Shuffling(slots=5)
    study = toy(tmp_path, evaluator="taught", executor=executor, trials=30).run()
    assert executor.most == 5
    state = StudyState(study.assembly.searcher(), study.assembly.problem)
    state.replay(study.record.journal.events())  # raises where a decision differs
    assert state.incumbent == study.best.trial
    assert not state.queue
    assert state.searcher.finished()


def test_no_teacher_is_trained_twice_whatever_the_order(tmp_path: Path) -> None:
    for seed in range(5):
        executor = Shuffling(slots=4, seed=seed)
        toy(tmp_path, evaluator="taught", executor=executor, name=f"study-{seed}", seed=seed).run()
        support = [job.instruction for job in executor.performed if job.role == "support"]
        teachers = [told["description"] for told in support if told["purpose"] == "artefact"]
        budgets = [(job.trial, job.to_budget) for job in executor.performed]
        assert len(budgets) == len(set(budgets)), "a job was performed twice"
        assert len(teachers) == 1, "one description, so one teacher"


def test_a_lost_worker_changes_nothing_but_the_attempts(tmp_path: Path) -> None:
    """The job goes on from its last checkpoint; the same order of ends gives the same trials."""
    toy(tmp_path / "calm", executor=Shuffling(slots=1)).run()
    toy(tmp_path / "stormy", executor=Shuffling(slots=1, lose={2: 1, 5: 2})).run()
    calm, stormy = shown(tmp_path / "calm"), shown(tmp_path / "stormy")
    for one in (*calm, *stormy):
        one.pop("attempts")
    assert calm == stormy


def test_attempts_are_journalled_and_replayed(tmp_path: Path) -> None:
    study = toy(tmp_path, executor=Shuffling(slots=3, lose={1: 2})).run()
    attempts = [
        payload["job"]["attempt"]
        for kind, payload in study.record.journal.events()
        if kind == "ask" and payload["job"]["trial"] == 1 and payload["job"]["from_budget"] == 0
    ]
    assert attempts == [0, 1, 2]
    StudyState(study.assembly.searcher(), study.assembly.problem).replay(study.record.journal.events())


def test_a_worker_lost_a_third_time_fails_the_trial_and_the_study_goes_on(tmp_path: Path) -> None:
    study = toy(tmp_path, executor=Shuffling(slots=2, lose={3: 3})).run()
    assert study.status == "finished"
    (failed,) = study.record.failures()
    assert failed.number == 3
    assert "died three times over" in failed.error


def test_outcomes_of_an_older_attempt_are_dropped(tmp_path: Path) -> None:
    class Echoing(Shuffling):
        """Reports a lost job once more when its second attempt is already out."""

        def wait(self) -> Sequence[tuple[Job, Outcome]]:
            found = list(super().wait())
            if found[0][1].status == "lost":
                return found
            job, outcome = found[0]
            if job.attempt:
                found.insert(0, (Job(job.trial, job.configuration, job.from_budget, job.to_budget), outcome))
            return found

    study = toy(tmp_path, executor=Echoing(slots=2, lose={2: 1})).run()
    assert study.status == "finished"
    tells = [payload["trial"] for kind, payload in study.record.journal.events() if kind == "tell"]
    asks = [
        payload["job"]["trial"]
        for kind, payload in study.record.journal.events()
        if kind == "ask" and payload["job"]["attempt"] == 0
    ]
    assert sorted(tells) == sorted(asks)


def test_an_interrupted_study_goes_on_with_other_workers(tmp_path: Path) -> None:
    class Stopping(Shuffling):
        def wait(self) -> Sequence[tuple[Job, Outcome]]:
            if len(self.performed) == 6:
                raise KeyboardInterrupt
            return super().wait()

    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path, executor=Stopping(slots=3)).run()
    study = Study.resume("study", workspace=tmp_path, executor=Shuffling(slots=5))
    assert study.status == "finished"
    assert all(row["status"] in ("completed", "stopped") for row in shown(tmp_path))


# -- simulated time ----------------------------------------------------------------------------------------------------


def seconds(configuration: Mapping[str, Any], budget: int, seed: int) -> float:
    return sum(configuration.values()) / 33


def test_simulated_workers_share_the_virtual_time(tmp_path: Path) -> None:
    """Jobs of 10 s each: 12 trials take 120 s with one worker and 30 s with four, whatever they take here."""
    from automl_core.functions import FunctionEvaluator
    from automl_core.types import Observation

    class Lasting(FunctionEvaluator):
        def start(self, description: Any, context: Any) -> Any:
            evaluation = super().start(description, context)
            advance = evaluation.advance

            def dated(job: Job) -> Iterator[Observation]:
                for one in advance(job):
                    yield Observation(one.unit, one.metrics, seconds=10.0)

            evaluation.advance = dated  # type: ignore[method-assign]
            return evaluation

    for workers, lasted in ((1, 120.0), (4, 30.0), (100, 10.0)):
        study = toy(
            tmp_path,
            evaluator=Lasting(seconds),
            searcher="random",
            executor="simulated",
            workers=workers,
            max_budget=1,
            name=f"on-{workers}",
        ).run()
        assert study.record.journal.last_at() == lasted
        assert study.trials["cost"].sum() == 120.0


def test_a_simulated_study_goes_on_at_its_last_event(tmp_path: Path) -> None:
    study = toy(tmp_path, executor="simulated", workers=3).run()
    before = study.record.journal.last_at()
    after = Study.resume("study", workspace=tmp_path, trials=20).record.journal.last_at()
    assert after > before


def test_every_candidate_lost_fails_the_study(tmp_path: Path) -> None:
    with pytest.raises(StudyFailed, match="died three times over"):
        toy(tmp_path, trials=2, executor=Shuffling(slots=2, lose={0: 3, 1: 3})).run()


def test_an_executor_that_cannot_begin_leaves_no_study(tmp_path: Path) -> None:
    class Missing(Shuffling):
        def start(self, worker: Worker, since: float = 0.0) -> None:
            raise RequestError("a scheduler must answer, but none does")

    with pytest.raises(RequestError, match="none does"):
        toy(tmp_path, executor=Missing(slots=2)).run()
    assert Workspace(tmp_path).studies() == []
    study = toy(tmp_path, executor=Shuffling(slots=2)).run()
    with pytest.raises(RequestError, match="none does"):
        Study.resume("study", workspace=tmp_path, executor=Missing(slots=2), trials=20)
    assert Workspace(tmp_path).record("study").status == study.status == "finished"


def test_a_study_keeps_to_one_clock(tmp_path: Path) -> None:
    toy(tmp_path, executor="simulated", workers=3).run()
    with pytest.raises(RequestError, match="must keep to one clock"):
        Study.resume("study", workspace=tmp_path, executor="serial", trials=20)


def test_another_executor_does_not_inherit_the_number_of_workers(tmp_path: Path) -> None:
    with use_registry(toy_registry(Pooled())):
        toy(tmp_path, executor="pooled", workers=3).run()
        study = Study.resume("study", workspace=tmp_path, executor="serial", trials=20)
        assert study.status == "finished"
        assert Study.load("study", workspace=tmp_path).assembly.workers == 3, "what is recorded stays"


class Pool(Shuffling):
    """Several slots, by option.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int = 1) -> None:
        super().__init__(slots=workers)


class Pooled:
    @hookimpl
    def automl_executors(self, register: Register) -> None:
        register("pooled", f"{__name__}:Pool", summary="several slots")


# -- what a search may not do while it waits ---------------------------------------------------------------------------


def test_trials_that_wait_for_a_teacher_are_slots_too(tmp_path: Path) -> None:
    """Otherwise a search would ask for all its trials before it has learned from the first."""
    study = toy(tmp_path, evaluator="taught", executor=Shuffling(slots=3), trials=30).run()
    support = {row.number for row in study.record.trials() if row.role == "support"}
    undecided = most = 0
    for kind, payload in study.record.journal.events():
        if kind == "ask" and payload["address"] is None:
            undecided += 1
        elif kind == "tell" and payload["trial"] not in support:
            undecided -= 1
        most = max(most, undecided)
    assert most == 3


def teachers(study: Study) -> list[Any]:
    return [row for row in study.record.trials() if row.label == "teacher"]


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_teacher_that_is_gone_or_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    study = toy(tmp_path, evaluator="taught").run()
    (first,) = teachers(study)
    (directory,) = (
        path.parent for path in (tmp_path / "artefacts").rglob("description.json") if "9" in path.read_text()
    )
    if damage == "gone":
        shutil.rmtree(directory)
    else:
        (directory / "description.json").write_text("{}")
    study = Study.resume("study", workspace=tmp_path, trials=30)
    assert study.record.failures() == []
    again = teachers(study)
    assert again[0] == first
    assert len(again) == 2
    assert again[0].metrics == again[1].metrics
    StudyState(study.assembly.searcher(), study.assembly.problem).replay(study.record.journal.events())


def test_an_artefact_that_was_made_before_a_kill_keeps_its_cost(tmp_path: Path) -> None:
    class Killed(Shuffling):
        """Is killed after a job was performed and before it is told."""

        def wait(self) -> Sequence[tuple[Job, Outcome]]:
            ended = super().wait()
            if ended[0][0].role == "support":
                raise KeyboardInterrupt
            return ended

    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path, evaluator="taught", executor=Killed(slots=1)).run()
    study = Study.resume("study", workspace=tmp_path, executor=Shuffling(slots=1))
    (teacher,) = teachers(study)
    assert teacher.status == "completed"
    assert teacher.cost > 0


def test_leaving_python_in_an_evaluation_ends_the_trial_alone(tmp_path: Path) -> None:
    from ConfigSpace import ConfigurationSpace

    def leaving(configuration: Mapping[str, Any], budget: int, seed: int) -> float:
        if configuration["x"] > 0.8:
            sys.exit(3)
        return float(configuration["x"])

    study = Study(
        ConfigurationSpace({"x": (0.0, 1.0)}), "random", evaluator=leaving, trials=20, workspace=tmp_path
    ).run()
    assert study.record.failures()
    assert all("SystemExit: 3" in row.error for row in study.record.failures())
    assert study.best.value <= 0.8


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_retraining_trains_its_own_alone_and_leaves_the_status(tmp_path: Path) -> None:
    study = toy(tmp_path, evaluator="taught").run()
    cut = study.retrain(epochs=400, repeats=4, time_limit=0.001)
    assert cut["status"] == "time-limit"
    done = study.retrain(epochs=1, repeats=1)
    assert done["status"] == "finished"
    left = [row for row in study.record.trials() if row.role == "support" and row.status == "interrupted"]
    assert left, "the earlier ones wait until they are asked for again"
    assert study.record.status == "finished"
    with pytest.raises(RequestError, match="time limit must be above 0"):
        study.retrain(epochs=1, repeats=1, time_limit=-5)


def test_a_retraining_that_is_killed_leaves_a_finished_study_finished(tmp_path: Path) -> None:
    study = toy(tmp_path).run()

    class Dying(Shuffling):
        def submit(self, task: Task) -> None:
            assert Workspace(tmp_path).record("study").journal.status() == "finished"
            super().submit(task)

    Study.load("study", workspace=tmp_path, executor=Dying(slots=1)).retrain(epochs=1, repeats=1)
    assert study.record.status == "finished"


def test_a_refusal_in_mid_run_is_no_refusal_at_the_start(tmp_path: Path) -> None:
    class Lacking(Shuffling):
        def wait(self) -> Sequence[tuple[Job, Outcome]]:
            if len(self.performed) == 3:
                raise RequestError("a worker must have every plugin")
            return super().wait()

    toy(tmp_path).run()
    with pytest.raises(RequestError, match="every plugin"):
        Study.resume("study", workspace=tmp_path, executor=Lacking(slots=2), trials=20)
    assert Workspace(tmp_path).record("study").status == "interrupted"
    assert Study.resume("study", workspace=tmp_path).status == "finished"


def test_an_executor_is_closed_when_the_engine_cannot_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Watched(Shuffling):
        def close(self) -> None:
            closed.append(True)

    def broken(self: Store, prefix: str) -> list[str]:
        raise PermissionError(prefix)

    executor = Watched(slots=2)
    study = toy(tmp_path, executor=executor)
    closed.clear()
    monkeypatch.setattr(Store, "children", broken)
    with pytest.raises(PermissionError):
        study.run()
    assert closed
