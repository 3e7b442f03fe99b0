"""Replaying a recorded study with another estimator: which decisions would have changed.

Nothing is trained and nothing is written. What every trial's curve was is known from the journal; what another
estimator makes of it is what it recorded at the time, or for one that needs nothing but curves, what it makes of them
now. The searcher then goes through the record once for every rung, told the other values there and the recorded ones
everywhere else, so each rung's decisions are those about the trials that really came there.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from automl_core.auditing import MEASURED, Reading, RungAudit, audited
from automl_core.engine.refolding import Extended, Instructed, Refold, Script, Stop, Told
from automl_core.engine.state import StudyState, Trial
from automl_core.errors import reason
from automl_core.journal.study import EventKind
from automl_core.ranking import Losses, best_first, pareto_front
from automl_core.records import plain
from automl_core.reestimating import Reestimator, Values, reestimator
from automl_core.types import EMPTY, Job, Json, Objective, Outcome

if TYPE_CHECKING:
    from automl_core.study import Study

log = logging.getLogger(__name__)

AS_RECORDED, REPLAYED = "recorded", "replayed"
"""What the two estimates are called in the audit of a replay."""


@dataclass(frozen=True)
class Standing:
    """How a trial stood among those that came to a rung, or to the end.

    Args:
        trial: Its number.
        recorded: What ranked it.
        recorded_rank: From 1.
        replayed: What would have ranked it; not finite where there was no estimate.
        replayed_rank: From 1.
        measured: What was measured there; NaN for an objective that was not.
    """

    trial: int
    recorded: Values
    recorded_rank: int
    replayed: Values
    replayed_rank: int
    measured: Values


@dataclass(frozen=True)
class RungReplay:
    """What would have become of the trials that came to a rung.

    Args:
        budget: The rung's budget.
        came: How many trials came there and were done; about each of them there was a decision.
        went_on: How many of them went on.
        same: How many of those would have gone on, too.
        instead: Those that would have gone on and did not, best first.
        no_more: Those that went on and would not have, best first.
        error: Why the searcher cannot be told other values at this rung; empty where it can.
    """

    budget: int
    came: int
    went_on: int
    same: int
    instead: tuple[Standing, ...] = ()
    no_more: tuple[Standing, ...] = ()
    error: str = ""

    @property
    def changed(self) -> int:
        """How many decisions would have been others."""
        return len(self.instead) + len(self.no_more)


@dataclass(frozen=True)
class Replay:
    """A recorded study, replayed with another estimator.

    Args:
        study: Its name.
        estimator: The other estimator.
        computed: Whether it was asked now; otherwise its recorded estimates were taken.
        ranking: What ranked the recorded study: an estimator, or what was measured last.
        objectives: What is estimated.
        rungs: Every rung below the last, rising; none where trials are compared once complete alone.
        audit: How what ranked and what would have ranked agree with later values of the first objective.
        budget: The furthest budget that any candidate reached; 0 where none was done.
        best: The best trials there as recorded: the front with several objectives, else one.
        best_instead: The best trials there by the other estimator.
        notes: What else there is to know, a line each.
    """

    study: str
    estimator: str
    computed: bool
    ranking: str
    objectives: tuple[Objective, ...]
    rungs: tuple[RungReplay, ...]
    audit: tuple[RungAudit, ...]
    budget: int
    best: tuple[Standing, ...]
    best_instead: tuple[Standing, ...]
    notes: tuple[str, ...] = ()

    @property
    def decisions(self) -> int:
        """How many decisions there were, one about every trial that came to a rung."""
        return sum(rung.came for rung in self.rungs if not rung.error)

    @property
    def changed(self) -> int:
        """How many of them would have been others."""
        return sum(rung.changed for rung in self.rungs)

    def to_json(self) -> Json:
        """Gives all of it as JSON."""
        numbers = {"decisions": self.decisions, "changed": self.changed}
        return plain({**asdict(self), "objectives": [str(one) for one in self.objectives], **numbers})


def replay(study: Study, estimator: str, options: Mapping[str, Mapping[str, Json]] = EMPTY) -> Replay:
    """Says which decisions of a recorded study would have changed with another estimator.

    Args:
        study: A study that has been run, or is being run.
        estimator: One that the study recorded, or one that needs nothing but curves.
        options: Options of the estimator: ``{"estimator": {...}}``. With any, its estimates are computed anew.

    Raises:
        RequestError: For an estimator that is not known, cannot be computed from what is recorded, or does not estimate
            every objective; and for options of other parts.
        ReplayError: When the searcher does not repeat what it decided, since something has changed.
    """
    events = study.record.journal.events()
    estimate = reestimator(study, estimator, options)
    told = Retold(study, events, estimate)
    furthest, best, best_instead = told.final()
    return Replay(
        study=study.name,
        estimator=estimator,
        computed=estimate.computed,
        ranking=next((part.name for part in study.spec.estimators), MEASURED),
        objectives=study.assembly.objectives,
        rungs=tuple(_replayed(study, told, budget) for budget in study.spec.rungs[:-1]),
        audit=tuple(audited(told.readings(), study.spec.rungs, (AS_RECORDED, REPLAYED))),
        budget=furthest,
        best=best,
        best_instead=best_instead,
        notes=estimate.notes,
    )


class Retold:
    """A study's record, with what would have ranked beside what did.

    Args:
        study: The study.
        events: Its journal's events.
        estimate: The other estimator.
    """

    def __init__(self, study: Study, events: Iterable[tuple[EventKind, Json]], estimate: Reestimator) -> None:
        self.objectives = study.assembly.objectives
        self.state = StudyState(study.assembly.searcher(), study.assembly.problem)
        self.script = Script()
        self.replayed: dict[Stop, Values] = {}
        """What would have ranked, of every candidate at every budget where it was done."""
        for kind, payload in events:
            if kind == "ask" and payload["address"] is None:
                self._asked(Job.from_json(payload["job"]))
            elif kind == "tell":
                self._told(self.state.trials[payload["trial"]], Outcome.from_json(payload["outcome"]), estimate)
            elif kind == "extend":
                self.script.steps.append(Extended(payload["trials"], self.state.searcher.finished()))
            elif kind == "instruct":
                self.script.steps.append(Instructed(payload["instruction"], self.state.searcher.finished()))
            self.state.replay([(kind, payload)])
        self.script.trials = self.state.next_trial
        self.script.finished = self.state.searcher.finished()

    def _asked(self, job: Job) -> None:
        if job.attempt == 0:  # otherwise the engine handed it out again, unknown to the searcher
            self.script.steps.append(job)
        if job.trial == self.state.next_trial:
            self.script.numbers.append(job.trial)

    def _told(self, trial: Trial, outcome: Outcome, estimate: Reestimator) -> None:
        if trial.address is not None:
            return
        self.script.steps.append(Told(trial.job))
        self.script.outcomes[trial.number, trial.job.to_budget] = outcome
        if trial.job.role == "candidate" and outcome.status == "done":
            self.replayed[trial.number, outcome.budget] = estimate(trial, outcome, self.state.history)

    def came(self, budget: int) -> list[int]:
        """Gives the candidates that came to a budget and were done, by number."""
        return sorted(trial for trial, reached in self.replayed if reached == budget)

    def went_on(self, budget: int) -> set[int]:
        """Gives the trials that went on from a budget."""
        jobs = [step for step in self.script.steps if isinstance(step, Job)]
        return {job.trial for job in jobs if job.from_budget == budget}

    def outcomes(self, budget: int) -> dict[Stop, Outcome]:
        """Gives the outcomes at a budget with the other values."""
        return {(trial, budget): self._outcome((trial, budget)) for trial in self.came(budget)}

    def _outcome(self, stop: Stop) -> Outcome:
        outcome, values = self.script.outcomes[stop], self.replayed[stop]
        if all(map(math.isfinite, values)):
            return replace(outcome, values=values)
        return replace(outcome, status="diverged", values=())

    def standings(self, budget: int, trials: Sequence[int]) -> dict[int, Standing]:
        """Ranks trials that came to a budget, by what did and by what would have."""
        recorded = [self.script.outcomes[trial, budget].values for trial in trials]
        replayed = [self.replayed[trial, budget] for trial in trials]
        ranks, other_ranks = (_ranks([self.losses(one) for one in values]) for values in (recorded, replayed))
        points = [self.script.outcomes[trial, budget].metrics for trial in trials]
        measured = [tuple(point.get(one.metric, math.nan) for one in self.objectives) for point in points]
        rows = zip(trials, recorded, ranks, replayed, other_ranks, measured, strict=True)
        return {row[0]: Standing(*row) for row in rows}

    def losses(self, values: Values) -> Losses:
        """Turns values so that smaller is better; all infinite where one is not finite."""
        if not all(map(math.isfinite, values)):
            return (math.inf,) * len(self.objectives)
        return tuple(objective.loss(value) for objective, value in zip(self.objectives, values, strict=True))

    def final(self) -> tuple[int, tuple[Standing, ...], tuple[Standing, ...]]:
        """Gives the furthest budget, and the best trials there by what ranked and by what would have."""
        alive = [trial for trial in self.state.trials if self.state.losses(trial) is not None]
        furthest = max((trial.budget for trial in alive), default=0)
        standings = self.standings(furthest, [trial.number for trial in alive if trial.budget == furthest])
        return furthest, self._best(standings, "recorded"), self._best(standings, "replayed")

    def _best(self, standings: Mapping[int, Standing], which: Literal["recorded", "replayed"]) -> tuple[Standing, ...]:
        losses = {trial: self.losses(getattr(one, which)) for trial, one in standings.items()}
        found = [trial for trial in losses if not any(map(math.isinf, losses[trial]))]
        if len(self.objectives) > 1:
            front = pareto_front([losses[trial] for trial in found])
            found = sorted((found[place] for place in front), key=lambda trial: (losses[trial], trial))
        else:
            found = sorted(found, key=lambda trial: (losses[trial], trial))[:1]
        return tuple(standings[trial] for trial in found)

    def readings(self) -> list[Reading]:
        """Gives what is to be audited; trials that behave the same count as the first of them."""
        metric = self.objectives[0].metric
        first: dict[str, int] = {}
        found = []
        for (number, budget), values in self.replayed.items():
            trial, outcome = self.state.trials[number], self.script.outcomes[number, budget]
            estimates = {AS_RECORDED: outcome.values[0], REPLAYED: values[0]}
            finite = {name: value for name, value in estimates.items() if math.isfinite(value)}
            if metric in outcome.metrics:
                found.append(Reading(first.setdefault(trial.key, number), budget, outcome.metrics[metric], finite))
        return found


def _ranks(losses: Sequence[Losses]) -> list[int]:
    """Gives each one's rank, from 1."""
    ranks = [0] * len(losses)
    for rank, place in enumerate(best_first(losses), start=1):
        ranks[place] = rank
    return ranks


def _replayed(study: Study, told: Retold, budget: int) -> RungReplay:
    """Has a new searcher decide about a rung."""
    came = told.came(budget)
    went_on = told.went_on(budget) & set(came)
    try:
        stops = Refold(study.assembly.searcher(), told.script, told.outcomes(budget)).run()
    except Exception as error:  # a stranger's searcher may take other values for a contradiction
        log.debug("searcher %s at budget %d", study.spec.searcher.name, budget, exc_info=error)
        return RungReplay(budget, len(came), len(went_on), 0, error=reason(traceback.format_exc()))
    would = {trial for trial in came if (trial, budget) in stops}
    standings = told.standings(budget, came)

    def ranked(trials: set[int]) -> tuple[Standing, ...]:
        return tuple(sorted((standings[trial] for trial in trials), key=lambda one: one.replayed_rank))

    same = len(went_on & would)
    return RungReplay(budget, len(came), len(went_on), same, ranked(would - went_on), ranked(went_on - would))
