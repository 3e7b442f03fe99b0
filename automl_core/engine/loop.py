"""The study loop: ask, journal, submit, wait, tell, journal.

Everything is written to the journal before it is acted on; a tell and the asks that it causes are one transaction.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from automl_core.engine.artefacts import Artefacts, Purpose, Wanted
from automl_core.engine.checks import refuse_impossible, refuse_standstill
from automl_core.engine.keeping import Keeper
from automl_core.engine.observers import Observers
from automl_core.engine.state import StudyState, Trial
from automl_core.engine.worker import Task
from automl_core.estimating import estimate_curve
from automl_core.interfaces import ArtefactRequest, Estimator, Executor
from automl_core.journal import StudyJournal
from automl_core.spec import Retention
from automl_core.storage import Store
from automl_core.types import EMPTY, OVER, Constraint, Job, Json, Outcome

log = logging.getLogger(__name__)

RETRIES = 2
"""How often a job is handed out again after its worker died."""

LOST = (
    "a job's worker must live until it ends, but died three times over; the training may need more memory than a "
    "worker has, or crash the process"
)


@dataclass(frozen=True)
class Resources:
    """What a run works with, apart from the study itself.

    Args:
        journal: Where asks and tells go first.
        store: Where checkpoints and artefacts are.
        executor: Where jobs run.
        artefacts: Addresses artefacts and knows what they require.
        workers: How many jobs to have out at most; None for as many as the executor runs.
        constraints: What every candidate must keep.
        fixed_metrics: Metrics whose constraints are held against a trial's first outcome.
        retention: Which checkpoints stay.
        disk_budget: Bytes that checkpoints and artefacts may take; None for no limit.
        curve_estimators: Builds the estimators that need nothing but a trial's curve, fresh.
        ranking: Name of the estimator whose estimate ranks; None ranks by the last point of the curve.
    """

    journal: StudyJournal
    store: Store
    executor: Executor
    artefacts: Artefacts
    workers: int | None = None
    constraints: Sequence[Constraint] = ()
    fixed_metrics: frozenset[str] = frozenset()
    retention: Retention = "needed"
    disk_budget: int | None = None
    curve_estimators: Callable[[], Mapping[str, Estimator]] = dict
    ranking: str | None = None


class Engine:
    """Drives one study.

    Args:
        state: The study as its journal tells it so far.
        resources: What to work with.
        observers: Who is told.
    """

    def __init__(self, state: StudyState, resources: Resources, observers: Observers) -> None:
        self.state = state
        self.resources = resources
        self.observers = observers
        self.cut_short: Literal["", "interrupted", "time-limit"] = ""
        self._submitted: set[int] = set()
        self._told: list[tuple[Job, Outcome]] = []
        self._asked_for: frozenset[str] | None = None
        """Addresses that are trained apart from the search; None while searching."""
        self._keeper = Keeper(
            state,
            resources.store,
            resources.journal.row.id,
            resources.retention,
            resources.disk_budget,
            resources.executor.forget,
        )

    def search(self) -> None:
        """Runs until the searcher has nothing left, or until cut short."""
        self._asked_for = None
        self._drive(self._ask_searcher)
        if not self.cut_short:
            refuse_standstill(self.state)
            self._stop_the_paused()

    def train(
        self,
        requests: Sequence[ArtefactRequest],
        purpose: Purpose,
        of: int | None = None,
        setting: Mapping[str, Json] = EMPTY,
    ) -> list[Trial]:
        """Trains what is requested and not there yet, in support trials; all other pending jobs wait.

        Args:
            requests: What to train.
            purpose: What it is for.
            of: The candidate that it belongs to.
            setting: What differs from the study's own data set and trainer.

        Returns:
            The support trial of each request, in order; unfinished ones when cut short.
        """
        if not requests:
            return []
        addresses = [self.resources.artefacts.address(request, setting) for request in requests]
        closure = self.resources.artefacts.closure(requests, setting)
        self._asked_for = frozenset(wanted.address for wanted in closure)
        with self.resources.journal.transaction():
            for wanted in closure:
                self._request(wanted, setting, of, purpose if wanted.address in addresses else "artefact", again=True)
        self._drive(lambda: None)
        return [self.state.trials[self.state.addresses[address]] for address in addresses]

    def interrupt(self, reason: Literal["interrupted", "time-limit"] = "interrupted") -> None:
        """Ends the run at the next unit; safe in a signal handler and from another thread."""
        self.cut_short = self.cut_short or reason
        self.resources.executor.cut()

    def _drive(self, ask: Callable[[], None]) -> None:
        finished: Sequence[tuple[Job, Outcome]] = ()
        self._free(set())
        while True:
            before = self._best()
            failure: Exception | None = None
            with self.resources.journal.transaction():
                for job, outcome in finished:
                    if outcome.status == "lost" and job.attempt < RETRIES:
                        self._hand_out_again(job, outcome.error)
                    else:
                        self._tell(job.trial, outcome)
                if not self.cut_short:
                    failure = _failure_of(ask)
            self._announce(before)
            if failure is not None:
                raise failure
            if not self.cut_short:
                self._submit()
            if not self._submitted:
                return
            finished = self._wait()

    def _wait(self) -> list[tuple[Job, Outcome]]:
        """Waits for outcomes that count: an interrupted job stays pending, to be resumed from its checkpoint."""
        counted = []
        for job, outcome in self.resources.executor.wait():
            self._submitted.discard(job.trial)
            if outcome.status != "interrupted" and self.state.pending.get(job.trial) == job:
                counted.append((job, outcome))
        return counted

    @property
    def _slots(self) -> int:
        slots, workers = self.resources.executor.slots, self.resources.workers
        return slots if workers is None else min(slots, workers)

    def _waiting(self) -> list[Job]:
        """Jobs to be handed out that belong to what is being done: the search, or what was asked for apart from it."""
        trials, asked_for = self.state.trials, self._asked_for
        if asked_for is None:
            return [job for job in self.state.queue.values() if trials[job.trial].split == "search"]
        return [job for job in self.state.queue.values() if trials[job.trial].address in asked_for]

    def _ask_searcher(self) -> None:
        """Asks for as many jobs as there is room for.

        Trials that wait for a teacher count: asking for more while nothing has been learned would turn a search that
        learns into a random one. An idle slot is the price.
        """
        while self.state.undecided < self._slots and len(self._submitted) + len(self._waiting()) < self._slots:
            job = self.state.searcher.ask(self.state.next_trial)
            if job is None:
                return
            refuse_impossible(job, self.state)
            self._record_ask(job)

    def _record_ask(self, job: Job) -> None:
        """Journals a searcher's job, and support jobs for artefacts that it needs."""
        requires: tuple[str, ...] = ()
        wanted: list[Wanted] = []
        error = ""
        if job.trial == self.state.next_trial and job.role == "candidate":
            try:
                requires, wanted = self.resources.artefacts.of(self.resources.artefacts.subject(job, False))
            except Exception:  # noqa: BLE001 - whatever a space or an evaluator raises fails the trial alone
                error = traceback.format_exc()
        label = str(job.instruction.get("label", "")) if job.role == "support" else ""
        self._journal_ask(job, label, None, requires)
        known = Outcome("failed", job.from_budget, error=error) if error else self.state.known(job)
        if known is not None:
            self._journal_tell(job.trial, known)
            return
        for one in wanted:
            self._request(one, EMPTY, job.trial, "artefact")
        self._fail_doomed()

    def _request(
        self, wanted: Wanted, setting: Mapping[str, Json], of: int | None, purpose: Purpose, again: bool = False
    ) -> None:
        """Journals a support job, unless its artefact is there or on its way.

        Args:
            wanted: What to train.
            setting: Its setting.
            of: The candidate that it is for.
            purpose: What it is for.
            again: Whether one that failed before is tried again.
        """
        made_by = self.state.addresses.get(wanted.address)
        if made_by is not None and not (again and self.state.trials[made_by].status in OVER):
            return
        request = wanted.request
        instruction = self.resources.artefacts.instruction(request, setting, purpose, of)
        job = Job(self.state.next_trial, {}, 0, request.budget, role="support", instruction=instruction)
        self._journal_ask(job, request.label, wanted.address, wanted.requires)

    def _hand_out_again(self, job: Job, error: str) -> None:
        """Journals another attempt at a job that was lost; it goes on from the last checkpoint."""
        log.warning("the job of trial %d was lost and is handed out again: %s", job.trial, error or "its worker died")
        trial = self.state.trials[job.trial]
        self.resources.store.sweep(self._keeper.key(job.trial))  # what its worker has left half-written
        self._make_again(trial)
        self._journal_ask(replace(job, attempt=job.attempt + 1), trial.label, trial.address, trial.requires)

    def _make_again(self, trial: Trial) -> None:
        """Requests anew those artefacts of a trial that were made and are gone: the same will come out."""
        for address in trial.requires:
            maker = self.state.trials[self.state.addresses[address]]
            if maker.status == "completed" and not self.resources.store.has(_artefact_key(address)):
                self._make_again(maker)
                job = replace(maker.job, trial=self.state.next_trial, attempt=0)
                self._journal_ask(job, maker.label, address, maker.requires)

    def _tell(self, number: int, outcome: Outcome) -> None:
        outcome = self._valued(number, outcome)
        self._journal_tell(number, outcome)
        if outcome.status != "done":
            self._fail_doomed()

    def _fail_doomed(self) -> None:
        while doomed := self.state.doomed():
            for number, reason in doomed:
                job = self.state.pending[number]
                self._journal_tell(number, Outcome("failed", job.from_budget, error=reason))

    def _valued(self, number: int, outcome: Outcome) -> Outcome:
        """Adds what ranks: the first estimator's estimate, or else the last point of the curve."""
        if outcome.status == "lost":
            return replace(outcome, status="failed", error=outcome.error or LOST)
        if outcome.status != "done":
            return outcome
        trial, objectives = self.state.trials[number], self.state.problem.objectives
        if trial.job.role == "support":
            shown = tuple(outcome.metrics[one.metric] for one in objectives if one.metric in outcome.metrics)
            return replace(outcome, values=shown)
        try:
            outcome = self._estimated(trial, outcome)
        except Exception:  # noqa: BLE001 - a stranger's estimator fails the trial, as it would beside the evaluation
            return replace(outcome, status="failed", error=traceback.format_exc())
        bounded = self._bounded(outcome)
        for constraint in bounded:
            violation = constraint.violation(outcome.metrics)
            if violation is not None:
                return replace(outcome, status="infeasible", error=violation)
        ranking = self.resources.ranking
        metrics = outcome.metrics
        if ranking is not None:  # what training does not change needs no estimate
            fixed = {name: metrics[name] for name in self.resources.fixed_metrics if name in metrics}
            metrics = {**outcome.estimates[ranking], **fixed}
        for what, metric, reported in (
            *(("objective", one.metric, metrics) for one in objectives),
            *(("constraint", one.metric, outcome.metrics) for one in bounded),
        ):
            if metric not in reported:
                return replace(
                    outcome,
                    status="failed",
                    error=f"{what} must name a metric that is reported, but {metric!r} is not among "
                    f"{', '.join(sorted(reported)) or 'nothing'}; choose one with --{what} ({what}=... in Python)",
                )
        values = tuple(metrics[one.metric] for one in objectives)
        if not all(math.isfinite(value) for value in values):
            return replace(outcome, status="diverged", error=f"what ranks must be finite, but is {values[0]}")
        return replace(outcome, values=values)

    def _bounded(self, outcome: Outcome) -> list[Constraint]:
        """Gives the constraints that an outcome is held against; what training still changes is judged at the end."""
        complete = outcome.budget >= self.state.problem.max_budget
        fixed = self.resources.fixed_metrics
        return [one for one in self.resources.constraints if complete or one.metric in fixed]

    def _estimated(self, trial: Trial, outcome: Outcome) -> Outcome:
        """Adds the estimates of those estimators that run here, on the trial's whole curve."""
        estimators = self.resources.curve_estimators()
        if not estimators:
            return outcome
        curve, history = (*trial.curve, *outcome.curve), self.state.history
        estimates = {
            name: estimate_curve(estimator, trial.job.configuration, curve, history)
            for name, estimator in estimators.items()
        }
        return replace(outcome, estimates={**outcome.estimates, **estimates})

    def _journal_ask(self, job: Job, label: str, address: str | None, requires: tuple[str, ...]) -> None:
        payload = {"job": job.to_json(), "label": label, "address": address, "requires": list(requires)}
        new = job.trial == self.state.next_trial
        trial = self.state.asked(job, label, address, requires)
        self.resources.journal.append("ask", payload, self.state.update(trial), new)

    def _journal_tell(self, number: int, outcome: Outcome) -> None:
        job = self.state.pending[number]
        trial = self.state.told(number, outcome)
        payload = {"trial": number, "outcome": outcome.to_json()}
        self.resources.journal.append("tell", payload, self.state.update(trial))
        self._told.append((job, outcome))

    def _best(self) -> tuple[int, float] | None:
        number = self.state.incumbent
        return None if number is None else (number, self.state.trials[number].values[0])

    def _announce(self, before: tuple[int, float] | None) -> None:
        """After the commit: frees checkpoints, tells observers."""
        best = self._best()
        if self._told:
            self._free({job.trial for job, _ in self._told})
        for job, outcome in self._told:
            self.observers.job_finished(job, outcome, self.state.trials[job.trial].label)
        self._told.clear()
        if best is not None and best != before:
            self.observers.incumbent_changed(*best)

    def _free(self, told: set[int]) -> None:
        dropped = self._keeper.free(told, self._slots)
        if dropped:
            self.observers.progress.dropped(dropped)

    def _stop_the_paused(self) -> None:
        """Says of trials that were paused when they were told, and have lost since, that nothing will come of them."""
        with self.resources.journal.transaction():
            for trial in self.state.trials:
                if trial.status == "paused" and not self.state.searcher.may_continue(trial.number):
                    trial.status = "stopped"
                    self.resources.journal.update(self.state.update(trial))

    def _submit(self) -> None:
        for job in self._waiting():
            if len(self._submitted) < self._slots:
                del self.state.queue[job.trial]
                self._submitted.add(job.trial)
                self.observers.progress.job_started(job, self.state.trials[job.trial].label)
                self.resources.executor.submit(self._task(job))

    def _task(self, job: Job) -> Task:
        trial = self.state.trials[job.trial]
        subject = self.resources.artefacts.subject(job, trial.address is not None)
        return Task(
            job=job,
            description=subject.description,
            seed=trial.seed,
            max_budget=subject.max_budget,
            split=subject.split,
            requires=tuple(_artefact_key(address) for address in trial.requires),
            checkpoints=self._keeper.key(job.trial),
            address=None if trial.address is None else _artefact_key(trial.address),
            setting=subject.setting,
        )


def _failure_of(ask: Callable[[], None]) -> Exception | None:
    """Asks, and gives what that raised: a broken searcher must not take the outcomes told before it along."""
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - raised again once the outcomes are journalled
        return error
    return None


def _artefact_key(address: str) -> str:
    return f"artefacts/{address}"
