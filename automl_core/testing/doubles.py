"""Small doubles of a search space, an evaluator and an estimator, for tests of everything around them.

They can be registered like any part: ``register("toy", "automl_core.testing.doubles:ToySpace")``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from automl_core.errors import RequestError
from automl_core.interfaces import Context, Description, Estimator, Evaluation, Evaluator, SearchSpace
from automl_core.randomness import derive_seed
from automl_core.types import Configuration, Direction, Estimate, Job, Json, Observation

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


@dataclass(frozen=True)
class ToyDescription:
    """How well a toy network can become.

    Args:
        digits: The hyperparameters' values, sorted.
        accuracy: Accuracy that training approaches, a fraction in [0, 1].
    """

    digits: tuple[int, ...]
    accuracy: float

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> ToyDescription:
        return cls(tuple(data["digits"]), data["accuracy"])


class ToySpace(SearchSpace):
    """Categorical hyperparameters ``digit_1``, ``digit_2`` and so on; the higher the digits, the better.

    The first and the second digit are interchangeable, and all digits 0 are not allowed.

    Args:
        digits: How many hyperparameters there are, at least 2.
        choices: How many values each has, at least 2.
    """

    name = "toy"
    default_evaluator = "toy"

    def __init__(self, digits: int = 11, choices: int = 4) -> None:
        if digits < 2 or choices < 2:
            raise RequestError(f"the toy space needs 2 digits and 2 choices or more, but got {digits} and {choices}")
        self._names = [f"digit_{number}" for number in range(1, digits + 1)]
        self._choices = choices

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

        space = ConfigurationSpace(name=self.name)
        space.add(*(CategoricalHyperparameter(name, range(self._choices)) for name in self._names))
        return space

    def decode(self, configuration: Configuration) -> ToyDescription:
        if set(configuration) != set(self._names):
            raise RequestError(f"a toy configuration has exactly {self._names}, but got {sorted(configuration)}")
        digits = self._digits(configuration)
        return ToyDescription(digits, sum(digits) / (len(digits) * (self._choices - 1)))

    def canonical(self, configuration: Configuration) -> Hashable:
        return self._digits(configuration)

    def violation(self, configuration: Configuration) -> str | None:
        return None if any(configuration.values()) else "at least one digit must not be 0"

    def _digits(self, configuration: Configuration) -> tuple[int, ...]:
        first, second, *others = (configuration[name] for name in self._names)
        return (min(first, second), max(first, second), *others)  # type: ignore[type-var, arg-type]


class ToyEvaluator(Evaluator):
    """Follows a noisy learning curve whose every point depends on the one before, so that checkpoints matter.

    Args:
        fail: Numbers of trials that raise.
        diverge: Numbers of trials whose accuracy turns NaN.
        at: Unit at which they do.
        noise: Standard deviation of the change of accuracy per unit.
    """

    unit: str = "epochs"
    metrics: Mapping[str, Direction] = {"accuracy": "max", "loss": "min"}

    def __init__(
        self, fail: tuple[int, ...] = (), diverge: tuple[int, ...] = (), at: int = 1, noise: float = 0.01
    ) -> None:
        self.fail = fail
        self.diverge = diverge
        self.at = at
        self.noise = noise

    def check(self, space: SearchSpace, dataset: Any) -> None:
        if not isinstance(space.whole, ToySpace):
            raise RequestError(f"evaluator toy takes the space toy alone, but got {space.name!r}; use --space toy")

    def presets(self, dataset: Any) -> Mapping[str, Mapping[str, Json]]:
        return {"quick": {"max_budget": 8, "trials": 20}, "paper": {"max_budget": 128, "trials": 1000}}

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        return ToyEvaluation(self, description, context.seed)

    def parse(self, data: Json) -> ToyDescription:
        return ToyDescription.from_json(data)


class ToyEvaluation(Evaluation):
    """One toy training; see :class:`ToyEvaluator`."""

    def __init__(self, evaluator: ToyEvaluator, description: ToyDescription, seed: int) -> None:
        self._evaluator = evaluator
        self._description = description
        self._seed = seed
        self._unit = 0
        self._accuracy = 0.0

    def advance(self, job: Job) -> Iterator[Observation]:
        if self._unit == 0:
            yield Observation(0, self._measure(job.trial))
        while self._unit < job.to_budget:
            self._unit += 1
            noise = Random(derive_seed(self._seed, self._unit)).gauss(0.0, self._evaluator.noise)
            self._accuracy += 0.3 * (self._description.accuracy - self._accuracy) + noise
            self._accuracy = min(max(self._accuracy, 0.0), 1.0)
            yield Observation(self._unit, self._measure(job.trial))

    def save(self, directory: Path) -> None:
        (directory / "state.json").write_text(json.dumps([self._unit, self._accuracy]))

    def load(self, directory: Path) -> None:
        self._unit, self._accuracy = json.loads((directory / "state.json").read_text())

    def export(self, directory: Path) -> None:
        (directory / "description.json").write_text(json.dumps(self._description.to_json()))

    def report(self) -> Json:
        return {"unit": self._unit}

    def _measure(self, trial: int) -> dict[str, float]:
        accuracy = self._accuracy
        if self._unit == self._evaluator.at:
            if trial in self._evaluator.fail:
                raise RuntimeError(f"trial {trial} was told to fail at unit {self._unit}")
            if trial in self._evaluator.diverge:
                accuracy = math.nan
        return {"accuracy": accuracy, "loss": 1.0 - accuracy}


class ToyEstimator(Estimator):
    """Predicts that the final accuracy is the best one so far."""

    def __init__(self) -> None:
        self._best = -math.inf

    def observe(self, observation: Observation) -> None:
        self._best = max(self._best, observation.metrics["accuracy"])

    def estimate(self) -> Estimate:
        return Estimate({"accuracy": self._best}, {"accuracy": 0.0})

    def save(self, directory: Path) -> None:
        (directory / "best.json").write_text(json.dumps(self._best))

    def load(self, directory: Path) -> None:
        self._best = json.loads((directory / "best.json").read_text())
