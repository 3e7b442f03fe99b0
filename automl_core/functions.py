"""A plain function as an evaluator, and a plain ConfigSpace as a search space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_core.interfaces import Context, Description, Evaluation, Evaluator, SearchSpace
from automl_core.types import Configuration, Direction, Job, Json, Observation

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Function = Callable[[dict[str, Any], int, int], float | Mapping[str, float]]
"""``(configuration, budget, seed)`` to a value, or to metrics by name."""

VALUE = "value"
"""The metric's name when a function gives a bare number."""


@dataclass(frozen=True)
class PlainDescription:
    """A configuration that describes itself."""

    configuration: Configuration

    def to_json(self) -> Json:
        return dict(self.configuration)


class PlainSpace(SearchSpace):
    """A ConfigSpace whose configurations mean what they say.

    Args:
        config_space: The hyperparameters.
    """

    name = "configspace"

    def __init__(self, config_space: ConfigurationSpace) -> None:
        self._config_space = config_space

    @property
    def config_space(self) -> ConfigurationSpace:
        return self._config_space

    def decode(self, configuration: Configuration) -> Description:
        return PlainDescription(dict(configuration))


class FunctionEvaluator(Evaluator):
    """Calls a function once per job, with the budget to reach.

    Args:
        function: ``(configuration, budget, seed)`` to a float (the metric ``value``) or to a mapping of metrics. It
            is called anew at each budget and keeps no state; equal arguments should give equal results.
    """

    unit = "budget"
    trains = False
    metrics: Mapping[str, Direction] = {VALUE: "max"}

    def __init__(self, function: Function) -> None:
        self.function = function

    def start(self, description: Description, context: Context) -> Evaluation:
        return _FunctionEvaluation(self.function, context.seed)


class _FunctionEvaluation(Evaluation):
    stateless = True

    def __init__(self, function: Function, seed: int) -> None:
        self.function = function
        self.seed = seed

    def advance(self, job: Job) -> Iterator[Observation]:
        result = self.function(dict(job.configuration), job.to_budget, self.seed)
        metrics = result if isinstance(result, Mapping) else {VALUE: result}
        yield Observation(job.to_budget, metrics)

    def save(self, directory: Path) -> None:
        raise AssertionError("a stateless evaluation is never saved")

    def load(self, directory: Path) -> None:
        raise AssertionError("a stateless evaluation is never loaded")
