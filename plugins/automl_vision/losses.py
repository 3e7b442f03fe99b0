"""Losses on the edges of a knowledge-transfer graph.

Shape legend: B samples of a batch, C classes, d features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from automl_core.errors import RequestError


@dataclass(frozen=True)
class NodeOutput:
    """What one node's forward pass gives.

    Args:
        features: What the head saw, shape (B, d).
        logits: What the head gave, shape (B, C).
        auxiliary: What an auxiliary head gave in training, shape (B, C); None where the network has none.
    """

    features: Tensor
    logits: Tensor
    auxiliary: Tensor | None = None

    def detached(self) -> NodeOutput:
        """Gives the same values with no way back for a gradient."""
        return NodeOutput(self.features.detach(), self.logits.detach())


@dataclass(frozen=True)
class EdgeInput:
    """What an edge's loss sees of one batch.

    Args:
        labels: Classes of the samples, shape (B,), int64.
        destination: Output of the node that the edge trains; gradients flow back through it.
        source: Output of the node that teaches, detached; None on an edge from the label.
    """

    labels: Tensor
    destination: NodeOutput
    source: NodeOutput | None = None


class EdgeLoss(nn.Module, ABC):
    """A per-sample divergence between what the source of an edge knows and what its destination gives.

    Constructor keywords are its options. A loss may own parameters: they are stepped by the destination's optimiser
    and are part of its checkpoint, but not of what is exported.
    """

    needs_source: ClassVar[bool] = True
    """Whether the source must be a node; such a loss cannot stand on an edge from the label."""

    @abstractmethod
    def forward(self, batch: EdgeInput) -> Tensor:
        """Gives the divergence of every sample, shape (B,); the edge's gate reduces it."""


class CrossEntropy(EdgeLoss):
    """Cross-entropy with the label: the KL divergence from a one-hot distribution. Never tempered.

    On an edge from a node it still looks at the label only; that node then decides, through the edge's gate, which
    samples count.

    Args:
        auxiliary: Weight of the cross-entropy of the destination's auxiliary head, which is added; 0 asks for no such
            head. Szegedy et al., "Going Deeper with Convolutions" (2015), section 5.
    """

    needs_source = False

    def __init__(self, auxiliary: float = 0.0) -> None:
        super().__init__()
        if not 0 <= auxiliary < float("inf"):
            raise RequestError(
                f"the weight of an auxiliary head must be a number of at least 0, but got {auxiliary}; 0 leaves it out"
            )
        self.auxiliary = auxiliary

    def forward(self, batch: EdgeInput) -> Tensor:
        loss = F.cross_entropy(batch.destination.logits, batch.labels, reduction="none")
        if not self.auxiliary:
            return loss
        if batch.destination.auxiliary is None:
            raise RequestError(
                f"a loss with an auxiliary head of weight {self.auxiliary} needs a model that has one, but this one "
                "has no forward_with_auxiliary; set the weight to 0 or choose another model"
            )
        return loss + self.auxiliary * F.cross_entropy(batch.destination.auxiliary, batch.labels, reduction="none")


class KLDivergence(EdgeLoss):
    """Squared temperature times the KL divergence from the source's to the destination's softened output.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network" (2015), section 2, for T squared; Minami et
    al. (ACCV 2020), section on the loss of an edge: the source is the reference, that is the first argument.

    Args:
        temperature: T, by which the logits of both are divided; 1 leaves them as they are.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if not 0 < temperature < float("inf"):
            raise RequestError(
                f"the temperature of loss kl must be a number above 0, but got {temperature}; 1 softens nothing"
            )
        self.temperature = temperature

    def forward(self, batch: EdgeInput) -> Tensor:
        assert batch.source is not None, "refused on an edge from the label when the graph is built"
        logits_source, logits_destination = batch.source.logits, batch.destination.logits
        if self.temperature != 1.0:
            logits_source, logits_destination = logits_source / self.temperature, logits_destination / self.temperature
        log_source = torch.log_softmax(logits_source, dim=1)
        log_destination = torch.log_softmax(logits_destination, dim=1)
        divergence = F.kl_div(log_destination, log_source, reduction="none", log_target=True).sum(dim=1)
        return divergence * self.temperature**2 if self.temperature != 1.0 else divergence
