"""One step of a supernet's training: architecture weights on one half of the training images, then network weights.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 2.3, algorithm 1; Laube and Zell,
"Prune and Replace NAS" (2019), section III-B, for the grace epochs. In the papers' terms: w are the weights of the
network, alpha those of the architecture, L_train the loss on the first half, L_val that on the second, xi the learning
rate of w.

Shape legend: B images of a batch, C channels, H x W pixels, d features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from automl_core.errors import RequestError
from automl_prdarts.plan import ArchitectureSettings
from automl_prdarts.supernet import Supernet
from automl_vision.trainer.batches import ImageBatches
from automl_vision.trainer.nodes import Learner
from automl_vision.trainer.update import CollaborativeUpdate, Forward

DIFFERENCE = 0.01
"""Length of the step of weights by which a second derivative is approximated (DARTS, footnote 2 of section 2.3)."""

Batch = tuple[Tensor, Tensor]
"""Images, shape (B, C, H, W), and labels, shape (B,)."""

Watch = Callable[[Tensor, Tensor], None]


class SupernetUpdate:
    """Alternates a step of architecture weights by Adam with one of network weights by the trainer's SGD.

    A step of the architecture changes its weights and nothing else: running statistics of batch normalisation stay
    what the first half's images made them. In grace epochs there is no such step.

    Args:
        learner: What trains the network; its network is a supernet.
        forward: How the network is run.
        batches: The second half's images, with order and augmentation of their own.
        settings: How architecture weights are trained.
        grace: First epochs, in which they stay as they are.
        epochs: Epochs of the whole training.
        watch: Is shown features, shape (B, d), and labels of each batch of the first half; None when nobody wants them.
    """

    def __init__(
        self,
        learner: Learner,
        forward: Forward,
        batches: ImageBatches,
        settings: ArchitectureSettings,
        grace: int,
        epochs: int,
        watch: Watch | None = None,
    ) -> None:
        self._network = cast(Supernet, learner.network)
        self._learner, self._forward = learner, forward
        self._batches, self._settings = batches, settings
        self._grace, self._epochs = grace, epochs
        self._watch = watch
        self._weight_step = CollaborativeUpdate({learner.number: self._network}, [learner], forward, self._see)
        self.architecture = tuple(self._network.architecture.parameters())
        self._optimiser = torch.optim.Adam(
            self.architecture, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )
        self._buffers = list(self._network.buffers())
        self._kept_buffers = [one.clone() for one in self._buffers]
        self.images = 0
        """Images that have passed the network forward and backward so far."""
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Begins an epoch: the second half's batches start anew, and so do the epoch's metrics."""
        self._epoch = epoch
        self._second = self._passes(epoch)
        device = self.architecture[0].device
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._seen = 0
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._seen_second = 0

    def __call__(self, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        """Trains on one batch of the first half; gives its loss, shape (1,), detached.

        Args:
            images: Normalised images, shape (B, C, H, W).
            labels: Their classes, shape (B,), int64.
            progress: k / k_end, in (0, 1].
        """
        if self._epoch >= self._grace:
            self._step_architecture(images, labels)
        self.images += len(images)
        return self._weight_step(images, labels, progress)

    def metrics(self) -> dict[str, float]:
        """Gives ``train_accuracy`` of the epoch and, after the grace epochs, ``architecture_loss`` (mean of L_val)."""
        found = {}
        if self._seen:
            found["train_accuracy"] = float(self._correct) / self._seen
        if self._seen_second:
            found["architecture_loss"] = float(self._loss) / self._seen_second
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"optimiser": self._optimiser.state_dict(), "images": self.images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimiser.load_state_dict(state["optimiser"])
        self.images = state["images"]

    def architecture_gradient(
        self, images: Tensor, labels: Tensor, second_images: Tensor, second_labels: Tensor
    ) -> tuple[Tensor, ...]:
        """Gives the gradient that architecture weights follow; no weight and no statistic is changed.

        Args:
            images: A batch of the first half, which the second order alone looks at; shape (B, C, H, W).
            labels: Its classes, shape (B,).
            second_images: A batch of the second half.
            second_labels: Its classes.
        """
        with self._learning_architecture():
            if self._settings.second_order:
                return self._unrolled_gradient((images, labels), (second_images, second_labels))
            return self._second_half_gradient(second_images, second_labels, ())[0]

    def _step_architecture(self, images: Tensor, labels: Tensor) -> None:
        self._batches.size = min(len(images), self._batches.images)
        gradient = self.architecture_gradient(images, labels, *next(self._second))
        for parameter, one in zip(self.architecture, gradient, strict=True):
            parameter.grad = one
        if self._settings.clip:
            nn.utils.clip_grad_norm_(self.architecture, self._settings.clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)

    def _unrolled_gradient(self, first: Batch, second: Batch) -> tuple[Tensor, ...]:
        """Gives the gradient of L_val after a step of w, as a function of alpha (DARTS, equations 5 to 8).

        The step is the optimiser's own, with its momentum and its decay, but for the clipping.
        """
        weights: list[Tensor] = [one for group in self._learner.optimiser.param_groups for one in group["params"]]
        kept = [weight.detach().clone() for weight in weights]
        try:
            change, factor = self._weight_step_of(weights, self._gradient(self._loss_of(*first), weights))
            _place(weights, kept, change, -1.0)
            gradient, direction = self._second_half_gradient(*second, weights)
            length = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(direction))))
            if not 0 < length < float("inf"):
                return gradient  # no direction to look in; a loss that is not finite shows in the losses
            nearby = []
            for sign in (1.0, -1.0):
                _place(weights, kept, direction, sign * DIFFERENCE / length)
                nearby.append(self._gradient(self._loss_of(*first), self.architecture))
        finally:
            _place(weights, kept)
        scale = factor * length / (2 * DIFFERENCE)
        return tuple(one - scale * (above - below) for one, above, below in zip(gradient, *nearby, strict=True))

    def _weight_step_of(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> tuple[list[Tensor], float]:
        """Gives what the optimiser would take off each weight, and by how much that grows with the gradient."""
        optimiser = self._learner.optimiser
        group = optimiser.param_groups[0]
        rate, momentum, nesterov = group["lr"], group["momentum"], group["nesterov"]
        change = []
        for weight, gradient in zip(weights, gradients, strict=True):
            moved = gradient + group["weight_decay"] * weight.detach()
            velocity = moved
            if momentum:
                velocity = moved + momentum * optimiser.state[weight]["momentum_buffer"]
            change.append(rate * (moved + momentum * velocity if nesterov else velocity))
        return change, rate * (1.0 + momentum * nesterov)

    def _second_half_gradient(
        self, images: Tensor, labels: Tensor, weights: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Gives the gradients of L_val by architecture weights and by network weights."""
        loss = self._loss_of(images, labels)
        self._loss += loss.detach() * len(labels)
        self._seen_second += len(labels)
        gradients = self._gradient(loss, (*self.architecture, *weights))
        return gradients[: len(self.architecture)], gradients[len(self.architecture) :]

    def _loss_of(self, images: Tensor, labels: Tensor) -> Tensor:
        self.images += len(images)
        return F.cross_entropy(self._forward(self._network, images).logits, labels)

    @staticmethod
    def _gradient(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)

    @contextmanager
    def _learning_architecture(self) -> Iterator[None]:
        """Lets gradients reach architecture weights; what layers count of the images they see is taken back."""
        _place(self._kept_buffers, self._buffers)
        for parameter in self.architecture:
            parameter.requires_grad_(True)
        try:
            yield
        finally:
            for parameter in self.architecture:
                parameter.requires_grad_(False)
            _place(self._buffers, self._kept_buffers)

    def _passes(self, epoch: int) -> Iterator[Batch]:
        """Yields batches of the second half, pass after pass, each in an order of its own.

        Raises:
            RequestError: When the second half does not fill a batch.
        """
        for number in count(epoch, self._epochs):  # which no pass of another epoch has
            batch = None
            for batch in self._batches.epoch(number):
                yield batch
            if batch is None:
                raise RequestError(
                    f"half of the training images must fill a batch, but trainer.batch is {self._batches.size}; "
                    "lower it or raise dataset.limit"
                )

    def _see(self, features: Tensor, labels: Tensor) -> None:
        """Counts how often the network is right on a batch of the first half."""
        with torch.no_grad():
            self._correct += (self._network.head(features).argmax(dim=1) == labels).sum()
        self._seen += len(labels)
        if self._watch is not None:
            self._watch(features, labels)


def _place(tensors: list[Tensor], values: list[Tensor], direction: Sequence[Tensor] = (), length: float = 0.0) -> None:
    """Sets tensors to values, and then goes ``length`` times a direction from there; without one bit by bit to them."""
    if tensors:
        with torch.no_grad():
            torch._foreach_copy_(tensors, values)
            if direction:
                torch._foreach_add_(tensors, list(direction), alpha=length)
