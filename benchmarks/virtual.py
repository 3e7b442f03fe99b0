"""What benchmarks on a virtual clock share: truths, an end to the budget, and what happened when."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from automl_core.engine.progress import Progress
from automl_core.engine.simulated import SimulatedExecutor
from automl_core.interfaces import Evaluator, SearchSpace
from automl_core.plugins import get_registry
from automl_core.types import EMPTY, Configuration, Job, Objective, Outcome
from automl_spaces.closed_forms import ClosedFormSpace
from automl_tabular.benchmarks import BENCHMARKS, SECONDS, Table

MEMORY = Path("/dev/shm")


class Spent(Exception):  # noqa: N818 - no error: the run ends as it should
    """The virtual budget is used up."""


class BudgetedExecutor(SimulatedExecutor):
    """Virtual workers that stop when the clock passes a budget; what would end later does not count."""

    def __init__(self, workers: int, budget: float) -> None:
        super().__init__(workers)
        self.budget = budget

    def wait(self) -> Any:
        ended = super().wait()
        if self.now() > self.budget:
            raise Spent
        return ended


class Trace(Progress):
    """Notes when each job ran and when each incumbent came.

    Args:
        executor: Whose clock counts.
    """

    def __init__(self, executor: SimulatedExecutor) -> None:
        self.executor = executor
        self.begun = 0
        self.last_begun = 0.0
        self.spans: list[tuple[float, float]] = []
        self.incumbents: list[tuple[float, int, Configuration]] = []
        """When each came, the budget that it had reached, and what it is."""
        self._running: dict[int, float] = {}
        self._ended: dict[int, tuple[int, Configuration]] = {}

    def job_started(self, job: Job, label: str) -> None:
        self._running[job.trial] = self.executor.now()
        if job.from_budget == 0:
            self.begun += 1
            self.last_begun = self.executor.now()

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        if job.trial in self._running:  # an outcome that was known costs nothing and is never handed out
            self.spans.append((self._running.pop(job.trial), self.executor.now()))
        self._ended[job.trial] = outcome.budget, job.configuration

    def incumbent(self, trial: int, value: float) -> None:
        self.incumbents.append((self.executor.now(), *self._ended[trial]))


@dataclass(frozen=True)
class Truth:
    """A problem whose best value is known.

    Args:
        space: Name of the search space.
        dataset: Which table; None for a formula.
        min_budget: Smallest budget at which trials are compared.
        max_budget: Budget of a complete trial.
        complete: The budget of a search, in complete trainings: of average length for tables.
        options: The space's options.
    """

    space: str
    dataset: str | None = None
    min_budget: int = 1
    max_budget: int = 1
    complete: int = 100
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)

    @property
    def name(self) -> str:
        return self.space if self.dataset is None else f"{self.space}, {self.dataset}"

    @cached_property
    def instance(self) -> SearchSpace:
        built: SearchSpace = get_registry().create("space", self.space, self.options)
        return built

    @cached_property
    def table(self) -> Table | None:
        return None if self.dataset is None else BENCHMARKS[self.space].table(self.dataset)

    @cached_property
    def objective(self) -> Objective:
        if self.table is None:
            return Objective("value", "max")
        metric, direction = next(iter(BENCHMARKS[self.space].metrics.items()))
        return Objective(metric, direction)

    def evaluator(self) -> Evaluator:
        built: Evaluator = get_registry().create("evaluator", self.instance.default_evaluator, {})
        return built

    @cached_property
    def budget(self) -> float:
        """How long a search may take on one virtual worker, in virtual seconds or units."""
        return self.complete * (self.max_budget if self.table is None else self._mean(SECONDS))

    @cached_property
    def optimum(self) -> float:
        """The smallest loss without noise that there is."""
        if self.table is None:
            assert isinstance(self.instance, ClosedFormSpace)
            return -self.instance.optimum
        means = self.table.means[self.objective.metric][BENCHMARKS[self.space].reachable()]
        return min(self.objective.loss(float(one)) for one in (means.min(), means.max()))

    def regret(self, configuration: Configuration) -> float:
        """Gives what a configuration's loss without noise lacks to the optimum; of a table, the mean over repeats."""
        description = self.instance.decode(configuration)
        if self.table is None:
            return -description.truth - self.optimum  # type: ignore[attr-defined]
        place = BENCHMARKS[self.space].index(description)
        value = float(self.table.means[self.objective.metric][place])
        return self.objective.loss(value) - self.optimum

    def _mean(self, metric: str) -> float:
        assert self.table is not None
        return float(self.table.means[metric][BENCHMARKS[self.space].reachable()].mean())


def workspace() -> AbstractContextManager[str]:
    """Gives a temporary directory, in memory where there is such a file system."""
    return tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
