"""CutMix: a box of every image shows another image of the batch, and the label says how much of it.

Shapes: B images, K classes, C channels, H rows, W columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from automl_core.errors import RequestError


class Box(NamedTuple):
    """Columns ``left`` to ``right`` and rows ``top`` to ``bottom``, the latter of each pair excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Pixels within."""
        return (self.right - self.left) * (self.bottom - self.top)


def box_around(share: float, centre: tuple[int, int], image_size: tuple[int, int]) -> Box:
    """Gives the box that leaves a share of the image, as far as its sides are whole and it lies within the image.

    Source: Yun et al. (ICCV 2019), equation 2. Halves of odd sides are rounded down, as in its published code.

    Args:
        share: lambda, what is to be left of the image, from 0 to 1.
        centre: Its column and its row (r_x, r_y).
        image_size: Rows and columns of the image.
    """
    (x, y), (height, width) = centre, image_size
    side = math.sqrt(1.0 - share)
    across, down = int(width * side) // 2, int(height * side) // 2
    return Box(max(x - across, 0), max(y - down, 0), min(x + across, width), min(y + down, height))


class CutMix:
    """Pastes a box of another image of the batch into each image; the same box for all of a batch.

    lambda is drawn uniformly (Beta(1, 1)), the box's centre among the pixels, and who gets whose box as a permutation.
    Labels are mixed in proportion to the pixels: where the box reached beyond the image, lambda is what is really left.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features" (ICCV
    2019), section 3.1 and algorithm A1, with alpha = 1; some batches stay as they are, as in its published code.

    Args:
        probability: That a batch is mixed, above 0 and at most 1.
        classes: Number of classes (K).

    Raises:
        RequestError: For a probability out of range.
    """

    def __init__(self, probability: float, classes: int) -> None:
        if not 0 < probability <= 1:
            raise RequestError(
                f"CutMix's probability must be above 0 and at most 1, but got {probability}; trainer.cutmix=0 "
                "switches it off"
            )
        self.probability, self.classes = probability, classes

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mixes the images of a batch, or leaves it as it is.

        Args:
            images: Shape (B, C, H, W), any type, on any device; not changed.
            labels: Their classes, shape (B,), int64.
            generator: The only source of randomness, on the CPU.

        Returns:
            New images of the same shape and type, and what share of each has which class: shape (B, K), float32, rows
            of sum 1. Of a batch that is left alone, images and labels as they were given.
        """
        mixed, share = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        height, width = images.shape[2:]
        x = int(torch.randint(width, (), generator=generator))
        y = int(torch.randint(height, (), generator=generator))
        others = torch.randperm(len(images), generator=generator).to(images.device)
        if mixed >= self.probability:
            return images, labels
        box = box_around(share, (x, y), (height, width))
        inside = (..., slice(box.top, box.bottom), slice(box.left, box.right))
        images, own = images.clone(), F.one_hot(labels, self.classes).float()
        images[inside] = images[inside][others]
        kept = 1.0 - box.area / (width * height)
        return images, kept * own + (1.0 - kept) * own[others]
