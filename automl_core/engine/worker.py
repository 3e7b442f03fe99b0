"""What happens on a worker: one job is performed, observed, checkpointed and turned into an outcome.

No decision is taken here.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from automl_core.errors import AutomlError
from automl_core.estimating import plain_metrics
from automl_core.interfaces import Context, Dataset, Description, Estimator, Evaluation, Evaluator
from automl_core.storage import DamagedError, Store
from automl_core.types import Job, Json, Metrics, Observation, Outcome, Point, Split, Status

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 600.0
OUTCOME = "outcome.json"
NOT_THE_TRIALS_FAULT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})


class ArtefactLostError(AutomlError):
    """What a training requires was made, and is not there any more or is damaged."""


@dataclass(frozen=True)
class Task:
    """A job with everything a worker needs to perform it; can be sent to another process.

    Args:
        job: The job.
        description: What to build.
        seed: Seed of the evaluation.
        max_budget: Budget over which schedules run.
        split: ``search`` or ``final``.
        requires: Addresses of the artefacts that the evaluation needs, in the order of ``Evaluator.requires``.
        checkpoints: Key in the store below which this trial's checkpoints lie.
        address: For an artefact, where it is to be found later; None for a candidate.
        setting: What differs from the study's own evaluator and data set (another data set, for a retraining).
    """

    job: Job
    description: Description
    seed: int
    max_budget: int
    split: Split = "search"
    requires: tuple[str, ...] = ()
    checkpoints: str = ""
    address: str | None = None
    setting: Mapping[str, Json] = field(default_factory=dict)


class Workbench(Protocol):
    """Evaluator, data set and estimators under one setting."""

    @property
    def evaluator(self) -> Evaluator: ...

    @property
    def dataset(self) -> Dataset | None: ...

    def estimators(self) -> Mapping[str, Estimator]:
        """Builds the estimators that run beside an evaluation, fresh for one trial."""


@dataclass
class _Live:
    """An evaluation as it stands on this worker; ``cost`` is what the job up to ``target`` has cost so far."""

    evaluation: Evaluation
    estimators: Mapping[str, Estimator]
    budget: int = 0
    curve: list[Point] = field(default_factory=list)
    target: int = 0
    cost: float = 0.0
    clocked: bool = True
    """Whether the cost is read off the clock, and not told by an evaluator that looks results up."""

    @property
    def keeps_state(self) -> bool:
        """Whether there is anything to write a checkpoint of."""
        return bool(self.estimators) or not self.evaluation.stateless

    def take(self, observation: Observation) -> Point:
        """Takes in what an evaluation yields, as plain values."""
        point = Point(int(observation.unit), plain_metrics(observation.metrics))
        if self.curve and point.unit == self.curve[-1].unit == 0:
            return point  # an evaluation that goes on from a checkpoint at budget 0 yields unit 0 again
        if self.curve and point.unit <= self.curve[-1].unit:
            raise RuntimeError(
                f"an evaluation must observe rising units, but yielded {point.unit} after {self.curve[-1].unit}"
            )
        for estimator in self.estimators.values():
            estimator.observe(observation)
        self.budget = point.unit
        self.curve.append(point)
        return point


class Worker:
    """Performs tasks. Live evaluations stay cached, the least recently used out first.

    Args:
        workbench: Gives evaluator and data set for a setting.
        store: Where checkpoints and artefacts are kept.
        device: The device as asked for; resolved where the worker is.
        threads: Threads that evaluations may use; None leaves it to the executor, which sets it where jobs run.
        metrics: Metrics that objectives and constraints name.
        observe: Called with each observation; for live progress only, and left behind when the worker is sent.
        cached: How many live evaluations to keep.
        checkpoint_seconds: How often a checkpoint is written within a job.
    """

    def __init__(
        self,
        workbench: Callable[[Mapping[str, Json]], Workbench],
        store: Store,
        device: str = "auto",
        threads: int | None = 1,
        metrics: frozenset[str] = frozenset(),
        observe: Callable[[Job, Observation], None] | None = None,
        cached: int = 1,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.workbench = workbench
        self.store = store
        self.device = device
        self.threads = threads
        self.metrics = metrics
        self.observe = observe
        self.cached = cached
        self.checkpoint_seconds = checkpoint_seconds
        self._cache: OrderedDict[int, _Live] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """What lives here stays here; checkpoints are how trials travel."""
        return {**self.__dict__, "_cache": OrderedDict(), "observe": None}

    def perform(self, task: Task, cut: Callable[[], bool]) -> Outcome:
        """Advances the task's trial; whatever the evaluation raises becomes a failed outcome.

        Args:
            task: What to do.
            cut: Asked after every unit; True makes the job end there, checkpointed and interrupted.
        """
        if task.address is not None and self.store.has(task.address):
            try:
                return known_outcome(self.store, task.address, task.checkpoints)
            except DamagedError as error:
                log.warning("an artefact is made again: %s", error)
                self.store.remove(task.address)
        live: _Live | None = None
        try:
            live = self._open(task)
            return self._close(task, live, self._advance(task, live, cut))
        except ArtefactLostError as error:
            return Outcome("lost", task.job.from_budget, error=str(error))
        except (Exception, SystemExit) as error:  # sys.exit() in what is evaluated ends the trial, not the study
            if isinstance(error, OSError) and error.errno in NOT_THE_TRIALS_FAULT:
                raise  # a full disk ends the run, which can be resumed; it must not fail one trial after another
            self.forget(task.job.trial)
            return _failure(task.job, live, error)

    def forget(self, trial: int) -> None:
        """Drops a trial's live evaluation."""
        self._cache.pop(trial, None)

    def _open(self, task: Task) -> _Live:
        """Finds the evaluation in the cache, in a checkpoint, or starts it."""
        job = task.job
        live = self._cache.pop(job.trial, None)
        if live is None or live.budget != job.from_budget:
            live = self._restore(task)
        if live.target != job.to_budget:
            live.target, live.cost = job.to_budget, 0.0
        self._cache[job.trial] = live
        while len(self._cache) > self.cached:
            self._cache.popitem(last=False)
        return live

    def _restore(self, task: Task) -> _Live:
        bench = self.workbench(task.setting)

        def estimators() -> Mapping[str, Estimator]:
            return bench.estimators() if task.job.role == "candidate" else {}  # nobody ranks anything else

        context = Context(
            seed=task.seed,
            max_budget=task.max_budget,
            split=task.split,
            dataset=bench.dataset,
            artefacts=tuple(map(self._artefact, task.requires)),
            device=bench.evaluator.resolve_device(self.device),
            threads=self.threads or 1,
            metrics=self.metrics if task.job.role == "candidate" or task.address is not None else frozenset(),
            needs=frozenset().union(*(one.needs for one in estimators().values())),
        )

        def fresh() -> _Live:
            return _Live(bench.evaluator.start(task.description, context), estimators())

        live = fresh()
        if live.evaluation.stateless:
            live.budget = task.job.from_budget
        kept = self.store.keys(task.checkpoints) if live.keeps_state else []
        for key in reversed([key for key in kept if _unit(key) <= task.job.to_budget]):
            try:
                self._load(task, live, self.store.directory(key))
                break
            except Exception as error:  # noqa: BLE001 - whatever a damaged checkpoint makes an evaluation raise
                log.warning("a checkpoint of trial %d cannot be used and is made again: %s", task.job.trial, error)
                self.store.remove(key)
                live = fresh()
        if live.budget < task.job.from_budget:
            # The same seed gives the same training, so what is missing is trained again and comes out equal.
            log.info("trial %d is trained again from budget %d", task.job.trial, live.budget)
        return live

    def _artefact(self, address: str) -> Path:
        """Finds an artefact; a damaged one is removed, so that it is made again."""
        try:
            return self.store.directory(address)
        except DamagedError as error:
            self.store.remove(address)
            raise ArtefactLostError(str(error)) from error

    def _load(self, task: Task, live: _Live, directory: Path) -> None:
        state = json.loads((directory / "progress.json").read_text())
        if state["seed"] != task.seed:
            raise ValueError("it is of another training")
        if not live.evaluation.stateless:
            live.evaluation.load(directory / "evaluation")
        for name, estimator in live.estimators.items():
            estimator.load(directory / f"estimator-{name}")
        live.budget, live.target, live.cost = state["budget"], state["target"], state["cost"]
        live.curve = [Point(unit, metrics) for unit, metrics in state["curve"]]

    def _advance(self, task: Task, live: _Live, cut: Callable[[], bool]) -> Status:
        job = task.job
        if live.budget >= job.to_budget:
            return "done"
        began = saved = time.monotonic()
        before, told = live.cost, 0.0
        left = job if live.budget == job.from_budget else replace(job, from_budget=live.budget)
        for observation in live.evaluation.advance(left):
            point = live.take(observation)
            now = time.monotonic()
            told += observation.seconds or 0.0
            live.clocked = observation.seconds is None
            live.cost = before + (now - began if live.clocked else told)
            if self.observe is not None:
                self.observe(job, observation)
            if not all(math.isfinite(value) for value in point.metrics.values()):
                return "diverged"
            if live.budget >= job.to_budget:
                break
            if cut():
                self._save(task, live)
                return "interrupted"
            if now - saved >= self.checkpoint_seconds:
                self._save(task, live)
                saved = time.monotonic()
        if live.budget != job.to_budget:
            raise RuntimeError(
                f"an evaluation must advance to budget {job.to_budget}, but its last observation was at {live.budget}"
            )
        return "done"

    def _save(self, task: Task, live: _Live) -> None:
        if not live.keeps_state:
            return
        key = f"{task.checkpoints}/unit-{live.budget:06d}"
        older = [other for other in self.store.keys(task.checkpoints) if other != key]
        if not self.store.has(key):
            with self.store.writing(key) as directory:
                if not live.evaluation.stateless:
                    (directory / "evaluation").mkdir()
                    live.evaluation.save(directory / "evaluation")
                for name, estimator in live.estimators.items():
                    (directory / f"estimator-{name}").mkdir()
                    estimator.save(directory / f"estimator-{name}")
                state = {
                    "seed": task.seed,
                    "budget": live.budget,
                    "target": live.target,
                    "cost": live.cost,
                    "curve": [[point.unit, dict(point.metrics)] for point in live.curve],
                }
                (directory / "progress.json").write_text(json.dumps(state))
        for other in older:
            self.store.remove(other)

    def _close(self, task: Task, live: _Live, status: Status) -> Outcome:
        job = task.job
        estimates: dict[str, Metrics] = {}
        report = None
        if status == "done":
            estimates = self._estimates(live)
            if task.address is None:
                self._save(task, live)  # with what the estimators have worked out
            report = live.evaluation.report()
            if report is not None:
                report = json.loads(json.dumps(report))
        else:
            self.forget(job.trial)
        first = 0 if job.from_budget == 0 else job.from_budget + 1
        outcome = Outcome(
            status=status,
            budget=live.budget,
            curve=tuple(point for point in live.curve if point.unit >= first),
            estimates=estimates,
            cost=live.cost,
            report=report,
            error="a metric was not finite: " + _not_finite(live.curve[-1].metrics) if status == "diverged" else "",
        )
        if status == "done" and task.address is not None:
            with self.store.writing(task.address) as directory:
                live.evaluation.export(directory)
                (directory / OUTCOME).write_text(json.dumps({**outcome.to_json(), "made_for": task.checkpoints}))
            self.store.remove(task.checkpoints)
            self.forget(job.trial)
        return outcome

    @staticmethod
    def _estimates(live: _Live) -> dict[str, Metrics]:
        """Asks the estimators; their work is part of what the trial costs."""
        began = time.monotonic()
        estimates: dict[str, Metrics] = {
            name: plain_metrics(one.estimate().metrics) for name, one in live.estimators.items()
        }
        if live.clocked and live.estimators:
            live.cost += time.monotonic() - began
        return estimates


def known_outcome(store: Store, address: str, wanted_for: str) -> Outcome:
    """Gives the outcome of the training that made an artefact.

    Args:
        store: Where it is.
        address: Its key there.
        wanted_for: Who asks, by the key of its checkpoints. Who made it is told what it cost: it was killed before it
            could say so. For all others it costs nothing.
    """
    told = json.loads((store.directory(address) / OUTCOME).read_text())
    made_for = told.pop("made_for", "")
    outcome = Outcome.from_json(told)
    return outcome if made_for == wanted_for else replace(outcome, cost=0.0)


def _unit(key: str) -> int:
    return int(key.rpartition("-")[2])


def _failure(job: Job, live: _Live | None, error: BaseException) -> Outcome:
    text = "".join(traceback.format_exception(error))
    return Outcome("failed", live.budget if live else job.from_budget, error=text)


def _not_finite(metrics: Metrics) -> str:
    return ", ".join(f"{name} = {value}" for name, value in metrics.items() if not math.isfinite(value))
