"""Search spaces whose truth is a formula: the optimum is known, and so is every value at every budget.

Values are to be made large. An evaluation at budget b of B costs b of its units, so successive halving pays.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.randomness import derive_seed
from automl_core.types import Configuration, Json

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class Formula(ABC):
    """A description that says itself what evaluating it gives."""

    @abstractmethod
    def to_json(self) -> Json:
        """Gives JSON from which an equal one can be built."""

    @property
    @abstractmethod
    def truth(self) -> float:
        """The value without noise at the full budget."""

    @abstractmethod
    def value(self, budget: int, max_budget: int, seed: int) -> float:
        """The value as it is seen at a budget.

        Args:
            budget: From 1.
            max_budget: The full budget.
            seed: Where there is noise, it follows from this.
        """


class ClosedFormSpace(SearchSpace):
    """A search space whose descriptions are formulas."""

    default_evaluator: ClassVar[str] = "closed-form"

    @property
    @abstractmethod
    def optimum(self) -> float:
        """The largest truth there is; an incumbent's regret is this less its own truth."""

    @abstractmethod
    def decode(self, configuration: Configuration) -> Formula:
        """Gives the formula with the configuration's values in it.

        Raises:
            RequestError: When the configuration is not one of this space.
        """


@dataclass(frozen=True)
class Ones(Formula):
    """A point of counting ones.

    Args:
        categories: The categorical hyperparameters, 0 or 1 each.
        probabilities: The continuous ones, in [0, 1].
    """

    categories: tuple[int, ...]
    probabilities: tuple[float, ...]

    def to_json(self) -> Json:
        return {"categories": list(self.categories), "probabilities": list(self.probabilities)}

    @classmethod
    def from_json(cls, data: Json) -> Ones:
        return cls(tuple(data["categories"]), tuple(data["probabilities"]))

    @property
    def truth(self) -> float:
        return float(sum(self.categories)) + math.fsum(self.probabilities)

    def value(self, budget: int, max_budget: int, seed: int) -> float:
        """Counts the ones among the categories and, by ``budget`` samples of each, among the others.

        A larger budget draws the smaller one's samples first, so a trial that goes on sharpens what it has seen.
        """
        return float(sum(self.categories)) + math.fsum(
            _successes(probability, budget, derive_seed(seed, "ones", place)) / budget
            for place, probability in enumerate(self.probabilities)
        )


def _successes(probability: float, samples: int, seed: int) -> int:
    draw = random.Random(seed).random
    return sum(draw() < probability for _ in range(samples))


class CountingOnesSpace(ClosedFormSpace):
    """Counting ones: as many categories 1 and probabilities 1 as can be, seen through samples.

    f_b(x) = sum of the categories + sum over probabilities p of the mean of b Bernoulli(p) samples; the optimum is the
    number of hyperparameters. Falkner, Klein and Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at
    Scale" (ICML 2018), section 5.1, with the sign turned.

    Args:
        categorical: Number of hyperparameters ``category_1`` ..., each 0 or 1.
        continuous: Number of hyperparameters ``probability_1`` ..., in [0, 1].

    Raises:
        RequestError: When there is no hyperparameter.
    """

    name = "counting-ones"

    def __init__(self, categorical: int = 8, continuous: int = 8) -> None:
        if categorical < 0 or continuous < 0 or categorical + continuous == 0:
            raise RequestError(
                "counting ones needs a hyperparameter to count, but got "
                f"categorical = {categorical} and continuous = {continuous}; raise --set space.categorical"
            )
        self._categories = tuple(f"category_{number}" for number in range(1, categorical + 1))
        self._probabilities = tuple(f"probability_{number}" for number in range(1, continuous + 1))

    @property
    def optimum(self) -> float:
        return float(len(self._categories) + len(self._probabilities))

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import Categorical, ConfigurationSpace, Float

        space = ConfigurationSpace(name=self.name)
        space.add(*(Categorical(name, [0, 1]) for name in self._categories))
        space.add(*(Float(name, (0.0, 1.0)) for name in self._probabilities))
        return space

    def decode(self, configuration: Configuration) -> Ones:
        _refuse_other_names(self.name, configuration, (*self._categories, *self._probabilities))
        categories = tuple(_checked(configuration, name, (0, 1)) for name in self._categories)
        return Ones(tuple(int(one) for one in categories), _fractions(configuration, self._probabilities))


