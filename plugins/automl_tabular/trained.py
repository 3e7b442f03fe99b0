"""Looks up complete trainings in a benchmark's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import Context, Description, Evaluation, SearchSpace
from automl_core.randomness import derive_seed
from automl_core.types import Job, Json, Observation
from automl_tabular.benchmarks import SECONDS, Benchmark
from automl_tabular.lookup import Lookup, Results

COMPLETE = 1
"""The one budget: a complete training."""


class TrainedTable(Results):
    """A benchmark's table of complete trainings.

    Descriptions that behave the same are looked up as the one that stands for them, so that they get equal results.

    Args:
        benchmark: Which one.
        space: Its search space.
        repeats: ``mean`` of the repeated trainings, or ``one`` of them.

    Raises:
        RequestError: When the space's options ask for networks of another size than the tables hold.
    """

    unit = "trainings"

    def __init__(self, benchmark: Benchmark, space: SearchSpace, repeats: Literal["mean", "one"]) -> None:
        for option, value in benchmark.sizes.items():
            if getattr(space.whole, option) != value:
                raise RequestError(
                    f"the tables of {benchmark.space} hold networks with {option} = {value} alone, but space.{option} "
                    f"is {getattr(space.whole, option)}; leave it out, or train for real with --evaluator supervised"
                )
        self.benchmark = benchmark
        self.space = space
        self.repeats = repeats
        self.metrics = benchmark.metrics
        self.fixed_metrics = frozenset(name for name, column in benchmark.columns.items() if column.fixed)
        self.dataset_names = tuple(benchmark.datasets)
        self.complete_only = f"the tables of {benchmark.space} hold complete trainings alone, and no epochs of them"

    def preset(self) -> Mapping[str, Json]:
        return {"min_budget": COMPLETE, "max_budget": COMPLETE, "trials": 100}

    def check_budgets(self, rungs: tuple[int, ...]) -> None:
        if rungs != (COMPLETE,):
            raise RequestError(
                f"{self.complete_only}, so the budget must be 1 (training), but got {rungs[-1]}; leave --max-budget out"
            )

    def require(self, dataset: str | None) -> None:
        self.benchmark.table(self._name(dataset))

    def evaluation(self, description: Description, context: Context) -> Evaluation:
        dataset = None if context.dataset is None else context.dataset.name
        metrics = self._look_up(description, dataset, None if self.repeats == "mean" else context.seed)
        return _Training(metrics)

    def foresee(self, description: Description, dataset: str | None) -> Mapping[str, float]:
        metrics = self._look_up(description, dataset, None)
        return {name: metrics[name] for name in self.fixed_metrics}

    def optimum(self, metric: str, dataset: str | None = None) -> float:
        """Gives the best mean over the repeats that any configuration has.

        Raises:
            RequestError: For an unknown metric or data set.
        """
        if metric not in self.metrics:
            raise unknown(f"metric in the tables of {self.benchmark.space}", metric, self.metrics)
        table = self.benchmark.table(self._name(dataset))
        means = table.means[metric][self.benchmark.reachable()]
        return float(means.max() if self.metrics[metric] == "max" else means.min())

    def _name(self, dataset: str | None) -> str:
        return next(iter(self.benchmark.datasets)) if dataset is None else dataset

    def _look_up(self, description: Description, dataset: str | None, seed: int | None) -> dict[str, float]:
        """Gives the mean over the repeats, or with a seed one of them."""
        table = self.benchmark.table(self._name(dataset))
        place = self.benchmark.index(description)
        if seed is None:
            return {name: float(means[place]) for name, means in table.means.items()}
        runs = table.runs(place)
        return runs[derive_seed(seed, "repeat") % len(runs)]


class _Training(Lookup):
    """One complete training; it cost what the table says."""

    def __init__(self, metrics: Mapping[str, float]) -> None:
        self._metrics = metrics

    def advance(self, job: Job) -> Iterator[Observation]:
        if job.to_budget != COMPLETE:
            raise RequestError(
                f"only complete trainings are known (budget 1), but budget {job.to_budget} was asked for"
            )
        seconds = 0.0 if job.from_budget == COMPLETE else self._metrics[SECONDS]
        yield Observation(COMPLETE, self._metrics, seconds=seconds)
