"""Comparing what has one loss or several; smaller is better throughout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import itemgetter

Losses = tuple[float, ...]
"""One number per objective, turned so that smaller is better; infinity where there is no value."""


def dominates(one: Losses, other: Losses) -> bool:
    """Whether ``one`` is nowhere worse than ``other`` and somewhere better."""
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def pareto_front(losses: Sequence[Losses]) -> list[int]:
    """Gives the positions of what nothing dominates, in order; equal losses are all kept."""
    return sorted(fronts(losses)[0]) if losses else []


def fronts(losses: Sequence[Losses]) -> list[list[int]]:
    """Sorts into fronts: the first is dominated by nothing, the next by the first alone, and so on.

    Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (2002), section III.A. Taken in
    lexicographic order, each one need only be held against what stands in a front already; its own front is found by
    bisection (Zhang et al., "An Efficient Approach to Nondominated Sorting", 2015).

    Args:
        losses: One tuple each, all of the same length.

    Returns:
        Positions by front, each front in lexicographic order of the losses.
    """
    import numpy as np

    if not losses:
        return []
    points = np.array(losses, dtype=np.float64)
    found: list[list[int]] = []
    for position in np.lexsort(points.T[::-1]).tolist():
        point = points[position]
        low, high = 0, len(found)
        while low < high:
            middle = (low + high) // 2
            front = points[found[middle]]
            if ((front <= point).all(axis=1) & (front < point).any(axis=1)).any():
                low = middle + 1
            else:
                high = middle
        if low == len(found):
            found.append([])
        found[low].append(position)
    return found


def crowding(losses: Sequence[Losses]) -> list[float]:
    """Gives each one's crowding distance among the others of its front; infinity at the ends.

    Deb et al. (2002), section III.B: per objective the distance between both neighbours, divided by the range.
    """
    distances = [0.0] * len(losses)
    for objective in range(len(losses[0]) if losses else 0):
        order = sorted(range(len(losses)), key=lambda position: losses[position][objective])
        value = [losses[position][objective] for position in order]
        distances[order[0]] = distances[order[-1]] = math.inf
        extent = value[-1] - value[0]
        if 0.0 < extent < math.inf:
            for place in range(1, len(order) - 1):
                distances[order[place]] += (value[place + 1] - value[place - 1]) / extent
    return distances


def best_first(losses: Sequence[Losses]) -> list[int]:
    """Orders positions, best first.

    One objective: by loss. Several: by front, then by crowding distance, the least crowded first. Ties keep their
    order. What holds an infinity comes after everything that is finite.
    """
    if all(len(one) == 1 for one in losses):
        return sorted(range(len(losses)), key=losses.__getitem__)
    lacking = [any(map(math.isinf, one)) for one in losses]
    complete = [position for position, lacks in enumerate(lacking) if not lacks]
    ordered: list[int] = []
    for front in fronts([losses[position] for position in complete]):
        members = sorted(complete[place] for place in front)
        distances = crowding([losses[position] for position in members])
        ordered += [members[place] for place in _descending(distances)]
    return ordered + [position for position, lacks in enumerate(lacking) if lacks]


def _descending(numbers: Iterable[float]) -> list[int]:
    pairs = sorted(((-number, place) for place, number in enumerate(numbers)), key=itemgetter(0))
    return [place for _, place in pairs]
