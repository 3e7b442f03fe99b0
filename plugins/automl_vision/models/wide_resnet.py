"""Wide residual networks.

Source: Zagoruyko and Komodakis, "Wide Residual Networks" (BMVC 2016), table 1: pre-activation blocks B(3, 3) in three
stages, 6n + 4 layers, here without dropout. Where a block changes the number of channels, its shortcut is a 1x1
convolution of the normalised input.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from automl_vision.models.base import ClassifierModule, check_width, convolution, initialise


class Block(nn.Module):
    """Normalisation, rectifier and convolution, twice, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm_1 = nn.BatchNorm2d(inputs)
        self.convolution_1 = convolution(inputs, outputs, stride=stride)
        self.norm_2 = nn.BatchNorm2d(outputs)
        self.convolution_2 = convolution(outputs, outputs)
        changes = inputs != outputs or stride != 1
        self.projection = convolution(inputs, outputs, size=1, stride=stride) if changes else None

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        active = F.relu(self.norm_1(images), inplace=True)
        shortcut = images if self.projection is None else self.projection(active)
        residual = F.relu(self.norm_2(self.convolution_1(active)), inplace=True)
        return shortcut + self.convolution_2(residual)  # type: ignore[no-any-return]


class WideResNet(ClassifierModule):
    """A wide residual network, WRN-depth-factor.

    Args:
        depth: Number of layers, 6n + 4.
        factor: Widening factor (the paper's k).
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the stem; the stages have 1, 2 and 4 times ``width * factor``.
    """

    def __init__(self, depth: int, factor: int, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        check_width(width)
        blocks, rest = divmod(depth - 4, 6)
        assert blocks >= 1 and rest == 0, depth
        self.stem = convolution(channels, width)
        stages, inputs = [], width
        for stage in range(3):
            outputs = width * factor * 2**stage
            for index in range(blocks):
                stages.append(Block(inputs, outputs, stride=2 if stage and not index else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last stage, shape (B, 4 * width * factor, rows, columns)."""
        maps = self.blocks(self.stem(images))
        return F.relu(self.norm(maps), inplace=True)


def _of_size(depth: int, factor: int) -> Callable[..., WideResNet]:
    def build(channels: int, classes: int, width: int = 16) -> WideResNet:
        """Builds a wide residual network.

        Args:
            channels: Channels of the images.
            classes: Number of classes.
            width: Channels of the stem; the stages have 1, 2 and 4 times this, times the widening factor.
        """
        return WideResNet(depth, factor, channels, classes, width)

    build.__name__ = build.__qualname__ = f"wrn_{depth}_{factor}"
    return build


wrn_10_1 = _of_size(10, 1)
wrn_16_1 = _of_size(16, 1)
wrn_16_2 = _of_size(16, 2)
wrn_28_2 = _of_size(28, 2)
wrn_28_10 = _of_size(28, 10)
