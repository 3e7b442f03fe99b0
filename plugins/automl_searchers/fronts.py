"""Non-dominated fronts that are kept up to date, instead of being found anew whenever something arrives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl_core.ranking import Losses, crowding

Points = NDArray[np.float64]
"""(points, objectives): losses, smaller is better."""


@dataclass(frozen=True)
class Front:
    """Numbers of what does not dominate one another, with its losses."""

    members: NDArray[np.int64]
    points: Points

    def distances(self) -> dict[int, float]:
        """Gives the members' crowding distances, by rising number."""
        order = np.argsort(self.members)
        points = [tuple(point) for point in self.points[order].tolist()]
        return dict(zip(self.members[order].tolist(), crowding(points), strict=True))

    def best_first(self) -> list[int]:
        """Gives the members, the least crowded first; of equally crowded ones the lower number."""
        distances = self.distances()
        return sorted(distances, key=distances.__getitem__, reverse=True)  # stable in reverse, too

    def only(self, chosen: NDArray[np.bool_]) -> Front:
        return Front(self.members[chosen], self.points[chosen])

    def joined(self, other: Front) -> Front:
        return Front(np.append(self.members, other.members), np.concatenate([self.points, other.points]))


class Fronts:
    """Fronts in the order of :func:`automl_core.ranking.best_first`, which orders all at once.

    A newcomer joins the first front where nothing dominates it and pushes those that it dominates there one front
    further, where they push in turn: Li et al., "Efficient Nondomination Level Update Method for Steady-State
    Evolutionary Multiobjective Optimization" (2017). That costs O(n) as a rule.
    """

    def __init__(self) -> None:
        self._fronts: list[Front] = []

    def __iter__(self) -> Iterator[Front]:
        return iter(self._fronts)

    def best_first(self) -> list[int]:
        """Gives all numbers: by front, then by crowding distance, then by number."""
        return [number for front in self._fronts for number in front.best_first()]

    def add(self, number: int, losses: Losses) -> None:
        """Takes in a number with its losses, all finite."""
        come = Front(np.array([number]), np.array([losses]))
        level, high = 0, len(self._fronts)
        while level < high:
            middle = (level + high) // 2
            if _dominated(come.points, self._fronts[middle].points).any():
                level = middle + 1
            else:
                high = middle
        while level < len(self._fronts):
            front = self._fronts[level]
            pushed = _dominated(front.points, come.points)
            if pushed.all():
                break  # the whole front moves on, and so does each one after it
            self._fronts[level] = front.only(~pushed).joined(come)
            if not pushed.any():
                return
            come = front.only(pushed)
            level += 1
        self._fronts.insert(level, come)


def _dominated(points: Points, by: Points) -> NDArray[np.bool_]:
    """Tells which points are dominated by one of the others."""
    nowhere_worse = np.all(by[:, None] <= points, axis=2)
    somewhere_better = np.any(by[:, None] < points, axis=2)
    return np.asarray((nowhere_worse & somewhere_better).any(axis=0))
