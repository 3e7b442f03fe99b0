"""The supernet: stacked cells in which every edge gives a weighted sum of its candidate operations.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 2.2, equation 2; Laube and Zell,
"Prune and Replace NAS" (2019), for pools that differ from edge to edge. The stem, what brings a cell's inputs to its
channels, and the places of reductions are those of the networks that genotypes are trained as.

Shape legend: B images, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_prdarts.candidates import MixedEdge, Source
from automl_prdarts.plan import KINDS, Kind, Pools
from automl_spaces.cell_costs import CellCosts
from automl_spaces.genotype import EDGES, INPUTS, NODES
from automl_vision.models.base import ClassifierModule, check_width, convolution
from automl_vision.models.darts_operations import FactorisedReduction, Projection

Weights = Mapping[Kind, Sequence[Tensor]]
"""For each edge of a kind of cell the weights of its candidates, a tensor as long as its pool."""


class Architecture(nn.Module):
    """The architecture weights (alpha): one for each candidate of each edge, shared by all cells of a kind.

    They begin as zeros, and are not trained until someone asks for their gradient: what trains a network takes those
    of its parameters that want one.

    Args:
        pools: Candidates of each kind of cell.
    """

    normal: nn.Parameter
    reduction: nn.Parameter

    def __init__(self, pools: Mapping[Kind, Pools]) -> None:
        super().__init__()
        self._sizes = {kind: [len(pool) for pool in pools[kind]] for kind in KINDS}
        for kind, sizes in self._sizes.items():
            weights = nn.Parameter(torch.zeros(len(sizes), max(sizes)), requires_grad=False)
            self.register_parameter(kind, weights)
            spare = torch.arange(max(sizes)) >= torch.tensor(sizes)[:, None]
            self.register_buffer(f"{kind}_spare", spare, persistent=False)

    def probabilities(self) -> dict[Kind, list[Tensor]]:
        """Gives the softmax over each edge's candidates, for each kind of cell a tensor per edge, as long as its pool.

        A row is as wide as the widest pool; the columns that a smaller one leaves over take no part.
        """
        return {kind: self._rows(kind) for kind in KINDS}

    def _rows(self, kind: Kind) -> list[Tensor]:
        weights: Tensor = self.get_parameter(kind)
        rows = weights.masked_fill(self.get_buffer(f"{kind}_spare"), -torch.inf).softmax(dim=1)
        return [row[:size] for row, size in zip(rows, self._sizes[kind], strict=True)]


class MixedCell(nn.Module):
    """A cell with all edges, each the weighted sum of its candidates.

    Args:
        pools: Candidates of each edge.
        inputs: Channels of its two inputs.
        channels: Channels of each node.
        reduces: Whether it halves the image: candidates on its inputs then have stride 2.
        follows_reduction: Whether its first input is twice as large as its second.
    """

    def __init__(
        self, pools: Pools, inputs: tuple[int, int], channels: int, reduces: bool, follows_reduction: bool
    ) -> None:
        super().__init__()
        first = FactorisedReduction if follows_reduction else Projection
        self.kind: Kind = "reduction" if reduces else "normal"
        self.inputs = nn.ModuleList(
            [first(inputs[0], channels, affine=False), Projection(inputs[1], channels, affine=False)]
        )
        self.edges = nn.ModuleList(
            MixedEdge(pool, channels, 2 if reduces and source < INPUTS else 1)
            for (source, _), pool in zip(EDGES, pools, strict=True)
        )
        self.outputs = channels * NODES

    def forward(self, first: Tensor, second: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Gives shape (B, outputs, H, W), with H and W halved in a reduction cell.

        Args:
            first: Output of the cell before the last.
            second: Output of the last cell, shape (B, inputs[1], H, W).
            weights: For each edge those of its candidates.
        """
        sources = [Source(project(maps)) for project, maps in zip(self.inputs, (first, second), strict=True)]
        total: Tensor | None = None
        for (source, node), edge, own in zip(EDGES, self.mixed_edges, weights, strict=True):
            total = edge.add_to(total, sources[source], own)
            if source == node - 1:  # the last of the edges into this node
                sources.append(Source(total))
                total = None
        return torch.cat([source.maps for source in sources[INPUTS:]], dim=1)

    @property
    def mixed_edges(self) -> list[MixedEdge]:
        return [cast(MixedEdge, edge) for edge in self.edges]


