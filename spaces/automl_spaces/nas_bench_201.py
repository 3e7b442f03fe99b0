"""Cells of NAS-Bench-201: four nodes, six edges, five operations.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search" (ICLR 2020),
section 2.1. A node is the sum of what its incoming edges give; node 0 is the cell's input, node 3 its output. When
two cells are the same network is told by the benchmark's unique string, which makes 6,466 of 5^6 = 15,625.

Results are looked up in the benchmark's table, or the network that is made of the cell is trained for real.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Json
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_spaces.published import FEATURE_HISTORIES
from automl_spaces.recipe import Recipe

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the benchmark's own order and under its names. ``nor_conv`` is ReLU, convolution, batch norm."""

NODES = 4
EDGES = tuple((source, node) for node in range(1, NODES) for source in range(node))
"""(source, destination), in the order in which the benchmark lists a cell's operations."""

WEIGHTS = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
"""Weights of an operation for each pair of channels; the others have none."""

CELLS, CHANNELS = 5, 16
"""The benchmark's own sizes: cells of each stage, channels of the first one."""

MODEL = "nas-bench-201"
"""Registered name of the model that stacks a cell."""

_INPUT, _ZERO = "0", "#"


@dataclass(frozen=True)
class Cell:
    """A cell: one operation for each of :data:`EDGES`; and the size of the network that is made of it.

    Args:
        operations: Names out of :data:`OPERATIONS`.
        cells: Cells of each of the network's three stages.
        channels: Channels of the first stage; the second has twice, the third four times as many.

    Raises:
        RequestError: For another number of operations, or an unknown one, or a network without cells or channels.
    """

    operations: tuple[str, ...]
    cells: int = CELLS
    channels: int = CHANNELS

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES):
            raise RequestError(f"a cell must have {len(EDGES)} operations, but got {len(self.operations)}")
        for operation in self.operations:
            if operation not in OPERATIONS:
                raise unknown("operation of a cell", str(operation), OPERATIONS)
        if self.cells < 1 or self.channels < 1:
            raise RequestError(
                f"a network must have at least 1 cell in each stage and 1 channel, but got cells = {self.cells} and "
                f"channels = {self.channels}; raise --set space.cells or space.channels"
            )

    def to_json(self) -> Json:
        return {"operations": list(self.operations), "cells": self.cells, "channels": self.channels}

    @classmethod
    def from_json(cls, data: Json) -> Cell:
        """Builds a cell from what :meth:`to_json` gave; without sizes it is of the benchmark's own."""
        return cls(tuple(data["operations"]), data.get("cells", CELLS), data.get("channels", CHANNELS))

    @property
    def architecture(self) -> str:
        """The benchmark's notation, ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|``."""
        return "+".join(
            "|" + "".join(f"{operation}~{source}|" for operation, source in edges)
            for edges in _incoming(self.operations)
        )

    @classmethod
    def from_architecture(cls, text: str) -> Cell:
        """Reads the benchmark's notation.

        Raises:
            RequestError: When it is none.
        """
        cell = cls.__new__(cls)
        names = [edge.partition("~")[0] for node in text.split("+") for edge in node.strip("|").split("|")]
        if len(names) == len(EDGES):
            cell = cls(tuple(names))
        if len(names) != len(EDGES) or cell.architecture != text:
            example = cls((OPERATIONS[1],) * len(EDGES)).architecture
            raise RequestError(f"a cell must be written as {example!r}, but got {text!r}")
        return cell

    @property
    def unique(self) -> str:
        """The benchmark's unique string: equal for cells that are the same network.

        Each node is written as the sorted sum of its inputs. A skip connection stands for its source, and ``none``,
        or anything done to a node that is nothing but zero, for zero. (A node of several zeros is not taken for one,
        which is why 6,466 and not fewer remain.)
        """
        return _unique(self.operations)

    def canonical(self) -> Cell:
        """Gives the cell that stands for all that are the same network: the one with the fewest weights.

        Among equal ones it is the first in the order of :data:`OPERATIONS`. So weights that cannot reach the output
        are gone from it.
        """
        return replace(_canonical_cells()[self.unique], cells=self.cells, channels=self.channels)

    @property
    def live_edges(self) -> tuple[tuple[int, int, str], ...]:
        """Source, destination and operation of the edges that carry something from the input to the output.

        They are in the order of :data:`EDGES`, so all of a node's incoming edges come before its outgoing ones.
        """
        edges = [(*edge, one) for edge, one in zip(EDGES, self.operations, strict=True) if one != "none"]
        fed, heard = {0}, {NODES - 1}
        for source, destination, _ in edges:
            if source in fed:
                fed.add(destination)
        for source, destination, _ in reversed(edges):
            if destination in heard:
                heard.add(source)
        return tuple(edge for edge in edges if edge[0] in fed and edge[1] in heard)

    def recipe(self) -> Recipe:
        """Says how the cell is trained for real: its network alone, the same for all cells that are the same."""
        options = {"architecture": self.canonical().architecture, "cells": self.cells, "width": self.channels}
        return Recipe(KnowledgeTransferGraph((Node(MODEL, options),), (Edge(LABEL, TARGET),)))

    @property
    def index(self) -> int:
        """Its place among all cells in the order of :data:`OPERATIONS`, the last edge running fastest."""
        place = 0
        for operation in self.operations:
            place = place * len(OPERATIONS) + OPERATIONS.index(operation)
        return place


