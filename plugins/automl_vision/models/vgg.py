"""VGG for small images.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015), table
1, configurations A, D and E. As is usual for images of 32x32, each convolution is followed by batch normalisation, and
one linear layer takes the place of the three fully connected ones. Convolutions have no bias, which normalisation would
undo. VGG-11 and VGG-19 leave the last pooling to the mean over the image, as in network slimming (Liu et al., ICCV
2017): their last maps have 2x2 pixels.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from automl_vision.models.base import ClassifierModule, check_width, convolution, initialise

FACTORS = (1, 2, 4, 8, 8)
"""Of each stage: channels in multiples of the first one's."""


class VGG(ClassifierModule):
    """A plain network of convolutions and a linear layer.

    Each of the five stages, of some but for the last, ends in 2x2 max-pooling, which keeps the rest of an odd side; so
    images of any size will do.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the first stage; the others have 2, 4, 8 and 8 times as many.
    """

    convolutions: ClassVar[tuple[int, ...]]
    """Convolutions of each stage."""

    poolings: ClassVar[int]
    """Number of stages, the first ones, that end in pooling."""

    def __init__(self, channels: int, classes: int, width: int = 64) -> None:
        super().__init__()
        check_width(width)
        self.stages = nn.ModuleList()
        inputs = channels
        for factor, convolutions in zip(FACTORS, self.convolutions, strict=True):
            layers: list[nn.Module] = []
            for _ in range(convolutions):
                outputs = factor * width
                layers += [convolution(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
                inputs = outputs
            self.stages.append(nn.Sequential(*layers))
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last stage, shape (B, 8 * width, rows, columns)."""
        maps = images
        for place, stage in enumerate(self.stages):
            maps = stage(maps)
            if place < self.poolings:
                maps = F.max_pool2d(maps, 2, ceil_mode=True)
        return maps


class VGG11(VGG):
    """A plain network of 8 convolutions and a linear layer, without the last pooling."""

    convolutions, poolings = (1, 1, 2, 2, 2), 4


class VGG16(VGG):
    """A plain network of 13 convolutions and a linear layer, with all five poolings."""

    convolutions, poolings = (2, 2, 3, 3, 3), 5


class VGG19(VGG):
    """A plain network of 16 convolutions and a linear layer, without the last pooling."""

    convolutions, poolings = (2, 2, 4, 4, 4), 4
