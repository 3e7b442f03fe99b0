"""Asynchronous successive halving, in both of its published kinds."""

from __future__ import annotations

from collections import deque
from typing import Literal, get_args

from automl_core.drawing import DrawingSearcher, check_eta
from automl_core.interfaces import Problem
from automl_core.types import Configuration, Job, Outcome
from automl_searchers.checks import check_choice, single_rung
from automl_searchers.rungs import OneObjectiveRung, ParetoRung, Rung

Kind = Literal["stop", "promote"]


class ASHA(DrawingSearcher):
    """Asynchronous successive halving over random configurations.

    Trials are compared at the rungs ``min_budget * eta**i`` below the maximum budget; a trial that ends without a value
    ranks last in the rung that it was to reach. One objective ranks by its loss, and a decision costs O(log n); several
    rank by non-dominated front, then by crowding distance, the least crowded first, and a decision costs O(n).

    ``stop`` judges each trial once, on reaching a rung: it goes on if fewer than ``max(1, n // eta)`` of the n losses
    there, its own among them, are better. This is the asynchronous rule of Minami et al., "Knowledge Transfer Graph
    for Deep Collaborative Learning" (ACCV 2020), section 3.5, as their optimisation library had it. A trial that was
    stopped stays stopped.

    ``promote`` keeps every trial waiting and advances, from the highest rung downwards, one that has come to be among
    the best ``n // eta`` of its rung; only when there is none it begins a new trial. Li et al., "A System for Massively
    Parallel Hyperparameter Tuning" (MLSys 2020), algorithm 2; eta as there, r: minimum budget, R: maximum budget.

    Without a number of trials, 100 are begun; a space with fewer configurations ends the search earlier.

    Args:
        kind: ``stop`` ends trials that fall behind for good; ``promote`` pauses them, and may go on with them later.
        eta: Reduction factor: one trial in ``eta`` goes on. At least 2.

    Raises:
        RequestError: For an unknown kind, or ``eta`` below 2.
    """

    def __init__(self, kind: Kind = "stop", eta: int = 2) -> None:
        check_choice("asha", "kind", kind, get_args(Kind))
        check_eta("asha", eta)
        self.kind = kind
        self.eta = eta

    def start(self, problem: Problem) -> None:
        super().start(problem)
        if problem.min_budget == problem.max_budget:
            raise single_rung("asha", "min_budget < max_budget", problem)
        self._budgets = _rung_budgets(problem.min_budget, problem.max_budget, self.eta)
        self._level = {budget: level for level, budget in enumerate(self._budgets)}
        least = 1 if self.kind == "stop" else 0
        make = OneObjectiveRung if len(problem.objectives) == 1 else ParetoRung
        self._rungs: list[Rung] = [make(self.eta, least) for _ in self._budgets[:-1]]
        self._alive: dict[int, Configuration] = {}  # trials that may be asked for again
        self._continuing: deque[tuple[int, int]] = deque()  # (trial, level reached), for kind "stop"
        self._undecided = 0  # jobs out whose outcome may lead to further jobs

    def ask(self, next_trial: int) -> Job | None:
        if self._continuing:
            trial, reached = self._continuing.popleft()
            return self._job(trial, reached + 1)
        promotable = self._promotable_level()
        if promotable is not None:
            return self._job(self._rungs[promotable].promote(), promotable + 1)
        configuration = self._take()
        if configuration is None:
            return None
        self._alive[next_trial] = configuration
        return self._job(next_trial, 0)

    def tell(self, job: Job, outcome: Outcome) -> None:
        level = self._level[job.to_budget]
        if level + 1 == len(self._budgets):
            del self._alive[job.trial]
            return
        self._undecided -= 1
        losses = self._comparable(outcome)
        rung = self._rungs[level]
        arrival = rung.add(losses)
        if losses is None:
            del self._alive[job.trial]
        elif self.kind == "promote":
            rung.wait(arrival, job.trial)
        elif rung.admits(arrival):
            self._continuing.append((job.trial, level))
        else:
            del self._alive[job.trial]

    def finished(self) -> bool:
        open_ends = self._undecided or self._continuing or self._promotable_level() is not None
        return not open_ends and self._peek() is None

    def may_continue(self, trial: int) -> bool:
        return trial in self._alive

    def rungs(self) -> tuple[int, ...]:
        return self._budgets

    def _job(self, trial: int, level: int) -> Job:
        if level + 1 < len(self._budgets):
            self._undecided += 1
        reached = self._budgets[level - 1] if level else 0
        return Job(trial, self._alive[trial], reached, self._budgets[level])

    def _promotable_level(self) -> int | None:
        """Gives the highest level with a trial to promote; nothing waits at any level for kind ``stop``."""
        levels = reversed(range(len(self._rungs)))
        return next((level for level in levels if self._rungs[level].can_promote()), None)


def _rung_budgets(min_budget: int, max_budget: int, eta: int) -> tuple[int, ...]:
    """Gives ``min_budget * eta**i`` below the maximum budget, then the maximum; in integers, so never off by one."""
    budgets = []
    budget = min_budget
    while budget < max_budget:
        budgets.append(budget)
        budget *= eta
    return (*budgets, max_budget)
