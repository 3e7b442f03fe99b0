"""The rungs of asynchronous successive halving: who is among the best of those that have arrived so far."""

from __future__ import annotations

import heapq
import math
from typing import Protocol

from automl_core.ranking import Losses
from automl_searchers.fronts import Fronts


class Rung(Protocol):
    """The losses that reached one budget. The best of n are the first ``max(least, n // eta)``."""

    def add(self, losses: Losses | None) -> int:
        """Takes in the losses of a trial, None for one without, and gives its arrival number."""

    def admits(self, arrival: int) -> bool:
        """Whether one that has arrived is among the best; one that ties with the worst of them is."""

    def wait(self, arrival: int, trial: int) -> None:
        """Makes a trial wait for its promotion."""

    def can_promote(self) -> bool:
        """Whether the best waiting trial is among the best of the rung; of equal ones the first to arrive are."""

    def promote(self) -> int:
        """Takes the best waiting trial; asked only after ``can_promote``."""


class OneObjectiveRung:
    """A rung ranked by one loss.

    Two heaps hold the best and the others; since the number of best ones never falls, taking in a loss costs O(log n).

    Args:
        eta: Reduction factor.
        least: Smallest number of best ones.
    """

    def __init__(self, eta: int, least: int) -> None:
        self._eta = eta
        self._least = least
        self._losses: list[float] = []
        self._best: list[tuple[float, int]] = []  # negated, so that the worst of the best comes first
        self._others: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int, int]] = []

    def add(self, losses: Losses | None) -> int:
        arrival = len(self._losses)
        loss = math.inf if losses is None else losses[0]
        self._losses.append(loss)
        worst_loss, worst_arrival = heapq.heappushpop(self._best, (-loss, -arrival))
        heapq.heappush(self._others, (-worst_loss, -worst_arrival))
        if len(self._best) < max(self._least, len(self._losses) // self._eta):
            best_loss, best_arrival = heapq.heappop(self._others)
            heapq.heappush(self._best, (-best_loss, -best_arrival))
        return arrival

    def admits(self, arrival: int) -> bool:
        return bool(self._best) and self._losses[arrival] <= -self._best[0][0]

    def wait(self, arrival: int, trial: int) -> None:
        heapq.heappush(self._waiting, (self._losses[arrival], arrival, trial))

    def can_promote(self) -> bool:
        if not self._waiting or not self._best:
            return False
        worst_loss, worst_arrival = self._best[0]
        return self._waiting[0][:2] <= (-worst_loss, -worst_arrival)

    def promote(self) -> int:
        return heapq.heappop(self._waiting)[2]


class ParetoRung:
    """A rung ranked by several losses: by front, then by crowding distance, as :mod:`automl_core.ranking` orders.

    Taking in losses costs O(n) as a rule (:class:`automl_searchers.fronts.Fronts`), a decision O(n) and the crowding
    distances of one front.

    Args:
        eta: Reduction factor.
        least: Smallest number of best ones.
    """

    def __init__(self, eta: int, least: int) -> None:
        self._eta = eta
        self._least = least
        self._arrived = 0
        self._fronts = Fronts()
        self._waiting: dict[int, int] = {}  # arrival: trial
        self._next: int | None = None  # the arrival to promote
        self._decided = True  # whether ``_next`` is up to date

    def add(self, losses: Losses | None) -> int:
        arrival = self._arrived
        self._arrived += 1
        self._decided = False
        if losses is not None:
            self._fronts.add(arrival, losses)
        return arrival

    def admits(self, arrival: int) -> bool:
        room = self._quota()
        for front in self._fronts:
            if arrival in front.members:
                if 0 < room < len(front.members):
                    distances = front.distances()
                    return sum(distance > distances[arrival] for distance in distances.values()) < room
                return room > 0
            room -= len(front.members)
        return False

    def wait(self, arrival: int, trial: int) -> None:
        self._waiting[arrival] = trial
        self._decided = False

    def can_promote(self) -> bool:
        if not self._decided:
            self._next = self._first_waiting()
            self._decided = True
        return self._next is not None

    def promote(self) -> int:
        assert self._next is not None
        self._decided = False
        return self._waiting.pop(self._next)

    def _quota(self) -> int:
        return max(self._least, self._arrived // self._eta)

    def _first_waiting(self) -> int | None:
        room = self._quota()
        for front in self._fronts:
            if room <= 0 or not self._waiting:
                return None
            if not self._waiting.keys().isdisjoint(front.members.tolist()):
                best = front.best_first()[:room]
                found = next((arrival for arrival in best if arrival in self._waiting), None)
                if found is not None:
                    return found
            room -= len(front.members)
        return None
