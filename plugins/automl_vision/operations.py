"""The operations of AutoAugment and RandAugment: each image of a batch undergoes one of its own.

The images that have drawn the same operation are worked on together; those that move, whatever way and however far.

Shapes: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from automl_vision import distortions

MOVING = ("rotate", "shear-x", "shear-y", "translate-x", "translate-y")
MIXING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": distortions.brightness,
    "color": distortions.color,
    "contrast": distortions.contrast,
    "sharpness": distortions.sharpness,
}
OPERATIONS = (*MOVING, *MIXING, "posterize", "solarize", "autocontrast", "equalize", "identity", "invert")

DEGREES, SHEAR, SHIFT, MIX, BITS = 30.0, 0.3, 150 / 331, 0.9, 4
"""What the largest magnitude means: rotation, shear, shift as a share of the image, mixing, bits that are dropped."""


class Operations:
    """Applies to each image an operation at a level, both given by their place in a list.

    A level is a share of the largest magnitude, from -1 to 1. Its sign tells the way in which an image is moved, or a
    mixture goes; posterize and solarize look at its size alone, and autocontrast, equalize, identity and invert know
    no level. Color leaves grey images as they are.

    Source: Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data" (CVPR 2019), table 6, for what the
    operations do; the largest magnitudes are torchvision's.

    Args:
        levels: The levels that may be chosen.
        fill: What shows where pixels have moved away: one value in [0, 255] for each channel, or one for all.
        brightest: Level of brightness from which on solarize inverts at level 0, on its way to 0 at level 1.
    """

    def __init__(self, levels: Sequence[float], fill: tuple[int, ...], brightest: int) -> None:
        self._levels, self.fill = tuple(levels), fill
        self._mixed = torch.tensor([MIX * level for level in levels])
        self._bits = torch.tensor([8 - round(BITS * abs(level)) for level in levels])
        self._thresholds = torch.tensor([brightest * (1.0 - abs(level)) for level in levels])
        self._matrices: dict[tuple[int, int], Tensor] = {}

    def apply(self, images: Tensor, operations: Tensor, levels: Tensor) -> None:
        """Changes images in place.

        Args:
            images: Shape (B, C, H, W), uint8, on any device.
            operations: Places in ``OPERATIONS``, shape (B,), on the CPU.
            levels: Places in the list of levels, shape (B,), on the CPU.
        """
        members = {"move": operations < len(MOVING)} | {
            name: operations == number
            for number, name in enumerate(OPERATIONS)
            if number >= len(MOVING) and name != "identity"
        }
        for name, member in members.items():
            chosen = member.nonzero().flatten()
            if len(chosen):
                index = chosen.to(images.device, non_blocking=True)
                group = images.index_select(0, index)
                images.index_copy_(0, index, self._applied(name, group, operations[chosen], levels[chosen]))

    def _applied(self, name: str, images: Tensor, operations: Tensor, levels: Tensor) -> Tensor:
        def of_each(table: Tensor) -> Tensor:
            return table[levels].view(-1, 1, 1, 1).to(images.device, non_blocking=True)

        if name == "move":
            matrices = self._matrices_for(*images.shape[2:])[operations, levels]
            fill = torch.tensor(self.fill, dtype=torch.uint8, device=images.device)
            return distortions.warp(images, matrices.to(images.device, non_blocking=True), fill)
        if name in MIXING:
            return MIXING[name](images, 1.0 + of_each(self._mixed))
        if name == "posterize":
            return distortions.posterize(images, of_each(self._bits))
        if name == "solarize":
            return distortions.solarize(images, of_each(self._thresholds))
        if name == "invert":
            return 255 - images
        return distortions.autocontrast(images) if name == "autocontrast" else distortions.equalize(images)

    def _matrices_for(self, height: int, width: int) -> Tensor:
        """Gives what each moving operation does at each level, shape (len(MOVING), levels, 2, 3); see ``warp``."""
        if (height, width) not in self._matrices:
            self._matrices[height, width] = torch.tensor(
                [[_matrix(name, level, height, width) for level in self._levels] for name in MOVING]
            )
        return self._matrices[height, width]


def _matrix(name: str, level: float, height: int, width: int) -> list[list[float]]:
    if name == "rotate":
        cosine, sine = math.cos(math.radians(DEGREES * level)), math.sin(math.radians(DEGREES * level))
        x, y = width / 2, height / 2  # the centre stays where it is
        return [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]]
    shear, along_x = SHEAR * level, name.endswith("x")
    if name.startswith("shear"):
        return [[1.0, shear, 0.0], [0.0, 1.0, 0.0]] if along_x else [[1.0, 0.0, 0.0], [shear, 1.0, 0.0]]
    x, y = (int(SHIFT * level * width), 0) if along_x else (0, int(SHIFT * level * height))
    return [[1.0, 0.0, -x], [0.0, 1.0, -y]]
