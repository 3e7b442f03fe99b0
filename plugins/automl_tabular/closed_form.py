"""The evaluator of search spaces whose truth is a formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from automl_core.errors import RequestError
from automl_core.interfaces import Context, Dataset, Description, Evaluation, Evaluator, SearchSpace
from automl_core.types import Direction, Job, Json, Observation
from automl_spaces.closed_forms import ClosedFormSpace, Formula
from automl_tabular.lookup import Lookup

VALUE = "value"
"""The one metric; the larger the better. The space's ``optimum`` less a description's ``truth`` is its regret."""


class ClosedFormEvaluator(Evaluator):
    """Computes what the search space's formula gives at a budget.

    A unit of budget counts as a second of work, of which none passes: in simulated time, searches are compared by the
    units that they spend.

    Args:
        curve: Whether every unit on the way is observed, as in a training; otherwise the budget asked for alone.
    """

    unit = "units"
    trains = False
    metrics: Mapping[str, Direction] = {VALUE: "max"}

    def __init__(self, curve: bool = False) -> None:
        self.curve = curve

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:
        if not isinstance(space.whole, ClosedFormSpace):
            raise RequestError(
                "evaluator closed-form must be given a search space with a formula, but got "
                f"{space.name!r}; use --space counting-ones or --space hartmann-6"
            )

    def presets(self, dataset: Dataset | None) -> Mapping[str, Mapping[str, Json]]:
        """Gives a range of four rungs, and for ``paper`` the one of BOHB's counting ones, 9 to 729."""
        return {
            "quick": {"min_budget": 3, "max_budget": 81, "trials": 100},
            "paper": {"min_budget": 9, "max_budget": 729, "trials": 1000},
        }

    def start(self, description: Description, context: Context) -> Evaluation:
        if not isinstance(description, Formula):
            raise RequestError(f"evaluator closed-form must be given a formula, but got {description!r}")
        return _Computation(description, context, self.curve)


class _Computation(Lookup):
    """A formula with a configuration's values in it, seen through one seed."""

    def __init__(self, formula: Formula, context: Context, curve: bool) -> None:
        self._formula = formula
        self._context = context
        self._curve = curve

    def advance(self, job: Job) -> Iterator[Observation]:
        reached = job.from_budget
        for budget in range(reached + 1 if self._curve else job.to_budget, job.to_budget + 1):
            value = self._formula.value(budget, self._context.max_budget, self._context.seed)
            yield Observation(budget, {VALUE: value}, seconds=float(budget - reached))
            reached = budget