def _incoming(operations: tuple[str, ...]) -> Iterator[list[tuple[str, int]]]:
    """Yields, for nodes 1 to 3, the (operation, source) of each incoming edge."""
    left = iter(operations)
    for node in range(1, NODES):
        yield [(next(left), source) for source in range(node)]


@cache
def _unique(operations: tuple[str, ...]) -> str:
    nodes = [_INPUT]
    for edges in _incoming(operations):
        terms = []
        for operation, source in edges:
            if operation == "none" or nodes[source] == _ZERO:
                terms.append(_ZERO)
            elif operation == "skip_connect":
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def canonical_cells() -> tuple[Cell, ...]:
    """Gives the cells that stand for all that are the same network, one for each unique string."""
    return tuple(_canonical_cells().values())


@cache
def _canonical_cells() -> dict[str, Cell]:
    """Finds the cell that stands for each unique string; takes a tenth of a second, once per process."""
    found: dict[str, tuple[int, Cell]] = {}
    for operations in product(OPERATIONS, repeat=len(EDGES)):
        cell = Cell(operations)
        key, weights = cell.unique, sum(WEIGHTS.get(operation, 0) for operation in operations)
        if key not in found or weights < found[key][0]:
            found[key] = weights, cell
    return {key: cell for key, (_, cell) in found.items()}


class NASBench201Space(SearchSpace):
    """Cells of NAS-Bench-201: an operation for each of ``edge_0_1`` ... ``edge_2_3`` (source, destination).

    Args:
        cells: Cells of each of the three stages, where the network is trained for real; tables hold those of 5.
        channels: Channels of the first stage, likewise; the second has twice, the third four times as many. Tables
            hold those of 16.

    Raises:
        RequestError: For a network without cells or channels.
    """

    name = "nas-bench-201"
    default_evaluator: ClassVar[str] = "tabular"

    def __init__(self, cells: int = CELLS, channels: int = CHANNELS) -> None:
        self.cells = cells
        self.channels = channels
        Cell((OPERATIONS[0],) * len(EDGES), cells, channels)  # refuses what gives no network

    _names = tuple(f"edge_{source}_{destination}" for source, destination in EDGES)
    _operations = itemgetter(*_names)

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import Categorical, ConfigurationSpace

        space = ConfigurationSpace(name=self.name)
        space.add(*(Categorical(name, list(OPERATIONS)) for name in self._names))
        return space

    def decode(self, configuration: Configuration) -> Cell:
        for name in configuration:
            if name not in self._names:
                raise unknown(f"hyperparameter of space {self.name}", name, self._names)
        for name in self._names:
            if name not in configuration:
                raise RequestError(
                    f"a configuration of space {self.name} must give every edge an operation, but {name} is missing; "
                    f"add {name}={OPERATIONS[0]}"
                )
        return Cell(tuple(str(one) for one in self._operations(configuration)), self.cells, self.channels)

    def canonical(self, configuration: Configuration) -> str:
        """Gives the benchmark's unique string.

        Raises:
            RequestError: When the configuration is not one of this space.
        """
        return self.decode(configuration).unique

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """For cells trained for real, ``quick`` is networks a twentieth of the size, ``paper`` a published search."""
        if evaluator != "supervised":
            return {}
        return {
            "quick": {"space": {"cells": 1, "channels": 8}, "trainer": {"schedule": "linear"}},
            "paper": {"space": {"cells": CELLS, "channels": CHANNELS}, **FEATURE_HISTORIES},
        }
