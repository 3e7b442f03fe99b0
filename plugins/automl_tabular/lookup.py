"""What every source of looked-up results gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from automl_core.interfaces import Context, Description, Evaluation, SearchSpace
from automl_core.types import Direction, Json


class Results(ABC):
    """Results of one search space.

    Attributes:
        unit: What its budget counts.
        metrics: Metrics that every result holds, the default objective first.
        fixed_metrics: Those of them that training does not change.
        dataset_names: Data sets, the default first; None when there is nothing to choose.
        complete_only: Why only complete trainings are known; None where there are curves.
        space: The part of the search space that results are known of.
    """

    unit: str
    metrics: Mapping[str, Direction]
    fixed_metrics: frozenset[str] = frozenset()
    dataset_names: tuple[str, ...] | None = None
    complete_only: str | None = None
    space: SearchSpace

    @abstractmethod
    def preset(self) -> Mapping[str, Json]:
        """Gives budgets and trials for a study that is to see all that is known."""

    @abstractmethod
    def check_budgets(self, rungs: tuple[int, ...]) -> None:
        """Refuses budgets that nothing is known at.

        Raises:
            RequestError: With those that are known.
        """

    @abstractmethod
    def require(self, dataset: str | None) -> None:
        """Refuses a data set that there are no results on, or results that cannot be read.

        Raises:
            RequestError: With those that there are, or with the way to get them.
        """

    @abstractmethod
    def evaluation(self, description: Description, context: Context) -> Evaluation:
        """Gives the evaluation that looks a description's results up."""

    def foresee(self, description: Description, dataset: str | None) -> Mapping[str, float]:
        """Gives the fixed metrics of a description."""
        return {}


class Lookup(Evaluation):
    """An evaluation without a state: nothing is trained."""

    stateless = True

    def save(self, directory: Path) -> NoReturn:
        raise AssertionError("a stateless evaluation is never saved")

    def load(self, directory: Path) -> NoReturn:
        raise AssertionError("a stateless evaluation is never loaded")
