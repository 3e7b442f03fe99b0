"""Densely connected networks for small images.

Source: Huang et al., "Densely Connected Convolutional Networks" (CVPR 2017), section 3: three dense blocks, 3n + 4
layers, neither bottlenecks nor compression. As in network slimming (Liu et al., ICCV 2017, section 4.2), the first
convolution gives twice the growth in channels, and every normalisation selects its channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_vision.models.base import ClassifierModule, convolution, initialise
from automl_vision.models.selection import SelectedNorm

GROWTH = 12


class Layer(nn.Module):
    """Appends new channels to what it is given: normalisation, rectifier, 3x3 convolution."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm = SelectedNorm(inputs)
        self.convolution = convolution(inputs, growth)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, inputs + growth, H, W)."""
        return torch.cat((images, self.convolution(F.relu(self.norm(images), inplace=True))), dim=1)


class Transition(nn.Module):
    """Halves the image between two dense blocks: normalisation, rectifier, 1x1 convolution, average pooling."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = SelectedNorm(inputs)
        self.convolution = convolution(inputs, inputs, size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, inputs, H / 2, W / 2), rounded up."""
        maps = self.convolution(F.relu(self.norm(images), inplace=True))
        return F.avg_pool2d(maps, 2, ceil_mode=True)


class DenseNet(ClassifierModule):
    """A densely connected network of 3n + 4 layers.

    Args:
        depth: Number of layers with weights, 3n + 4.
        channels: Channels of the images.
        classes: Number of classes.
        growth: Channels that each layer adds (k).

    Raises:
        RequestError: When layers would add no channels.
    """

    def __init__(self, depth: int, channels: int, classes: int, growth: int = GROWTH) -> None:
        super().__init__()
        if growth < 1:
            raise RequestError(f"each layer must add at least 1 channel, but got {growth}; raise the option 'growth'")
        count, rest = divmod(depth - 4, 3)
        assert count >= 1 and rest == 0, depth
        inputs = 2 * growth
        self.stem = convolution(channels, inputs)
        layers: list[nn.Module] = []
        for block in range(3):
            if block:
                layers.append(Transition(inputs))
            for _ in range(count):
                layers.append(Layer(inputs, growth))
                inputs += growth
        self.layers = nn.Sequential(*layers)
        self.norm = SelectedNorm(inputs)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last block, shape (B, (depth - 2) * growth, rows, columns)."""
        return F.relu(self.norm(self.layers(self.stem(images))), inplace=True)


def _of_depth(depth: int) -> Callable[..., DenseNet]:
    def build(channels: int, classes: int, growth: int = GROWTH) -> DenseNet:
        """Builds a densely connected network.

        Args:
            channels: Channels of the images.
            classes: Number of classes.
            growth: Channels that each layer adds; the first convolution gives twice as many.
        """
        return DenseNet(depth, channels, classes, growth)

    build.__name__ = build.__qualname__ = f"densenet{depth}"
    return build


densenet10 = _of_depth(10)
densenet22 = _of_depth(22)
densenet40 = _of_depth(40)
