"""VGG for small images.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015), table
1, configuration D. As is usual for images of 32x32, each convolution is followed by batch normalisation, and one linear
layer takes the place of the three fully connected ones. Convolutions have no bias, which normalisation would undo.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from automl_vision.models.base import ClassifierModule, check_width, convolution, initialise

STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Of each stage: channels in multiples of the first one's, and convolutions."""


class VGG16(ClassifierModule):
    """A plain network of 13 convolutions and a linear layer.

    Each of the five stages ends in 2x2 max-pooling, which keeps the rest of an odd side; so images of any size will do.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the first stage; the others have 2, 4, 8 and 8 times as many.
    """

    def __init__(self, channels: int, classes: int, width: int = 64) -> None:
        super().__init__()
        check_width(width)
        self.stages = nn.ModuleList()
        inputs = channels
        for factor, convolutions in STAGES:
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
        for stage in self.stages:
            maps = F.max_pool2d(stage(maps), 2, ceil_mode=True)
        return maps
