"""Networks for small images that are stacked from the two cells of a genotype.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), sections 2.1 and 3.2; where the paper is
silent, their published code decides: reductions at one and two thirds, the stem, and the auxiliary tower.

Shape legend: B images, H rows, W columns.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_spaces.genotype import DARTS_V2, INPUTS, CellNodes, Genotype
from automl_vision.models.base import ClassifierModule, check_width, convolution
from automl_vision.models.darts_operations import FactorisedReduction, Projection, Zero, build_operation, drop_paths

TOWER_WIDTHS = 128, 768
"""Channels of the auxiliary tower's two convolutions."""


class Cell(nn.Module):
    """One cell: brings its two inputs to its own size and channels, and concatenates its nodes.

    Args:
        nodes: The cell of the genotype.
        inputs: Channels of its two inputs.
        channels: Channels of each node.
        reduces: Whether it halves the image: operations on its inputs then have stride 2.
        follows_reduction: Whether its first input is twice as large as its second.
    """

    def __init__(
        self, nodes: CellNodes, inputs: tuple[int, int], channels: int, reduces: bool, follows_reduction: bool
    ) -> None:
        super().__init__()
        first = FactorisedReduction if follows_reduction else Projection
        self.inputs = nn.ModuleList([first(inputs[0], channels), Projection(inputs[1], channels)])
        self.sources = [[source for _, source in node] for node in nodes]
        self.operations = nn.ModuleList(
            nn.ModuleList(
                build_operation(name, channels, 2 if reduces and source < INPUTS else 1) for name, source in node
            )
            for node in nodes
        )
        self.outputs = channels * len(nodes)

    def forward(self, first: Tensor, second: Tensor, dropped: float) -> Tensor:
        """Gives shape (B, outputs, H, W), with H and W halved in a reduction cell.

        Args:
            first: Output of the cell before the last.
            second: Output of the last cell, shape (B, inputs[1], H, W).
            dropped: Probability with which each path other than an identity is dropped.
        """
        maps = [project(one) for project, one in zip(self.inputs, (first, second), strict=True)]
        for sources, operations in zip(self.sources, self.operations, strict=True):
            paths = []
            for source, operation in zip(sources, operations, strict=True):  # type: ignore[call-overload]
                path = operation(maps[source])
                if dropped and not isinstance(operation, nn.Identity | Zero):
                    path = drop_paths(path, dropped)
                paths.append(path)
            maps.append(paths[0] + paths[1])
        return torch.cat(maps[INPUTS:], dim=1)


class AuxiliaryTower(nn.Module):
    """A second classifier, on the maps two thirds up the network, that helps to train the cells below it.

    It averages over two windows each way that are five eighths of the maps wide, which on maps of 8x8 pixels, those
    of a 32x32 image, are DARTS' 5x5 with stride 3; so images of any size come down to the 2x2 pixels that follow.

    Args:
        inputs: Channels of the maps.
        classes: Number of classes.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        narrow, wide = TOWER_WIDTHS
        self.features = nn.Sequential(
            convolution(inputs, narrow, size=1),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, wide, 2, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
        )
        self.head = nn.Linear(wide, classes)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) to logits, shape (B, classes)."""
        return cast(Tensor, self.head(self.features(self.pool(F.relu(maps))).flatten(1)))

    @staticmethod
    def pool(maps: Tensor) -> Tensor:
        """Gives (B, inputs, 2, 2). A single pixel is taken for both windows."""
        # Not adaptive pooling, whose gradient is not deterministic on GPUs.
        maps = maps.expand(-1, -1, *(2 if size == 1 else -1 for size in maps.shape[2:]))
        strides = [max(1, size * 3 // 8) for size in maps.shape[2:]]
        sizes = [size - stride for size, stride in zip(maps.shape[2:], strides, strict=True)]
        return F.avg_pool2d(maps, sizes, strides)


class DARTSNetwork(ClassifierModule):
    """A stem, cells, and the mean over the image; the image is halved at one and at two thirds of the cells.

    A network of one or two cells has no normal cell; in one of one cell both reductions are the same.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        normal: The normal cell: for each of its four nodes two pairs of an operation and its input. The defaults are
            the cells that Liu et al. found with the second-order approximation.
        reduction: The reduction cell, likewise.
        cells: Number of cells.
        width: Channels of each node in the first cells (C); each reduction doubles them.
        path_dropout: Probability, at the end of the planned training, with which a path other than an identity is
            left out for an image; it grows from 0.
        auxiliary: Whether there is an auxiliary tower, after the cell of the second reduction.

    Raises:
        RequestError: For a value out of its range, or a genotype that is none.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        normal: CellNodes = DARTS_V2.normal,
        reduction: CellNodes = DARTS_V2.reduction,
        cells: int = 20,
        width: int = 36,
        path_dropout: float = 0.0,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        check_width(width)
        if cells < 1:
            raise RequestError(f"a network must have at least 1 cell, but got {cells}; raise the option 'cells'")
        if not 0 <= path_dropout < 1:
            raise RequestError(
                f"0 <= path_dropout < 1 must hold, but got {path_dropout}; 0 leaves all paths, 0.2 is DARTS' own"
            )
        genotype = Genotype(normal, reduction)
        self.path_dropout = path_dropout
        self.stem = nn.Sequential(convolution(channels, 3 * width), nn.BatchNorm2d(3 * width))
        self.cells = nn.ModuleList()
        self._tower_after = 2 * cells // 3
        self._dropped = 0.0
        self.auxiliary: AuxiliaryTower | None = None
        inputs, node, follows_reduction = (3 * width, 3 * width), width, False
        for place in range(cells):
            reduces = place in (cells // 3, self._tower_after)
            node *= 2 if reduces else 1
            nodes = genotype.reduction if reduces else genotype.normal
            cell = Cell(nodes, inputs, node, reduces, follows_reduction)
            self.cells.append(cell)
            inputs, follows_reduction = (inputs[1], cell.outputs), reduces
            if auxiliary and place == self._tower_after:
                self.auxiliary = AuxiliaryTower(cell.outputs, classes)
        self.head = nn.Linear(inputs[1], classes)

    def set_progress(self, progress: float) -> None:
        """Lets path dropout grow linearly: to ``progress``, in [0, 1), of its final probability."""
        self._dropped = self.path_dropout * progress

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the last cell's output, shape (B, head.in_features, rows, columns)."""
        return self._maps(images)[0]

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Gives the features and the auxiliary tower's logits, shape (B, classes); None without a tower."""
        last, middle = self._maps(images)
        return last.mean((2, 3)), None if self.auxiliary is None else self.auxiliary(middle)

    def _maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Gives the output of the last cell and that of the second reduction."""
        dropped = self._dropped if self.training else 0.0
        first = second = middle = self.stem(images)
        for place, cell in enumerate(self.cells):
            first, second = second, cell(first, second, dropped)
            if place == self._tower_after:
                middle = second
        return second, middle
