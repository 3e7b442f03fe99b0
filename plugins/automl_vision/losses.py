"""Losses on the edges of a knowledge-transfer graph.

Shape legend: B samples of a batch, C classes, d features, Ch x H x W the last feature map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_vision.models import ClassifierModule


@dataclass(frozen=True)
class NodeOutput:
    """What one node's forward pass gives.

    Args:
        features: What the head saw, shape (B, d).
        logits: What the head gave, shape (B, C).
        auxiliary: What an auxiliary head gave in training, shape (B, C); None where the network has none.
        maps: The last feature map, before it was pooled, shape (B, Ch, H, W); None where no loss wants it.
    """

    features: Tensor
    logits: Tensor
    auxiliary: Tensor | None = None
    maps: Tensor | None = None

    def detached(self) -> NodeOutput:
        """Gives the same values with no way back for a gradient."""
        maps = None if self.maps is None else self.maps.detach()
        return NodeOutput(self.features.detach(), self.logits.detach(), maps=maps)


@dataclass(frozen=True)
class EdgeInput:
    """What an edge's loss sees of one batch.

    Args:
        labels: Classes of the samples, shape (B,), int64; where images are mixed, how much of each class is in them,
            shape (B, C), floating point. Torch's cross-entropy takes both.
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

    needs_maps: ClassVar[bool] = False
    """Whether it looks at ``maps`` of both ends, which must then be models with ``forward_maps``."""

    def fit(self, source: ClassifierModule | None, destination: ClassifierModule) -> None:
        """Is shown the networks at both ends once, before anything is trained, to build what depends on their sizes.

        Args:
            source: The network that teaches; None on an edge from the label.
            destination: The network that is trained.

        Raises:
            RequestError: When the two do not fit each other.
        """

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
        if logits_source.shape != logits_destination.shape:
            raise RequestError(
                "networks can teach one another outputs only over the same classes, but the source gave "
                f"{tuple(logits_source.shape)} and the destination {tuple(logits_destination.shape)}; train both on "
                "the same data set"
            )
        if self.temperature != 1.0:
            logits_source, logits_destination = logits_source / self.temperature, logits_destination / self.temperature
        log_source = torch.log_softmax(logits_source, dim=1)
        log_destination = torch.log_softmax(logits_destination, dim=1)
        divergence = F.kl_div(log_destination, log_source, reduction="none", log_target=True).sum(dim=1)
        return divergence * self.temperature**2 if self.temperature != 1.0 else divergence


class FeatureDistance(EdgeLoss):
    """Mean absolute difference of the last feature maps, each sample's divided by its own L2 norm.

    A 1x1 convolution without bias (R) maps the destination's channels to the source's; it begins as the identity (of a
    pruned destination, each channel at the place that it had before), is trained with the destination, and is left
    behind with the edge. The mean is over the channels and pixels of a
    sample; so the weight of the edge (beta) grows with their number, as the published ones do.

    Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques" (2020), equation 2.

    Args:
        regressor: Whether there is that convolution; without it, both ends must have equally many channels.
    """

    needs_maps = True

    def __init__(self, regressor: bool = True) -> None:
        super().__init__()
        self.with_regressor = regressor
        self.regressor: nn.Module = nn.Identity()

    def fit(self, source: ClassifierModule | None, destination: ClassifierModule) -> None:
        assert source is not None, "refused on an edge from the label when the graph is built"
        inputs, outputs = destination.head.in_features, source.head.in_features
        if self.with_regressor:
            convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
            kept = getattr(destination, "kept_features", None)
            rows = torch.arange(min(inputs, outputs)) if kept is None or int(kept[-1]) >= outputs else kept.cpu()
            with torch.no_grad():
                convolution.weight.zero_()
                convolution.weight[rows, torch.arange(len(rows))] = 1.0
            self.regressor = convolution
        elif inputs != outputs:
            raise RequestError(
                f"loss feature without a regressor needs maps of equally many channels, but the source has {outputs} "
                f"and the destination {inputs}; leave the regressor on"
            )

    def forward(self, batch: EdgeInput) -> Tensor:
        assert batch.source is not None, "refused on an edge from the label when the graph is built"
        maps_source, maps_destination = batch.source.maps, batch.destination.maps
        assert maps_source is not None and maps_destination is not None, "the update gives them where they are needed"
        mapped = self.regressor(maps_destination)
        if mapped.shape != maps_source.shape:
            raise RequestError(
                "loss feature needs feature maps of the same size, but the source's are "
                f"{tuple(maps_source.shape[1:])} and the destination's, behind its regressor, "
                f"{tuple(mapped.shape[1:])}; choose networks that shrink images alike"
            )
        difference = F.normalize(maps_source.flatten(1), dim=1) - F.normalize(mapped.flatten(1), dim=1)
        return difference.abs().mean(dim=1)
