"""The networks of NAS-Bench-201: one cell, stacked.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search" (ICLR 2020),
section 2.1 and figure 1: a 3x3 stem, three stages of N cells with C, 2C and 4C channels, a residual block at stride 2
between stages, then normalisation, rectifier, global pooling and a linear head. Batch normalisation learns its scale
and shift, as in the benchmark's trainings.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_spaces.nas_bench_201 import NODES, Cell
from automl_vision.models.base import ClassifierModule, check_width, convolution, initialise

STAGES = 3


def _normalised(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Makes a convolution with batch normalisation; the rectifier comes before it."""
    return nn.Sequential(convolution(inputs, outputs, size, stride), nn.BatchNorm2d(outputs))


class StackedCell(nn.Module):
    """One cell; a node is the sum of what its incoming edges give.

    Edges that carry nothing from the input to the output are not built. A convolution of a node that is nothing but
    zero is one of them, as in the benchmark's unique string: it would add a constant at most.
    """

    def __init__(self, cell: Cell, width: int) -> None:
        super().__init__()
        self.edges = cell.live_edges
        self.layers = nn.ModuleList(_layer(operation, width) for _, _, operation in self.edges)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, width, H, W) to the same shape."""
        nodes, rectified = {0: images}, dict[int, Tensor]()
        for (source, destination, operation), layer in zip(self.edges, self.layers, strict=True):
            value = nodes[source]
            if operation.startswith("nor_conv"):
                if source not in rectified:  # several convolutions may begin at one node
                    rectified[source] = F.relu(value)
                value = rectified[source]
            value = layer(value)
            nodes[destination] = nodes[destination] + value if destination in nodes else value
        output = nodes.get(NODES - 1)
        return torch.zeros_like(images) if output is None else output


def _layer(operation: str, width: int) -> nn.Module:
    if operation == "skip_connect":
        return nn.Identity()
    if operation == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return _normalised(width, width, size=1 if operation == "nor_conv_1x1" else 3)


class Reduction(nn.Module):
    """The residual block that halves the image and doubles the channels: its shortcut pools, then projects."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution_1 = _normalised(inputs, outputs, size=3, stride=2)
        self.convolution_2 = _normalised(outputs, outputs, size=3)
        # Rounding up makes no difference to even sizes, and fits the convolutions at odd ones.
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), convolution(inputs, outputs, size=1))

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to (B, outputs, H / 2, W / 2), rounded up."""
        residual = self.convolution_2(F.relu(self.convolution_1(F.relu(images)), inplace=True))
        return cast(Tensor, self.shortcut(images) + residual)


class NASBench201Network(ClassifierModule):
    """The network of a cell of NAS-Bench-201.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        architecture: The cell in the benchmark's notation, ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``.
        cells: Cells of each of the three stages (N).
        width: Channels of the stem and the first stage (C); the second has twice, the third four times as many.

    Raises:
        RequestError: When the architecture is none, or there are no cells or channels.
    """

    def __init__(self, channels: int, classes: int, architecture: str, cells: int = 5, width: int = 16) -> None:
        super().__init__()
        check_width(width)
        if cells < 1:
            raise RequestError(f"a stage must have at least 1 cell, but got {cells}; raise the option 'cells'")
        cell = Cell.from_architecture(architecture)
        self.stem = _normalised(channels, width, size=3)
        layers: list[nn.Module] = []
        for stage in range(STAGES):
            if stage:
                layers.append(Reduction(width, 2 * width))
                width *= 2
            layers.extend(StackedCell(cell, width) for _ in range(cells))
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, classes)
        initialise(self)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the output of the last stage, shape (B, 4 * width, rows, columns)."""
        maps = self.norm(self.layers(self.stem(images)))
        return F.relu(maps, inplace=True)
