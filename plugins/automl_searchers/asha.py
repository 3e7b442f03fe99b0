"""Asynchronous successive halving, in both of its published kinds."""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import Literal, get_args

from automl_core.errors import RequestError
from automl_core.interfaces import Problem, Searcher
from automl_core.sampling import RandomSampler
from automl_core.types import Configuration, Job, Outcome

Kind = Literal["stop", "promote"]

DEFAULT_TRIALS = 100


class Rung:
    """The losses that reached one budget, split into the best ``max(least, n // eta)`` and the others.

    Two heaps hold the split; since the number of best ones never falls, taking in a loss costs O(log n).

    Args:
        eta: Reduction factor.
        least: Smallest number of best ones.
    """

    def __init__(self, eta: int, least: int) -> None:
        self._eta = eta
        self._least = least
        self._best: list[tuple[float, int]] = []  # negated, so that the worst of the best comes first
        self._others: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int, int]] = []

    def __len__(self) -> int:
        return len(self._best) + len(self._others)

    def add(self, loss: float) -> int:
        """Takes in a loss and gives its arrival number."""
        arrival = len(self)
        worst_loss, worst_arrival = heapq.heappushpop(self._best, (-loss, -arrival))
        heapq.heappush(self._others, (-worst_loss, -worst_arrival))
        if len(self._best) < max(self._least, len(self) // self._eta):
            best_loss, best_arrival = heapq.heappop(self._others)
            heapq.heappush(self._best, (-best_loss, -best_arrival))
        return arrival

    def admits(self, loss: float) -> bool:
        """Whether a loss taken in before is among the best; one that ties with the worst of them is."""
        return bool(self._best) and loss <= -self._best[0][0]

    def wait(self, loss: float, arrival: int, trial: int) -> None:
        """Makes a trial wait for its promotion."""
        heapq.heappush(self._waiting, (loss, arrival, trial))

    def can_promote(self) -> bool:
        """Whether the best waiting trial is among the best of the rung; of equal losses the first ones are."""
        if not self._waiting or not self._best:
            return False
        worst_loss, worst_arrival = self._best[0]
        return self._waiting[0][:2] <= (-worst_loss, -worst_arrival)

    def promote(self) -> int:
        """Takes the best waiting trial."""
        return heapq.heappop(self._waiting)[2]


class ASHA(Searcher):
    """Asynchronous successive halving over random configurations.

    Trials are compared at the rungs ``min_budget * eta**i`` below the maximum budget, by the first objective; a trial
    that failed or diverged ranks last in the rung that it was to reach. A decision costs O(log n).

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
        if kind not in get_args(Kind):
            raise RequestError(f"kind of searcher asha must be stop or promote, but got {kind!r}")
        if eta < 2:
            raise RequestError(f"eta of searcher asha must be at least 2, but got {eta}; raise eta")
        self.kind = kind
        self.eta = eta

    def start(self, problem: Problem) -> None:
        super().start(problem)
        _check(problem)
        self._budgets = _rung_budgets(problem.min_budget, problem.max_budget, self.eta)
        self._level = {budget: level for level, budget in enumerate(self._budgets)}
        least = 1 if self.kind == "stop" else 0
        self._rungs = [Rung(self.eta, least) for _ in self._budgets]
        self._sampler = RandomSampler(problem.space, problem.seed)
        self._trials = DEFAULT_TRIALS if problem.trials is None else problem.trials
        self._begun = 0
        self._next: Configuration | None = None
        self._alive: dict[int, Configuration] = {}  # trials that may be asked for again
        self._continuing: deque[tuple[int, int]] = deque()  # (trial, level reached), for kind "stop"
        self._undecided = 0  # jobs out whose outcome may lead to further jobs

    def extend(self, trials: int) -> None:
        if trials < self._trials:
            raise RequestError(
                f"a study can only be given more trials, but it has {self._trials} and {trials} were asked for; "
                f"give at least {self._trials}"
            )
        super().extend(trials)
        self._trials = trials

    def ask(self, next_trial: int) -> Job | None:
        if self._continuing:
            trial, reached = self._continuing.popleft()
            return self._job(trial, reached + 1)
        promotable = self._promotable_level()
        if promotable is not None:
            return self._job(self._rungs[promotable].promote(), promotable + 1)
        configuration = self._next_configuration()
        if configuration is None:
            return None
        self._next = None
        self._begun += 1
        self._alive[next_trial] = configuration
        return self._job(next_trial, 0)

    def tell(self, job: Job, outcome: Outcome) -> None:
        level = self._level[job.to_budget]
        last = level + 1 == len(self._budgets)
        if not last:
            self._undecided -= 1
        loss = self.problem.losses(outcome)[0] if outcome.status == "done" else math.inf
        rung = self._rungs[level]
        arrival = rung.add(loss)
        if last or loss == math.inf:
            del self._alive[job.trial]
        elif self.kind == "promote":
            rung.wait(loss, arrival, job.trial)
        elif rung.admits(loss):
            self._continuing.append((job.trial, level))
        else:
            del self._alive[job.trial]

    def finished(self) -> bool:
        open_ends = self._undecided or self._continuing or self._promotable_level() is not None
        return not open_ends and self._next_configuration() is None

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
        below_last = range(len(self._budgets) - 1)
        return next((level for level in reversed(below_last) if self._rungs[level].can_promote()), None)

    def _next_configuration(self) -> Configuration | None:
        """Gives what the next new trial will be, or None when there will be none.

        It is drawn ahead: so neither a question nor an ``ask`` that gives None can change what comes later.
        """
        if self._begun >= self._trials:
            return None
        if self._next is None:
            self._next = self._sampler.draw()
        return self._next


def _check(problem: Problem) -> None:
    if len(problem.objectives) != 1:
        given = ", ".join(str(objective) for objective in problem.objectives) or "none"
        raise RequestError(f"searcher asha ranks by one objective, but got {given}; give exactly one")
    if problem.min_budget < 1:
        raise RequestError(f"min_budget must be at least 1, but got {problem.min_budget}; raise --min-budget")
    if problem.min_budget > problem.max_budget:
        raise RequestError(
            f"min_budget <= max_budget must hold, but got {problem.min_budget} and {problem.max_budget}; "
            "lower --min-budget or raise --max-budget"
        )
    if problem.trials is not None and problem.trials < 1:
        raise RequestError(f"trials must be at least 1, but got {problem.trials}; raise --trials")


def _rung_budgets(min_budget: int, max_budget: int, eta: int) -> tuple[int, ...]:
    """Gives ``min_budget * eta**i`` below the maximum budget, then the maximum; in integers, so never off by one."""
    budgets = []
    budget = min_budget
    while budget < max_budget:
        budgets.append(budget)
        budget *= eta
    return (*budgets, max_budget)
