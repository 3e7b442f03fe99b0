"""Augmentation of whole batches: pad, random crop, horizontal flip.

It works on uint8 images, before they are converted and normalised: a quarter of the memory moves, and padding with
zeros means black. All three steps are one gather of rows and one of columns, whose indexes carry padding, offset and
flip: for 64 images of 3x32x32 on one CPU thread 0.35 ms, against 0.65 ms for padding, flipping and cropping one after
another and 0.5 ms for the same gathers on float32.

Shapes: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from automl_core.errors import RequestError


class Augmentation:
    """Shifts every image by up to ``pad`` pixels and flips half of them, each independently.

    Args:
        pad: Pixels added on each side before a crop of the original size is drawn; 0 does not shift.
        mode: What the added pixels show: ``reflect`` mirrors the image without its border, ``zeros`` is black.
        flip: Whether to flip left and right with probability 1/2.

    Raises:
        RequestError: When ``pad`` is negative.
    """

    def __init__(self, pad: int = 4, mode: Literal["reflect", "zeros"] = "reflect", flip: bool = True) -> None:
        if pad < 0:
            raise RequestError(f"padding must be at least 0 pixels, but got {pad}; 0 switches random crops off")
        self.pad, self.mode, self.flip = pad, mode, flip

    def check(self, image_size: tuple[int, int]) -> None:
        """Refuses images that are too small for the padding.

        Args:
            image_size: Rows and columns.

        Raises:
            RequestError: When reflection would need more pixels than there are.
        """
        if self.mode == "reflect" and self.pad >= min(image_size):
            rows, columns = image_size
            raise RequestError(
                f"reflection padding must be smaller than the image, but got {self.pad} pixels for images of "
                f"{rows}x{columns}; pad at most {min(image_size) - 1} or with zeros"
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augments a batch.

        Args:
            images: Shape (B, C, H, W), any type, on any device; not changed.
            generator: The only source of randomness; a CPU generator gives the same draws on every device.

        Returns:
            A new tensor of the same shape and type.

        Raises:
            RequestError: When the images are too small for the padding.
        """
        count, channels, height, width = images.shape
        self.check((height, width))
        device = images.device
        offsets = torch.randint(0, 2 * self.pad + 1, (2, count, 1), generator=generator, device=generator.device)
        row_offsets, column_offsets = offsets.to(device)
        rows = row_offsets + torch.arange(height, device=device)
        columns = column_offsets + torch.arange(width, device=device)
        if self.flip:
            flipped = torch.rand(count, 1, generator=generator, device=generator.device) < 0.5
            columns = torch.where(flipped.to(device), columns.flip(1), columns)
        if self.mode == "reflect":
            rows, columns = _reflect(rows - self.pad, height), _reflect(columns - self.pad, width)
        elif self.pad:
            images = F.pad(images, (self.pad,) * 4)
        planes = torch.arange(count * channels, device=device).view(count, channels, 1) * images.shape[2]
        cropped = images.reshape(-1, images.shape[3]).index_select(0, (planes + rows[:, None, :]).flatten())
        return cropped.view(count, channels, height, -1).gather(
            3, columns[:, None, None, :].expand(count, channels, height, width)
        )


def _reflect(index: Tensor, size: int) -> Tensor:
    """Folds indexes from (-size, 2 * size - 1) into [0, size), mirrored at the first and the last."""
    return (size - 1) - ((size - 1) - index.abs()).abs()
