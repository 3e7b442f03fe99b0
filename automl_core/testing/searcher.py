"""What every searcher must keep."""

from __future__ import annotations

import heapq
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from automl_core.errors import RequestError
from automl_core.interfaces import Problem, Searcher, SearchSpace
from automl_core.randomness import derive_seed
from automl_core.testing.doubles import ToySpace
from automl_core.types import Job, Objective, Outcome, Point

Event = tuple[Job, Outcome | None]
"""A job that was asked for, or one that was told with its outcome."""

Respond = Callable[[Job], Outcome]

SEVERAL = (Objective("accuracy", "max"), Objective("flops", "min"))


@dataclass
class Run:
    """A searcher driven by virtual workers, with everything checked that holds at every step.

    Args:
        searcher: The searcher, started.
        problem: What it was started with.
        synchronous: Whether it may make idle workers wait although trials are left.
        respond: Gives a job's outcome.
        workers: How many jobs run at once.
        nosy: Asks again wherever None came, and calls everything that must change nothing.
    """

    searcher: Searcher
    problem: Problem
    synchronous: bool
    respond: Respond
    workers: int = 1
    nosy: bool = False
    events: list[Event] = field(default_factory=list)
    reached: dict[int, Job] = field(default_factory=dict)
    """The last job told of each trial that may go on."""
    ended: set[int] = field(default_factory=set)
    keys: set[Hashable] = field(default_factory=set)
    begun: int = 0

    def __post_init__(self) -> None:
        self._running: list[tuple[float, int, Job]] = []
        self._order = count()
        self._clock = 0.0
        self._next_trial = 0

    def go(self, jobs: int | None = None) -> Run:
        """Runs to the end, or until so many jobs have been told."""
        told = 0
        while jobs is None or told < jobs:
            while len(self._running) < self.workers and self._ask():
                pass
            if not self._running:
                break
            self._tell()
            told += 1
        return self

    @property
    def jobs(self) -> list[Job]:
        """The jobs asked for, in order."""
        return [job for job, outcome in self.events if outcome is None]

    def _ask(self) -> bool:
        finished = self.nosy and self.searcher.finished()
        job = self.searcher.ask(self._next_trial)
        assert job is None or not finished, f"a finished search asked for {job}"
        if self.nosy:
            self.searcher.rungs()
            self.searcher.may_continue(self._next_trial)
        if job is None:
            self._check_none()
            return False
        self._check_job(job)
        self.events.append((job, None))
        # Durations follow from the job, so that what ends first does not depend on how the run was driven.
        pace = Random(derive_seed("pace", job.trial, job.to_budget)).uniform(0.5, 2.0)
        ends = self._clock + pace * (job.to_budget - job.from_budget)
        heapq.heappush(self._running, (ends, next(self._order), job))
        return True

    def _tell(self) -> None:
        self._clock, _, job = heapq.heappop(self._running)
        outcome = self.respond(job)
        self.searcher.tell(job, outcome)
        self.events.append((job, outcome))
        if outcome.status == "done":
            self.reached[job.trial] = job
        else:
            self.ended.add(job.trial)
            assert not self.searcher.may_continue(job.trial), f"trial {job.trial} {outcome.status} but may continue"

    def _check_none(self) -> None:
        if self.nosy:
            assert self.searcher.ask(self._next_trial) is None, "asking again after None must give None"
        if not self._running:
            assert self.searcher.finished(), "None while nothing runs must mean that the search has finished"
        elif not self.synchronous:
            assert self.begun >= (self.problem.trials or 0) or self._space_is_used_up(), (
                f"None although {self.begun} of {self.problem.trials} trials were begun and {len(self._running)} of "
                f"{self.workers} workers were busy; a synchronous searcher's test sets synchronous = True"
            )

    def _check_job(self, job: Job) -> None:
        assert job.trial not in {running.trial for _, _, running in self._running}, f"{job} while the trial runs"
        assert job.trial not in self.ended, f"{job} of a trial that is over"
        most = job.instruction["max_budget"] if job.role == "support" else self.problem.max_budget
        assert job.from_budget < job.to_budget <= most, f"{job} must rise, at most to the maximum"
        assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job, f"{job} must survive JSON"
        if job.trial == self._next_trial:
            self._check_new(job)
            self._next_trial += 1
        else:
            before = self.reached.get(job.trial)
            assert before is not None, f"{job} carries a number that is neither the next one nor known"
            assert job.from_budget == before.to_budget, f"{job} must begin at the budget reached"
            assert job.configuration == before.configuration, f"{job} changed its configuration"

    def _check_new(self, job: Job) -> None:
        assert job.from_budget == 0, f"{job} is new, so it must begin at budget 0"
        if job.role == "support":
            return
        space = self.problem.space
        assert job.to_budget in self.searcher.rungs(), f"{job} ends at none of the rungs {self.searcher.rungs()}"
        assert space.violation(job.configuration) is None, f"{job} is not allowed"
        key = space.canonical(job.configuration)
        assert key not in self.keys or self._space_is_used_up(), f"{job} repeats a known canonical key"
        self.keys.add(key)
        self.begun += 1
        assert self.begun <= (self.problem.trials or self.begun), "more trials than allowed"

    def _space_is_used_up(self) -> bool:
        size = self.problem.space.size()
        if size is None or size > 10_000:
            return False
        return all(self.problem.space.canonical(one) in self.keys for one in self.problem.space.enumerate(0))


