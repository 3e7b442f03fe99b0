"""What all searchers of this package share: bounds, the count of trials, and configurations drawn ahead."""

from __future__ import annotations

import math

from automl_core.errors import RequestError
from automl_core.interfaces import Problem, Searcher
from automl_core.ranking import Losses
from automl_core.sampling import RandomSampler
from automl_core.types import Configuration, Outcome

DEFAULT_TRIALS = 100


class DrawingSearcher(Searcher):
    """Takes new configurations one after another from a source: uniform draws, unless a subclass has another.

    The next one is drawn ahead: so neither a question nor an ``ask`` that gives None can change what comes later.
    """

    def start(self, problem: Problem) -> None:
        super().start(problem)
        _check(problem)
        self._sampler = RandomSampler(problem.space, problem.seed)
        self._trials: float = DEFAULT_TRIALS if problem.trials is None else problem.trials
        self._begun = 0
        self._next: Configuration | None = None

    def extend(self, trials: int) -> None:
        if trials < self._trials:
            has = "all of its space's" if self._trials == math.inf else self._trials
            raise RequestError(
                f"a study can only be given more trials, but it has {has} and {trials} were asked for; "
                + ("leave --trials out" if self._trials == math.inf else f"give at least {self._trials}")
            )
        super().extend(trials)
        self._trials = trials

    def _draw(self) -> Configuration | None:
        """Gives a new, allowed configuration, or None when the space has none left."""
        return self._sampler.draw()

    def _peek(self) -> Configuration | None:
        """Gives the configuration that is drawn ahead, or None when no further trial may begin."""
        if self._begun >= self._trials:
            return None
        if self._next is None:
            self._next = self._draw()
        return self._next

    def _take(self) -> Configuration | None:
        """Gives the configuration of a trial that begins now, or None when no further trial may begin."""
        configuration = self._peek()
        if configuration is not None:
            self._next = None
            self._begun += 1
        return configuration

    def _comparable(self, outcome: Outcome) -> Losses | None:
        """Gives the outcome's losses, or None for a trial that is over, or whose values cannot be compared."""
        if outcome.status != "done":
            return None
        losses = self.problem.losses(outcome)
        return losses if all(map(math.isfinite, losses)) else None


def check_eta(searcher: str, eta: int) -> None:
    """Refuses a reduction factor that reduces nothing.

    Raises:
        RequestError: Below 2.
    """
    if eta < 2:
        raise RequestError(f"eta of searcher {searcher} must be at least 2, but got {eta}; raise eta")


def check_choice(searcher: str, option: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuses a value that is none of an option's choices.

    Raises:
        RequestError: Naming the choices.
    """
    if value not in choices:
        raise RequestError(f"{option} of searcher {searcher} must be {' or '.join(choices)}, but got {value!r}")


def single_rung(searcher: str, rule: str, problem: Problem) -> RequestError:
    """Builds the error for budgets that leave the maximum as the only rung.

    Args:
        searcher: The searcher's name.
        rule: What must hold for a rung below the maximum.
        problem: What the searcher was to solve.
    """
    return RequestError(
        f"searcher {searcher} compares trials at budgets below the maximum, so {rule} must hold, but got min_budget "
        f"{problem.min_budget} and max_budget {problem.max_budget}; "
        f"{'lower --min-budget, ' if problem.min_budget > 1 else ''}raise --max-budget, or use --searcher random, "
        "which compares complete trials"
    )


def _check(problem: Problem) -> None:
    if problem.min_budget < 1:
        raise RequestError(f"min_budget must be at least 1, but got {problem.min_budget}; raise --min-budget")
    if problem.min_budget > problem.max_budget:
        raise RequestError(
            f"min_budget <= max_budget must hold, but got {problem.min_budget} and {problem.max_budget}; "
            "lower --min-budget or raise --max-budget"
        )
    if problem.trials is not None and problem.trials < 1:
        raise RequestError(f"trials must be at least 1, but got {problem.trials}; raise --trials")
