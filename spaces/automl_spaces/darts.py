"""The search space of DARTS: a normal and a reduction cell, of which a network is stacked.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 3.1. Each of a cell's four nodes
chooses two of what comes before it, and one operation for each: (1 * 3 * 6 * 10) * 7^8 = 1,037,664,180 cells without
the operation ``none``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Json
from automl_spaces.genotype import INPUTS, NODES, NONE, OPERATIONS, Application, CellNodes, Genotype
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_spaces.published import FEATURE_HISTORIES

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

MODEL = "darts"
"""Registered name of the model that stacks the cells."""

CELLS = "normal", "reduction"

FEWEST_CELLS = 3
"""Of these one is normal; with fewer its hyperparameters would mean nothing."""

QUICK: Mapping[str, Json] = {
    # A search on digits ends in minutes on two cores. No path dropout, which slows a training of a few epochs down.
    "space": {"cells": 3, "channels": 8, "path_dropout": 0.0},
    "trainer": {"lr": 0.05, "schedule": "linear"},
}

PAPER: Mapping[str, Json] = {
    # Cao, "Efficient Model Performance Estimation via Feature Histories" (2021), appendix A.4; it leaves the weight of
    # the auxiliary tower, the path dropout and the side of Cutout to DARTS. One round of HyperBand has 280 trials.
    **FEATURE_HISTORIES,
    "trials": 280,
    "space": {"cells": 12, "channels": 32, "auxiliary": 0.4, "path_dropout": 0.2},
    "trainer": {**FEATURE_HISTORIES["trainer"], "batch": 96, "lr": 0.025, "weight_decay": 3e-4, "cutout": 16},
}


class DARTSSpace(SearchSpace):
    """Networks of DARTS' cells, trained for real.

    Hyperparameters, for the normal cell and likewise for ``reduction``: ``normal_3_inputs`` ... ``normal_5_inputs``,
    the two that node 3 ... 5 takes, such as ``0+2`` (node 2 takes the cell's inputs, 0 and 1, having no choice), and
    ``normal_2_first``, ``normal_2_second`` ... ``normal_5_second``, the operations on the lower and on the higher of
    them. So uniform draws choose two different inputs uniformly, and an operation for each.

    Args:
        none: Whether ``none``, which cuts a connection, is among the operations.
        cells: Number of cells in the network, at least 3; those at one and at two thirds are reduction cells.
        channels: Channels of each node in the first cells; each reduction doubles them.
        auxiliary: Weight of the auxiliary tower's loss in training; 0 leaves the tower out.
        path_dropout: Probability, at the end of the planned training, with which a path is left out for an image; it
            grows linearly from 0.

    Raises:
        RequestError: For options that give no network.
    """

    name = "darts"
    default_evaluator: ClassVar[str] = "supervised"

    def __init__(
        self,
        none: bool = False,
        cells: int = 12,
        channels: int = 32,
        auxiliary: float = 0.4,
        path_dropout: float = 0.2,
    ) -> None:
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
        self.cells, self.channels = cells, channels
        self.auxiliary, self.path_dropout = auxiliary, path_dropout
        self.operations = tuple(one for one in OPERATIONS if none or one != NONE)
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

    def decode(self, configuration: Configuration) -> KnowledgeTransferGraph:
        """Gives supervised training of the network of the canonical genotype, so that equal networks train alike."""
        options = {
            **self.genotype(configuration).canonical().to_json(),
            "cells": self.cells,
            "width": self.channels,
            "path_dropout": self.path_dropout,
            "auxiliary": self.auxiliary > 0,
        }
        edge = Edge(LABEL, TARGET, options={"auxiliary": self.auxiliary} if self.auxiliary else {})
        return KnowledgeTransferGraph((Node(MODEL, options),), (edge,))

    def canonical(self, configuration: Configuration) -> Hashable:
        """Gives the cells of the canonical genotype.

        Raises:
            RequestError: When the configuration is not one of this space.
        """
        genotype = self.genotype(configuration).canonical()
        return genotype.normal, genotype.reduction

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """``quick`` is small, ``paper`` the search in which Cao used this space."""
        return {"quick": QUICK, "paper": PAPER} if evaluator == self.default_evaluator else {}

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
            if configuration[name] not in choices:
                raise unknown(f"value of {name}", str(configuration[name]), choices)
