"""Pyramidal residual networks for small images.

Source: Han, Kim and Kim, "Deep Pyramidal Residual Networks" (CVPR 2017): additive widening (equation 2, its widths
rounded to the nearest integer as in their published code), shortcuts filled up with zero channels (section 3.2) and
bottlenecks without a rectifier at their beginning, normalised at their end (section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from automl_vision.models.base import ClassifierModule, check_width, convolution, initialise

EXPANSION = 4
"""Channels that a block gives, in multiples of those that it works with."""


class Block(nn.Module):
    """A bottleneck beside a shortcut, which is pooled where the stage shrinks and filled up with zero channels.

    Args:
        inputs: Channels of what it is given.
        inner: Channels that it works with; it gives 4 times as many.
        stride: Stride of the 3x3 convolution, 1 or 2.
    """

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * inner
        self.norm_1 = nn.BatchNorm2d(inputs)
        self.convolution_1 = convolution(inputs, inner, size=1)
        self.norm_2 = nn.BatchNorm2d(inner)
        self.convolution_2 = convolution(inner, inner, stride=stride)
        self.norm_3 = nn.BatchNorm2d(inner)
        self.convolution_3 = convolution(inner, outputs, size=1)
        self.norm_4 = nn.BatchNorm2d(outputs)
        self.stride, self.missing = stride, outputs - inputs

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, 4 * inner, H / stride, W / stride), rounded up."""
        residual = self.convolution_1(self.norm_1(images))
        residual = self.convolution_2(F.relu(self.norm_2(residual), inplace=True))
        residual = self.convolution_3(F.relu(self.norm_3(residual), inplace=True))
        residual = self.norm_4(residual)
        # Rounding up makes no difference to even sizes, and fits the convolutions at odd ones.
        shortcut = images if self.stride == 1 else F.avg_pool2d(images, self.stride, ceil_mode=True)
        if self.missing:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.missing))
        return shortcut + residual  # type: ignore[no-any-return]


class PyramidNet(ClassifierModule):
    """A pyramidal network of 9n + 2 layers, whose every block is wider than the one before it.

    Args:
        depth: Number of layers with weights, 9n + 2.
        widening: Channels that all blocks together add (the paper's alpha), not below the number of blocks.
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the stem, to which the widening is added.
    """

    def __init__(self, depth: int, widening: int, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        check_width(width)
        blocks, rest = divmod(depth - 2, 9)
        assert blocks >= 1 and rest == 0 and widening >= 3 * blocks, (depth, widening)
        self.stem = convolution(channels, width)
        self.norm_1 = nn.BatchNorm2d(width)
        layers, inputs = [], width
        for place in range(3 * blocks):
            inner = width + round(widening * (place + 1) / (3 * blocks))
            layers.append(Block(inputs, inner, stride=2 if place in (blocks, 2 * blocks) else 1))
            inputs = EXPANSION * inner
        self.blocks = nn.Sequential(*layers)
        self.norm_2 = nn.BatchNorm2d(inputs)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last stage, shape (B, 4 * (width + widening), rows, columns)."""
        maps = self.blocks(self.norm_1(self.stem(images)))
        return F.relu(self.norm_2(maps), inplace=True)


def _of_size(depth: int, widening: int) -> Callable[..., PyramidNet]:
    def build(channels: int, classes: int, width: int = 16) -> PyramidNet:
        """Builds a pyramidal residual network.

        Args:
            channels: Channels of the images.
            classes: Number of classes.
            width: Channels of the stem, to which the widening is added.
        """
        return PyramidNet(depth, widening, channels, classes, width)

    build.__name__ = build.__qualname__ = f"pyramidnet_{depth}_{widening}"
    return build


pyramidnet_11_24 = _of_size(11, 24)
pyramidnet_110_64 = _of_size(110, 64)
pyramidnet_200_240 = _of_size(200, 240)
pyramidnet_200_300 = _of_size(200, 300)
