"""Image data sets in memory: checked, split, limited, resized, and measured for normalisation."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from automl_core import Dataset, RequestError
from automl_core.types import Json
from automl_vision.data.preparation import (
    balanced_subset,
    channel_statistics,
    check_split,
    resize_images,
    stratified_subset,
)

SplitName = Literal["train", "validation", "test"]
SMALLEST_IMAGE = 4


@dataclass(frozen=True)
class ImageSplit:
    """Images and labels of one split.

    Args:
        images: Shape (N, C, H, W), uint8.
        labels: Shape (N,), int64, in [0, classes).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indexes: Tensor) -> ImageSplit:
        """Gives the images at ``indexes``, shape (K,)."""
        return ImageSplit(self.images[indexes], self.labels[indexes])

    def set_aside(self, count: int, seed: Sequence[Hashable]) -> tuple[ImageSplit, ImageSplit]:
        """Draws ``count`` images in proportion to their classes; gives the others and the drawn ones.

        Raises:
            RequestError: When there are too few images of a class for both.
        """
        drawn = stratified_subset(self.labels, count, seed)
        rest = torch.ones(len(self), dtype=torch.bool)
        rest[drawn] = False
        return self.take(rest.nonzero().flatten()), self.take(drawn)


@dataclass(frozen=True)
class RawImages:
    """What a data set's files hold, before preparation.

    Args:
        train: Training images.
        test: Test images.
        validation: Validation images; None when they are to be drawn from the training images.
        class_names: One name a class; empty when the files name none.
    """

    train: ImageSplit
    test: ImageSplit
    validation: ImageSplit | None = None
    class_names: tuple[str, ...] = ()


class ImageDataset(Dataset):
    """Labelled images. A subclass says in ``_read`` where they come from.

    The validation split is drawn class by class from the training images, before any limit. The test split serves
    final evaluation alone and never depends on an option other than ``limit`` and ``resize``.

    Args:
        limit: At most this many training images, evenly over the classes; validation and test are then cut to the
            same number each.
        resize: Height and width in pixels to which all images are scaled.
        validation: Fraction (below 1) or number of training images that are held out for validation, where the data
            bring no validation split of their own.
        split_seed: Seed of the draws: which images are held out, and which a limit keeps.
    """

    kind = "image-classification"

    flippable: bool = True
    """Whether an image flipped left to right still shows its class; digits and letters do not."""

    channels: int
    classes: int
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]

    def __init__(
        self,
        limit: int | None = None,
        resize: int | None = None,
        validation: int | float = 0.2,
        split_seed: int = 0,
    ) -> None:
        if limit is not None and limit < 1:
            raise RequestError(f"dataset.limit must be at least 1 image, but got {limit}; leave it out to use all")
        if resize is not None and resize < SMALLEST_IMAGE:
            raise RequestError(f"dataset.resize must be at least {SMALLEST_IMAGE} pixels, but got {resize}; raise it")
        if not (0 < validation < 1 or (validation >= 1 and validation == int(validation))):
            raise RequestError(
                "dataset.validation must be a fraction between 0 and 1 or a whole number of images, but got "
                f"{validation}; 0.2 holds out a fifth of the training images"
            )
        self.limit, self.resize, self.validation, self.split_seed = limit, resize, validation, split_seed
        self._splits: dict[SplitName, ImageSplit] = {}
        self._fingerprint = ""

    @abstractmethod
    def _read(self) -> RawImages:
        """Reads the files.

        Raises:
            RequestError: When they are missing, corrupt or laid out differently, with the way out.
        """

    def load(self) -> None:
        """Reads, checks and prepares the data; calling it again does nothing.

        Raises:
            RequestError: When the data are missing, corrupt, or do not allow what the options ask for.
        """
        if self._splits:
            return
        try:
            raw = self._read()
        except OSError as error:
            raise RequestError(
                f"the files of data set {self.name} must be readable, but: {error}; correct their place or permissions"
            ) from None
        splits = self._prepare(raw)
        train = splits["train"]
        _, self.channels, height, width = train.images.shape
        self.image_size = (height, width)
        self.classes = int(train.labels.max()) + 1
        self.class_names = raw.class_names
        self.mean, self.std = channel_statistics(train.images)
        self._splits = splits

    def _prepare(self, raw: RawImages) -> dict[SplitName, ImageSplit]:
        subject = f"data set {self.name or type(self).__name__}"
        given: dict[SplitName, ImageSplit] = {"train": raw.train, "test": raw.test}
        if raw.validation is not None:
            given["validation"] = raw.validation
        classes = len(raw.class_names) or (int(raw.train.labels.max()) + 1 if len(raw.train) else 0)
        for name, split in given.items():
            check_split(split.images, split.labels, f"the {name} split of {subject}", classes, raw.train.images)
        if raw.validation is None:
            given["train"], given["validation"] = self._hold_out(raw.train, classes, subject)
        if self.limit is not None:
            if self.limit < classes:
                raise RequestError(
                    f"dataset.limit must leave an image of each class, but got {self.limit} for the {classes} classes "
                    f"of {subject}; raise it to at least {classes}"
                )
            for name, split in given.items():
                kept = balanced_subset(split.labels, self.limit, (self.split_seed, name))
                given[name] = split.take(kept)
        if self.resize is not None:
            given = {
                name: ImageSplit(resize_images(split.images, self.resize), split.labels)
                for name, split in given.items()
            }
        height, width = given["train"].images.shape[2:]
        if min(height, width) < SMALLEST_IMAGE:
            raise RequestError(
                f"images must be at least {SMALLEST_IMAGE}x{SMALLEST_IMAGE} pixels, but those of {subject} are "
                f"{height}x{width}; scale them up with dataset.resize"
            )
        return given

    def _hold_out(self, train: ImageSplit, classes: int, subject: str) -> tuple[ImageSplit, ImageSplit]:
        count = round(self.validation * len(train)) if self.validation < 1 else int(self.validation)
        if count < classes or len(train) - count < classes:
            raise RequestError(
                f"dataset.validation must leave an image of each of the {classes} classes for training and for "
                f"validation, but {self.validation} holds out {count} of the {len(train)} training images of {subject}"
                "; change it"
            )
        return train.set_aside(count, (self.split_seed, "hold out"))

    def split(self, name: SplitName) -> ImageSplit:
        """Gives one split; ``load`` has been called before."""
        assert self._splits, "load() comes before split()"
        return self._splits[name]

    def describe(self) -> Json:
        """Gives sizes and classes, after ``load``."""
        description = {
            "name": self.name,
            **{name: len(self.split(name)) for name in ("train", "validation", "test")},
            "channels": self.channels,
            "classes": self.classes,
            "image_size": list(self.image_size),
            "flippable": self.flippable,
        }
        if self.class_names:
            description["class_names"] = list(self.class_names)
        return description

    def fingerprint(self) -> str:
        """Hashes the prepared arrays, in which every option shows that changes what is trained on."""
        if not self._fingerprint:
            sha = hashlib.sha256()
            for name in ("train", "validation", "test"):
                split = self.split(name)
                sha.update(repr((name, tuple(split.images.shape))).encode())
                sha.update(split.images.contiguous().numpy().data)
                sha.update(split.labels.contiguous().numpy().data)
            self._fingerprint = sha.hexdigest()[:32]
        return self._fingerprint
