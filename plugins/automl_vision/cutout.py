"""Cutout: a square of every image is blanked out.

Shapes: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from automl_core.errors import RequestError


class Cutout:
    """Fills a square of each image whose centre is any of its pixels, all equally likely.

    At the border only the part that lies within the image is filled. Source: DeVries and Taylor, "Improved
    Regularization of Convolutional Neural Networks with Cutout" (2017), section 3.2. There the square is zero after
    normalisation, which is the mean colour before it.

    Args:
        side: Side of the square in pixels, at least 1.
        fill: What it is filled with: one value in [0, 255] for each channel, or one for all.

    Raises:
        RequestError: When ``side`` is below 1.
    """

    def __init__(self, side: int, fill: tuple[int, ...] = (0,)) -> None:
        if side < 1:
            raise RequestError(f"the side of Cutout's square must be at least 1 pixel, but got {side}; raise it")
        self.side, self.fill = side, fill

    def check(self, image_size: tuple[int, int]) -> None:
        """Refuses images that the square covers.

        Args:
            image_size: Rows and columns.

        Raises:
            RequestError: When the square is larger than the image.
        """
        if self.side > min(image_size):
            rows, columns = image_size
            raise RequestError(
                f"Cutout's square must fit into the image, but got a side of {self.side} pixels for images of "
                f"{rows}x{columns}; set trainer.cutout to at most {min(image_size)} (half of the side is usual), or to "
                "0 for no Cutout"
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Blanks out a square of each image.

        Args:
            images: Shape (B, C, H, W), any type, on any device; not changed.
            generator: The only source of randomness; a CPU generator gives the same draws on every device.

        Returns:
            A new tensor of the same shape and type.

        Raises:
            RequestError: When the square is larger than the images.
        """
        count, _, height, width = images.shape
        self.check((height, width))
        rows = self._covered(count, height, generator, images.device)
        columns = self._covered(count, width, generator, images.device)
        square = rows[:, None, :, None] & columns[:, None, None, :]
        fill = torch.tensor(self.fill, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
        return torch.where(square, fill, images)

    def _covered(self, count: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """Draws which rows (or columns) are covered, shape (B, size), bool."""
        centre = torch.randint(0, size, (count, 1), generator=generator, device=generator.device).to(device)
        offset = torch.arange(size, device=device) - centre + self.side // 2
        return (offset >= 0) & (offset < self.side)