ALPHA = (1.0, 1.2, 3.0, 3.2)
A = (
    (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
    (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
    (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
    (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
)
P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)
HARTMANN_6_ARGMAX = (0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730054)
HARTMANN_6_OPTIMUM = 3.322368011415515
"""The largest value at the full fidelity; its place is :data:`HARTMANN_6_ARGMAX`, to eight digits."""


@dataclass(frozen=True)
class Hartmann(Formula):
    """A point of the Hartmann function.

    Args:
        x: Six coordinates in [0, 1].
        bias: How much of each peak's height alpha the smallest fidelity takes away.
    """

    x: tuple[float, ...]
    bias: float

    def to_json(self) -> Json:
        return {"x": list(self.x), "bias": self.bias}

    @classmethod
    def from_json(cls, data: Json) -> Hartmann:
        return cls(tuple(data["x"]), data["bias"])

    @property
    def truth(self) -> float:
        return self._at(1.0)

    def value(self, budget: int, max_budget: int, seed: int) -> float:
        """Gives the function at fidelity z = budget / max_budget; nothing is random in it."""
        return self._at(budget / max_budget)

    def _at(self, fidelity: float) -> float:
        return math.fsum(
            (alpha - self.bias * (1.0 - fidelity))
            * math.exp(-math.fsum(a * (x - p) ** 2 for a, x, p in zip(row, self.x, centre, strict=True)))
            for alpha, row, centre in zip(ALPHA, A, P, strict=True)
        )


class HartmannSpace(ClosedFormSpace):
    """The six-dimensional Hartmann function with a fidelity; the optimum is 3.32237.

    f(x, z) = sum_i (alpha_i - bias * (1 - z)) * exp(-sum_j A_ij * (x_j - P_ij)^2), z = budget / full budget.
    Kandasamy et al., "Multi-fidelity Bayesian Optimisation with Continuous Approximations" (ICML 2017), appendix on
    the synthetic experiments: theirs has a fidelity for each alpha_i and bias = 0.1; here one budget moves all four.
    Nothing is random.

    Args:
        bias: How much of each alpha the smallest fidelity takes away, 0 to 1; the larger, the less a small budget
            tells about the full one.

    Raises:
        RequestError: For a bias out of range.
    """

    name = "hartmann-6"

    _names = tuple(f"x_{number}" for number in range(1, 7))

    def __init__(self, bias: float = 0.1) -> None:
        if not 0.0 <= bias <= 1.0:
            raise RequestError(f"0 <= bias <= 1 must hold, but got {bias}; pass for example --set space.bias=0.1")
        self.bias = bias

    @property
    def optimum(self) -> float:
        return HARTMANN_6_OPTIMUM

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import ConfigurationSpace, Float

        space = ConfigurationSpace(name=self.name)
        space.add(*(Float(name, (0.0, 1.0)) for name in self._names))
        return space

    def decode(self, configuration: Configuration) -> Hartmann:
        _refuse_other_names(self.name, configuration, self._names)
        return Hartmann(_fractions(configuration, self._names), self.bias)


def _refuse_other_names(space: str, configuration: Configuration, names: tuple[str, ...]) -> None:
    for name in configuration:
        if name not in names:
            raise unknown(f"hyperparameter of space {space}", name, names)


def _fractions(configuration: Configuration, names: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(_checked(configuration, name) for name in names)


def _checked(configuration: Configuration, name: str, values: tuple[int, ...] = ()) -> float:
    """Gives a hyperparameter's value, which must be one of ``values``, or in [0, 1]."""
    value = configuration.get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (value in values if values else 0 <= value <= 1):  # type: ignore[operator]
        wanted = " or ".join(map(str, values)) or "a number in [0, 1]"
        raise RequestError(f"{name} must be {wanted}, but got {value!r}; give every hyperparameter such a value")
    return float(value)  # type: ignore[arg-type]
