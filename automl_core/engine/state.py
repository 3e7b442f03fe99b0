"""A study's state: what replaying its journal gives.

Live running and replaying go through the same three methods, ``asked``, ``told`` and ``extended``, so there is no
second way in which a study could come to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from automl_core.interfaces import Problem, Searcher, SearchSpace
from automl_core.journal import TrialUpdate
from automl_core.journal.study import EventKind
from automl_core.randomness import derive_seed, digest
from automl_core.types import EMPTY, Job, Json, Metrics, Outcome, Point, Split


@dataclass(slots=True)
class Trial:
    """One trial as it stands.

    ``address`` is set for what the engine trains (an artefact); a support trial of the searcher's own has none.
    """

    job: Job
    key: str = ""
    seed: int = 0
    label: str = ""
    address: str | None = None
    requires: tuple[str, ...] = ()
    status: str = "running"
    budget: int = 0
    curve: list[Point] = field(default_factory=list)
    values: tuple[float, ...] = ()
    metrics: Metrics = field(default_factory=lambda: EMPTY)
    cost: float = 0.0
    error: str = ""

    @property
    def number(self) -> int:
        return self.job.trial

    @property
    def split(self) -> Split:
        """Which data it trains on: what the engine trains for a retraining is not part of the search."""
        split: Split = "search" if self.address is None else self.job.instruction["split"]
        return split


class StudyState:
    """The fold over a journal.

    Args:
        searcher: A searcher that was started with ``problem``; replaying feeds it.
        problem: What is being solved.
    """

    def __init__(self, searcher: Searcher, problem: Problem) -> None:
        self.searcher = searcher
        self.problem = problem
        self.trials: list[Trial] = []
        self.pending: dict[int, Job] = {}
        self.addresses: dict[str, int] = {}
        self.incumbent: int | None = None
        self._outcomes: dict[tuple[str, int], tuple[int, Outcome]] = {}
        self._held: set[int] = set()

    @property
    def next_trial(self) -> int:
        return len(self.trials)

    def replay(self, events: Iterable[tuple[EventKind, Json]]) -> None:
        """Applies recorded events, asking the searcher again for each of its decisions.

        Raises:
            ReplayError: When the searcher decides otherwise than recorded.
        """
        for kind, payload in events:
            if kind == "ask":
                job = Job.from_json(payload["job"])
                if payload["address"] is None and job.attempt == 0:
                    self.searcher.replay(job, self.next_trial)
                self.asked(job, payload["label"], payload["address"], tuple(payload["requires"]))
            elif kind == "tell":
                self.told(payload["trial"], Outcome.from_json(payload["outcome"]))
            else:
                self.extended(payload["trials"])

    def asked(self, job: Job, label: str = "", address: str | None = None, requires: tuple[str, ...] = ()) -> Trial:
        """Takes in a job that was asked for; ``requires`` are addresses of artefacts that it waits for."""
        if job.trial == len(self.trials):
            key = address or (self.key(job.configuration) if job.role == "candidate" else "")
            seed = derive_seed(self.problem.seed, key)
            self.trials.append(Trial(job, key, seed, label, address, requires))
        trial = self.trials[job.trial]
        trial.job = job
        self.pending[job.trial] = job
        if address is not None:
            self.addresses[address] = job.trial
        if self.missing(trial):
            self._held.add(job.trial)
        trial.status = "waiting" if job.trial in self._held else "running"
        return trial

    def told(self, number: int, outcome: Outcome) -> Trial:
        """Takes in what came of a trial's pending job."""
        trial = self.trials[number]
        job = self.pending.pop(number)
        self._held.discard(number)
        trial.curve.extend(outcome.curve)
        trial.cost += outcome.cost
        trial.error = outcome.error
        trial.budget = outcome.budget
        if outcome.status == "done":
            trial.values, trial.metrics = outcome.values, outcome.metrics
            if job.role == "candidate":
                self._outcomes.setdefault((trial.key, job.to_budget), (number, outcome))
        if trial.address is None:
            self.searcher.tell(job, outcome)
        trial.status = self._status(trial, outcome)
        if trial.address is not None:
            self._release()
        self._judge(trial)
        return trial

    def extended(self, trials: int) -> None:
        """Takes in that the study may start more trials."""
        self.problem = replace(self.problem, trials=trials)
        self.searcher.extend(trials)

    def ready(self) -> list[Job]:
        """Pending jobs whose artefacts are all there, in the order in which they were asked for."""
        return [job for job in self.pending.values() if job.trial not in self._held]

    def missing(self, trial: Trial) -> list[str]:
        """Addresses that a trial requires and that are not made yet."""
        return [address for address in trial.requires if not self._made(address)]

    def doomed(self) -> list[tuple[int, str]]:
        """Held-back trials that require an artefact which failed, each with the reason."""
        found = []
        for number in sorted(self._held):
            for address in self.trials[number].requires:
                made_by = self.addresses.get(address)
                if made_by is not None and self.trials[made_by].status in ("failed", "diverged"):
                    maker = self.trials[made_by]
                    reason = f"it needs {maker.label} (trial {made_by}), which {maker.status}: {maker.error}"
                    found.append((number, reason))
                    break
        return found

    def known(self, job: Job) -> Outcome | None:
        """The outcome that an equal configuration had at the same budget, at cost 0, if there was one."""
        if job.role != "candidate" or job.instruction is not None:
            return None
        found = self._outcomes.get((self.trials[job.trial].key, job.to_budget))
        if found is None:
            return None
        twin, outcome = found
        first = 0 if job.from_budget == 0 else job.from_budget + 1
        curve = tuple(point for point in self.trials[twin].curve if first <= point.unit <= job.to_budget)
        return replace(outcome, curve=curve, cost=0.0)

    def key(self, configuration: Mapping[str, Json]) -> str:
        """Hashes a configuration's canonical form."""
        return trial_key(self.problem.space, configuration)

    def loss(self, trial: Trial) -> float | None:
        if not trial.values:
            return None
        return self.problem.objectives[0].loss(trial.values[0])

    def update(self, trial: Trial) -> TrialUpdate:
        """The trial's line in the table behind ``show``."""
        return TrialUpdate(
            number=trial.number,
            role=trial.job.role,
            label=trial.label,
            status=trial.status,
            configuration=dict(trial.job.configuration),
            instruction=trial.job.instruction,
            budget=trial.budget,
            value=trial.values[0] if trial.values else None,
            loss=self.loss(trial),
            metrics=dict(trial.metrics),
            cost=trial.cost,
            attempts=trial.job.attempt + 1,
            error=trial.error,
        )

    def _status(self, trial: Trial, outcome: Outcome) -> str:
        if outcome.status != "done":
            return outcome.status
        if trial.address is not None or trial.budget >= self.problem.max_budget:
            return "completed"
        return "paused" if self.searcher.may_continue(trial.number) else "stopped"

    def _judge(self, trial: Trial) -> None:
        """Makes the trial the incumbent if it got further than the one so far, or as far with a smaller loss."""
        if trial.job.role != "candidate":
            return
        if trial.status in ("failed", "diverged"):
            if trial.number == self.incumbent:
                self.incumbent = min(
                    (one.number for one in self.trials if self._rank(one) < (0, math.inf, 0)),
                    key=lambda number: self._rank(self.trials[number]),
                    default=None,
                )
            return
        if self.incumbent is None or self._rank(trial) < self._rank(self.trials[self.incumbent]):
            self.incumbent = trial.number if self._rank(trial)[1] < math.inf else self.incumbent

    def _rank(self, trial: Trial) -> tuple[int, float, int]:
        loss = self.loss(trial)
        if loss is None or trial.job.role != "candidate" or trial.status in ("failed", "diverged"):
            return (0, math.inf, trial.number)
        return (-trial.budget, loss, trial.number)

    def _made(self, address: str) -> bool:
        made_by = self.addresses.get(address)
        return made_by is not None and self.trials[made_by].status == "completed"

    def _release(self) -> None:
        """Lets go of trials that waited for what is there now."""
        self._held = {number for number in self._held if self.missing(self.trials[number])}


def trial_key(space: SearchSpace, configuration: Mapping[str, Json]) -> str:
    """Hashes a configuration's canonical form; trials with equal keys are trained alike."""
    return digest(space.canonical(configuration))
