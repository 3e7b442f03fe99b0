"""How many bytes a feature history takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl_core.errors import RequestError
from automl_core.interfaces import FeatureSizes
from automl_core.spec import parse_size

Precision = Literal["float32", "float16"]

LABEL, FLOAT = 8, 4
"""Bytes of a label, and of a weight or a probability."""


@dataclass(frozen=True)
class Room:
    """Bytes of what a history holds.

    Args:
        epoch: Features and labels of one epoch, and its head.
        vote: Probabilities that one refitted head gives the validation images.
        labels: Labels of the validation images, held once.
    """

    epoch: int
    vote: int
    labels: int

    @classmethod
    def of(cls, sizes: FeatureSizes, precision: Precision) -> Room:
        """Counts what features of some sizes take in a precision."""
        number = 4 if precision == "float32" else 2
        features = (sizes.train + sizes.validation) * sizes.dimension * number
        head = sizes.classes * (sizes.dimension + 1) * FLOAT
        return cls(
            epoch=features + sizes.train * LABEL + head,
            vote=sizes.validation * sizes.classes * FLOAT,
            labels=sizes.validation * LABEL,
        )

    def least(self, window: int) -> int:
        """Gives what must be held at once: one epoch to refit, and the votes of all others in the window."""
        return self.labels + (window - 1) * self.vote + max(self.epoch, self.vote)

    def full(self, window: int) -> int:
        """Gives what a window takes whose epochs are all still to be refitted, or all were."""
        return self.labels + window * max(self.epoch, self.vote)


def parse_memory(memory: int | str | None) -> int | None:
    """Reads the bound on a history's bytes.

    Raises:
        RequestError: For what is no size above 0.
    """
    try:
        return None if memory is None else parse_size(memory)
    except RequestError:
        raise RequestError(
            f"memory of feature-history must be a size above 0 such as 500MB or 2GiB, but got {memory!r}; "
            "leave it out for no bound"
        ) from None
