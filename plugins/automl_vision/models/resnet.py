"""Residual networks for small images.

Source: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), section 4.2: 6n + 2 layers in three
stages, shortcut without parameters (option A).

The base code of pruning by the L1 norm (Liu et al., "Rethinking the Value of Network Pruning", ICLR 2019) pools the
shortcut over 2x2 pixels instead of subsampling it, and lets no gradient pass there; the parameters are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from automl_vision.models.base import ClassifierModule, check_width, convolution, initialise


class Block(nn.Module):
    """Two convolutions beside a shortcut: subsampled where the stage shrinks, filled up with zero channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution_1 = convolution(inputs, outputs, stride=stride)
        self.norm_1 = nn.BatchNorm2d(outputs)
        self.convolution_2 = convolution(outputs, outputs)
        self.norm_2 = nn.BatchNorm2d(outputs)
        self.stride, self.missing = stride, outputs - inputs

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        residual = F.relu(self.norm_1(self.convolution_1(images)), inplace=True)
        residual = self.norm_2(self.convolution_2(residual))
        shortcut = images
        if self.stride > 1:
            # Average pooling with a 1x1 window is subsampling.
            shortcut = shortcut[:, :, :: self.stride, :: self.stride]
        if self.missing:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.missing))
        return F.relu(residual + shortcut, inplace=True)


class ResNet(ClassifierModule):
    """A residual network with 6n + 2 layers.

    Args:
        depth: Number of layers with weights, 6n + 2.
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the first stage; the second has twice, the third four times as many.
    """

    def __init__(self, depth: int, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        check_width(width)
        blocks, rest = divmod(depth - 2, 6)
        assert blocks >= 1 and rest == 0, depth
        self.stem = convolution(channels, width)
        self.norm = nn.BatchNorm2d(width)
        stages, inputs = [], width
        for stage in range(3):
            outputs = width * 2**stage
            for index in range(blocks):
                stages.append(Block(inputs, outputs, stride=2 if stage and not index else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last stage, shape (B, 4 * width, rows, columns)."""
        maps = F.relu(self.norm(self.stem(images)), inplace=True)
        return cast(Tensor, self.blocks(maps))


def _of_depth(depth: int) -> Callable[..., ResNet]:
    def build(channels: int, classes: int, width: int = 16) -> ResNet:
        """Builds a residual network for small images.

        Args:
            channels: Channels of the images.
            classes: Number of classes.
            width: Channels of the first stage; the second has twice, the third four times as many.
        """
        return ResNet(depth, channels, classes, width)

    build.__name__ = build.__qualname__ = f"resnet{depth}"
    return build


resnet8 = _of_depth(8)
resnet14 = _of_depth(14)
resnet20 = _of_depth(20)
resnet32 = _of_depth(32)
resnet44 = _of_depth(44)
resnet56 = _of_depth(56)
resnet110 = _of_depth(110)
