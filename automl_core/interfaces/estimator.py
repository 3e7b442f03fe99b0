"""Estimators: they predict final performance from what an evaluation has observed so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from automl_core.types import Estimate, Observation


class Estimator(ABC):
    """Predicts the final metrics of one trial. Constructor keywords are its options.

    One that needs features or the network runs beside the evaluation and is part of its checkpoint. One that needs
    nothing runs in the engine, on the journalled curve.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """Any of ``features`` and ``network``."""

    @abstractmethod
    def observe(self, observation: Observation) -> None:
        """Takes in the observation of one unit; units arrive in rising order."""

    @abstractmethod
    def estimate(self) -> Estimate:
        """Predicts the metrics at the maximum budget; at least one observation has been taken in."""

    def save(self, directory: Path) -> None:  # noqa: B027 - one that runs in the engine has nothing to save
        """Writes what ``load`` needs into an existing directory of its own."""

    def load(self, directory: Path) -> None:  # noqa: B027
        """Goes on from what ``save`` wrote."""
