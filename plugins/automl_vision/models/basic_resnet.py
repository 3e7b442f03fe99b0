"""Residual networks of basic blocks as ImageNet's, for small images: ResNet-18, ResNet-34, and those scaled from them.

Source: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1: stages of basic blocks with 64,
128, 256 and 512 channels, and a projection where a block changes the shape (option B). For small images the stem is a
3x3 convolution at stride 1, and no pooling follows it.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_vision.models.base import ClassifierModule, convolution, initialise


class Block(nn.Module):
    """Two convolutions beside a shortcut, which is a normalised 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution_1 = convolution(inputs, outputs, stride=stride)
        self.norm_1 = nn.BatchNorm2d(outputs)
        self.convolution_2 = convolution(outputs, outputs)
        self.norm_2 = nn.BatchNorm2d(outputs)
        changes = inputs != outputs or stride != 1
        self.projection = (
            nn.Sequential(convolution(inputs, outputs, size=1, stride=stride), nn.BatchNorm2d(outputs))
            if changes
            else None
        )

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        residual = F.relu(self.norm_1(self.convolution_1(images)), inplace=True)
        residual = self.norm_2(self.convolution_2(residual))
        shortcut = images if self.projection is None else self.projection(images)
        return F.relu(residual + shortcut, inplace=True)


class BasicResNet(ClassifierModule):
    """Stages of basic blocks; each stage after the first begins by halving the image.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        blocks: Blocks of each stage.
        widths: Channels of each stage.
        stem: Channels of the first convolution.

    Raises:
        RequestError: When there is a stage without blocks or channels, or not one number of each for every stage.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        stem: int,
    ) -> None:
        super().__init__()
        if not blocks or len(blocks) != len(widths) or min(*blocks, *widths, stem) < 1:
            raise RequestError(
                "blocks and widths must give each stage one number of at least 1, and stem too, but got blocks = "
                f"{list(blocks)}, widths = {list(widths)} and stem = {stem}; mend the model's options"
            )
        self.stem = convolution(channels, stem)
        self.norm = nn.BatchNorm2d(stem)
        stages, inputs = [], stem
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            for index in range(count):
                stages.append(Block(inputs, width, stride=2 if stage and not index else 1))
                inputs = width
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last stage, shape (B, widths[-1], rows, columns)."""
        maps = F.relu(self.norm(self.stem(images)), inplace=True)
        return cast(Tensor, self.blocks(maps))


def resnet18(
    channels: int,
    classes: int,
    blocks: tuple[int, ...] = (2, 2, 2, 2),
    widths: tuple[int, ...] = (64, 128, 256, 512),
    stem: int = 64,
) -> BasicResNet:
    """Builds ResNet-18 for small images, or one with other stages.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        blocks: Blocks of each stage, of two convolutions each.
        widths: Channels of each stage.
        stem: Channels of the first convolution.
    """
    return BasicResNet(channels, classes, blocks, widths, stem)


def resnet34(
    channels: int,
    classes: int,
    blocks: tuple[int, ...] = (3, 4, 6, 3),
    widths: tuple[int, ...] = (64, 128, 256, 512),
    stem: int = 64,
) -> BasicResNet:
    """Builds ResNet-34 for small images, or one with other stages.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        blocks: Blocks of each stage, of two convolutions each.
        widths: Channels of each stage.
        stem: Channels of the first convolution.
    """
    return BasicResNet(channels, classes, blocks, widths, stem)