class Supernet(ClassifierModule):
    """A stem, cells of weighted candidates, and the mean over the image; halved at one and two thirds of the cells.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        normal: Names of the candidates on each of the 14 edges of the normal cell, in the order of
            :data:`automl_spaces.genotype.EDGES`.
        reduction: Those of the reduction cell.
        cells: Number of cells.
        width: Channels of each node in the first cells (C); each reduction doubles them.

    Raises:
        RequestError: For a value out of its range, an unknown operation, or pools that are not one for each edge, empty
            or with an operation twice.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        normal: tuple[tuple[str, ...], ...],
        reduction: tuple[tuple[str, ...], ...],
        cells: int = 8,
        width: int = 16,
    ) -> None:
        super().__init__()
        check_width(width)
        if cells < 1:
            raise RequestError(f"a supernet must have at least 1 cell, but got {cells}; raise the option 'cells'")
        pools: dict[Kind, Pools] = {"normal": normal, "reduction": reduction}
        for kind in KINDS:
            _check(kind, pools[kind])
        self.architecture = Architecture(pools)
        self.stem = nn.Sequential(convolution(channels, 3 * width), nn.BatchNorm2d(3 * width))
        self.cells = nn.ModuleList()
        inputs, node, follows_reduction = (3 * width, 3 * width), width, False
        for place in range(cells):
            reduces = place in (cells // 3, 2 * cells // 3)
            node *= 2 if reduces else 1
            cell = MixedCell(pools["reduction" if reduces else "normal"], inputs, node, reduces, follows_reduction)
            self.cells.append(cell)
            inputs, follows_reduction = (inputs[1], cell.outputs), reduces
        self.head = nn.Linear(inputs[1], classes)

    @property
    def mixed_cells(self) -> list[MixedCell]:
        return [cast(MixedCell, cell) for cell in self.cells]

    def forward_features(self, images: Tensor, weights: Weights | None = None) -> Tensor:
        """Gives features, shape (B, head.in_features): the last cell's output averaged over the image.

        Args:
            images: Shape (B, channels, H, W).
            weights: What each candidate is multiplied by; None: the architecture's probabilities. With 1 for the
                operations of a genotype and 0 for all others the supernet computes what that genotype's network does.
        """
        weights = self.architecture.probabilities() if weights is None else weights
        first = second = self.stem(images)
        for cell in self.mixed_cells:
            first, second = second, cell(first, second, weights[cell.kind])
        return cast(Tensor, second.mean((2, 3)))


def _check(kind: Kind, pools: Pools) -> None:
    if len(pools) != len(EDGES):
        raise RequestError(
            f"a {kind} cell has {len(EDGES)} edges, but got pools for {len(pools)}; give each edge its own"
        )
    for (source, node), pool in zip(EDGES, pools, strict=True):
        if not pool or len(set(pool)) < len(pool):
            raise RequestError(
                f"an edge must have at least 1 candidate and none twice, but from {source} to {node} of the {kind} "
                f"cell there are {list(pool)}; mend its pool"
            )


def multiply_accumulates(normal: Pools, reduction: Pools, costs: CellCosts) -> int:
    """Gives the multiply-accumulates of a supernet's forward pass of one image: those of all candidates of all edges.

    Args:
        normal: Candidates of the normal cell.
        reduction: Those of the reduction cell.
        costs: What operations cost in networks of the supernet's size.
    """
    applications = [
        costs.of(kind, name, source).flops
        for kind, pools in zip(KINDS, (normal, reduction), strict=True)
        for (source, _), pool in zip(EDGES, pools, strict=True)
        for name in pool
    ]
    return costs.base.flops + sum(applications)
