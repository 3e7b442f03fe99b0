"""Search spaces of two cells, a normal and a reduction cell, of which a network is stacked.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 3.1, for what is searched; Laube
and Zell, "Prune and Replace NAS" (2019), section IV-A, for the operations of the spaces DL, DR and UR.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Json
from automl_spaces.genotype import INPUTS, NODES, NONE, OPERATIONS, Application, CellNodes, Genotype
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_spaces.operations import DL, DR, SKIP, UR, Convolution, OperationSet, Restriction
from automl_spaces.published import CELLS_SEARCH, CELLS_TRAINER, QUICK_CELLS
from automl_spaces.recipe import Recipe

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

MODEL = "darts"
"""Registered name of the model that stacks the cells."""

CELLS = "normal", "reduction"

FEWEST_CELLS = 3
"""Of these one is normal; with fewer its hyperparameters would mean nothing."""


@dataclass(frozen=True)
class CellNetwork(Genotype):
    """A genotype, and the network that is stacked of it.

    Args:
        normal: The four nodes of the normal cell.
        reduction: Those of the reduction cell.
        cells: Number of cells, at least 3; those at one and at two thirds are reduction cells.
        channels: Channels of each node in the first cells; each reduction doubles them.
        auxiliary: Weight of the auxiliary tower's loss in training; 0 leaves the tower out.
        path_dropout: Probability with which a path is left out for an image at the end of the planned training.

    Raises:
        RequestError: For what is no genotype, or sizes that give no network.
    """

    cells: int = 20
    channels: int = 36
    auxiliary: float = 0.0
    path_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.cells, self.channels, self.auxiliary, self.path_dropout)

    def to_json(self) -> Json:
        sizes = {"cells": self.cells, "channels": self.channels}
        return {**super().to_json(), **sizes, "auxiliary": self.auxiliary, "path_dropout": self.path_dropout}

    @classmethod
    def from_json(cls, data: Json) -> CellNetwork:
        """Builds a network from what :meth:`to_json` gave.

        Raises:
            RequestError: For anything else.
        """
        genotype = Genotype.from_json(data)
        sizes = {name: data[name] for name in ("cells", "channels", "auxiliary", "path_dropout") if name in data}
        return cls(genotype.normal, genotype.reduction, **sizes)

    def recipe(self) -> Recipe:
        """Says how it is trained: with labels alone."""
        options = {
            **super().to_json(),
            "cells": self.cells,
            "width": self.channels,
            "path_dropout": self.path_dropout,
            "auxiliary": self.auxiliary > 0,
        }
        edge = Edge(LABEL, TARGET, options={"auxiliary": self.auxiliary} if self.auxiliary else {})
        return Recipe(KnowledgeTransferGraph((Node(MODEL, options),), (edge,)))

    def costs(self, channels: int, classes: int, image_size: tuple[int, int]) -> Mapping[str, float]:
        """Gives ``params`` and ``flops`` without building anything."""
        from automl_spaces.cell_costs import CellCosts

        total = CellCosts(self.cells, self.channels, channels, classes, image_size).total(self)
        return {"params": float(total.params), "flops": float(total.flops)}

    def draw(self) -> str:
        """Draws both cells in at most 80 columns."""
        from automl_spaces.genotype_drawing import draw

        return draw(self)

    def picture(self) -> str:
        """Draws both cells as an SVG document."""
        from automl_spaces.genotype_picture import picture

        return picture(self)


def check_sizes(cells: int, channels: int, auxiliary: float, path_dropout: float) -> None:
    """Refuses sizes that give no network.

    Raises:
        RequestError: With the option to change.
    """
    if cells < FEWEST_CELLS or channels < 1:
        raise RequestError(
            f"cells >= {FEWEST_CELLS} and channels >= 1 must hold, for both kinds of cells to be there, but got "
            f"cells = {cells} and channels = {channels}; raise --set space.cells or space.channels"
        )
    if not (0 <= auxiliary < float("inf") and 0 <= path_dropout < 1):
        raise RequestError(
            "auxiliary >= 0 and 0 <= path_dropout < 1 must hold, but got auxiliary = "
            f"{auxiliary} and path_dropout = {path_dropout}; 0 leaves the tower or the dropout out"
        )


class CellSpace(SearchSpace):
    """Networks of a normal and a reduction cell, trained for real.

    Hyperparameters, for the normal cell and likewise for ``reduction``: ``normal_3_inputs`` ... ``normal_5_inputs``,
    the two that node 3 ... 5 takes, such as ``0+2`` (node 2 takes the cell's inputs, 0 and 1, having no choice), and
    ``normal_2_first``, ``normal_2_second`` ... ``normal_5_second``, the operations on the lower and on the higher of
    them. So uniform draws choose two different inputs uniformly, and an operation for each.

    Args:
        operations: What can be applied, by name.
        operation_set: Where they come from and what morphisms make of them; None where there are none.
        cells: Number of cells in the network, at least 3; those at one and at two thirds are reduction cells.
        channels: Channels of each node in the first cells; each reduction doubles them.
        auxiliary: Weight of the auxiliary tower's loss in training; 0 leaves the tower out.
        path_dropout: Probability, at the end of the planned training, with which a path is left out for an image; it
            grows linearly from 0.
        max_skips: Most skip connections in the normal cell, from 0 to 8; None: any number. A search by gradients may
            otherwise end with little else.

    Raises:
        RequestError: For options that give no network.
    """

    default_evaluator: ClassVar[str] = "supervised"

    def __init__(
        self,
        operations: Sequence[str],
        operation_set: OperationSet | None,
        cells: int,
        channels: int,
        auxiliary: float,
        path_dropout: float,
        max_skips: int | None,
    ) -> None:
        check_sizes(cells, channels, auxiliary, path_dropout)
        for operation in operations:
            if operation not in OPERATIONS and Convolution.parse(operation) is None:
                raise unknown("operation of a cell", operation, (*OPERATIONS, "conv_3x3", "conv_5x5_d2_e1"))
        if max_skips is not None and not 0 <= max_skips <= 2 * NODES:
            raise RequestError(
                f"max_skips must be from 0 to {2 * NODES}, the operations of a cell, but got {max_skips}; set "
                "space.max_skips, or leave it out for any number of skip connections"
            )
        self.operations, self.operation_set = tuple(operations), operation_set
        self.cells, self.channels = cells, channels
        self.auxiliary, self.path_dropout = auxiliary, path_dropout
        self.max_skips = max_skips
        self._known = frozenset(self.operations)
        self._choices: dict[str, tuple[str, ...]] = {}
        for cell in CELLS:
            for node in range(INPUTS, INPUTS + NODES):
                if node > INPUTS:
                    pairs = combinations(range(node), 2)
                    self._choices[f"{cell}_{node}_inputs"] = tuple(f"{low}+{high}" for low, high in pairs)
                self._choices[f"{cell}_{node}_first"] = self.operations
                self._choices[f"{cell}_{node}_second"] = self.operations

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import Categorical, ConfigurationSpace

        space = ConfigurationSpace(name=self.name)
        space.add(*(Categorical(name, list(choices)) for name, choices in self._choices.items()))
        return space

    def genotype(self, configuration: Configuration) -> Genotype:
        """Gives the cells as they were chosen.

        Raises:
            RequestError: When the configuration is not one of this space.
        """
        self._check(configuration)
        normal, reduction = (self._cell(configuration, cell) for cell in CELLS)
        return Genotype(normal, reduction)

    def configuration(self, genotype: Genotype) -> Configuration:
        """Gives the configuration of which the cells are those of a genotype; each node's inputs may be in any order.

        Raises:
            RequestError: When it has an operation that this space lacks, or a node that takes one input twice.
        """
        chosen: dict[str, str] = {}
        for cell, nodes in zip(CELLS, (genotype.normal, genotype.reduction), strict=True):
            for number, applications in enumerate(nodes, start=INPUTS):
                (first, low), (second, high) = _apart(applications)
                if low == high:
                    raise RequestError(
                        f"each node must take two different inputs in space {self.name}, but node {number} of the "
                        f"{cell} cell takes {low} twice; this genotype is not one of it"
                    )
                if number > INPUTS:
                    chosen[f"{cell}_{number}_inputs"] = f"{low}+{high}"
                chosen[f"{cell}_{number}_first"], chosen[f"{cell}_{number}_second"] = first, second
        self._check(chosen)
        return chosen

    def decode(self, configuration: Configuration) -> CellNetwork:
        """Gives the network of the canonical genotype, so that equal networks train alike."""
        genotype = self.genotype(configuration).canonical()
        return CellNetwork(
            genotype.normal, genotype.reduction, self.cells, self.channels, self.auxiliary, self.path_dropout
        )

    def canonical(self, configuration: Configuration) -> Hashable:
        """Gives the cells of the canonical genotype.

        Raises:
            RequestError: When the configuration is not one of this space.
        """
        genotype = self.genotype(configuration).canonical()
        return genotype.normal, genotype.reduction

    def violation(self, configuration: Configuration) -> str | None:
        """Says so when there are more skip connections in the normal cell than allowed."""
        if self.max_skips is None:
            return None
        skips = sum(name == SKIP for node in self.genotype(configuration).normal for name, _ in node)
        if skips <= self.max_skips:
            return None
        return f"the normal cell has {skips} skip connections, and max_skips allows {self.max_skips}"

    def _cell(self, configuration: Configuration, cell: str) -> CellNodes:
        nodes: list[tuple[Application, Application]] = []
        for node in range(INPUTS, INPUTS + NODES):
            inputs = str(configuration[f"{cell}_{node}_inputs"]) if node > INPUTS else "0+1"
            low, _, high = inputs.partition("+")
            first, second = (str(configuration[f"{cell}_{node}_{place}"]) for place in ("first", "second"))
            nodes.append(((first, int(low)), (second, int(high))))
        return tuple(nodes)

    def _check(self, configuration: Configuration) -> None:
        """Refuses a configuration that is not one of this space."""
        for name in configuration:
            if name not in self._choices:
                raise unknown(f"hyperparameter of space {self.name}", name, self._choices)
        for name, choices in self._choices.items():
            if name not in configuration:
                raise RequestError(
                    f"a configuration of space {self.name} must give every hyperparameter, but {name} is missing; add "
                    f"{name}={choices[0]}"
                )
            known = self._known if choices is self.operations else choices
            if configuration[name] not in known:
                raise unknown(f"value of {name}", str(configuration[name]), choices)


def _apart(node: tuple[Application, Application]) -> tuple[Application, Application]:
    """Puts applications in order of inputs; of two on one, ``none`` goes to another, for it gives zeros from any."""
    first, second = sorted(node, key=lambda application: (application[1], application[0] == NONE))
    if first[1] == second[1] and second[0] == NONE:
        free = 1 if first[1] == 0 else 0
        first, second = sorted((first, (NONE, free)), key=lambda application: application[1])
    return first, second


class MorphismSpace(CellSpace):
    """Cells of what morphisms make of the plain 3x3 convolution, of pools and of skip connections.

    Args:
        steps: Most morphisms from the plain convolution to any other; 5 is as published.

    Raises:
        RequestError: For options that give no network.
    """

    rules: ClassVar[Restriction]

    def __init__(
        self,
        steps: int = 5,
        cells: int = 12,
        channels: int = 32,
        auxiliary: float = 0.4,
        path_dropout: float = 0.2,
        max_skips: int | None = None,
    ) -> None:
        found = OperationSet(self.rules, steps)
        super().__init__(found.operations, found, cells, channels, auxiliary, path_dropout, max_skips)
        self.steps = steps

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """``quick`` is small, ``paper`` what Laube and Zell trained."""
        return {"quick": QUICK_CELLS, "paper": PAPER} if evaluator == self.default_evaluator else {}


class CellsDL(MorphismSpace):
    """As DARTS' own: kernels of 3x3 to 7x7, dilation up to 2, one separable convolution or two; 15 operations."""

    name = "cells-dl"
    rules = DL


class CellsDR(MorphismSpace):
    """Kernels of 1x1 to 7x7, dilation up to 2, at most one expansion, of any width: 35 operations in five steps."""

    name = "cells-dr"
    rules = DR


class CellsUR(MorphismSpace):
    """Kernels of 1x1 to 7x7, dilation up to 2, any number of expansions of any width: 76 operations in five steps."""

    name = "cells-ur"
    rules = UR


PAPER: Mapping[str, Json] = {
    **CELLS_SEARCH,
    "space": {"cells": 20, "channels": 36, "auxiliary": 0.4, "path_dropout": 0.3},
    # Laube and Zell's section IV-A; their batch size follows what memory is free.
    "retrain": {
        "max_budget": 600,
        "repeats": 3,
        "average": 5,
        "space": {"cells": 20, "channels": 36, "auxiliary": 0.4, "path_dropout": 0.3},
        "trainer": {**CELLS_TRAINER, "batch": 32, "largest_batch": 128, "batch_every": 10},
    },
}
