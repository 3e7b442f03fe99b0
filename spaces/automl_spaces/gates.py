"""Gates: how an edge of a knowledge-transfer graph lets its loss through.

A gate reduces the per-sample divergences of one batch to the edge's loss. Nothing here imports torch: a gate only
calls methods of the tensors that it is given, so that spaces can ask what a gate means without loading a framework.

Source: Minami et al., "Knowledge Transfer Graph for Deep Collaborative Learning" (ACCV 2020), section on gates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GateInput:
    """What a gate sees of one batch on one edge.

    Args:
        divergence: Per-sample loss of the edge, shape (B,); gradients flow to the destination alone.
        source_correct: Whether the source's most probable class is the label, shape (B,), bool. All true on a label
            edge.
        progress: k / k_end: the iteration's number, counted from 1, over the iterations of the whole planned
            training; in (0, 1].
    """

    divergence: Tensor
    source_correct: Tensor
    progress: float


class Gate(ABC):
    """Reduces an edge's per-sample divergences to a scalar loss."""

    on_label: ClassVar[str] = ""
    """The gate that does the same on a label edge, where the source is always right; empty: this gate itself."""

    open: ClassVar[bool] = True
    """False for a gate that never lets anything through: the edge does not exist."""

    @abstractmethod
    def __call__(self, batch: GateInput) -> Tensor:
        """Gives the edge's loss, a scalar."""


class Through(Gate):
    """The mean over the batch."""

    def __call__(self, batch: GateInput) -> Tensor:
        return batch.divergence.mean()


class Cutoff(Gate):
    """No loss and no gradient: the edge does not exist."""

    open = False

    def __call__(self, batch: GateInput) -> Tensor:
        raise AssertionError("an edge behind a cutoff gate is never built")


class Linear(Gate):
    """Rises from almost 0 to 1 over the planned training: (k / k_end) times the mean."""

    def __call__(self, batch: GateInput) -> Tensor:
        return batch.divergence.mean() * batch.progress


class NegativeLinear(Gate):
    """Falls from almost 1 to 0 over the planned training: (1 - k / k_end) times the mean.

    Not one of the paper's four; it ships as the example of a gate of one's own.
    """

    def __call__(self, batch: GateInput) -> Tensor:
        return batch.divergence.mean() * (1.0 - batch.progress)


class Correct(Gate):
    """Lets through the samples that the source gets right: their sum, divided by the FULL batch size."""

    on_label = "through"

    def __call__(self, batch: GateInput) -> Tensor:
        return (batch.divergence * batch.source_correct).mean()