class SearcherContract(ABC):
    """Tests of a searcher; subclass it with a name that pytest collects.

    Example::

        class TestMySearcher(SearcherContract):
            def make_searcher(self):
                return MySearcher(eta=3)
    """

    synchronous: bool = False
    """Whether ``ask`` may give None at a rung although trials are left."""

    trials: int = 24
    min_budget: int = 1
    max_budget: int = 8
    objectives: tuple[Objective, ...] = (Objective("accuracy"),)

    @abstractmethod
    def make_searcher(self) -> Searcher:
        """Gives a new searcher that has not been started, with the same options at every call."""

    def make_space(self) -> SearchSpace:
        """Gives a search space that this searcher takes, with far more configurations than ``trials``."""
        return ToySpace()

    def make_small_space(self) -> SearchSpace:
        """Gives a search space that this searcher takes, with fewer configurations than ``trials``."""
        return ToySpace(digits=2, choices=4)

    def make_problem(self, seed: int = 0, space: SearchSpace | None = None) -> Problem:
        """Gives the problem that the tests solve."""
        space = space or self.make_space()
        return Problem(space, self.objectives, self.min_budget, self.max_budget, self.trials, seed)

    def respond(self, job: Job) -> Outcome:
        """Gives an outcome that depends on the configuration and the budget alone."""
        key = sorted(job.configuration.items())
        curve = tuple(
            Point(unit, {objective.metric: self._value(objective, key, unit) for objective in self.objectives})
            for unit in range(job.from_budget + bool(job.from_budget), job.to_budget + 1)
        )
        values = tuple(curve[-1].metrics[objective.metric] for objective in self.objectives)
        return Outcome("done", job.to_budget, curve, values, cost=1.0)

    def respond_badly(self, job: Job) -> Outcome:
        """Makes every third trial fail, every fifth diverge and every seventh violate a constraint."""
        if job.trial % 3 == 0:
            return Outcome("failed", job.from_budget, error="it was told to fail")
        if job.trial % 5 == 0:
            return Outcome("diverged", job.from_budget, error="it was told to diverge")
        if job.trial % 7 == 0:
            return Outcome("infeasible", job.to_budget, error="it was told to violate a constraint")
        return self.respond(job)

    def begin(
        self, problem: Problem | None = None, workers: int = 1, respond: Respond | None = None, nosy: bool = False
    ) -> Run:
        """Starts a new searcher."""
        problem = problem or self.make_problem()
        searcher = self.make_searcher()
        searcher.start(problem)
        return Run(searcher, problem, self.synchronous, respond or self.respond, workers, nosy)

    def test_rungs_rise_to_the_maximum_budget(self) -> None:
        rungs = self.begin().searcher.rungs()
        assert list(rungs) == sorted(set(rungs))
        assert rungs[0] >= self.min_budget
        assert rungs[-1] == self.max_budget

    def test_ends_with_well_formed_jobs(self) -> None:
        for workers in (1, 8):
            run = self.begin(workers=workers).go()
            assert run.searcher.finished()
            assert run.begun > 0
            budgets = {job.to_budget for job in run.jobs if job.role == "candidate"}
            assert run.searcher.multi_fidelity or budgets == {self.max_budget}

    def test_is_deterministic_from_its_seed(self) -> None:
        for workers in (1, 8):
            assert self.begin(workers=workers).go().events == self.begin(workers=workers).go().events

    def test_another_seed_gives_another_search(self) -> None:
        first = self.begin(self.make_problem(seed=1)).go()
        second = self.begin(self.make_problem(seed=2)).go()
        assert [job.configuration for job in first.jobs] != [job.configuration for job in second.jobs]

    def test_none_and_questions_change_nothing(self) -> None:
        quiet, nosy = self.begin(workers=8).go(), self.begin(workers=8, nosy=True).go()
        assert nosy.events == quiet.events
        for run in (quiet, nosy):
            self._extend_and_end(run)
        assert nosy.events == quiet.events, "a question changed what came after the search was extended"

    def test_repeats_its_decisions_on_replay(self) -> None:
        for workers, respond in ((1, self.respond), (8, self.respond_badly)):
            self._repeat_after_replay(self.begin(workers=workers, respond=respond).go().events)

    def test_survives_failed_and_diverged_trials(self) -> None:
        for workers in (1, 8):
            run = self.begin(workers=workers, respond=self.respond_badly).go()
            assert run.searcher.finished()
            assert any(trial not in run.ended for trial in run.reached), "the good trials must go on"

    def test_survives_when_every_trial_fails(self) -> None:
        run = self.begin(workers=8, respond=lambda job: Outcome("failed", 0, error="it was told to fail")).go()
        assert run.searcher.finished()

    def test_uses_up_a_small_space_without_repeating(self) -> None:
        for workers in (1, 8):
            run = self.begin(self.make_problem(space=self.make_small_space()), workers=workers, nosy=True).go()
            assert run.searcher.finished()
            assert run.begun == len(run.keys), "a canonical key was evaluated twice"

    def test_takes_several_objectives_or_refuses_them(self) -> None:
        self.objectives = SEVERAL
        try:
            run = self.begin(workers=8, respond=self.respond_badly, nosy=True)
        except RequestError:
            return
        assert run.go().searcher.finished()
        assert any(trial not in run.ended for trial in run.reached), "the good trials must go on"
        self._repeat_after_replay(run.events)

    def test_extends_a_search_that_has_finished(self) -> None:
        for workers in (1, 8):
            run = self.begin(workers=workers).go()
            self._extend_and_end(run)

    def test_extends_a_search_that_runs(self) -> None:
        self._extend_and_end(self.begin(workers=8).go(jobs=self.trials // 2))

    def _repeat_after_replay(self, events: Sequence[Event]) -> None:
        for cut in (0, 1, len(events) // 2, len(events)):
            again = self.make_searcher()
            again.start(self.make_problem())
            _replay(again, events[:cut])
            _repeat(again, events[cut:])
            assert again.finished()

    def _extend_and_end(self, run: Run) -> None:
        more = self.trials + 10
        run.problem = replace(run.problem, trials=more)
        run.searcher.extend(more)
        assert not run.searcher.finished()
        run.go()
        assert run.searcher.finished()
        assert self.trials < run.begun <= more

    def _value(self, objective: Objective, key: object, unit: int) -> float:
        generator = Random(derive_seed(objective.metric, key))
        final, speed = generator.uniform(0.3, 0.9), generator.uniform(0.2, 1.0)
        return final * (1.0 - math.pow(1.0 + unit, -speed))


def _replay(searcher: Searcher, events: Sequence[Event]) -> None:
    """Repeats recorded events as a resumed study does: jobs and outcomes come back from JSON."""
    next_trial = 0
    for job, outcome in events:
        recorded = Job.from_json(json.loads(json.dumps(job.to_json())))
        if outcome is None:
            searcher.replay(recorded, next_trial)
            next_trial = max(next_trial, recorded.trial + 1)
        else:
            searcher.tell(recorded, Outcome.from_json(json.loads(json.dumps(outcome.to_json()))))


def _repeat(searcher: Searcher, events: Sequence[Event]) -> None:
    """Goes on after a replay: the same questions must now get the recorded answers."""
    for job, outcome in events:
        if outcome is None:
            assert searcher.ask(job.trial) == job
        else:
            searcher.tell(job, outcome)
