"""Refitting the classifiers of several epochs in one batched computation.

Shape legend: P heads side by side, n training samples, m validation samples, B samples of a batch, d features,
C classes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from automl_core.errors import RequestError
from automl_core.randomness import derive_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refit:
    """How a head is refitted: SGD with momentum on mean cross-entropy, the learning rate falling linearly to 0.

    Step t of T is taken with ``lr * (1 - t / T)``, t from 0. Weight decay is added to the gradient, the bias' too.

    Args:
        lr: Learning rate of the first step, above 0.
        momentum: In [0, 1).
        weight_decay: From 0.
        batch: Samples per step, at least 1.
        passes: Passes over the samples, at least 1; each in an order of its own, the last batch as small as it is.
    """

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 1024
    passes: int = 5

    def __post_init__(self) -> None:
        rules = (
            ("lr", "a number above 0", math.isfinite(self.lr) and self.lr > 0.0),
            ("momentum", "in [0, 1)", 0.0 <= self.momentum < 1.0),
            ("weight_decay", "a number from 0", math.isfinite(self.weight_decay) and self.weight_decay >= 0.0),
            ("batch", "1 or more", self.batch >= 1),
            ("passes", "1 or more", self.passes >= 1),
        )
        for name, rule, kept in rules:
            if not kept:
                raise RequestError(
                    f"{name} of the heads' refit must be {rule}, but got {getattr(self, name)}; "
                    f"--set estimator.{name}={type(self).__dataclass_fields__[name].default} is the published recipe"
                )

    def steps(self, samples: int) -> int:
        """Gives T, the steps over all passes."""
        return self.passes * math.ceil(samples / self.batch)


@dataclass(frozen=True)
class StoredEpoch:
    """What one epoch left behind, in the precision that it is kept in.

    Args:
        train: Features of the training images as the epoch computed them, shape (n, d).
        train_labels: Their labels in that order, shape (n,), int64.
        validation: Features of the validation images after the epoch, shape (m, d).
        weight: The head at the end of the epoch, shape (C, d), float32.
        bias: Its bias, shape (C,), or None for a head without.
        seed: Seed of the order in which the refit sees the samples.
    """

    train: Tensor
    train_labels: Tensor
    validation: Tensor
    weight: Tensor
    bias: Tensor | None
    seed: int

    @property
    def shape(self) -> tuple[int, int, int, bool]:
        """n, d, C and whether there is a bias: epochs of one shape can be refitted together."""
        return (*self.train.shape, len(self.weight), self.bias is not None)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        tensors = (self.train, self.train_labels, self.validation, self.weight, self.bias)
        return sum(one.nbytes for one in tensors if one is not None)


class Heads(NamedTuple):
    """Linear heads side by side: weight (P, C, d) and bias (P, 1, C), zeros where there is none; float32."""

    weight: Tensor
    bias: Tensor


@torch.no_grad()
def refit(epochs: Sequence[StoredEpoch | None], recipe: Refit) -> Heads:
    """Refits the head of each epoch on that epoch's training features, starting from that epoch's own head.

    What comes out for an epoch depends on its place in the sequence and on the sequence's length, but, bit by bit, on
    nothing in the other places: all steps are batched products of the same shapes, whatever is or is not in there.
    Products of other shapes may be split otherwise among threads and rounded otherwise, so whoever wants equal heads
    at another time keeps places and length, and leaves places empty.

    The gradient is written out (for the mean of B samples, (softmax - one-hot) / B at the logits), which spares
    autograd's bookkeeping in thousands of tiny steps.

    Source: Cao, "Efficient Model Performance Estimation via Feature Histories" (2021), section 3 and appendix A.1.

    Args:
        epochs: Epochs of one shape, or None where a place is empty; at least one epoch. On one device.
        recipe: How.

    Returns:
        One head for every place; those of empty places mean nothing.
    """
    ((samples, dimension, classes, biased),) = {one.shape for one in epochs if one is not None}
    weight, bias = heads = _started(epochs, classes, dimension)
    velocity, bias_velocity = torch.zeros_like(weight), torch.zeros_like(bias)
    total = recipe.steps(samples)
    for step, (features, labels) in enumerate(_batches(epochs, recipe)):
        size = features.shape[1]
        logits = torch.baddbmm(bias, features, weight.transpose(1, 2))
        error = torch.softmax(logits, dim=2)
        error.scatter_add_(2, labels, torch.full_like(labels, -1, dtype=error.dtype))
        velocity.baddbmm_(error.transpose(1, 2), features, beta=recipe.momentum, alpha=1.0 / size)
        velocity.add_(weight, alpha=recipe.weight_decay)
        rate = recipe.lr * (1.0 - step / total)
        weight.add_(velocity, alpha=-rate)
        if biased:
            bias_velocity.mul_(recipe.momentum).add_(error.sum(dim=1, keepdim=True), alpha=1.0 / size)
            bias_velocity.add_(bias, alpha=recipe.weight_decay)
            bias.add_(bias_velocity, alpha=-rate)
    return heads


@torch.no_grad()
def probabilities(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Gives one head's softmax outputs, shape (m, C), float32.

    Args:
        features: Shape (m, d), in any precision.
        weight: Shape (C, d), float32.
        bias: Shape (C,), or None.
    """
    return torch.softmax(F.linear(features.float(), weight, bias), dim=1)


