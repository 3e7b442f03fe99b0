"""Which checkpoints stay, and how much room they and the artefacts may take."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from automl_core.engine.state import StudyState, Trial
from automl_core.errors import AutomlError
from automl_core.spec import Retention
from automl_core.storage import Store
from automl_core.types import OVER

log = logging.getLogger(__name__)


class DiskBudgetError(AutomlError, RuntimeError):
    """What must be kept does not fit into the disk budget (exit code 1); the study can be resumed with a larger one."""


@dataclass(frozen=True)
class Dropped:
    """A checkpoint that was given up for the disk budget.

    Args:
        trial: Whose it was.
        size: Bytes that it took.
        reason: Why this one.
    """

    trial: int
    size: int
    reason: str


class Keeper:
    """Removes the checkpoints that nothing needs any more, and under a disk budget those that are missed least.

    A trial whose checkpoint was dropped is not lost: its seed gives the same training again, should it be gone on with.

    Args:
        state: The study.
        store: Where checkpoints and artefacts are.
        study: The study's number in its journal.
        retention: ``needed``, or ``all`` for those of trials that have ended as well.
        budget: Bytes that the study may take; None for no limit.
        forget: Tells the executor that no job will come for a trial any more.
    """

    def __init__(
        self,
        state: StudyState,
        store: Store,
        study: int,
        retention: Retention,
        budget: int | None,
        forget: Callable[[int], None],
    ) -> None:
        self.state = state
        self.store = store
        self.retention = retention
        self.budget = budget
        self.forget = forget
        self._prefix = f"checkpoints/{study}"
        self._front: set[int] = set()
        self._changes = 0
        self._kept = self._found()
        self._sizes = {number: self._measure(number) for number in self._kept} if budget is not None else {}
        self._artefacts = self._artefact_sizes() if budget is not None else {}
        self._largest = max(self._sizes.values(), default=0)

    def key(self, number: int) -> str:
        """The key below which a trial's checkpoints lie."""
        return f"{self._prefix}/{number}"

    def free(self, told: set[int], running: int) -> list[Dropped]:
        """Removes what is not needed after some jobs have ended.

        Args:
            told: Trials whose jobs have ended.
            running: How many jobs may be writing a checkpoint meanwhile.

        Returns:
            What was given up for the disk budget.

        Raises:
            DiskBudgetError: When what must be kept does not fit.
        """
        doubtful = told | (self._front - self.state.front)
        self._front = set(self.state.front)
        self._kept |= doubtful
        if self.budget is not None:
            self._account(doubtful)
        self._changes += 1
        if self._changes >= len(self._kept):
            # All others are looked at as often as doubles the work at most: after as many changes as there are.
            doubtful, self._changes = set(self._kept), 0
        for number in [number for number in doubtful if not self._needed(number)]:
            self.forget(number)
            self._remove(number)
        return [] if self.budget is None else list(self._shrink(self.budget, running))

    def _needed(self, number: int) -> bool:
        if number in self.state.pending or number in self.state.front or number == self.state.incumbent:
            return True
        trial = self.state.trials[number]
        if trial.address is not None or trial.status in OVER:
            return False
        return self.retention == "all" or self._may_go_on(trial)

    def _may_go_on(self, trial: Trial) -> bool:
        return trial.status == "paused" and self.state.searcher.may_continue(trial.number)

    def _remove(self, number: int) -> None:
        self._kept.discard(number)
        self._sizes.pop(number, None)
        self.store.remove(self.key(number))

    def _found(self) -> set[int]:
        """Finds the trials that have checkpoints; what belongs to none of this study's is removed."""
        numbers = {int(name) for name in self.store.children(self._prefix) if name.isdigit()}
        for number in [number for number in numbers if number >= self.state.next_trial]:
            self.store.remove(self.key(number))
            numbers.discard(number)
        return numbers

    # -- the disk budget -----------------------------------------------------------------------------------------

    def _measure(self, number: int) -> int:
        return sum(self.store.size(key) for key in self.store.keys(self.key(number)))

    def _artefact_sizes(self) -> dict[str, int]:
        return {address: self.store.size(f"artefacts/{address}") for address in self.state.addresses}

    def _account(self, changed: set[int]) -> None:
        for number in changed:
            address = self.state.trials[number].address
            if address is not None:
                self._artefacts[address] = self.store.size(f"artefacts/{address}")
            self._sizes[number] = self._measure(number)
            self._largest = max(self._largest, self._sizes[number])

    def _shrink(self, budget: int, running: int) -> Iterator[Dropped]:
        """Drops checkpoints until there is room for those that running jobs write beside their last ones."""
        total = sum(self._sizes.values()) + sum(self._artefacts.values())
        room = budget - running * self._largest
        if total <= room:
            return
        for number, reason in self._dispensable():
            size = self._sizes[number]
            self._remove(number)
            log.info("the checkpoint of trial %d (%d bytes) was dropped: %s", number, size, reason)
            yield Dropped(number, size, reason)
            total -= size
            if total <= room:
                return
        if total > budget:
            raise DiskBudgetError(
                f"what a study must keep has to fit into its disk budget, but running trials, the best ones and "
                f"{len(self._artefacts)} artefacts take {total / 1e6:,.1f} MB of {budget / 1e6:,.1f} MB; "
                "go on with 'automl resume' and a larger --disk-budget"
            )

    def _dispensable(self) -> list[tuple[int, str]]:
        """Orders what can be dropped: first what has ended, then paused trials by cost and promise, then the front."""
        trials = [self.state.trials[number] for number, size in self._sizes.items() if size]
        free = [trial for trial in trials if trial.number not in self.state.pending and trial.address is None]
        front = [trial for trial in free if trial.number in self.state.front and trial.number != self.state.incumbent]
        others = [trial for trial in free if trial.number not in self.state.front | {self.state.incumbent}]
        ended = [trial for trial in others if not self._may_go_on(trial)]
        paused = [trial for trial in others if self._may_go_on(trial)]
        paused.sort(key=lambda trial: (trial.budget, tuple(-loss for loss in self.state.losses(trial) or ())))
        return [
            *((trial.number, "no job will come for it; it was kept by --checkpoint all") for trial in ended),
            *((trial.number, "of the paused trials it had cost and promised the least") for trial in paused),
            *((trial.number, "it is on the front, but not the best in the first objective") for trial in front),
        ]
