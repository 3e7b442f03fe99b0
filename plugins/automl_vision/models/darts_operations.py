"""The operations of DARTS' cells, and what else their networks consist of.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 3.1. Every operation keeps the
number of channels; one with stride 2 halves the image, rounded up.

Shape legend: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_core.errors import unknown
from automl_spaces.genotype import NONE
from automl_vision.models.base import convolution


class SeparableConvolution(nn.Sequential):
    """Rectifier, depthwise convolution, 1x1 convolution and normalisation.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        size: Rows and columns of the kernel, odd.
        stride: Of the depthwise convolution.
        dilation: Of the depthwise convolution.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1) -> None:
        padding = (size - 1) * dilation // 2
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, inputs, size, stride, padding, dilation, groups=inputs, bias=False),
            convolution(inputs, outputs, size=1),
            nn.BatchNorm2d(outputs),
        )


class Projection(nn.Sequential):
    """Rectifier, 1x1 convolution and normalisation: brings maps to another number of channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.ReLU(), convolution(inputs, outputs, size=1), nn.BatchNorm2d(outputs))


class FactorisedReduction(nn.Module):
    """Halves maps by two 1x1 convolutions with stride 2, the second on the pixels that the first passes over.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out; each convolution gives half of them.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = convolution(inputs, outputs // 2, size=1, stride=2)
        self.odd = convolution(inputs, outputs - outputs // 2, size=1, stride=2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, outputs, H / 2, W / 2), rounded up."""
        height, width = maps.shape[2:]
        active = F.relu(maps)
        # An odd size lacks a last odd pixel: zero stands for it.
        shifted = F.pad(active, (-1, width % 2, -1, height % 2))
        halves = torch.cat([self.even(active), self.odd(shifted)], dim=1)
        return self.norm(halves)  # type: ignore[no-any-return]


class Zero(nn.Module):
    """Gives zeros: there is no connection."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        return torch.zeros_like(maps[:, :, :: self.stride, :: self.stride])


def _separable_twice(size: int) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: nn.Sequential(
        SeparableConvolution(channels, channels, size, stride), SeparableConvolution(channels, channels, size)
    )


def _dilated(size: int) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: SeparableConvolution(channels, channels, size, stride, dilation=2)


BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {
    NONE: lambda channels, stride: Zero(stride),
    "max_pool_3x3": lambda channels, stride: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda channels, stride: nn.AvgPool2d(3, stride, padding=1, count_include_pad=False),
    "skip_connect": lambda channels, stride: nn.Identity() if stride == 1 else FactorisedReduction(channels, channels),
    "sep_conv_3x3": _separable_twice(3),
    "sep_conv_5x5": _separable_twice(5),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
}
"""Operation name to what builds it from its channels and stride."""


def build_operation(name: str, channels: int, stride: int) -> nn.Module:
    """Builds an operation of a cell.

    Args:
        name: One of :data:`BUILDERS`.
        channels: Channels that come in and go out.
        stride: 1 or 2.

    Raises:
        RequestError: For an unknown name.
    """
    if name not in BUILDERS:
        raise unknown("operation of a cell", name, BUILDERS)
    return BUILDERS[name](channels, stride)


def drop_paths(maps: Tensor, probability: float) -> Tensor:
    """Sets the maps of each image to zero with a probability, and scales up the others so that the mean stays.

    Source: Larsson et al., "FractalNet" (ICLR 2017), section 3, local drop-path; drawn for each image as in DARTS.

    Args:
        maps: Shape (B, C, H, W).
        probability: At least 0 and below 1.
    """
    kept = torch.empty(len(maps), 1, 1, 1, dtype=maps.dtype, device=maps.device).bernoulli_(1.0 - probability)
    return maps * (kept / (1.0 - probability))
