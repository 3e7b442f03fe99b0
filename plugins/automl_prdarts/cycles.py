"""The cycles of a search: how long each one trains, and how many candidates an edge has after it.

Source: Laube and Zell, "Prune and Replace NAS" (2019), section IV, with the grace epochs of the authors' code.
"""

from __future__ import annotations

from dataclasses import dataclass

from automl_core.errors import RequestError

EPOCHS = (15, 15, 10, 10, 10, 10, 10, 10, 10)
GRACE = (5, 5, 3, 3, 3, 3, 3, 3, 3)
CANDIDATES = (6, 6, 6, 6, 6, 4, 3, 2, 1)
MORPHISMS = (3, 3, 3, 3, 3, 0, 0, 0, 0)
"""As published: 100 epochs in nine cycles, of which the last four only drop."""


@dataclass(frozen=True)
class Schedule:
    """The table of cycles; each of its rows has one entry for each cycle.

    Args:
        start: Candidates of every edge in the first cycle.
        epochs: Epochs of each cycle.
        grace: Its first epochs, in which architecture weights stay as they are.
        candidates: Candidates of every edge after it, new ones included; 1 after the last.
        morphisms: New candidates of every edge after it; 0 after the last.

    Raises:
        RequestError: For a table that cannot be carried out.
    """

    start: int
    epochs: tuple[int, ...] = EPOCHS
    grace: tuple[int, ...] = GRACE
    candidates: tuple[int, ...] = CANDIDATES
    morphisms: tuple[int, ...] = MORPHISMS

    def __post_init__(self) -> None:
        rows = {name: getattr(self, name) for name in ("epochs", "grace", "candidates", "morphisms")}
        lengths = {name: len(row) for name, row in rows.items()}
        if not self.epochs or len(set(lengths.values())) > 1:
            raise RequestError(
                "each cycle must have an entry in every row of the table, but there are "
                + ", ".join(f"{length} of cycle_{name}" for name, length in lengths.items())
                + "; give all four rows the same length, of at least 1"
            )
        for number in range(len(self)):
            self._check_cycle(number)
        if self.candidates[-1] != 1 or self.morphisms[-1] != 0:
            raise RequestError(
                "after the last cycle each edge must have 1 candidate and no new one, but cycle_candidates ends with "
                f"{self.candidates[-1]} and cycle_morphisms with {self.morphisms[-1]}; let them end with 1 and 0"
            )

    def __len__(self) -> int:
        """The number of cycles."""
        return len(self.epochs)

    @property
    def total(self) -> int:
        """Epochs of all cycles."""
        return sum(self.epochs)

    @property
    def trained(self) -> tuple[int, ...]:
        """Candidates of an edge while each cycle trains, where enough new ones were found."""
        return (self.start, *self.candidates[:-1])

    @property
    def dropped(self) -> tuple[int, ...]:
        """Candidates that an edge loses after each cycle, where enough new ones were found."""
        return tuple(self.drops(number, count) for number, count in enumerate(self.trained))

    def begins(self, number: int) -> int:
        """Counts the epochs before a cycle."""
        return sum(self.epochs[:number])

    def is_last(self, number: int) -> bool:
        """Tells whether no cycle follows."""
        return number == len(self) - 1

    def drops(self, number: int, current: int) -> int:
        """Counts the candidates that an edge loses after a cycle.

        Args:
            number: Number of the cycle, from 0.
            current: Candidates that the edge has; fewer than planned where too few new ones were found.
        """
        return max(0, current - self.candidates[number] + self.morphisms[number])

    def _check_cycle(self, number: int) -> None:
        epochs, grace, where = self.epochs[number], self.grace[number], f"cycle {number + 1}"
        if not 0 <= grace < epochs:
            raise RequestError(
                "architecture weights must be trained in every cycle, so 0 <= grace < epochs must hold, but "
                f"{where} has {grace} grace epochs of {epochs}; lower its grace or raise its epochs"
            )
        current, after, new = self.trained[number], self.candidates[number], self.morphisms[number]
        if not (new >= 0 and after - new >= 1):
            raise RequestError(
                "new candidates are made from old ones, so at least one of these must stay, but after "
                f"{where} there are to be {after} candidates, {new} of them new; raise its entry of cycle_candidates "
                "or lower that of cycle_morphisms, both at least 0"
            )
        if after - new > current:
            raise RequestError(
                f"an edge can only keep what it has, but after {where}, which trains {current} candidates, "
                f"{after - new} are to be left beside {new} new ones; lower its entry of cycle_candidates or raise "
                "that of cycle_morphisms"
            )
