"""A batch size that grows for as long as memory allows.

Source: Laube and Zell, "Prune and Replace NAS" (2019), section IV-A, on the batch size; the rule itself is that of its
published code.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_vision.trainer.memory_probes import MemoryProbe

FILL = 0.95
"""Share of the memory that a batch may take."""

MULTIPLE = 8
"""Images by whose multiples a batch grows."""

log = logging.getLogger(__name__)


def grown(size: int, fraction: float, largest: int) -> int:
    """Gives the batch size after one of ``size`` images took up to ``fraction`` of the memory; never a smaller one.

    What does not grow with the batch (weights, data, the interpreter) is in the fraction too, so the new batch takes
    less than the rule reckons with.

    Args:
        size: Images in a batch.
        fraction: Above 0; at 0 nothing is known, and the size stays.
        largest: Images in a batch at most.
    """
    if fraction <= 0:
        return size
    fitting = math.floor(FILL * size / fraction) // MULTIPLE * MULTIPLE
    return max(size, min(fitting, 2 * size, largest))


class BatchSizeController:
    """Looks at the memory every few steps, and lets the batch grow into what is left of it.

    The batch never shrinks: it begins anew with a new controller.

    Args:
        smallest: Images in a batch at first.
        largest: Images in a batch at most.
        every: Steps from one look at the memory to the next, across epochs.
        probe: Tells how full it is.
    """

    def __init__(self, smallest: int, largest: int, every: int, probe: MemoryProbe) -> None:
        self.size = smallest
        self.largest, self.every, self.probe = largest, every, probe
        self.highest = 0.0
        """Largest share of the memory that any look of this epoch has found."""
        self._steps = 0
        self._warned = False

    def reset(self) -> None:
        """Forgets how full the memory was, for the next epoch's looks."""
        self.highest = 0.0
        self.probe.reset()

    def step(self) -> int:
        """Counts a step, looks at the memory if it is time to, and gives the size of the next batch."""
        self._steps += 1
        if self._steps % self.every == 0:
            self.highest = max(self.highest, self.probe.fraction())
            if self.highest > 1 and not self._warned:
                self._warned = True
                log.warning(
                    "batches stay at %d images, since %.1f times the memory is used that there may be; raise "
                    "trainer.memory_limit, or lower the batch",
                    self.size,
                    self.highest,
                )
            size = grown(self.size, self.highest, self.largest)
            if size > self.size:
                log.info("%d images per batch, up from %d, at %.2f of memory", size, self.size, self.highest)
            self.size = size
        return self.size

    def state_dict(self) -> dict[str, Any]:
        """Gives what a training needs to go on with the same batches."""
        return {"size": self.size, "highest": self.highest, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what :meth:`state_dict` gave."""
        self.size, self.highest, self._steps = state["size"], state["highest"], state["steps"]
