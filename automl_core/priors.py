"""How probable a hyperparameter's values are where ConfigSpace draws it, and draws from some of them alone.

Values that a hyperparameter lists, and whole numbers, go by their position, from 0 on; other numbers by themselves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_core.restricting import Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import ArrayLike, NDArray

    Some = Sequence[int] | Range | tuple[float, ...]
    """Some of a hyperparameter's values: positions; of what has no positions a range, or single numbers."""


def is_whole(hyperparameter: Any) -> bool:
    """Whether a hyperparameter is a range of whole numbers."""
    from ConfigSpace.hyperparameters import IntegerHyperparameter

    return isinstance(hyperparameter, IntegerHyperparameter)


def share_below(hyperparameter: Any, where: ArrayLike) -> NDArray[np.float64]:
    """Gives how probable values below some are, each from 0 to 1."""
    places = np.asarray(where, dtype=np.float64)
    if math.isinf(hyperparameter.size):
        return _cumulated(hyperparameter, hyperparameter.to_vector(places))
    if is_whole(hyperparameter):
        return _cumulated(hyperparameter, _bin_ends(hyperparameter, places))
    probabilities = getattr(hyperparameter, "probabilities", None)
    if probabilities is None:
        return np.asarray(places / hyperparameter.size)
    ends: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(probabilities)])
    return np.asarray(ends[places.astype(int)])


def at_share(hyperparameter: Any, shares: ArrayLike) -> NDArray[np.float64]:
    """Gives the numbers of a range below which given shares are: the inverse of :func:`share_below`."""
    wanted, rv = np.asarray(shares, dtype=np.float64), _distribution(hyperparameter)
    vector = wanted if rv is None else rv.ppf(wanted)
    if math.isinf(hyperparameter.size):
        return np.asarray(hyperparameter.to_value(np.clip(vector, 0.0, 1.0)), dtype=np.float64)
    if _bins_are_of_values(hyperparameter):
        low, high = float(hyperparameter.lower), float(hyperparameter.upper)
        vector = (low * (high / low) ** vector - low) / (high - low)
    return np.asarray(np.clip(np.floor(vector * hyperparameter.size), 0, hyperparameter.size - 1))


def share_of(hyperparameter: Any, some: Some) -> float:
    """Gives how probable some of a hyperparameter's values are together; 0 for single numbers among infinitely many."""
    if isinstance(some, Range):
        low, high = share_below(hyperparameter, [some.low, some.high])
        return float(high - low)
    if math.isinf(hyperparameter.size) or not len(some):
        return 0.0
    if isinstance(some, range):
        low, high = share_below(hyperparameter, [some.start, some.stop])
        return float(high - low)
    return float(weights(hyperparameter, some).sum())


def weights(hyperparameter: Any, some: Sequence[float]) -> NDArray[np.float64]:
    """Gives how probable each of some values is; of numbers among infinitely many, in proportion to their densities."""
    places = np.asarray(some, dtype=np.float64)
    if math.isinf(hyperparameter.size):
        return np.asarray(hyperparameter.pdf_vector(hyperparameter.to_vector(places)), dtype=np.float64)
    return np.asarray(share_below(hyperparameter, places + 1) - share_below(hyperparameter, places))


def draw(hyperparameter: Any, some: Some, number: int, generator: Generator) -> NDArray[np.float64]:
    """Draws from some of a hyperparameter's values as ConfigSpace would, were all others refused."""
    if isinstance(some, Range):
        low, high = share_below(hyperparameter, [some.low, some.high])
        found = at_share(hyperparameter, generator.uniform(low, high, number))
        return np.clip(found, some.low, some.high)
    if isinstance(some, range) and is_whole(hyperparameter):
        low, high = share_below(hyperparameter, [some.start, some.stop])
        found = at_share(hyperparameter, generator.uniform(low, high, number))
        return np.clip(found, some.start, some.stop - 1)
    odds = weights(hyperparameter, some)
    total = odds.sum()
    return np.asarray(
        generator.choice(np.asarray(some, dtype=np.float64), number, p=odds / total if total > 0 else None)
    )


def _distribution(hyperparameter: Any) -> Any:
    """Gives SciPy's distribution of the vector form; None where that is uniform."""
    return getattr(hyperparameter._vector_dist, "rv", None)  # ConfigSpace has no other way to quantiles


def _cumulated(hyperparameter: Any, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    rv = _distribution(hyperparameter)
    return np.asarray(np.clip(vector, 0.0, 1.0) if rv is None else rv.cdf(vector), dtype=np.float64)


def _bins_are_of_values(hyperparameter: Any) -> bool:
    return bool(getattr(hyperparameter._vector_dist, "log_scale", False))


def _bin_ends(hyperparameter: Any, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gives where what is rounded to each whole number begins: ConfigSpace cuts the range into equal bins."""
    parts = places / hyperparameter.size
    if not _bins_are_of_values(hyperparameter):
        return np.asarray(parts)
    low, high = float(hyperparameter.lower), float(hyperparameter.upper)
    return np.asarray(np.log((low + parts * (high - low)) / low) / np.log(high / low))
