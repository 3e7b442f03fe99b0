"""How fast a random search of a space finds small errors: the minimum so far, over the number of searches.

Source: Iwata et al., "Refining Design Spaces in Knowledge Distillation for Deep Collaborative Learning", figure 4: a
random search is repeated three times there.

A refinement repeats nothing. It has sampled a space once, uniformly and without replacement, in an order that does not
depend on what came out; so each of several parts of that sample, cut in the order of its trials, is a shorter random
search of its own, and no two of them share a trial. These parts are the repeats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from automl_core.errors import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPEATS = 3


def disjoint_parts(errors: Sequence[float | None], repeats: int = REPEATS) -> list[list[float]]:
    """Splits a sample into parts of equal length, one after the other; what is left over at the end is not used.

    Args:
        errors: The sample's errors in the order of its trials; None for a trial without one, which improves nothing.
        repeats: Number of parts.

    Returns:
        ``repeats`` lists, infinity in place of None.

    Raises:
        RequestError: When there are fewer errors than parts.
    """
    length = len(errors) // repeats if repeats > 0 else 0
    if length < 1:
        raise RequestError(
            f"1 <= repeats <= trials must hold to split a sample, but got {repeats} repeats of {len(errors)} trials; "
            "lower repeats"
        )
    filled = [math.inf if error is None else error for error in errors]
    return [filled[part * length : (part + 1) * length] for part in range(repeats)]


def minimum_curves(parts: Sequence[Sequence[float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gives the minimum error so far after 1, 2, ... searches: mean and sample standard deviation over the repeats.

    Args:
        parts: Errors of each repeat, shape (repeats, searches); infinity for a search without a value.

    Returns:
        Mean and deviation, shape (searches,) each: NaN up to where every repeat has found something. The deviation of a
        single repeat is NaN, too.
    """
    errors_RS = np.asarray(parts, dtype=float)
    minimum_RS = np.minimum.accumulate(np.where(np.isnan(errors_RS), np.inf, errors_RS), axis=1)
    minimum_RS[:, np.isinf(minimum_RS).any(axis=0)] = np.nan
    unknown = np.full(minimum_RS.shape[1], np.nan)
    deviation_S = minimum_RS.std(axis=0, ddof=1) if len(minimum_RS) > 1 else unknown
    return minimum_RS.mean(axis=0), deviation_S
