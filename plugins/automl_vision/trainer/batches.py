"""Batches: images on the device, in an order and with an augmentation that follow from (seed, epoch) alone.

Shape legend: N images of a split, B of a batch, K classes, C channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from automl_core.randomness import derive_seed
from automl_core.types import Split
from automl_vision.augmentation import Augmentation
from automl_vision.autoaugment import AutoAugment, Policy, policy_named
from automl_vision.cutmix import CutMix
from automl_vision.cutout import Cutout
from automl_vision.randaugment import RandAugment

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset
    from automl_vision.trainer.settings import TrainerSettings


class Normalisation:
    """Turns uint8 images into what networks see: (pixel / 255 - mean) / std per channel.

    Args:
        mean: Mean per channel of pixels in [0, 1].
        std: Standard deviation per channel.
        device: Where the images are.
        memory_format: How the result lies in memory.
    """

    def __init__(
        self,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        deviation = torch.tensor(std, dtype=torch.float64).view(1, -1, 1, 1)
        shift = -torch.tensor(mean, dtype=torch.float64).view(1, -1, 1, 1) / deviation
        self._scale = (1.0 / (255.0 * deviation)).to(device, torch.float32)
        self._shift = shift.to(device, torch.float32)
        self._memory_format = memory_format

    def __call__(self, images: Tensor) -> Tensor:
        """Gives float32 images, shape (B, C, H, W)."""
        floats = images.to(torch.float32, memory_format=self._memory_format)
        return floats.mul_(self._scale).add_(self._shift)


def check_image_size(settings: TrainerSettings, image_size: tuple[int, int]) -> None:
    """Refuses images that are too small for the augmentation that is asked for.

    Args:
        settings: The augmentation.
        image_size: Rows and columns.

    Raises:
        RequestError: When the padding, by reflection, or Cutout's square does not fit.
    """
    Augmentation(settings.pad, settings.padding).check(image_size)
    if settings.cutout:
        Cutout(settings.cutout).check(image_size)


class ImageBatches:
    """The images that a training learns from and is measured on, on the device.

    Args:
        dataset: Where they come from; it is loaded here.
        split: ``search`` learns from the training split and measures on validation; ``final`` learns from training
            and validation together and measures on test.
        settings: Batch sizes and augmentation.
        device: Where the batches are made.
        seed: Seed of order and augmentation; but AutoAugment's random policy has one of its own in the settings.

    Raises:
        RequestError: When the data are missing or too few for one batch, or padding or Cutout do not fit the images.
    """

    def __init__(
        self, dataset: ImageDataset, split: Split, settings: TrainerSettings, device: torch.device, seed: int
    ) -> None:
        dataset.load()
        check_image_size(settings, dataset.image_size)
        measured = dataset.split("validation" if split == "search" else "test")
        parts = [dataset.split("train")] + ([dataset.split("validation")] if split == "final" else [])
        self._images = _joined([part.images for part in parts]).to(device, non_blocking=True)
        self._labels = _joined([part.labels for part in parts]).to(device, non_blocking=True)
        self._measured_images = measured.images.to(device, non_blocking=True)
        self._measured_labels = measured.labels.to(device, non_blocking=True)
        self.size = settings.batch
        """Images per batch; may be set at any time, and is read anew for every batch."""
        self._evaluation_size = settings.evaluation_batch
        self._drop_last = settings.drop_last
        self._seed = seed
        self._device = device
        self._smallest = settings.batch
        self.count = settings.batches(len(self._images))
        """Batches in an epoch, while they are of the size they begin with."""
        self.images = settings.images(len(self._images))
        """Training images that an epoch sees at most."""
        self.measured_images = len(measured)
        """Images to measure on."""
        self._augment = Augmentation(
            settings.pad, settings.padding, flip=dataset.flippable if settings.flip is None else settings.flip
        )
        mean_color = tuple(round(255 * one) for one in dataset.mean)
        self._distortions: list[AutoAugment | RandAugment | Cutout] = []
        self.policy: Policy | None = None
        """AutoAugment's policy; a random one follows from the settings alone. None where it is off."""
        if settings.auto_augment:
            self.policy = policy_named(settings.auto_augment, derive_seed(settings.policy_seed, "policy"))
            self._distortions.append(AutoAugment(self.policy, mean_color))
        if settings.augmentations:
            self._distortions.append(RandAugment(settings.augmentations, settings.magnitude, mean_color))
        if settings.cutout:
            self._distortions.append(Cutout(settings.cutout, mean_color))
        self._mix = CutMix(settings.cutmix, dataset.classes) if settings.cutmix else None
        memory_format = torch.channels_last if settings.channels_last else torch.contiguous_format
        self._normalise = Normalisation(dataset.mean, dataset.std, device, memory_format)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the training batches of an epoch: images (B, C, H, W), float32, and labels (B,), int64.

        Those of a batch that CutMix has mixed are what share of each image has which class, shape (B, K), float32.

        It ends when every image was used once, whatever the batch sizes were, but for a rest that fills no batch where
        the settings leave it out, and for a rest of one image in any case: batch normalisation cannot do with it.

        Crop and flip come first, then AutoAugment, RandAugment and Cutout, as in their papers, and CutMix at last,
        since an image's label is its own until then. Distortions and CutMix draw from generators of their own, so that
        order, crops and flips are the same whatever they are.

        Args:
            epoch: Number of the epoch, from 0.
        """
        generator = torch.Generator(self._device).manual_seed(derive_seed(self._seed, "batches", epoch))
        distorting = torch.Generator().manual_seed(derive_seed(self._seed, "distortions", epoch))
        mixing = torch.Generator().manual_seed(derive_seed(self._seed, "cutmix", epoch))
        order = torch.randperm(len(self._images), generator=generator, device=self._device)
        while len(order) >= (self.size if self._drop_last else min(self.size, 2, len(self._images))):
            indices, order = order[: self.size], order[self.size :]
            images = self._augment(self._images[indices], generator)
            for distort in self._distortions:
                images = distort(images, distorting)
            labels = self._labels[indices]
            if self._mix is not None:  # before normalisation, which takes pixel by pixel: a quarter of the memory moves
                images, labels = self._mix(images, labels, mixing)
            yield self._normalise(images), labels

    def passed(self, images: int) -> int:
        """Tells how far so many images of an epoch are, in batches of the size they begin with, up to ``count``."""
        return min(-(-images // self._smallest), self.count)

    def first(self, count: int) -> Tensor:
        """Gives the first training images, normalised and without augmentation, shape (count, C, H, W)."""
        return self._normalise(self._images[:count])

    def measured(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the batches to measure on, in a fixed order and without augmentation."""
        pairs = zip(
            torch.split(self._measured_images, self._evaluation_size),
            torch.split(self._measured_labels, self._evaluation_size),
            strict=True,
        )
        for images, labels in pairs:
            yield self._normalise(images), labels


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
