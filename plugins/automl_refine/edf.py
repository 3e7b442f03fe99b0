"""The empirical distribution of errors, the area under it, and how sure that area is.

Source: Radosavovic et al., "On Network Design Spaces for Visual Recognition" (ICCV 2019), equation 1 (distribution);
Iwata et al., "Refining Design Spaces in Knowledge Distillation for Deep Collaborative Learning" (area).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from automl_core.errors import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = Sequence[float] | NDArray[np.float64]
    Group = slice | NDArray[np.bool_]

LEVEL = 0.95
"""Confidence level of intervals."""

RESAMPLES = 1000
"""Bootstrap samples behind an interval."""

FEWEST = 2
"""Different trainings that an interval takes at least."""

BLOCK = 4096
"""Trainings added up at a time, so that memory stays small however many there are."""

ALL = slice(None)


def edf(errors: Numbers, x: float) -> float:
    """Gives the share of errors that are smaller than ``x``, in [0, 1]; one that equals ``x`` is not counted.

    Raises:
        RequestError: When there is no error, or one is not a number.
    """
    return float(np.mean(_checked(errors) < x))


def area(errors: Numbers, low: float = 0.0, high: float = 100.0) -> float:
    """Integrates :func:`edf` from ``low`` to ``high``: the mean of max(0, high - max(low, error)).

    Exact, since the distribution is a step function. Over 0 to 100 percent it is the mean accuracy in percent.

    Args:
        errors: In any unit, that of the area too.
        low: Where to begin.
        high: Where to end.

    Raises:
        RequestError: When low >= high, when there is no error, or one is not a number.
    """
    return float(np.mean(_shares(errors, low, high)))


def interval(
    errors: Numbers,
    keys: Iterable[Hashable],
    low: float = 0.0,
    high: float = 100.0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Gives a bootstrap interval of :func:`area` by percentiles.

    Errors with equal keys come from one training, so they are drawn together or not at all: a cluster bootstrap
    (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).

    Args:
        errors: As for :func:`area`.
        keys: Each error's training.
        low: As for :func:`area`.
        high: As for :func:`area`.
        level: How sure it is to be, above 0 and below 1.
        resamples: How many samples to draw.
        seed: Determines the draws.

    Returns:
        Both ends; None for fewer than two trainings.

    Raises:
        RequestError: As for :func:`area`.
    """
    return Bootstrap(keys, resamples, seed).interval(errors, low, high, level)


class Bootstrap:
    """Samples of trainings, drawn once, that the intervals of any groups of their errors are read from.

    Each sample draws as many trainings as there are, with replacement, so that a group's size changes from sample to
    sample as it would in another search. That costs one draw for a whole table, however many groups it has.

    Args:
        keys: The training of each error.
        resamples: How many samples to draw.
        seed: Determines the draws.
    """

    def __init__(self, keys: Iterable[Hashable], resamples: int = RESAMPLES, seed: int = 0) -> None:
        place: dict[Hashable, int] = {}
        self._owner = np.array([place.setdefault(key, len(place)) for key in keys], dtype=np.intp)
        generator = np.random.default_rng(seed)
        # (trainings, samples): how often each was drawn, which is far below 256.
        self._drawn = np.empty((len(place), resamples), dtype=np.uint8)
        for sample in range(resamples if place else 0):
            drawn = generator.integers(0, len(place), len(place))
            self._drawn[:, sample] = np.bincount(drawn, minlength=len(place))

    def distinct(self, group: Group = ALL) -> int:
        """Counts the trainings in a group."""
        return len(np.unique(self._owner[group]))

    def interval(
        self, errors: Numbers, low: float, high: float, level: float = LEVEL, group: Group = ALL
    ) -> tuple[float, float] | None:
        """Gives the interval of a group's area; None for fewer than two trainings.

        Args:
            errors: Those of the group alone.
            low: As for :func:`area`.
            high: As for :func:`area`.
            level: How sure it is to be, above 0 and below 1.
            group: Which of the keys these errors belong to.
        """
        shares = _shares(errors, low, high)
        sizes = np.bincount(self._owner[group])
        sums = np.bincount(self._owner[group], weights=shares)
        (trainings,) = sizes.nonzero()
        if len(trainings) < FEWEST:
            return None
        numbers = np.stack([sums[trainings], sizes[trainings]])
        total, count = np.zeros((2, self._drawn.shape[1]))
        for start in range(0, len(trainings), BLOCK):
            part = slice(start, start + BLOCK)
            added = numbers[:, part] @ self._drawn[trainings[part]]
            total += added[0]
            count += added[1]
        seen = count > 0  # a small group may be missing from a sample
        tail = (1.0 - level) / 2.0
        bottom, top = np.quantile(total[seen] / count[seen], (tail, 1.0 - tail)).tolist()
        return bottom, top


def check_span(low: float, high: float) -> None:
    """Refuses a range that holds nothing.

    Raises:
        RequestError: Naming both ends.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RequestError(
            f"errors must be looked at from a finite number to a larger one, but got {low:g} to {high:g}; choose "
            "another range, such as 0 to 100"
        )


def _shares(errors: Numbers, low: float, high: float) -> NDArray[np.float64]:
    """Gives what each error adds to the area, times their number."""
    check_span(low, high)
    return np.maximum(0.0, high - np.maximum(low, _checked(errors)))


def _checked(errors: Numbers) -> NDArray[np.float64]:
    found = np.asarray(errors, dtype=np.float64)
    if not found.size:
        raise RequestError(
            "a distribution must have at least one error, but got none; take a group that holds trials with a value"
        )
    if np.isnan(found).any():
        raise RequestError(
            f"errors must be numbers, but {int(np.isnan(found).sum())} of {found.size} are NaN; leave out "
            "what failed or diverged"
        )
    return found
