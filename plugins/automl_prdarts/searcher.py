"""Searchers that train supernets and ask for the genotypes that these stand for."""

from __future__ import annotations

from automl_core.errors import RequestError
from automl_prdarts.cycles import CANDIDATES, EPOCHS, MORPHISMS, Schedule
from automl_prdarts.plan import ArchitectureSettings, Pool
from automl_prdarts.processes import SupernetSearcher
from automl_spaces.cells import CellSpace
from automl_spaces.operations import START, OperationSet


class PRDARTSSearcher(SupernetSearcher):
    """Cells by pruning and replacing the operations of a supernet.

    Laube and Zell, "Prune and Replace NAS" (2019). A supernet begins with four operations on each edge. After each
    cycle the least probable ones are dropped, and morphisms of those that stay take their place and inherit their
    weights; the last cycles only drop. What is left is asked for as a candidate. Each trial is such a search, 1 unless
    a number is given.

    Args:
        cycle_epochs: Epochs of each cycle.
        cycle_grace: The first epochs of each cycle, in which the weights of the operations stay equal; empty: a third
            of each cycle.
        cycle_candidates: Operations on each edge after each cycle, new ones included; the last entry is 1.
        cycle_morphisms: New operations on each edge after each cycle; the last entry is 0.
        compatible_draws: Whether new operations are drawn by repeated tries, as in the authors' code.
    """

    name = "pr-darts"
    spaces = "cells-dl, cells-dr or cells-ur"

    def __init__(
        self,
        cells: int = 8,
        channels: int = 16,
        cycle_epochs: tuple[int, ...] = EPOCHS,
        cycle_grace: tuple[int, ...] = (),
        cycle_candidates: tuple[int, ...] = CANDIDATES,
        cycle_morphisms: tuple[int, ...] = MORPHISMS,
        batch: int = 24,
        largest_batch: int = 128,
        lr: float = 0.025,
        final_lr: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        clip: float = 5.0,
        architecture_lr: float = 6e-4,
        architecture_betas: tuple[float, float] = (0.5, 0.999),
        architecture_weight_decay: float = 1e-3,
        second_order: bool = False,
        noise: float = 0.0,
        compatible_draws: bool = False,
    ) -> None:
        architecture = ArchitectureSettings(
            architecture_lr, architecture_betas, architecture_weight_decay, clip, second_order, noise
        )
        super().__init__(cells, channels, architecture, batch, largest_batch, lr, final_lr, momentum, weight_decay)
        grace = cycle_grace or tuple(epochs // 3 for epochs in cycle_epochs)
        self._rows = cycle_epochs, grace, cycle_candidates, cycle_morphisms
        self._table(len(START))
        self.compatible_draws = compatible_draws

    def _pool(self, space: CellSpace) -> Pool:
        operations: OperationSet | None = space.operation_set
        if operations is None:
            raise RequestError(
                f"searcher {self.name} makes operations by morphisms, but those of space {space.name!r} have none; "
                "choose --space cells-dl, cells-dr or cells-ur, or --searcher darts"
            )
        lacking = [name for name in START if name not in operations.operations]
        if lacking:
            raise RequestError(
                f"searcher {self.name} begins with {', '.join(START)}, but space {space.name!r} lacks "
                f"{', '.join(lacking)}; choose a space that has them, such as --space cells-dl"
            )
        return START

    def _table(self, start: int) -> Schedule:
        return Schedule(start, *self._rows)


class DARTSSearcher(SupernetSearcher):
    """Cells by the weights of all operations in a supernet.

    Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019). One supernet holds all operations of the space
    on each edge, and the best ones in the end are asked for as a candidate. Each trial is such a search, 1 unless a
    number is given.

    Args:
        epochs: Epochs of the search.
        grace: The first of them, in which the weights of the operations stay equal.
    """

    name = "darts"
    spaces = "darts or cells-dl"

    def __init__(
        self,
        cells: int = 8,
        channels: int = 16,
        epochs: int = 50,
        grace: int = 0,
        batch: int = 64,
        largest_batch: int = 0,
        lr: float = 0.025,
        final_lr: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        clip: float = 5.0,
        architecture_lr: float = 3e-4,
        architecture_betas: tuple[float, float] = (0.5, 0.999),
        architecture_weight_decay: float = 1e-3,
        second_order: bool = False,
        noise: float = 1e-3,
    ) -> None:
        architecture = ArchitectureSettings(
            architecture_lr, architecture_betas, architecture_weight_decay, clip, second_order, noise
        )
        super().__init__(cells, channels, architecture, batch, largest_batch, lr, final_lr, momentum, weight_decay)
        self._require("grace", grace, 0 <= grace < epochs, f"at least 0 and below epochs, {epochs}")
        self._epochs, self._grace = epochs, grace

    def _pool(self, space: CellSpace) -> Pool:
        return space.operations

    def _table(self, start: int) -> Schedule:
        return Schedule(start, (self._epochs,), (self._grace,), (1,), (0,))
