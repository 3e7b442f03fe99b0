"""What happens to every data set alike: checks, class-wise draws, scaling, statistics.

Every draw is class by class and seeded, and gives indexes in rising order.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from automl_core import RequestError
from automl_core.randomness import derive_seed

CHUNK = 1024
"""Images that are converted to floating point at once."""


def check_split(images: Tensor, labels: Tensor, subject: str, classes: int, alike: Tensor) -> None:
    """Checks one split.

    Args:
        images: Shape (N, C, H, W), uint8.
        labels: Shape (N,), int64.
        subject: What it is, for messages.
        classes: Number of classes.
        alike: Images whose channels, height and width these must have.

    Raises:
        RequestError: When it is empty, its shapes do not fit, or a class is missing or too many.
    """
    if not len(images):
        raise RequestError(f"{subject} must hold images, but it is empty; give images to it")
    if len(images) != len(labels):
        raise RequestError(
            f"{subject} must hold one label an image, but has {len(images)} images and {len(labels)} labels; "
            "write the files anew"
        )
    if images.shape[1:] != alike.shape[1:]:
        raise RequestError(
            f"all splits must have images of one shape, but {subject} has {_shape(images)} and the training split "
            f"{_shape(alike)}; convert them to one"
        )
    if classes < 2:
        raise RequestError(f"a classification needs at least 2 classes, but {subject} has {classes}; add images")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        wrong = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
        raise RequestError(
            f"labels must be in 0 to {classes - 1}, as those of the training split are, but {subject} has {wrong}; "
            "number the classes from 0 and give each some training images"
        )
    if classes > len(labels):
        raise RequestError(
            f"every split must hold every class, but {subject} has {len(labels)} images and labels up to "
            f"{classes - 1}; number the classes from 0 without gaps"
        )
    missing = [label for label, count in enumerate(_counts(labels, classes)) if not count]
    if missing:
        raise RequestError(
            f"every split must hold every class, but {subject} has no image of class {_listed(missing)} of 0 to "
            f"{classes - 1}; add some, or number the classes without gaps"
        )


def stratified_subset(labels: Tensor, total: int, seed: Sequence[Hashable]) -> Tensor:
    """Draws ``total`` images in proportion to their classes, at least one and at most all but one of each class.

    Args:
        labels: Shape (N,).
        total: How many; between the number of classes and N less that number.
        seed: What the draw is seeded by.

    Returns:
        Indexes, shape (total,), rising.

    Raises:
        RequestError: When there are too few images of a class, or in all, for that.
    """
    available = _counts(labels)
    if min(available) < 2 or not len(available) <= total <= len(labels) - len(available):
        raise RequestError(
            f"drawing {total} of {len(labels)} images must leave each of {len(available)} classes an image on both "
            f"sides, but class {available.index(min(available))} has {min(available)} in all; add images, or bring "
            "splits of your own"
        )
    exact = [total * count / len(labels) for count in available]
    wanted = [min(max(int(share), 1), count - 1) for share, count in zip(exact, available, strict=True)]
    while sum(wanted) != total:
        # The class that is furthest from its share gives or takes the next image.
        step = 1 if sum(wanted) < total else -1
        open_classes = [c for c, count in enumerate(available) if 1 <= wanted[c] + step <= count - 1]
        best = max(open_classes, key=lambda c: step * (exact[c] - wanted[c]))
        wanted[best] += step
    return _draw(labels, wanted, seed)


def balanced_subset(labels: Tensor, total: int, seed: Sequence[Hashable]) -> Tensor:
    """Draws at most ``total`` images, as evenly over the classes as they last.

    A smaller total with the same seed draws a subset of what a larger one draws.

    Args:
        labels: Shape (N,).
        total: How many at most.
        seed: What the draw is seeded by.

    Returns:
        Indexes, shape (min(N, total),), rising.
    """
    available = _counts(labels)
    wanted = [0] * len(available)
    left = min(total, len(labels))
    # Scarce classes first: what they cannot give is shared out among the others.
    order = sorted(range(len(available)), key=lambda label: (available[label], label))
    for position, label in enumerate(order):
        wanted[label] = min(available[label], left // (len(order) - position))
        left -= wanted[label]
    return _draw(labels, wanted, seed)


def _draw(labels: Tensor, wanted: Sequence[int], seed: Sequence[Hashable]) -> Tensor:
    generator = torch.Generator().manual_seed(derive_seed(*seed))
    drawn = []
    for label, count in enumerate(wanted):
        members = (labels == label).nonzero().flatten()
        drawn.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(drawn).sort().values


def resize_images(images: Tensor, size: int) -> Tensor:
    """Scales images to ``size`` by ``size`` pixels, bilinear with antialiasing.

    Args:
        images: Shape (N, C, H, W), uint8.
        size: Height and width in pixels.

    Returns:
        Shape (N, C, size, size), uint8.
    """
    if tuple(images.shape[2:]) == (size, size):
        return images
    scaled = [
        F.interpolate(chunk.float(), size=(size, size), mode="bilinear", antialias=True).round().clamp(0, 255).byte()
        for chunk in torch.split(images, CHUNK)
    ]
    return torch.cat(scaled)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Computes each channel's mean and standard deviation, of pixels scaled to [0, 1].

    They come from exact histograms, so they are the same for every number of threads. A constant channel gets a
    deviation of 1, by which it can be divided.

    Args:
        images: Shape (N, C, H, W), uint8.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(images.shape[1]):
        histogram = torch.bincount(images[:, channel].reshape(-1), minlength=256).double()
        weights = histogram / histogram.sum()
        mean = float(weights @ values)
        means.append(mean)
        deviations.append(float(weights @ (values - mean) ** 2) ** 0.5 or 1.0)
    return tuple(means), tuple(deviations)


def _counts(labels: Tensor, classes: int = 0) -> list[int]:
    return [int(count) for count in torch.bincount(labels, minlength=classes)]


def _shape(images: Tensor) -> str:
    channels, height, width = images.shape[1:]
    return f"{height}x{width} with {channels} channel{'s' if channels > 1 else ''}"


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:5])
    return shown + (" and more" if len(numbers) > 5 else "")
