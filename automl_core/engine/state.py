"""A study's state: what replaying its journal gives.

Live running and replaying go through the same four methods, ``asked``, ``told``, ``extended`` and ``instructed``, so
there is no second way in which a study could come to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from automl_core.interfaces import Problem, Searcher, SearchSpace, Segment
from automl_core.journal import TrialUpdate
from automl_core.journal.study import EventKind
from automl_core.randomness import derive_seed, digest
from automl_core.ranking import Losses, dominates
from automl_core.types import EMPTY, OVER, Job, Json, Metrics, Outcome, Point, Split


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
        self.front: set[int] = set()
        """The Pareto front among the candidates that got furthest; with one objective the incumbent alone."""
        self._front_budget = 0
        self.undecided = 0
        """How many jobs of the searcher are pending, those that wait for an artefact included."""
        self.queue: dict[int, Job] = {}
        """Pending jobs that wait for nothing and are still to be handed out, in order; the engine takes them out."""
        self.history: list[Segment] = []
        """What was told of the candidates' learning curves, in order."""
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
            elif kind == "extend":
                self.extended(payload["trials"])
            else:
                self.instructed(payload["instruction"])

    def asked(self, job: Job, label: str = "", address: str | None = None, requires: tuple[str, ...] = ()) -> Trial:
        """Takes in a job that was asked for; ``requires`` are addresses of artefacts that it waits for."""
        if job.trial == len(self.trials):
            key = address or self._key_of(job)
            seed = derive_seed(self.problem.seed, key)
            self.trials.append(Trial(job, key, seed, label, address, requires))
        trial = self.trials[job.trial]
        trial.job = job
        self.undecided += job.trial not in self.pending and address is None
        self.pending[job.trial] = job
        if address is not None:
            self.addresses[address] = job.trial
        if self.missing(trial):
            self._held.add(job.trial)
        else:
            self.queue[job.trial] = job
        trial.status = "waiting" if job.trial in self._held else "running"
        return trial

    def told(self, number: int, outcome: Outcome) -> Trial:
        """Takes in what came of a trial's pending job."""
        trial = self.trials[number]
        job = self.pending.pop(number)
        self.undecided -= trial.address is None
        self._held.discard(number)
        self.queue.pop(number, None)
        trial.curve.extend(outcome.curve)
        trial.cost += outcome.cost
        trial.error = outcome.error
        trial.budget = outcome.budget
        if outcome.status in ("done", "infeasible"):
            trial.metrics = outcome.metrics
        if outcome.status == "done":
            trial.values = outcome.values
            if job.role == "candidate":
                self.history.append(Segment(number, job.configuration, outcome.curve))
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
        self.searcher.extend(trials)
        self.problem = replace(self.problem, trials=trials)

    def instructed(self, instruction: Json) -> None:
        """Takes in what a person decided in the searcher's place."""
        self.searcher.instruct(instruction)

    def missing(self, trial: Trial) -> list[str]:
        """Addresses that a trial requires and that are not made yet."""
        return [address for address in trial.requires if not self._made(address)]

    def doomed(self) -> list[tuple[int, str]]:
        """Held-back trials that require an artefact which failed, each with the reason."""
        found = []
        for number in sorted(self._held):
            for address in self.trials[number].requires:
                made_by = self.addresses.get(address)
                if made_by is not None and self.trials[made_by].status in OVER:
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

    def _key_of(self, job: Job) -> str:
        """Hashes what a searcher's trial trains: its configuration, or the description of a support trial."""
        return self.key(job.configuration) if job.role == "candidate" else digest(job.instruction["description"])

    def key(self, configuration: Mapping[str, Json]) -> str:
        """Hashes a configuration's canonical form."""
        return trial_key(self.problem.space, configuration)

    def losses(self, trial: Trial) -> Losses | None:
        """What ranks a candidate, turned so that smaller is better; None where there is nothing to rank."""
        if trial.job.role != "candidate" or not trial.values or trial.status in OVER:
            return None
        objectives = self.problem.objectives
        return tuple(objective.loss(value) for objective, value in zip(objectives, trial.values, strict=True))

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
            loss=losses[0] if (losses := self.losses(trial)) else None,
            metrics=dict(trial.metrics),
            cost=trial.cost,
            attempts=trial.job.attempt + 1,
            error=trial.error,
            objectives=trial.values,
        )

    def _status(self, trial: Trial, outcome: Outcome) -> str:
        if outcome.status != "done":
            return outcome.status
        own = trial.job.role == "support"
        if trial.address is not None or trial.budget >= (
            trial.job.instruction["max_budget"] if own else self.problem.max_budget
        ):
            return "completed"
        return "paused" if self.searcher.may_continue(trial.number) else "stopped"

    def _judge(self, trial: Trial) -> None:
        """Makes the trial the incumbent if it got further than the one so far, or as far with smaller losses."""
        if trial.job.role != "candidate":
            return
        if trial.status in OVER:
            if trial.number in self.front:
                self._judge_anew()
            return
        rank = self._rank(trial)
        if rank is None:
            return
        best = None if self.incumbent is None else self._rank(self.trials[self.incumbent])
        if best is None or rank < best:
            self.incumbent = trial.number
        if len(self.problem.objectives) == 1:
            self.front = set() if self.incumbent is None else {self.incumbent}
        elif trial.budget > self._front_budget:
            self.front, self._front_budget = {trial.number}, trial.budget
        elif trial.budget == self._front_budget:
            self._join_front(trial.number)

    def _judge_anew(self) -> None:
        self.incumbent, self.front, self._front_budget = None, set(), 0
        for one in self.trials:
            if one.status not in OVER:
                self._judge(one)

    def _join_front(self, number: int) -> None:
        mine = self.losses(self.trials[number])
        others = {other: self.losses(self.trials[other]) for other in self.front}
        assert mine is not None
        if any(theirs is not None and dominates(theirs, mine) for theirs in others.values()):
            return
        beaten = {other for other, theirs in others.items() if theirs is not None and dominates(mine, theirs)}
        self.front = self.front - beaten | {number}

    def _rank(self, trial: Trial) -> tuple[int, Losses, int] | None:
        losses = self.losses(trial)
        return None if losses is None else (-trial.budget, losses, trial.number)

    def _made(self, address: str) -> bool:
        made_by = self.addresses.get(address)
        return made_by is not None and self.trials[made_by].status == "completed"

    def _release(self) -> None:
        """Lets go of trials that waited for what is there now."""
        for number in [number for number in self._held if not self.missing(self.trials[number])]:
            self._held.discard(number)
            self.queue[number] = self.pending[number]


def trial_key(space: SearchSpace, configuration: Mapping[str, Json]) -> str:
    """Hashes a configuration's canonical form; trials with equal keys are trained alike."""
    return digest(space.canonical(configuration))
