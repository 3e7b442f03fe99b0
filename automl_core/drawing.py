"""What searchers share that begin trials one by one: the count of trials, and configurations drawn ahead."""

from __future__ import annotations

import math

from automl_core.errors import RequestError
from automl_core.interfaces import Problem, Searcher
from automl_core.ranking import Losses
from automl_core.sampling import RandomSampler
from automl_core.types import Configuration, Outcome

DEFAULT_TRIALS = 100
"""Trials that are begun when nobody says how many."""

TRIES = 16
"""Refused proposals of a model in a row after which a configuration is drawn at random."""


class DrawingSearcher(Searcher):
    """Takes new configurations one after another from a source: uniform draws, unless a subclass has another.

    A subclass begins a trial with :meth:`_take`, and is done when :meth:`_peek` gives None and nothing is to go on. One
    that has configurations of its own, a model's proposals for example, counts the trials begun in ``_begun``, says of
    each configuration that it is taken (:meth:`_know`), and takes the one drawn ahead where it has none. There may be
    another source (:meth:`_draw`) and another number of trials (``_trials``, after ``super().start``).

    The next configuration is drawn ahead: so neither a question nor an ``ask`` that gives None can change what comes
    later.
    """

    def start(self, problem: Problem) -> None:
        super().start(problem)
        _check(problem)
        self._sampler = RandomSampler(problem.space, problem.seed)
        self._trials: float = DEFAULT_TRIALS if problem.trials is None else problem.trials
        self._begun = 0
        self._next: Configuration | None = None

    @property
    def planned_trials(self) -> int | None:
        return None if self._trials == math.inf else int(self._trials)

    def extend(self, trials: int) -> None:
        if trials < self._trials:
            endless = self._trials == math.inf
            has = "already takes every configuration of its space" if endless else f"has {self._trials}"
            raise RequestError(
                f"a study can only be given more trials, but this one {has}, and {trials} were asked for; "
                + ("leave --trials out" if endless else f"give at least {self._trials}")
            )
        super().extend(trials)
        self._trials = trials

    def _draw(self) -> Configuration | None:
        """Gives a new, allowed configuration, or None when the space has none left."""
        return self._sampler.draw()

    @property
    def _ahead(self) -> Configuration | None:
        """The configuration that is drawn ahead, even if no further trial may begin; None when none is left."""
        if self._next is None:
            self._next = self._draw()
        return self._next

    def _peek(self) -> Configuration | None:
        """Gives the configuration that is drawn ahead, or None when no further trial may begin."""
        return self._ahead if self._begun < self._trials else None

    def _take(self) -> Configuration | None:
        """Gives the configuration of a trial that begins now, or None when no further trial may begin."""
        configuration = self._peek()
        if configuration is not None:
            self._next = None
            self._begun += 1
        return configuration

    def _know(self, configuration: Configuration) -> None:
        """Makes a configuration known that is taken: it is not drawn any more, nor is it still the one ahead."""
        self._sampler.add(configuration)
        canonical = self.problem.space.canonical
        if self._next is not None and canonical(self._next) == canonical(configuration):
            self._next = self._draw()

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


def _check(problem: Problem) -> None:
    for name in ("min_budget", "max_budget", "trials"):
        value = getattr(problem, name)
        if value is not None and value < 1:
            raise RequestError(f"{name} must be at least 1, but got {value}; raise --{name.replace('_', '-')}")
    if problem.min_budget > problem.max_budget:
        raise RequestError(
            f"min_budget <= max_budget must hold, but got {problem.min_budget} and {problem.max_budget}; "
            "lower --min-budget or raise --max-budget"
        )
