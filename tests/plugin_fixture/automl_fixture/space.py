"""The search space: what can be chosen about gradient descent, and what a choice means."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from automl_core import RequestError, SearchSpace
from automl_core.types import Configuration, Json

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


@dataclass(frozen=True)
class Descent:
    """What a configuration decodes to: plain data, from which the evaluator builds."""

    rate: float
    momentum: float
    nesterov: bool

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Descent:
        return cls(**data)


class DescentSpace(SearchSpace):
    """Step size, momentum and its kind.

    Args:
        rates: Step sizes to choose from.
        largest: Largest effective step size, rate / (1 - momentum), that is allowed.
    """

    name = "fixture"
    default_evaluator: ClassVar[str] = "fixture"

    def __init__(self, rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0), largest: float = 5.0) -> None:
        if not rates or min(rates) <= 0 or largest < min(rates):
            raise RequestError(
                f"rates must be positive and one at most {largest}, but got {list(rates)}; mend --set space.rates"
            )
        self.rates = rates
        self.largest = largest

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import Categorical, ConfigurationSpace

        space = ConfigurationSpace(name=self.name)
        space.add(
            Categorical("rate", list(self.rates)),
            Categorical("momentum", [0.0, 0.5, 0.9]),
            Categorical("nesterov", [False, True]),
        )
        return space

    def decode(self, configuration: Configuration) -> Descent:
        if set(configuration) != {"rate", "momentum", "nesterov"}:
            raise RequestError(f"a configuration has rate, momentum and nesterov, but got {sorted(configuration)}")
        return Descent.from_json(dict(configuration))

    def canonical(self, configuration: Configuration) -> Hashable:
        """Without momentum its kind does not matter: such configurations are evaluated once."""
        descent = self.decode(configuration)
        return (descent.rate, descent.momentum, descent.nesterov and descent.momentum > 0)

    def violation(self, configuration: Configuration) -> str | None:
        descent = self.decode(configuration)
        effective = descent.rate / (1 - descent.momentum)
        return f"the effective rate {effective:g} is above {self.largest:g}" if effective > self.largest else None
