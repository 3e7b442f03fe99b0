"""One step of collaborative training.

Shape legend: B images of a batch, C channels, H x W pixels, K nodes that are trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from automl_spaces.graph import LABEL, TARGET
from automl_vision.losses import EdgeInput, NodeOutput
from automl_vision.models import ClassifierModule
from automl_vision.trainer.nodes import Learner


class Forward:
    """Runs a network in the chosen precision; its output is float32 (or wider) all the same.

    Args:
        device: Where the networks are.
        precision: ``float32`` or ``bfloat16``.
    """

    def __init__(self, device: torch.device, precision: str) -> None:
        self._device_type = device.type
        self._reduced = precision == "bfloat16"

    def __call__(self, network: ClassifierModule, images: Tensor, maps: bool = False) -> NodeOutput:
        """Gives what a network makes of normalised images, shape (B, C, H, W); its last maps only if asked for."""
        if not self._reduced:
            return self._run(network, images, maps)
        with torch.autocast(self._device_type, dtype=torch.bfloat16):
            output = self._run(network, images, maps)
        auxiliary = None if output.auxiliary is None else output.auxiliary.float()
        last = None if output.maps is None else output.maps.float()
        return NodeOutput(output.features.float(), output.logits.float(), auxiliary, last)

    @staticmethod
    def _run(network: ClassifierModule, images: Tensor, maps: bool) -> NodeOutput:
        if maps:
            last = network.forward_maps(images)
            features = network.pool(last)
            return NodeOutput(features, network.head(features), maps=last)
        with_auxiliary = getattr(network, "forward_with_auxiliary", None)
        if network.training and with_auxiliary is not None:
            features, auxiliary = with_auxiliary(images)
            return NodeOutput(features, network.head(features), auxiliary)
        features = network.forward_features(images)
        return NodeOutput(features, network.head(features))


class Update(Protocol):
    """What the trainer does with a batch; everything around it is the trainer's."""

    def begin(self, epoch: int) -> None:
        """Is told of every epoch before its first batch.

        The networks are in training mode already, and torch's global generators seeded by the epoch.

        Args:
            epoch: Number of the epoch, from 0; the same one may begin again.
        """

    def __call__(self, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        """Trains every node on one batch.

        Args:
            images: Normalised images, shape (B, C, H, W).
            labels: Their classes, shape (B,), int64; where images are mixed, how much of each class is in them, shape
                (B, C), floating point.
            progress: k / k_end, in (0, 1].

        Returns:
            The loss of each trained node by rising number, shape (K,), detached.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Gives what the observation of the epoch just trained says besides the trainer's own metrics."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Gives what its part of a checkpoint holds: tensors and plain Python values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what :meth:`state_dict` gave; is not called for a checkpoint that holds none."""


class CollaborativeUpdate:
    """One forward of all nodes on the same batch, all losses from it, one backward, then every optimiser's step.

    No source gets a gradient, since an edge sees its source's output detached; so one backward through all losses
    gives every node the gradient of its own loss alone. All steps follow the backward, so no node sees another one's
    new weights in the same batch.

    Source: Minami et al., "Knowledge Transfer Graph for Deep Collaborative Learning" (ACCV 2020), the algorithm of
    the section on graph training. L_t, the loss of node t, is the sum over its edges of gate(d_{s,t}).

    Args:
        networks: Every node's network by number, frozen ones too.
        learners: The nodes that are trained.
        forward: How a network is run.
        watch: Is shown the target's features, shape (B, d), and the labels of every batch; None when nobody wants them.
    """

    def __init__(
        self,
        networks: Mapping[int, ClassifierModule],
        learners: Sequence[Learner],
        forward: Forward,
        watch: Callable[[Tensor, Tensor], None] | None = None,
    ) -> None:
        self._watch = watch
        self._learners = learners
        self._forward = forward
        trained = {learner.number for learner in learners}
        self._trained = {number: network for number, network in networks.items() if number in trained}
        self._frozen = {number: network for number, network in networks.items() if number not in trained}
        self._mapped = {
            number
            for learner in learners
            for edge in learner.edges
            if edge.loss.needs_maps
            for number in (edge.source, learner.number)
        }
        """The nodes whose last feature maps some loss looks at."""

    def begin(self, epoch: int) -> None:
        """Needs no beginning."""

    def __call__(self, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        """Trains every node on one batch; see :class:`Update`."""
        losses = self.losses(images, labels, progress)
        # The graphs of the nodes meet in no tensor that needs a gradient, so this is K backward passes in one.
        torch.autograd.backward([loss for loss in losses if loss.requires_grad])
        for learner, loss in zip(self._learners, losses, strict=True):
            learner.step(loss)
        return torch.stack([loss.detach() for loss in losses])

    def losses(self, images: Tensor, labels: Tensor, progress: float) -> list[Tensor]:
        """Gives the loss of each trained node by rising number, scalars with their graphs; see :class:`Update`.

        Raises:
            RequestError: For a loss or a gate that gives another shape than it must.
        """
        mapped = self._mapped
        outputs = {
            number: self._forward(network, images, number in mapped) for number, network in self._trained.items()
        }
        classes = labels if labels.dim() == 1 else labels.argmax(dim=1)  # of a mixed image, that of its larger part
        if self._watch is not None:
            self._watch(outputs[TARGET].features, classes)
        sources = {number: output.detached() for number, output in outputs.items()}
        with torch.no_grad():
            sources |= {n: self._forward(network, images, n in mapped) for n, network in self._frozen.items()}
        correct = {number: output.logits.argmax(dim=1) == classes for number, output in sources.items()}
        correct[LABEL] = torch.ones_like(classes, dtype=torch.bool)
        losses = []
        for learner in self._learners:
            gated = []
            for edge in learner.edges:
                batch = EdgeInput(labels, outputs[learner.number], sources.get(edge.source))
                gated.append(edge.gated(batch, correct[edge.source], progress))
            losses.append(gated[0] if len(gated) == 1 else torch.stack(gated).sum())
        return losses

    def metrics(self) -> dict[str, float]:
        """Gives none; the trainer's own say it all."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Gives nothing; networks and optimisers are the trainer's."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes nothing."""
