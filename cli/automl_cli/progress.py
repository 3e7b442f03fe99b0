"""Live progress on standard error: a calm view on a terminal, plain lines elsewhere.

What is shown is kept apart from how: :class:`Watcher` gathers, :class:`PlainProgress` and
:class:`automl_cli.live.LiveProgress` show.
"""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from automl_cli.output import budget_text, counted, is_terminal, measured, number, seconds, size
from automl_cli.settings import Settings
from automl_core.engine.progress import Progress
from automl_core.errors import reason
from automl_core.ranking import Losses, dominates
from automl_core.types import OVER, Job, Objective, Observation, Outcome

if TYPE_CHECKING:
    from automl_core import Study
    from automl_core.engine.keeping import Dropped

HEARTBEAT_SECONDS = 10.0
_NUMBER = re.compile(r"\d[\d.]*(?:e[-+]?\d+)?", re.IGNORECASE)
STOPPING = "stopping as soon as the running jobs can be kept; Ctrl-C again stops at once"


@dataclass
class Running:
    """A job that is running; ``curve`` holds the objective's value at each unit that was seen of its trial.

    ``reached`` is None until a unit was seen; of a job in another process none is.
    """

    job: Job
    label: str
    reached: int | None
    curve: list[float]


class Watcher(Progress):
    """Gathers what there is to show of a run. Used as a context manager around it.

    Args:
        asked: How many trials there are to be in all, where that differs from what the study records.
        trainings: Whether trainings are counted, as in a retraining, rather than the trials of a search.
        clock: Gives seconds.
    """

    def __init__(
        self, asked: int | None = None, trainings: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self.began = clock()
        self.name = ""
        self.parts = ""
        self.metric = ""
        self._by = ""
        """Whose estimates rank, for what is not measured must not be read so."""
        self.unit = "units"
        self.asked = asked
        self.counts_trainings = trainings
        self.trainings = 0
        self._last_trial = -1
        self._support: set[int] = set()
        self.failures = 0
        self.last_failure = ""
        self.violations = 0
        self.last_violation = ""
        self.drops: Counter[str] = Counter()
        self.dropped_bytes: Counter[str] = Counter()
        self.last_drop = ""
        self.is_stopping = False
        self.best: tuple[int, float] | None = None
        self.objectives: tuple[Objective, ...] = ()
        self.front: dict[int, Losses] = {}
        self._furthest = 0
        self.running: dict[int, Running] = {}
        self.curves: dict[int, list[float]] = {}
        self.reached: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Takes the view down; nothing to do here."""

    @property
    def elapsed(self) -> float:
        return self.clock() - self.began

    def started(self, study: Study) -> None:
        record = study.record
        summary = record.summary
        self.name = study.name
        self.parts = " · ".join(part for part in (summary.space, summary.searcher, summary.dataset) if part)
        self.metric = record.spec.objectives[0].partition(":")[0]
        self._by = "" if record.ranking is None else f" by {record.ranking}"
        self.unit = record.spec.unit
        self.asked = self.asked or study.assembly.planned_trials
        for row in record.trials():
            self.reached[row.number] = row.budget
            self._seen(row.number, row.role)
        self.objectives = record.objectives
        front = record.front()
        if front and not self.counts_trainings:
            self.best = (front[0].trial, front[0].value)
            self._furthest = front[0].budget
            self.front = {one.trial: self._losses(list(one.objectives.values())) for one in front}

    def job_started(self, job: Job, label: str) -> None:
        self._seen(job.trial, job.role)
        self.running[job.trial] = Running(job, label, None, self.curves.setdefault(job.trial, []))

    def observed(self, job: Job, observation: Observation) -> None:
        running = self.running.get(job.trial)
        if running is None:
            return
        running.reached = observation.unit
        if math.isfinite(observation.metrics.get(self.metric, math.nan)):
            running.curve.append(observation.metrics[self.metric])

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        self._seen(job.trial, job.role)
        self.running.pop(job.trial, None)
        self.reached[job.trial] = outcome.budget
        self.trainings += 1
        if self.best is not None and job.trial == self.best[0] and self.metric in outcome.metrics:
            self.best = (job.trial, outcome.values[0] if outcome.values else outcome.metrics[self.metric])
        self._judge(job, outcome)
        if outcome.status == "infeasible":
            self.violations += 1
            self.last_violation = f"{self.subject(job, label)} violates a constraint: {reason(outcome.error)}"
        elif outcome.status in OVER:
            self.failures += 1
            self.last_failure = f"{self.subject(job, label)} {outcome.status}: {reason(outcome.error)}"

    def incumbent(self, trial: int, value: float) -> None:
        self.best = (trial, value)

    def dropped(self, checkpoints: Sequence[Dropped]) -> None:
        for one in checkpoints:
            self.drops[one.reason] += 1
            self.dropped_bytes[one.reason] += one.size
            self.last_drop = f"the checkpoint of trial {one.trial} ({size(one.size)}): {one.reason}"

    def stopping(self) -> None:
        """The first Ctrl-C has come; the run ends at the next unit."""
        self.is_stopping = True

    def subject(self, job: Job, label: str) -> str:
        return f"trial {job.trial} ({label})" if label else f"trial {job.trial}"

    @property
    def trials(self) -> int:
        """Candidates begun. Numbers run over both roles, and twins of known candidates are never announced."""
        return self._last_trial + 1 - len(self._support)

    def count(self) -> str:
        """How far the run is: "7 of 20 trials"."""
        if self.counts_trainings:
            return counted(self.trainings, "training")
        if self.asked is not None and self.trials <= self.asked:  # a study that was extended before has more
            return f"{self.trials} of {counted(self.asked, 'trial')}"
        return counted(self.trials, "trial")

    def _seen(self, trial: int, role: str) -> None:
        self._last_trial = max(self._last_trial, trial)
        if role == "support":
            self._support.add(trial)

    def best_text(self) -> str:
        if self.best is None:
            return ""
        trial, value = self.best
        after = f" after {budget_text(self.reached[trial], self.unit)}" if trial in self.reached else ""
        front = f"front of {len(self.front)}, led by " if len(self.objectives) > 1 and trial in self.front else ""
        return f"{front}trial {trial}, {self.metric} {number(self.metric, value)}{self._by}{after}"

    def _judge(self, job: Job, outcome: Outcome) -> None:
        """Follows the front of several objectives among the candidates that got furthest."""
        if len(self.objectives) < 2 or job.role != "candidate":
            return
        self.front.pop(job.trial, None)
        if not outcome.values or outcome.budget < self._furthest:
            return
        if outcome.budget > self._furthest:
            self._furthest, self.front = outcome.budget, {}
        losses = self._losses(outcome.values)
        if not any(dominates(other, losses) for other in self.front.values()):
            self.front = {number: other for number, other in self.front.items() if not dominates(losses, other)}
            self.front[job.trial] = losses

    def _losses(self, values: Sequence[float]) -> Losses:
        return tuple(objective.loss(value) for objective, value in zip(self.objectives, values, strict=True))


class PlainProgress(Watcher):
    """Lines for pipes and log files: what is new, and a sign of life every ten seconds.

    Args:
        every_job: Write a line for each finished job of a candidate, too.
        asked: As for every watcher.
        trainings: As for every watcher.
        clock: Gives seconds.
    """

    def __init__(
        self,
        every_job: bool = False,
        asked: int | None = None,
        trainings: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(asked, trainings, clock)
        self.every_job = every_job
        self._last = clock()
        self._causes: dict[str, tuple[int, int]] = {}
        """Why trials failed, but for numbers: the first trial that did, and how many more did not get a line."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for first, more in self._causes.values():
            if more:
                self._write(f"{counted(more, 'more trial')} ended like trial {first}")

    def started(self, study: Study) -> None:
        super().started(study)
        trials = f", {counted(self.asked, 'trial')}" if self.asked and not self.counts_trainings else ""
        self._write(f"study {self.name}: {self.parts}{trials}")
        for note in study.notes:
            self._write(f"note: {note}")
        if study.assembly.executor().remote:
            workers = study.assembly.spec.workers  # of a cluster, as many as there are
            known = counted(workers, "worker") if workers else "workers"
            self._write(f"starting on {known}, where everything is loaded first")

    def observed(self, job: Job, observation: Observation) -> None:
        super().observed(job, observation)
        where = f"now {self.subject(job, self._label(job))} at {observation.unit} of {job.to_budget} {self.unit}"
        self._heartbeat(f", {where}")

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        super().job_finished(job, outcome, label)
        if outcome.status == "infeasible" and self.every_job:
            self._write(self.last_violation)
        elif outcome.status in OVER and outcome.status != "infeasible":
            self._tell_failure(job.trial, outcome)
        elif job.role == "support" or self.every_job:
            result = measured(outcome.metrics) if self.every_job else self._objective(outcome)
            after = budget_text(outcome.budget, self.unit)
            self._write(f"{self.subject(job, label)}: {result} after {after} ({seconds(outcome.cost)})")
        else:
            self._heartbeat()

    def incumbent(self, trial: int, value: float) -> None:
        super().incumbent(trial, value)
        self._write(f"best so far: {self.best_text()} ({self.count()}, {seconds(self.elapsed)})")

    def dropped(self, checkpoints: Sequence[Dropped]) -> None:
        for one in checkpoints:
            super().dropped([one])
            self._write(f"dropped {self.last_drop}")

    def stopping(self) -> None:
        super().stopping()
        self._write(STOPPING)

    def _tell_failure(self, trial: int, outcome: Outcome) -> None:
        """Writes the first failure of each cause; those that differ from it in numbers alone are counted."""
        cause = _NUMBER.sub("0", f"{outcome.status}: {reason(outcome.error)}")
        if self.every_job or cause not in self._causes:
            self._causes.setdefault(cause, (trial, 0))
            self._write(self.last_failure)
        else:
            first, more = self._causes[cause]
            self._causes[cause] = (first, more + 1)
            self._heartbeat()

    def _heartbeat(self, where: str = "") -> None:
        """Writes how far the run is, after a while without a line; jobs in other processes show by their ends alone."""
        if self.clock() - self._last >= HEARTBEAT_SECONDS:
            best = f", best {self.best_text()}" if self.best else ""
            failed = f", {self.failures} failed" if self.failures else ""
            self._write(f"{self.count()} in {seconds(self.elapsed)}{failed}{best}{where}")

    def _objective(self, outcome: Outcome) -> str:
        shown = {self.metric: outcome.metrics[self.metric]} if self.metric in outcome.metrics else outcome.metrics
        return measured(shown)

    def _label(self, job: Job) -> str:
        return self.running[job.trial].label if job.trial in self.running else ""

    def _write(self, line: str) -> None:
        self._last = self.clock()
        try:
            click.echo(line, err=True)
        except OSError:
            """Nobody reads any more; the study goes on."""


def watch(settings: Settings, asked: int | None = None, trainings: bool = False) -> Watcher:
    """Chooses how to show progress: not at all, live on a terminal, or in lines.

    Args:
        settings: The shared options.
        asked: How many trials there are to be in all, where that differs from what the study records.
        trainings: Whether trainings are counted, as in a retraining.
    """
    if settings.quiet:
        return Watcher(asked, trainings)
    if is_terminal(sys.stderr) and os.environ.get("TERM") not in (None, "dumb") and not settings.verbose:
        from automl_cli.live import LiveProgress

        return LiveProgress(asked, trainings)
    return PlainProgress(settings.verbose, asked, trainings)
