"""The search space of DARTS: a normal and a reduction cell, of which a network is stacked.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 3.1. Each of a cell's four nodes
chooses two of what comes before it, and one operation for each: (1 * 3 * 6 * 10) * 7^8 = 1,037,664,180 cells without
the operation ``none``.
"""

from __future__ import annotations

from collections.abc import Mapping

from automl_core.types import Json
from automl_spaces.cells import CellSpace
from automl_spaces.genotype import NONE, OPERATIONS
from automl_spaces.published import CELLS_TRAINER, FEATURE_HISTORIES, QUICK_CELLS

PAPER: Mapping[str, Json] = {
    # Cao, "Efficient Model Performance Estimation via Feature Histories" (2021), appendix A.4; it leaves the weight of
    # the auxiliary tower, the path dropout and the side of Cutout to DARTS. One round of HyperBand has 280 trials.
    **FEATURE_HISTORIES,
    "trials": 280,
    "space": {"cells": 12, "channels": 32, "auxiliary": 0.4, "path_dropout": 0.2},
    "trainer": {**FEATURE_HISTORIES["trainer"], "batch": 96, "lr": 0.025, "weight_decay": 3e-4, "cutout": 16},
    # Liu et al., appendix A.2, and their published code: how the cells that were found are trained in the end.
    "retrain": {
        "max_budget": 600,
        "repeats": 3,
        "average": 5,
        "space": {"cells": 20, "channels": 36, "auxiliary": 0.4, "path_dropout": 0.2},
        "trainer": CELLS_TRAINER,
    },
}


class DARTSSpace(CellSpace):
    """Networks of DARTS' cells, trained for real.

    Args:
        none: Whether ``none``, which cuts a connection, is among the operations.

    Raises:
        RequestError: For options that give no network.
    """

    name = "darts"

    def __init__(
        self,
        none: bool = False,
        cells: int = 12,
        channels: int = 32,
        auxiliary: float = 0.4,
        path_dropout: float = 0.2,
        max_skips: int | None = None,
    ) -> None:
        operations = tuple(one for one in OPERATIONS if none or one != NONE)
        super().__init__(operations, None, cells, channels, auxiliary, path_dropout, max_skips)

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """``quick`` is small, ``paper`` the search in which Cao used this space."""
        return {"quick": QUICK_CELLS, "paper": PAPER} if evaluator == self.default_evaluator else {}
