"""Parameters and multiply-accumulates of networks of cells, in closed form.

Each operation adds the same to a network whatever else is in its cells, so the costs of all operations on all edges
can be told beforehand. Nothing is built for it; numbers are exact, the auxiliary tower left out.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 3.2, and their published code for
how cells are stacked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from automl_core.errors import RequestError
from automl_spaces.genotype import INPUTS, NODES, Genotype
from automl_spaces.operations import convolution_of, kind_of

Size = tuple[int, int]
"""Rows and columns."""

CellKind = Literal["normal", "reduction"]


@dataclass(frozen=True)
class Costs:
    """What a part of a network costs.

    Args:
        params: Trainable numbers.
        flops: Multiply-accumulates of convolutions and matrix products for one image, forward.
    """

    params: int = 0
    flops: int = 0

    def __add__(self, other: Costs) -> Costs:
        return Costs(self.params + other.params, self.flops + other.flops)

    def __mul__(self, times: int) -> Costs:
        return Costs(self.params * times, self.flops * times)


@dataclass(frozen=True)
class _Place:
    """A cell of the network: its kind, the channels of its nodes and inputs, and the size of its second input."""

    kind: CellKind
    channels: int
    inputs: tuple[int, int]
    size: Size

    @property
    def outputs(self) -> int:
        return NODES * self.channels

    @property
    def inner(self) -> Size:
        """Rows and columns of its nodes."""
        return _halved(self.size) if self.kind == "reduction" else self.size

    def of(self, operation: str, source: int) -> Costs:
        """Gives what an operation on an input or a node costs in this cell."""
        strided = self.kind == "reduction" and source < INPUTS
        found = convolution_of(operation)
        if found is None:
            # A factorised reduction is one 1x1 convolution in two halves; everything else has no weights.
            reduces = kind_of(operation) == "skip" and strided
            return _pointwise(self.channels, self.channels, self.inner) if reduces else Costs()
        widths = pairwise(self.channels * factor for factor in (1, *found.widths, 1))
        depthwise = Costs(found.size**2, found.size**2 * _pixels(self.inner))
        return sum(
            (depthwise * inputs + _pointwise(inputs, outputs, self.inner) for inputs, outputs in widths), Costs()
        )

    @property
    def projections(self) -> Costs:
        """What it takes to bring both inputs to the cell's channels, and the first one to the size of the second."""
        first, second = self.inputs
        return _pointwise(first, self.channels, self.size) + _pointwise(second, self.channels, self.size)


@dataclass(frozen=True)
class CellCosts:
    """What networks of cells of one size cost.

    Args:
        cells: Number of cells.
        channels: Channels of each node in the first cells.
        image_channels: Channels of the images.
        classes: Number of classes.
        image_size: Rows and columns of the images, in pixels.

    Raises:
        RequestError: For a number below 1.
    """

    cells: int
    channels: int
    image_channels: int
    classes: int
    image_size: Size

    def __post_init__(self) -> None:
        if min(self.cells, self.channels, self.image_channels, self.classes, *self.image_size) < 1:
            raise RequestError(f"cells, channels, classes and the image's size must be at least 1, but got {self}")

    @cached_property
    def base(self) -> Costs:
        """What every network costs whatever its operations: stem, projections of cells' inputs, and head."""
        stem = 3 * self.channels
        weights = 9 * self.image_channels * stem
        features = self._places[-1].outputs
        ends = (
            Costs(weights + 2 * stem, weights * _pixels(self.image_size)),
            Costs((features + 1) * self.classes, features * self.classes),
        )
        return sum((place.projections for place in self._places), sum(ends, Costs()))

    def of(self, kind: CellKind, operation: str, source: int) -> Costs:
        """Gives what an operation adds to the network, in all cells of a kind together.

        Args:
            kind: The kind of cell.
            operation: Its name.
            source: Number of the input or node that it is applied to.

        Raises:
            RequestError: For an unknown operation.
        """
        return sum((place.of(operation, source) for place in self._places if place.kind == kind), Costs())

    def total(self, genotype: Genotype) -> Costs:
        """Gives what the network of a genotype costs.

        Raises:
            RequestError: For an unknown operation.
        """
        normal = (self.of("normal", *one) for node in genotype.normal for one in node)
        reduction = (self.of("reduction", *one) for node in genotype.reduction for one in node)
        return sum(reduction, sum(normal, self.base))

    @cached_property
    def _places(self) -> tuple[_Place, ...]:
        return tuple(self._stacked())

    def _stacked(self) -> Iterator[_Place]:
        channels, inputs = self.channels, (3 * self.channels, 3 * self.channels)
        size = self.image_size
        for number in range(self.cells):
            reduces = number in (self.cells // 3, 2 * self.cells // 3)
            channels *= 2 if reduces else 1
            place = _Place("reduction" if reduces else "normal", channels, inputs, size)
            yield place
            inputs, size = (inputs[1], place.outputs), place.inner


def _pointwise(inputs: int, outputs: int, size: Size) -> Costs:
    """A 1x1 convolution to maps of a size, normalised."""
    weights = inputs * outputs
    return Costs(weights + 2 * outputs, weights * _pixels(size))


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def _halved(size: Size) -> Size:
    return -(-size[0] // 2), -(-size[1] // 2)
