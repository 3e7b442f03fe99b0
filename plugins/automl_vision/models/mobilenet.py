"""MobileNetV2 for small images.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), table 2. As is usual for
images of 32x32, the stem and the second stage keep the image's size, so that it shrinks eightfold and not 32-fold.
There is no dropout.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_vision.models.base import ClassifierModule, initialise

STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Of each stage: expansion (t), channels (c), blocks (n) and the stride of the first of them (s)."""

STEM, FEATURES = 32, 1280
MULTIPLE = 8
"""Channels of the stages are multiples of this."""


def _layer(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class InvertedResidual(nn.Module):
    """Widens by a 1x1 convolution, filters each channel by itself, and narrows without a rectifier.

    What comes in is added where it has the same shape.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        widening = [*_layer(inputs, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        filtering = [*_layer(inner, inner, 3, stride, groups=inner), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*widening, *filtering, *_layer(inner, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, outputs, H / stride, W / stride), rounded up."""
        residual = cast(Tensor, self.layers(images))
        return images + residual if self.adds else residual


class MobileNetV2(ClassifierModule):
    """A network of inverted residuals with linear bottlenecks and depthwise convolutions.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        multiplier: Factor on the channels of the stem and of all stages, which are rounded to multiples of 8; the
            features are 1280, and more only where it is above 1.

    Raises:
        RequestError: For a multiplier that is not above 0.
    """

    def __init__(self, channels: int, classes: int, multiplier: float = 1.0) -> None:
        super().__init__()
        if not 0 < multiplier < float("inf"):
            raise RequestError(
                f"the width multiplier of a MobileNetV2 must be a number above 0, but got {multiplier}; 1.0 is the "
                "published width"
            )
        inputs = _scaled(STEM, multiplier)
        layers: list[nn.Module] = [*_layer(channels, inputs, 3), nn.ReLU6(inplace=True)]
        for expansion, width, blocks, stride in STAGES:
            outputs = _scaled(width, multiplier)
            for index in range(blocks):
                layers.append(InvertedResidual(inputs, outputs, 1 if index else stride, expansion))
                inputs = outputs
        features = _scaled(FEATURES, max(1.0, multiplier))
        self.layers = nn.Sequential(*layers, *_layer(inputs, features, 1), nn.ReLU6(inplace=True))
        self.head = nn.Linear(features, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last layer, shape (B, 1280, rows, columns)."""
        return cast(Tensor, self.layers(images))


def _scaled(width: int, multiplier: float) -> int:
    return max(MULTIPLE, round(width * multiplier / MULTIPLE) * MULTIPLE)
