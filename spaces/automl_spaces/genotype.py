"""Genotypes: the two cells that a network is stacked from.

A cell has two inputs, numbered 0 and 1: the outputs of the two cells before it. Its nodes, numbered from 2, are sums
of two operations each, on an input or an earlier node. Its output is all its nodes, concatenated.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), sections 2.1 and 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations
from typing import Self

from automl_core.errors import RequestError
from automl_core.types import Json

NONE = "none"
OPERATIONS = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""DARTS' operations in its own order and under its names. A genotype may name others: its model resolves them."""

INPUTS = 2
NODES = 4

EDGES = tuple((source, node) for node in range(INPUTS, INPUTS + NODES) for source in range(node))
"""(source, node) of every edge that a cell may have: node 2 from 0 and 1, node 3 from 0 to 2, and so on; 14 in all."""

Application = tuple[str, int]
"""An operation and the number of what it is applied to."""

CellNodes = tuple[tuple[Application, Application], ...]
"""The two applications that each node sums, for nodes 2, 3, ..."""


@dataclass(frozen=True)
class Genotype:
    """A normal cell, which keeps the image's size, and a reduction cell, which halves it.

    Args:
        normal: The four nodes of the normal cell.
        reduction: Those of the reduction cell.

    Raises:
        RequestError: For another number of nodes or applications, an operation without a name, or an input that does
            not come before its node.
    """

    normal: CellNodes
    reduction: CellNodes

    def __post_init__(self) -> None:
        for kind, cell in (("normal", self.normal), ("reduction", self.reduction)):
            _check(kind, cell)

    def to_json(self) -> Json:
        return {
            kind: [[list(application) for application in node] for node in cell]
            for kind, cell in (("normal", self.normal), ("reduction", self.reduction))
        }

    @classmethod
    def from_json(cls, data: Json) -> Genotype:
        """Builds a genotype from what :meth:`to_json` gave.

        Raises:
            RequestError: For anything else.
        """
        try:
            normal, reduction = (_tuples(data[kind]) for kind in ("normal", "reduction"))
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(
                "a genotype must be {normal: [[[operation, input], [operation, input]], ...], reduction: ...}, but "
                f"{error!r} came up in reading {str(data)[:200]}; mend the description"
            ) from error
        return cls(normal, reduction)

    def canonical(self) -> Self:
        """Gives the genotype that stands for all those that are the same network.

        Each cell is the smallest of its forms: the two applications of a node are in order of their inputs, since a
        sum has no order; what ``none`` is applied to is 0, since it gives zeros in any case; and nodes are renumbered,
        which permutes the channels of the cell's output and nothing else. Two genotypes that agree in this form differ
        in no more than the order of channels. (The reverse is not claimed: pooling a node that is zero, say, is zero.)
        """
        return replace(self, normal=_smallest(self.normal), reduction=_smallest(self.reduction))


def _tuples(cell: Json) -> CellNodes:
    nodes = [tuple((operation, source) for operation, source in node) for node in cell]
    return tuple(nodes)  # type: ignore[arg-type]  # checked when the genotype is made


def _check(kind: str, cell: CellNodes) -> None:
    if len(cell) != NODES:
        raise RequestError(f"a {kind} cell must have {NODES} nodes, but got {len(cell)}; give each two applications")
    for number, node in enumerate(cell, start=INPUTS):
        if len(node) != 2:
            raise RequestError(
                f"each node must sum two applications [operation, input], but node {number} of the {kind} cell has "
                f"{len(node)}; use {NONE} for one that is not there"
            )
        for operation, source in node:
            if not (isinstance(operation, str) and operation):
                raise RequestError(
                    f"an operation must be a name, such as {OPERATIONS[4]}, but node {number} of the {kind} cell has "
                    f"{operation!r}"
                )
            if type(source) is not int or not 0 <= source < number:
                raise RequestError(
                    f"the inputs of node {number} must be numbers from 0 to {number - 1}, but in the {kind} cell "
                    f"{operation} is applied to {source!r}; nodes take from the cell's inputs (0 and 1) and from nodes "
                    "before them"
                )


def _smallest(cell: CellNodes) -> CellNodes:
    """Gives the smallest form of a cell, compared by inputs before operations."""
    nodes = [[(0 if name == NONE else source, name) for name, source in node] for node in cell]
    forms = [
        [sorted([(number_of[source], name) for source, name in nodes[place]]) for place in order]
        for order, number_of in _renumberings(tuple((first[0], second[0]) for first, second in nodes))
    ]
    return tuple(((first[1], first[0]), (second[1], second[0])) for first, second in min(forms))


@cache
def _renumberings(sources: tuple[tuple[int, int], ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Gives each order of nodes in which inputs come before their node, and the new number of each old one.

    Args:
        sources: The inputs of each node.
    """
    found = []
    for order in permutations(range(len(sources))):
        number_of = (0, 1, *(INPUTS + order.index(place) for place in range(len(sources))))
        if all(number_of[source] < INPUTS + new for new, place in enumerate(order) for source in sources[place]):
            found.append((order, number_of))
    return found


DARTS_V1 = Genotype(
    normal=(
        (("sep_conv_3x3", 1), ("sep_conv_3x3", 0)),
        (("skip_connect", 0), ("sep_conv_3x3", 1)),
        (("skip_connect", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_3x3", 0), ("skip_connect", 2)),
    ),
    reduction=(
        (("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        (("skip_connect", 2), ("max_pool_3x3", 0)),
        (("max_pool_3x3", 0), ("skip_connect", 2)),
        (("skip_connect", 2), ("avg_pool_3x3", 0)),
    ),
)
"""What Liu et al. found on CIFAR-10 with the first-order approximation."""

DARTS_V2 = Genotype(
    normal=(
        (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_3x3", 1), ("skip_connect", 0)),
        (("skip_connect", 0), ("dil_conv_3x3", 2)),
    ),
    reduction=(
        (("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        (("skip_connect", 2), ("max_pool_3x3", 1)),
        (("max_pool_3x3", 0), ("skip_connect", 2)),
        (("skip_connect", 2), ("max_pool_3x3", 1)),
    ),
)
"""What Liu et al. found on CIFAR-10 with the second-order approximation (figures 4 and 5)."""
