"""The study loop: ask, journal, submit, wait, tell, journal.

Everything is written to the journal before it is acted on; a tell and the asks that it causes are one transaction.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from automl_core.engine.checks import refuse_impossible, refuse_standstill
from automl_core.engine.observers import Observers
from automl_core.engine.state import StudyState, Trial
from automl_core.engine.worker import Task, Workbench, Worker
from automl_core.interfaces import ArtefactRequest, Description, Estimator, Executor
from automl_core.journal import StudyJournal
from automl_core.randomness import digest
from automl_core.spec import Retention
from automl_core.storage import Store
from automl_core.types import EMPTY, Job, Json, Observation, Outcome, Split

Purpose = Literal["artefact", "baseline", "retraining", "control"]


@dataclass(frozen=True)
class Resources:
    """What a run works with, apart from the study itself.

    Args:
        journal: Where asks and tells go first.
        store: Where checkpoints and artefacts are.
        executor: Where jobs run.
        worker: What performs them.
        workbench: Gives evaluator and data set for a setting.
        identity: Gives JSON that says what evaluator, data and trainer a setting stands for; part of addresses.
        retention: Which checkpoints stay.
        curve_estimators: Builds the estimators that need nothing but a trial's curve, fresh.
        ranking: Name of the estimator whose estimate ranks; None ranks by the last point of the curve.
    """

    journal: StudyJournal
    store: Store
    executor: Executor
    worker: Worker
    workbench: Callable[[Mapping[str, Json]], Workbench]
    identity: Callable[[Mapping[str, Json]], Json]
    retention: Retention = "needed"
    curve_estimators: Callable[[], Mapping[str, Estimator]] = dict
    ranking: str | None = None


class Engine:
    """Drives one study.

    Args:
        state: The study as its journal tells it so far.
        resources: What to work with.
        observers: Who is told.
        deadline: When to stop, on ``time.monotonic``'s clock; None for never.
    """

    def __init__(
        self, state: StudyState, resources: Resources, observers: Observers, deadline: float | None = None
    ) -> None:
        self.state = state
        self.resources = resources
        self.observers = observers
        self.deadline = deadline
        self.cut_short: Literal["", "interrupted", "time-limit"] = ""
        self._submitted: set[int] = set()
        self._told: list[tuple[Job, Outcome]] = []
        self._kept: set[int] = {int(key.rpartition("/")[2]) for key in self._checkpointed()}

    def search(self) -> None:
        """Runs until the searcher has nothing left, or until cut short."""
        self._drive(self._ask_searcher)
        if not self.cut_short:
            refuse_standstill(self.state)

    def train(
        self,
        requests: Sequence[ArtefactRequest],
        purpose: Purpose,
        of: int | None = None,
        setting: Mapping[str, Json] = EMPTY,
    ) -> list[Trial]:
        """Trains what is requested and not there yet, in support trials.

        Args:
            requests: What to train.
            purpose: What it is for.
            of: The candidate that it belongs to.
            setting: What differs from the study's own data set and trainer.

        Returns:
            The support trial of each request, in order; unfinished ones when cut short.
        """
        addresses = [self._address(request, setting) for request in requests]
        with self.resources.journal.transaction():
            for request in requests:
                self._request(request, setting, of, purpose)
        self._drive(lambda: None)
        return [self.state.trials[self.state.addresses[address]] for address in addresses]

    def interrupt(self) -> None:
        """Ends the run at the next unit; safe in a signal handler."""
        self.cut_short = self.cut_short or "interrupted"
        self.resources.executor.cut()

    def out_of_time(self) -> bool:
        """Whether the deadline has passed; the run is then cut short."""
        if self.deadline is not None and time.monotonic() >= self.deadline and not self.cut_short:
            self.cut_short = "time-limit"
            self.resources.executor.cut()
        return self.cut_short == "time-limit"

    def _drive(self, ask: Callable[[], None]) -> None:
        finished: Sequence[tuple[Job, Outcome]] = ()
        while True:
            before = self.state.incumbent
            failure: Exception | None = None
            with self.resources.journal.transaction():
                for job, outcome in finished:
                    self._tell(job.trial, outcome)
                if not self.cut_short and not self.out_of_time():
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

    def _ask_searcher(self) -> None:
        while self.state.ready_count < self.resources.executor.slots:
            job = self.state.searcher.ask(self.state.next_trial)
            if job is None:
                return
            refuse_impossible(job, self.state)
            self._record_ask(job)

    def _record_ask(self, job: Job) -> None:
        """Journals a searcher's job, and support jobs for artefacts that it needs."""
        state = self.state
        requires: tuple[str, ...] = ()
        if job.trial == state.next_trial and job.role == "candidate":
            description = state.problem.space.decode(job.configuration)
            requires = self._required(description, state.problem.max_budget, "search", EMPTY)[1]
        self._journal_ask(job, "", None, requires)
        known = state.known(job)
        if known is not None:
            self._journal_tell(job.trial, known)
            return
        self._request_missing(job.trial)

    def _request_missing(self, number: int) -> None:
        """Asks for the artefacts that a new trial requires; tells it at once when one of them has failed already."""
        trial = self.state.trials[number]
        if not trial.requires:
            return
        description, max_budget, split, setting = self._subject(trial.job)
        requests, _ = self._required(description, max_budget, split, setting)
        for request in requests:
            address = self._address(request, setting)
            if address not in self.state.addresses:
                self._request(request, setting, number)
        self._fail_doomed()

    def _request(
        self, request: ArtefactRequest, setting: Mapping[str, Json], of: int | None, purpose: Purpose = "artefact"
    ) -> None:
        """Journals a support job, unless its artefact is there or on its way."""
        address = self._address(request, setting)
        made_by = self.state.addresses.get(address)
        if made_by is not None and self.state.trials[made_by].status not in ("failed", "diverged"):
            return
        max_budget = self._schedule(request)
        instruction = {
            "description": request.description.to_json(),
            "max_budget": max_budget,
            "split": request.split,
            "repeat": request.repeat,
            "setting": dict(setting),
            "purpose": purpose,
            "of": of,
        }
        job = Job(self.state.next_trial, {}, 0, request.budget, role="support", instruction=instruction)
        requires = self._required(request.description, max_budget, request.split, setting)[1]
        self._journal_ask(job, request.label, address, requires)
        self._request_missing(job.trial)

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
        metrics = outcome.metrics if self.resources.ranking is None else outcome.estimates[self.resources.ranking]
        lacking = [one.metric for one in objectives if one.metric not in metrics]
        if lacking:
            return replace(
                outcome,
                status="failed",
                error=f"an objective must be a metric that is reported, but {lacking[0]!r} is not among "
                f"{', '.join(sorted(metrics)) or 'nothing'}; choose one with --objective (objective=... in Python)",
            )
        return replace(outcome, values=tuple(float(metrics[one.metric]) for one in objectives))

    def _estimated(self, trial: Trial, outcome: Outcome) -> Outcome:
        """Adds the estimates of those estimators that run here, on the trial's whole curve."""
        estimates = dict(outcome.estimates)
        for name, estimator in self.resources.curve_estimators().items():
            for point in (*trial.curve, *outcome.curve):
                estimator.observe(Observation(point.unit, point.metrics))
            estimates[name] = estimator.estimate().metrics
        return replace(outcome, estimates=estimates) if estimates else outcome

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

    def _announce(self, before: int | None) -> None:
        """After the commit: frees checkpoints, tells observers."""
        if self._told:
            self._kept.update(job.trial for job, _ in self._told)
            self._free_checkpoints()
        for job, outcome in self._told:
            self.observers.job_finished(job, outcome, self.state.trials[job.trial].label)
        self._told.clear()
        incumbent = self.state.incumbent
        if incumbent is not None and incumbent != before:
            self.observers.incumbent_changed(incumbent, self.state.trials[incumbent].values[0])

    def _free_checkpoints(self) -> None:
        for number in [number for number in self._kept if not self._needed(number)]:
            self._kept.discard(number)
            self.resources.worker.forget(number)
            self.resources.store.remove(self._checkpoints(number))

    def _needed(self, number: int) -> bool:
        if number in self.state.pending or number == self.state.incumbent:
            return True
        trial = self.state.trials[number]
        if trial.address is not None or trial.status in ("failed", "diverged"):
            return False
        return self.resources.retention == "all" or (
            trial.status == "paused" and self.state.searcher.may_continue(number)
        )

    def _submit(self) -> None:
        for job in self.state.ready():
            if job.trial not in self._submitted and len(self._submitted) < self.resources.executor.slots:
                self._submitted.add(job.trial)
                self.observers.progress.job_started(job, self.state.trials[job.trial].label)
                self.resources.executor.submit(self._task(job))

    def _task(self, job: Job) -> Task:
        trial = self.state.trials[job.trial]
        description, max_budget, split, setting = self._subject(job)
        return Task(
            job=job,
            description=description,
            seed=trial.seed,
            max_budget=max_budget,
            split=split,
            requires=tuple(_artefact_key(address) for address in trial.requires),
            checkpoints=self._checkpoints(job.trial),
            address=None if trial.address is None else _artefact_key(trial.address),
            setting=setting,
        )

    def _subject(self, job: Job) -> tuple[Description, int, Split, Mapping[str, Json]]:
        """What a job trains: description, budget of schedules, split, setting."""
        if self.state.trials[job.trial].address is None:
            return self.state.problem.space.decode(job.configuration), self.state.problem.max_budget, "search", EMPTY
        told = job.instruction
        evaluator = self.resources.workbench(told["setting"]).evaluator
        return evaluator.parse(told["description"]), told["max_budget"], told["split"], told["setting"]

    def _required(
        self, description: Description, max_budget: int, split: Split, setting: Mapping[str, Json]
    ) -> tuple[Sequence[ArtefactRequest], tuple[str, ...]]:
        requests = self.resources.workbench(setting).evaluator.requires(description, max_budget, split)
        return requests, tuple(self._address(request, setting) for request in requests)

    def _schedule(self, request: ArtefactRequest) -> int:
        """Budget over which the training's schedules run: in the search that of the study, so that all compare."""
        return max(request.budget, self.state.problem.max_budget) if request.split == "search" else request.budget

    def _address(self, request: ArtefactRequest, setting: Mapping[str, Json]) -> str:
        """Addresses an artefact by all that its content follows from, the study's seed included."""
        return digest(
            self.resources.identity(setting),
            request.description.to_json(),
            request.budget,
            self._schedule(request),
            request.split,
            request.repeat,
            self.state.problem.seed,
        )

    def _checkpoints(self, number: int) -> str:
        return f"checkpoints/{self.resources.journal.row.id}/{number}"

    def _checkpointed(self) -> list[str]:
        parent = self.resources.store.root / f"checkpoints/{self.resources.journal.row.id}"
        return [str(child) for child in parent.iterdir() if child.name.isdigit()] if parent.is_dir() else []


def _failure_of(ask: Callable[[], None]) -> Exception | None:
    """Asks, and gives what that raised: a broken searcher must not take the outcomes told before it along."""
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - raised again once the outcomes are journalled
        return error
    return None


def _artefact_key(address: str) -> str:
    return f"artefacts/{address}"
