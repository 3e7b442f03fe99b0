"""RandAugment: a few randomly chosen distortions of every image, all of one magnitude.

Shapes: B images, C channels, H rows, W columns, N operations on each image.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from automl_core.errors import RequestError
from automl_vision import distortions

MOST = 30
"""The largest magnitude."""

MOVING = ("rotate", "shear-x", "shear-y", "translate-x", "translate-y")
MIXING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": distortions.brightness,
    "color": distortions.color,
    "contrast": distortions.contrast,
    "sharpness": distortions.sharpness,
}
OPERATIONS = (*MOVING, *MIXING, "posterize", "solarize", "autocontrast", "equalize", "identity")

DEGREES, SHEAR, SHIFT, MIX, BITS = 30.0, 0.3, 150 / 331, 0.9, 4
"""What the largest magnitude means: rotation, shear, shift as a share of the image, mixing, bits that are dropped."""


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

    The images of a batch that have drawn the same operation are worked on together; those that move, whatever way.

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
        drawn = torch.randint(len(OPERATIONS), size, generator=generator, device=generator.device).cpu()
        signs = torch.randint(2, size, generator=generator, device=generator.device).cpu().mul_(2).sub_(1)
        for operations, directions in zip(drawn, signs, strict=True):
            self._step(images, operations, directions)
        return images

    def _step(self, images: Tensor, operations: Tensor, signs: Tensor) -> None:
        """Applies one operation to each image, in place.

        Args:
            images: Shape (B, C, H, W).
            operations: Places in ``OPERATIONS``, shape (B,), on the CPU.
            signs: -1 or 1, shape (B,), on the CPU.
        """
        moving = operations < len(MOVING)
        members = [moving.nonzero()] + [
            (operations == number).nonzero() for number in range(len(MOVING), OPERATIONS.index("identity"))
        ]
        for name, found in zip(("move", *OPERATIONS[len(MOVING) :]), members, strict=False):
            if len(found):
                chosen = found.flatten()
                index = chosen.to(images.device, non_blocking=True)
                group = images.index_select(0, index)
                images.index_copy_(0, index, self._apply(name, group, operations[chosen], signs[chosen]))

    def _apply(self, name: str, images: Tensor, operations: Tensor, signs: Tensor) -> Tensor:
        level = self.magnitude / MOST
        if name == "move":
            matrices = self._matrices(*images.shape[2:])[operations, (signs > 0).long()]
            fill = torch.tensor(self.fill, dtype=torch.uint8, device=images.device)
            return distortions.warp(images, matrices.to(images.device, non_blocking=True), fill)
        if name in MIXING:
            factor = (1.0 + MIX * level * signs.float()).view(-1, 1, 1, 1)
            return MIXING[name](images, factor.to(images.device, non_blocking=True))
        if name == "posterize":
            return distortions.posterize(images, 8 - round(BITS * level))
        if name == "solarize":
            return distortions.solarize(images, distortions.LEVELS * (1.0 - level))
        return distortions.autocontrast(images) if name == "autocontrast" else distortions.equalize(images)

    def _matrices(self, height: int, width: int) -> Tensor:
        """Gives what each moving operation does backwards and forwards, shape (len(MOVING), 2, 2, 3); see ``warp``."""
        return torch.tensor([[self._matrix(name, sign, height, width) for sign in (-1, 1)] for name in MOVING])

    def _matrix(self, name: str, sign: int, height: int, width: int) -> list[list[float]]:
        level = sign * self.magnitude / MOST
        if name == "rotate":
            cosine, sine = math.cos(math.radians(DEGREES * level)), math.sin(math.radians(DEGREES * level))
            x, y = width / 2, height / 2  # the centre stays where it is
            return [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]
        shear, along_x = SHEAR * level, name.endswith("x")
        if name.startswith("shear"):
            return [[1.0, shear, 0.0], [0.0, 1.0, 0.0]] if along_x else [[1.0, 0.0, 0.0], [shear, 1.0, 0.0]]
        x, y = (int(SHIFT * level * width), 0) if along_x else (0, int(SHIFT * level * height))
        return [[1.0, 0.0, -x], [0.0, 1.0, -y]]
