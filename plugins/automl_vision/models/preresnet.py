"""Residual networks of pre-activation bottlenecks for small images.

Source: He et al., "Identity Mappings in Deep Residual Networks" (ECCV 2016), section 4 and appendix: 9n + 2 layers in
three stages. As in network slimming (Liu et al., ICCV 2017, section 4.2), a projection reads the block's input as it
is, and the normalisations of the residual stream select their channels, so that slimming can cut each by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from automl_vision.models.base import ClassifierModule, check_width, convolution, initialise
from automl_vision.models.selection import SelectedNorm

EXPANSION = 4
"""Channels that a block gives, in multiples of those that it works with."""


class Block(nn.Module):
    """Normalisation, rectifier and convolution, three times, beside a shortcut.

    Args:
        inputs: Channels of what it is given.
        inner: Channels that it works with; it gives 4 times as many.
        stride: Stride of the 3x3 convolution and of the shortcut.
    """

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * inner
        self.norm_1 = SelectedNorm(inputs)
        self.convolution_1 = convolution(inputs, inner, size=1)
        self.norm_2 = nn.BatchNorm2d(inner)
        self.convolution_2 = convolution(inner, inner, stride=stride)
        self.norm_3 = nn.BatchNorm2d(inner)
        self.convolution_3 = convolution(inner, outputs, size=1)
        changes = inputs != outputs or stride != 1
        # After the first convolution, which is the one that a cut of the first normalisation concerns.
        self.projection = convolution(inputs, outputs, size=1, stride=stride) if changes else None

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, 4 * inner, H / stride, W / stride), rounded up."""
        residual = self.convolution_1(F.relu(self.norm_1(images), inplace=True))
        residual = self.convolution_2(F.relu(self.norm_2(residual), inplace=True))
        residual = self.convolution_3(F.relu(self.norm_3(residual), inplace=True))
        shortcut = images if self.projection is None else self.projection(images)
        return cast(Tensor, residual + shortcut)


class PreResNet(ClassifierModule):
    """A residual network of 9n + 2 layers.

    Args:
        depth: Number of layers with weights, 9n + 2.
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the stem, and those that blocks of the first stage work with; in the second it is twice, in
            the third four times as many. A stage gives 4 times its own.
    """

    def __init__(self, depth: int, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        check_width(width)
        blocks, rest = divmod(depth - 2, 9)
        assert blocks >= 1 and rest == 0, depth
        self.stem = convolution(channels, width)
        stages, inputs = [], width
        for stage in range(3):
            inner = width * 2**stage
            for index in range(blocks):
                stages.append(Block(inputs, inner, stride=2 if stage and not index else 1))
                inputs = EXPANSION * inner
        self.blocks = nn.Sequential(*stages)
        self.norm = SelectedNorm(inputs)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last stage, shape (B, 16 * width, rows, columns)."""
        return F.relu(self.norm(self.blocks(self.stem(images))), inplace=True)


def _of_depth(depth: int) -> Callable[..., PreResNet]:
    def build(channels: int, classes: int, width: int = 16) -> PreResNet:
        """Builds a residual network of pre-activation bottlenecks.

        Args:
            channels: Channels of the images.
            classes: Number of classes.
            width: Channels that blocks of the first stage work with; in the second it is twice, in the third four times
                as many.
        """
        return PreResNet(depth, channels, classes, width)

    build.__name__ = build.__qualname__ = f"preresnet{depth}"
    return build


preresnet11 = _of_depth(11)
preresnet20 = _of_depth(20)
preresnet56 = _of_depth(56)
preresnet110 = _of_depth(110)
