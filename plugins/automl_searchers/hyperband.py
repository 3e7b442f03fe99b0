"""HyperBand: synchronous successive halving in brackets that begin at different budgets."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import get_args

from automl_core.drawing import DrawingSearcher, check_eta
from automl_core.interfaces import Problem
from automl_core.ranking import Losses, best_first
from automl_core.types import Configuration, Job, Outcome
from automl_searchers.brackets import Formula, first_rung, halvings, rung_budgets, rung_size
from automl_searchers.checks import check_choice, single_rung


@dataclass
class Bracket:
    """One run of successive halving.

    Args:
        number: Its place among all brackets begun.
        budgets: Its rungs, rising to the maximum budget.
        size: How many configurations its first rung takes.
    """

    number: int
    budgets: tuple[int, ...]
    size: int
    begun: int = 0
    level: int = 0
    """The rung that is being filled."""
    out: int = 0
    """Jobs that are running."""
    going_on: deque[int] = field(default_factory=deque)
    """Trials that have come to this rung and not been asked for."""
    reached: dict[int, Losses] = field(default_factory=dict)
    """Losses of the trials that have reached this rung's budget."""

    @property
    def at_last_rung(self) -> bool:
        return self.level + 1 == len(self.budgets)


class HyperBand(DrawingSearcher):
    """Brackets of synchronous successive halving over random configurations.

    Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 2018), algorithm 1, with
    R: maximum budget. With s_max the largest number with ``min_budget * eta**s_max <= max_budget``, one round has the
    brackets s = s_max, ..., 0. Bracket s begins n configurations (see ``formula``); its rung i = 0, ..., s takes
    max(1, floor(n / eta**i)) of them to the budget floor(R / eta**(s - i)). A rung is judged once all its trials have
    come in: by loss, with several objectives by non-dominated front, then by crowding distance. Trials that end without
    a value do not go on; nobody goes on in their place if too few are left.

    A trial goes on from where it stopped. While a rung waits, the next bracket begins, so workers idle only at the end;
    of two brackets that can go on, the earlier one does.

    The number of trials counts the configurations begun. It is one full round unless set; more of them begin further
    rounds, and where they end within a bracket, its first rung is smaller, and so are those that follow from it.

    Args:
        eta: Reduction factor: one trial in ``eta`` goes on. At least 2.
        formula: Configurations that bracket s begins. ``floor``: floor((s_max + 1) / (s + 1)) * eta**s, as HpBandSter
            has it; ``ceil``: ceil((s_max + 1) * eta**s / (s + 1)), as the paper has it.

    Raises:
        RequestError: For ``eta`` below 2 or an unknown formula.
    """

    name = "hyperband"
    plans_trials = True

    def __init__(self, eta: int = 3, formula: Formula = "floor") -> None:
        check_eta(self.name, eta)
        check_choice(self.name, "formula", formula, get_args(Formula))
        self.eta = eta
        self.formula: Formula = formula

    def start(self, problem: Problem) -> None:
        super().start(problem)
        self._most = halvings(problem.min_budget, problem.max_budget, self.eta)
        if self._most == 0:
            raise single_rung(self.name, f"eta * min_budget <= max_budget with eta {self.eta}", problem)
        if problem.trials is None:
            self._trials = sum(self._bracket(number).size for number in range(self._most + 1))
        self._newest: Bracket | None = None
        self._waiting: dict[int, Bracket] = {}  # brackets with trials that go on, by number
        self._order: list[int] = []  # their numbers, as a heap
        self._undecided = 0  # brackets with a rung to be judged
        self._alive: dict[int, tuple[Configuration, Bracket]] = {}  # trials that may be asked for again, or are running

    def ask(self, next_trial: int) -> Job | None:
        if self._order:
            bracket = self._waiting[self._order[0]]
            trial = bracket.going_on.popleft()
            if not bracket.going_on:
                del self._waiting[heapq.heappop(self._order)]
            return self._job(trial)
        configuration = self._take()
        if configuration is None:
            return None
        bracket = self._open_bracket()
        bracket.begun += 1
        self._alive[next_trial] = configuration, bracket
        return self._job(next_trial)

    def tell(self, job: Job, outcome: Outcome) -> None:
        _, bracket = self._alive[job.trial]
        bracket.out -= 1
        losses = self._comparable(outcome)
        if losses is None or bracket.at_last_rung:
            del self._alive[job.trial]
        else:
            bracket.reached[job.trial] = losses
        if not bracket.at_last_rung and not bracket.out and not bracket.going_on and self._is_full(bracket):
            self._judge(bracket)

    def finished(self) -> bool:
        return not self._order and not self._undecided and self._peek() is None

    def may_continue(self, trial: int) -> bool:
        return trial in self._alive

    def rungs(self) -> tuple[int, ...]:
        return rung_budgets(self._most, self.problem.max_budget, self.eta)

    def _bracket(self, number: int) -> Bracket:
        rungs_below = self._most - number % (self._most + 1)
        budgets = rung_budgets(rungs_below, self.problem.max_budget, self.eta)
        return Bracket(number, budgets, first_rung(rungs_below, self._most, self.eta, self.formula))

    def _open_bracket(self) -> Bracket:
        """Gives the bracket that takes the next new trial."""
        newest = self._newest
        if newest is None or newest.level > 0 or newest.begun == newest.size:
            newest = self._newest = self._bracket(0 if newest is None else newest.number + 1)
            self._undecided += not newest.at_last_rung
        return newest

    def _is_full(self, bracket: Bracket) -> bool:
        """Whether nothing more will begin at the bracket's rung; a first rung is cut where the trials end."""
        return bracket.level > 0 or bracket.begun == bracket.size or self._peek() is None

    def _judge(self, bracket: Bracket) -> None:
        """Lets the best trials of a complete rung go on, the best first, and ends the others."""
        trials = sorted(bracket.reached)  # equal losses: the trial that began first
        order = best_first([bracket.reached[trial] for trial in trials])
        bracket.level += 1
        best = [trials[position] for position in order[: rung_size(bracket.begun, bracket.level, self.eta)]]
        for trial in set(trials) - set(best):
            del self._alive[trial]
        bracket.reached.clear()
        if best:
            bracket.going_on.extend(best)
            self._waiting[bracket.number] = bracket
            heapq.heappush(self._order, bracket.number)
        if not best or bracket.at_last_rung:
            self._undecided -= 1

    def _job(self, trial: int) -> Job:
        configuration, bracket = self._alive[trial]
        bracket.out += 1
        reached = bracket.budgets[bracket.level - 1] if bracket.level else 0
        return Job(trial, configuration, reached, bracket.budgets[bracket.level])
