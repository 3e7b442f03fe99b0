"""RandAugment: a few randomly chosen distortions of every image, all of one magnitude.

Shapes: B images, C channels, H rows, W columns, N operations on each image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from automl_core.errors import RequestError
from automl_vision.distortions import LEVELS
from automl_vision.operations import OPERATIONS, Operations

MOST = 30
"""The largest magnitude."""

CHOICES = OPERATIONS.index("identity") + 1
"""How many operations there are to draw from: all that come up to identity."""


class RandAugment:
    """Applies N operations to each image, each drawn anew from the 14, all with the magnitude M.

    Identity, autocontrast and equalize know no magnitude. Posterize keeps 8 bits at M = 0 and 4 at M = 30, rounded.
    Solarize inverts pixels from 256 (1 - M/30) on. The others go either way, each with probability 1/2: rotation by M
    degrees, shear by 0.01 M about the top (or left) edge, shift by M/30 of 150/331 of the image in whole pixels;
    brightness, color, contrast and sharpness by a factor 1 +- 0.03 M. So M = 0 leaves only autocontrast and equalize.
    Color leaves grey images as they are.

    Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space" (CVPR
    Workshops 2020), figure 2. The paper leaves the ranges to AutoAugment; they are here those of torchvision's
    RandAugment with 31 levels, except that solarize does nothing at 0 (there it turns white to black). What moves
    leaves the mean colour behind when it is given as ``fill``, as AutoAugment does on CIFAR-10.

    Args:
        operations: N, operations on each image, at least 1.
        magnitude: M, 0 to 30.
        fill: What shows where pixels have moved away: one value in [0, 255] for each channel, or one for all.

    Raises:
        RequestError: For a number or a magnitude out of range.
    """

    def __init__(self, operations: int, magnitude: int, fill: tuple[int, ...] = (0,)) -> None:
        if operations < 1:
            raise RequestError(
                f"RandAugment must apply at least 1 operation to an image, but got {operations}; raise it"
            )
        if not 0 <= magnitude <= MOST:
            raise RequestError(f"RandAugment's magnitude must be from 0 to {MOST}, but got {magnitude}; change it")
        self.operations, self.magnitude, self.fill = operations, magnitude, fill
        level = magnitude / MOST
        self._operations = Operations((-level, level), fill, brightest=LEVELS)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augments a batch.

        Args:
            images: Shape (B, C, H, W), uint8, on any device; not changed.
            generator: The only source of randomness; a CPU generator gives the same draws on every device, and does
                not have to wait for it.

        Returns:
            A new tensor of the same shape and type.
        """
        images = images.clone(memory_format=torch.contiguous_format)
        size = (self.operations, len(images))
        drawn = torch.randint(CHOICES, size, generator=generator, device=generator.device).cpu()
        signs = torch.randint(2, size, generator=generator, device=generator.device).cpu()
        for operations, directions in zip(drawn, signs, strict=True):
            self._operations.apply(images, operations, directions)
        return images
