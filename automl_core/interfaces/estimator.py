"""Estimators: they predict final performance from what an evaluation has observed so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from automl_core.interfaces.searcher import Problem
from automl_core.types import Configuration, Estimate, Observation, Point

if TYPE_CHECKING:
    from automl_core.interfaces.evaluator import Evaluator


@dataclass(frozen=True)
class Segment:
    """What one job has added to a candidate's learning curve.

    Args:
        trial: Number of the trial; several segments of one trial follow one another.
        configuration: The trial's configuration.
        points: Points by rising unit.
    """

    trial: int
    configuration: Configuration
    points: tuple[Point, ...]


class Estimator(ABC):
    """Predicts the final metrics of one trial. Constructor keywords are its options.

    One that needs features or the network runs beside the evaluation and is part of its checkpoint. One that needs
    nothing runs in the engine, on the journalled curves: for each outcome a new one is built, started, given the
    history to learn from, shown the trial's curve and asked.
    """

    problem: Problem

    needs: ClassVar[frozenset[str]] = frozenset()
    """Any of ``features`` and ``network``."""

    def start(self, problem: Problem) -> None:
        """Begins; called once, before anything else.

        Raises:
            RequestError: For a problem that it cannot estimate.
        """
        self.problem = problem

    def check(self, evaluator: Evaluator) -> Sequence[str]:
        """Refuses what cannot work, and gives what the user should know, a line each; before any trial begins.

        Raises:
            RequestError: With the reason and what would work.
        """
        return ()

    def learn(self, configuration: Configuration, history: Sequence[Segment]) -> None:  # noqa: B027
        """Takes in what is known of all trials, for one that runs in the engine; called before ``observe``.

        Training something is best kept in a cache by what it was trained on, since this is called for every outcome.

        Args:
            configuration: That of the trial to be estimated.
            history: What was told of all candidates before, in the order in which it was told.
        """

    @abstractmethod
    def observe(self, observation: Observation) -> None:
        """Takes in the observation of one unit; units arrive in rising order."""

    @abstractmethod
    def estimate(self) -> Estimate:
        """Predicts the metrics at the maximum budget; at least one observation has been taken in.

        Asking must not change what later estimates give.
        """

    def save(self, directory: Path) -> None:  # noqa: B027 - one that runs in the engine has nothing to save
        """Writes what ``load`` needs into an existing directory of its own."""

    def load(self, directory: Path) -> None:  # noqa: B027
        """Goes on from what ``save`` wrote."""
