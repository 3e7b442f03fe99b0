"""What estimators of performance are shown of a training.

Shape legend: n training images that an epoch saw, m images measured on, d features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from automl_vision.models import ClassifierModule


@dataclass(frozen=True)
class EpochFeatures:
    """What the target's head saw in one epoch, and the head at its end. Detached.

    Features and labels are lent: the next epoch is written over them, so that a training takes memory for one epoch
    alone. Whoever keeps them copies them. Weight and bias are the receiver's own.

    Args:
        train: Features of the training images as the training pass computed them: augmented, in training mode, from
            weights that changed from batch to batch; shape (n, d), float32, in the epoch's shuffled order.
        train_labels: Their classes, shape (n,), int64; of an image that CutMix has mixed, that of its larger part.
        validation: Features of the images to measure on, in evaluation mode, after the epoch; shape (m, d), float32.
        validation_labels: Their classes, shape (m,), int64.
        weight: The head's weights after the epoch, shape (C, d), float32.
        bias: The head's bias after the epoch, shape (C,), float32; None when it has none.
        seed: Seed for whatever an estimator draws for this epoch.
    """

    train: Tensor
    train_labels: Tensor
    validation: Tensor
    validation_labels: Tensor
    weight: Tensor
    bias: Tensor | None
    seed: int


@dataclass(frozen=True)
class LiveNetwork:
    """The target as it is being trained; whoever runs it must leave it, and torch's generators, as they were.

    Args:
        network: The network.
        images: Gives the first so many training images: normalised, without augmentation, shape (count, channels, H,
            W), on the network's device.
    """

    network: ClassifierModule
    images: Callable[[int], Tensor]


class FeatureRecorder:
    """Collects the features and labels of pass after pass, batch by batch, in memory that is allocated once.

    Args:
        images: How many images a pass has at most.
    """

    def __init__(self, images: int) -> None:
        self._images = images
        self._features: Tensor | None = None
        self._labels: Tensor | None = None
        self._filled = 0

    def begin(self) -> None:
        """Begins another pass, which is written over the last one."""
        self._filled = 0

    @torch.no_grad()
    def record(self, features: Tensor, labels: Tensor) -> None:
        """Takes in a batch's features, shape (B, d), and labels, shape (B,)."""
        if self._features is None or self._labels is None:
            self._features = torch.empty(self._images, features.shape[1], device=features.device)
            self._labels = torch.empty(self._images, dtype=torch.int64, device=labels.device)
        end = self._filled + len(labels)
        self._features[self._filled : end] = features
        self._labels[self._filled : end] = labels
        self._filled = end

    def taken(self) -> tuple[Tensor, Tensor]:
        """Gives what this pass has recorded, features and labels, until the next one begins; at least one batch."""
        assert self._features is not None and self._labels is not None, "nothing was recorded"
        return self._features[: self._filled], self._labels[: self._filled]
