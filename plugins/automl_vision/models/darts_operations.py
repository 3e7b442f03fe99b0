"""The operations of DARTS' cells, and what else their networks consist of.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 3.1; Laube and Zell, "Prune and
Replace NAS" (2019), section III-B, for convolutions with expansions. Every operation keeps the number of channels; one
with stride 2 halves the image, rounded up.

Shape legend: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_spaces.operations import MAX_POOL, Convolution, convolution_of, kind_of
from automl_vision.models.base import convolution


class SeparableConvolution(nn.Sequential):
    """Rectifier, depthwise convolution, 1x1 convolution and normalisation.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        size: Rows and columns of the kernel, odd.
        stride: Of the depthwise convolution.
        dilation: Of the depthwise convolution.
        affine: Whether the normalisation has a scale and a shift.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1, affine: bool = True
    ) -> None:
        padding = (size - 1) * dilation // 2
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, inputs, size, stride, padding, dilation, groups=inputs, bias=False),
            convolution(inputs, outputs, size=1),
            nn.BatchNorm2d(outputs, affine=affine),
        )


class Projection(nn.Sequential):
    """Rectifier, 1x1 convolution and normalisation: brings maps to another number of channels.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        affine: Whether the normalisation has a scale and a shift.
    """

    def __init__(self, inputs: int, outputs: int, affine: bool = True) -> None:
        super().__init__(nn.ReLU(), convolution(inputs, outputs, size=1), nn.BatchNorm2d(outputs, affine=affine))


class FactorisedReduction(nn.Module):
    """Halves maps by two 1x1 convolutions with stride 2, the second on the pixels that the first passes over.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out; each convolution gives half of them.
        affine: Whether the normalisation has a scale and a shift.
    """

    def __init__(self, inputs: int, outputs: int, affine: bool = True) -> None:
        super().__init__()
        self.even = convolution(inputs, outputs // 2, size=1, stride=2)
        self.odd = convolution(inputs, outputs - outputs // 2, size=1, stride=2)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

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


def build_operation(name: str, channels: int, stride: int, affine: bool = True) -> nn.Module:
    """Builds an operation of a cell.

    Convolutions are :class:`SeparableConvolution` one after another, the first with the stride, as
    ``operation[0]``, ``operation[1]``, ....

    Args:
        name: A name of DARTS, or of an :class:`~automl_spaces.operations.Convolution`.
        channels: Channels that come in and go out.
        stride: 1 or 2.
        affine: Whether normalisations have a scale and a shift.

    Raises:
        RequestError: For an unknown name.
    """
    found = convolution_of(name)
    if found is not None:
        return _convolutions(found, channels, stride, affine)
    kind = kind_of(name)
    if kind == "none":
        return Zero(stride)
    if kind == "skip":
        return nn.Identity() if stride == 1 else FactorisedReduction(channels, channels, affine)
    if name == MAX_POOL:
        return nn.MaxPool2d(3, stride, padding=1)
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def _convolutions(found: Convolution, channels: int, stride: int, affine: bool) -> nn.Sequential:
    widths = [channels * factor for factor in (1, *found.widths, 1)]
    return nn.Sequential(
        *(
            SeparableConvolution(inputs, outputs, found.size, 1 if place else stride, found.dilation, affine)
            for place, (inputs, outputs) in enumerate(pairwise(widths))
        )
    )


def drop_paths(maps: Tensor, probability: float) -> Tensor:
    """Sets the maps of each image to zero with a probability, and scales up the others so that the mean stays.

    Source: Larsson et al., "FractalNet" (ICLR 2017), section 3, local drop-path; drawn for each image as in DARTS.

    Args:
        maps: Shape (B, C, H, W).
        probability: At least 0 and below 1.
    """
    kept = torch.empty(len(maps), 1, 1, 1, dtype=maps.dtype, device=maps.device).bernoulli_(1.0 - probability)
    return maps * (kept / (1.0 - probability))
