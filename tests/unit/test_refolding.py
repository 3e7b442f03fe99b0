"""A search once more: with what was recorded it repeats itself, with other values it decides as it would have."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.engine.refolding import Extended, Refold, Script, Stop, Told
from automl_core.interfaces import Problem, Searcher
from automl_core.randomness import derive_seed
from automl_core.testing.doubles import ToySpace
from automl_core.types import Job, Objective, Outcome
from automl_searchers.asha import ASHA
from automl_searchers.bohb import BOHB
from automl_searchers.complete import GridSearch, RandomSearch
from automl_searchers.hyperband import HyperBand
from automl_smac.searcher import SMAC

SEARCHERS: dict[str, Callable[[int], Searcher]] = {
    "random": lambda eta: RandomSearch(),
    "grid": lambda eta: GridSearch(),
    "asha stop": lambda eta: ASHA("stop", eta),
    "asha promote": lambda eta: ASHA("promote", eta),
    "hyperband": lambda eta: HyperBand(eta),
    "bohb": lambda eta: BOHB(eta),
}
ONE = (Objective("accuracy"),)
TWO = (Objective("accuracy"), Objective("flops", "min"))


def outcome_of(job: Job, seed: int, objectives: int, failing: float = 0.0) -> Outcome:
    """A value that follows from the trial and the budget, in few steps, so that many are tied."""
    generator = Random(derive_seed("outcome", seed, job.trial, job.to_budget))
    if generator.random() < failing:
        return Outcome(generator.choice(("failed", "diverged", "infeasible")), job.from_budget)
    return Outcome("done", job.to_budget, values=tuple(generator.randrange(8) / 8 for _ in range(objectives)))


@dataclass
class Search:
    """A search on virtual workers, recorded as a script; trials of other roles take numbers in between."""

    searcher: Searcher
    problem: Problem
    workers: int = 1
    seed: int = 0
    failing: float = 0.0
    support: float = 0.0
    script: Script = field(default_factory=Script)

    def __post_init__(self) -> None:
        self.searcher.start(self.problem)
        self._running: list[tuple[float, int, Job]] = []
        self._order = count()
        self._generator = Random(derive_seed("search", self.seed))
        self._clock = 0.0

    def go(self, jobs: int | None = None) -> Search:
        """Searches until so many jobs have ended, or all have."""
        told = 0
        while jobs is None or told < jobs:
            while len(self._running) < self.workers and self._ask():
                pass
            if not self._running:
                break
            self._tell()
            told += 1
        self.script.finished = self.searcher.finished()
        return self

    def extend(self, trials: int) -> Search:
        self.script.steps.append(Extended(trials, self.searcher.finished()))
        self.searcher.extend(trials)
        return self

    def _ask(self) -> bool:
        job = self.searcher.ask(self.script.trials)
        if job is None:
            return False
        self.script.steps.append(job)
        if job.trial == self.script.trials:
            self.script.numbers.append(job.trial)
            self.script.trials += 1 + (self._generator.random() < self.support)
        ends = self._clock + self._generator.uniform(0.5, 2.0) * (job.to_budget - job.from_budget)
        heapq.heappush(self._running, (ends, next(self._order), job))
        return True

    def _tell(self) -> None:
        self._clock, _, job = heapq.heappop(self._running)
        outcome = outcome_of(job, self.seed, len(self.problem.objectives), self.failing)
        self.searcher.tell(job, outcome)
        self.script.steps.append(Told(job))
        self.script.outcomes[job.trial, job.to_budget] = outcome

    @property
    def asked(self) -> set[Stop]:
        return {(step.trial, step.from_budget) for step in self.script.steps if isinstance(step, Job)}

    def came(self, budget: int) -> list[int]:
        """Who came to a budget and was done, in that order."""
        done = [step.job for step in self.script.steps if isinstance(step, Told) and step.job.to_budget == budget]
        return [job.trial for job in done if self.script.outcomes[job.trial, budget].status == "done"]

    def again(self, make: Callable[[], Searcher], outcomes: Mapping[Stop, Outcome]) -> set[Stop]:
        searcher = make()
        searcher.start(self.problem)
        return Refold(searcher, self.script, outcomes).run()


def problem(trials: int, seed: int = 0, objectives: tuple[Objective, ...] = ONE, least: int = 1) -> Problem:
    return Problem(ToySpace(digits=5), objectives, least, 8, trials, seed)


cases = {
    "name": st.sampled_from(sorted(SEARCHERS)),
    "eta": st.integers(2, 3),
    "workers": st.integers(1, 5),
    "seed": st.integers(0, 1000),
    "trials": st.integers(1, 25),
    "objectives": st.sampled_from((ONE, TWO)),
    "failing": st.sampled_from((0.0, 0.2)),
}


@settings(max_examples=100)
@given(**cases, cut=st.none() | st.integers(0, 40), more=st.none() | st.integers(1, 10))
def test_what_was_recorded_is_repeated(
    name: str,
    eta: int,
    workers: int,
    seed: int,
    trials: int,
    objectives: tuple[Objective, ...],
    failing: float,
    cut: int | None,
    more: int | None,
) -> None:
    """However far the search has come, and whether it was extended: each recorded value changes nothing."""
    found = Search(SEARCHERS[name](eta), problem(trials, seed, objectives), workers, seed, failing, support=0.2)
    found.go(cut)
    if more is not None:
        found.extend(trials + more).go(cut)
    assert found.again(lambda: SEARCHERS[name](eta), dict(found.script.outcomes)) == found.asked


def others(search: Search, budget: int, seed: int) -> dict[Stop, Outcome]:
    """Other values at one budget."""
    return {
        (trial, budget): outcome_of(Job(trial, {}, 0, budget), seed + 1, len(search.problem.objectives))
        for trial in search.came(budget)
    }


@settings(max_examples=50)
@given(**cases, cut=st.none() | st.integers(0, 40), budget=st.sampled_from((1, 2, 4)))
def test_other_values_never_bring_a_searcher_out_of_step(
    name: str,
    eta: int,
    workers: int,
    seed: int,
    trials: int,
    objectives: tuple[Objective, ...],
    failing: float,
    cut: int | None,
    budget: int,
) -> None:
    found = Search(SEARCHERS[name](eta), problem(trials, seed, objectives), workers, seed, failing, support=0.2)
    found.go(cut)
    stops = found.again(lambda: SEARCHERS[name](eta), others(found, budget, seed))
    new = {trial for trial, begins in stops if begins == 0}
    if cut is None:
        assert new == set(found.script.numbers), "all trials are begun, whatever is told of them"
    below = {stop for stop in stops if 0 < stop[1] < budget}
    if workers == 1 and name in ("hyperband", "bohb"):
        assert below == {stop for stop in found.asked if 0 < stop[1] < budget}, "rungs below know nothing of it"


@settings(max_examples=25)
@given(workers=st.integers(1, 5), seed=st.integers(0, 1000), trials=st.integers(1, 30))
def test_in_the_end_all_that_are_among_the_best_have_been_promoted(workers: int, seed: int, trials: int) -> None:
    found = Search(ASHA("promote", 2), problem(trials, seed), workers, seed).go()
    for budget in (1, 2, 4):
        told = others(found, budget, seed)
        would = {trial for trial, begins in found.again(lambda: ASHA("promote", 2), told) if begins == budget}
        ranked = sorted((told[trial, budget].values[0] for trial in found.came(budget)), reverse=True)
        clear = ranked[: len(ranked) // 2]
        better = {trial for trial in found.came(budget) if clear and told[trial, budget].values[0] > clear[-1]}
        assert better <= would


@settings(max_examples=25)
@given(workers=st.integers(1, 5), seed=st.integers(0, 1000), name=st.sampled_from(("hyperband", "bohb")))
def test_a_complete_rung_of_hyperband_lets_as_many_go_on_whatever_their_values(
    workers: int, seed: int, name: str
) -> None:
    found = Search(SEARCHERS[name](2), problem(24, seed), workers, seed).go()
    for budget in (1, 2, 4):
        stops = found.again(lambda: SEARCHERS[name](2), others(found, budget, seed))
        assert len([1 for _, begins in stops if begins == budget]) == len(
            [1 for _, begins in found.asked if begins == budget]
        )


class Watched(ASHA):
    """Notes whether it had finished when it was extended."""

    def extend(self, trials: int) -> None:
        self.had_finished = self.finished()
        super().extend(trials)


@pytest.mark.parametrize("seed", range(5))
def test_a_search_that_had_finished_when_it_was_extended_has_finished_again(seed: int) -> None:
    found = Search(ASHA("stop", 2), problem(15, seed), workers=3, seed=seed).go().extend(25).go()
    more = {(trial, 1): Outcome("done", 1, values=(1.0,)) for trial in found.came(1)}  # all go on
    searcher = Watched("stop", 2)
    searcher.start(found.problem)
    stops = Refold(searcher, found.script, more).run()
    assert {trial for trial, begins in stops if begins == 1} == set(range(25))
    assert searcher.had_finished


def test_what_is_out_instead_ends_when_the_recorded_job_did() -> None:
    found = Search(ASHA("promote", 2), replace(problem(20), max_budget=2)).go(9)
    begun = {trial for trial, begins in found.asked if begins == 0}
    went_on = {trial for trial, begins in found.asked if begins == 1}
    turned = {(trial, 1): Outcome("done", 1, values=(float(trial not in went_on),)) for trial in found.came(1)}
    stops = found.again(lambda: ASHA("promote", 2), turned)
    assert len(went_on) > 1
    assert {trial for trial, begins in stops if begins == 1}.isdisjoint(went_on)
    assert {trial for trial, begins in stops if begins == 0} >= begun


def test_one_worker_and_a_rule_that_can_be_followed_by_hand() -> None:
    """ASHA "stop", eta 2: a trial goes on if fewer than max(1, n // 2) of the n there are better."""
    found = Search(ASHA("stop", 2), replace(problem(4), max_budget=2)).go()
    assert found.came(1) == [0, 1, 2, 3]
    told = {(trial, 1): Outcome("done", 1, values=(value,)) for trial, value in enumerate((0.5, 0.4, 0.6, 0.55))}
    stops = found.again(lambda: ASHA("stop", 2), told)
    # 0 is alone; 1 has 1 better of 2; 2 has none better; of 4 there, 3 has 1 better, and 2 may go on.
    assert {trial for trial, begins in stops if begins == 1} == {0, 2, 3}


def test_smac_repeats_itself_too() -> None:
    def make() -> Searcher:
        return SMAC("multi-fidelity", eta=2, initial=3)

    found = Search(make(), problem(8), workers=2).go()
    assert found.again(make, dict(found.script.outcomes)) == found.asked
    stops = found.again(make, others(found, 2, seed=5))
    assert {trial for trial, begins in stops if begins == 0} == set(found.script.numbers)


def test_a_trial_that_nothing_is_known_of_stays_out() -> None:
    """Where the record ends before its search did, a searcher may begin a trial in place of going on with one."""
    found = Search(ASHA("promote", 2), replace(problem(20), max_budget=2)).go(3)
    assert (0, 1) in found.asked or (1, 1) in found.asked
    nothing = {(trial, 1): Outcome("failed", 0) for trial in found.came(1)}
    stops = found.again(lambda: ASHA("promote", 2), nothing)
    assert {begins for _, begins in stops} == {0}
    assert max(trial for trial, _ in stops) >= found.script.trials


@pytest.mark.parametrize("name", ["asha stop", "asha promote"])
def test_one_that_goes_on_only_now_is_told_what_it_had(name: str) -> None:
    found = Search(SEARCHERS[name](2), problem(8)).go()
    lowest = {(trial, 1): Outcome("done", 1, values=(float(trial),)) for trial in found.came(1)}
    stops = found.again(lambda: SEARCHERS[name](2), lowest)
    newly = {trial for trial, begins in stops if begins == 1} - {trial for trial, begins in found.asked if begins == 1}
    assert newly
    assert any((trial, 2) in stops for trial in newly), "and may go on from the next rung"