@torch.no_grad()
def training_loss(epoch: StoredEpoch, weight: Tensor, bias: Tensor | None) -> float:
    """Gives a head's mean cross-entropy on an epoch's training features."""
    return float(F.cross_entropy(F.linear(epoch.train.float(), weight, bias), epoch.train_labels))


def _started(epochs: Sequence[StoredEpoch | None], classes: int, dimension: int) -> Heads:
    """Copies the epochs' own heads; zeros in empty places."""
    device = next(one.weight.device for one in epochs if one is not None)
    weight = torch.zeros(len(epochs), classes, dimension, device=device)
    bias = torch.zeros(len(epochs), 1, classes, device=device)
    for place, epoch in enumerate(epochs):
        if epoch is not None:
            weight[place] = epoch.weight
            if epoch.bias is not None:
                bias[place, 0] = epoch.bias
    return Heads(weight, bias)


def _batches(epochs: Sequence[StoredEpoch | None], recipe: Refit) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields features (P, B, d), float32, and labels (P, B, 1), int64; both are overwritten by the next batch."""
    first = next(one for one in epochs if one is not None)
    samples, dimension = first.train.shape
    places, batch, device = len(epochs), min(recipe.batch, samples), first.train.device
    features = torch.zeros(places * batch * dimension, device=device)
    labels = torch.zeros(places * batch, dtype=torch.int64, device=device)
    stored = torch.empty(batch, dimension, dtype=first.train.dtype, device=device)
    for number in range(recipe.passes):
        orders = [None if one is None else _order(one, number) for one in epochs]
        for begin in range(0, samples, batch):
            size = min(batch, samples - begin)
            features_PBd = features[: places * size * dimension].view(places, size, dimension)
            labels_PB = labels[: places * size].view(places, size)
            for place, (epoch, order) in enumerate(zip(epochs, orders, strict=True)):
                if epoch is None or order is None:
                    continue
                chosen = order[begin : begin + size]
                if epoch.train.dtype == torch.float32:
                    torch.index_select(epoch.train, 0, chosen, out=features_PBd[place])
                else:
                    features_PBd[place] = torch.index_select(epoch.train, 0, chosen, out=stored[:size])
                torch.index_select(epoch.train_labels, 0, chosen, out=labels_PB[place])
            yield features_PBd, labels_PB.unsqueeze(2)


def _order(epoch: StoredEpoch, number: int) -> Tensor:
    """Gives the order of one pass. Drawn on the CPU, so that it is the same on every device."""
    generator = torch.Generator().manual_seed(derive_seed(epoch.seed, "refit", number))
    return torch.randperm(len(epoch.train), generator=generator).to(epoch.train.device)
