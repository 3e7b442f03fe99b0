"""A ConfigurationSpace as Optuna sees it: one suggestion after another, each where its conditions hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from automl_core.errors import RequestError
from automl_core.sampling import VectorDecoder
from automl_core.types import Configuration, Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter
    from optuna.trial import Trial

Suggest = Callable[["Trial"], float]
"""Asks a trial for a hyperparameter's value and gives it in ConfigSpace's vector form."""


class Suggestions:
    """Turns trials of Optuna into configurations, and configurations into parameters of Optuna.

    Categorical values go by their position, which suits values of every type; ordinal ones are integers, whose order
    Optuna uses. Constants are not asked for. Normal and beta distributions count as uniform within their bounds, and so
    do categorical values with weights: Optuna's samplers know no others.

    Args:
        config_space: The hyperparameters.

    Raises:
        RequestError: For a hyperparameter of a kind that Optuna does not have.
    """

    def __init__(self, config_space: ConfigurationSpace) -> None:
        self._config_space = config_space
        self._suggest = {name: _suggestion(one) for name, one in config_space.items()}
        self._decode = VectorDecoder(config_space)

    def configuration(self, trial: Trial) -> dict[str, Value] | None:
        """Asks a trial for its configuration; gives None for a forbidden one."""
        import numpy as np

        space = self._config_space
        vector = np.full(len(space), np.nan)
        for position, name in enumerate(space):  # ConfigSpace keeps parents before their children
            if all(condition.satisfied_by_vector(vector) for condition in space.parent_conditions_of[name]):
                vector[position] = self._suggest[name](trial)
        if any(clause.is_forbidden_vector(vector) for clause in space.forbidden_clauses):
            return None
        return next(self._decode(vector[:, None]))

    def parameters(self, configuration: Configuration) -> dict[str, Any]:
        """Gives what a trial must be given to come to this configuration."""
        from ConfigSpace import Configuration as Point
        from ConfigSpace.hyperparameters import CategoricalHyperparameter, Constant, OrdinalHyperparameter

        point = Point(self._config_space, values=dict(configuration)).get_array()
        parameters: dict[str, Any] = {}
        for position, (name, one) in enumerate(self._config_space.items()):
            if name in configuration and not isinstance(one, Constant):
                by_position = isinstance(one, CategoricalHyperparameter | OrdinalHyperparameter)
                parameters[name] = int(point[position]) if by_position else configuration[name]
        return parameters


def _suggestion(one: Hyperparameter[Any, Any]) -> Suggest:
    from ConfigSpace.hyperparameters import (
        CategoricalHyperparameter,
        Constant,
        FloatHyperparameter,
        IntegerHyperparameter,
        OrdinalHyperparameter,
    )

    name = one.name
    if isinstance(one, Constant):
        constant = float(one.to_vector(one.value))
        return lambda trial: constant
    if isinstance(one, CategoricalHyperparameter):
        positions = tuple(range(len(one.choices)))
        return lambda trial: float(trial.suggest_categorical(name, positions))
    if isinstance(one, OrdinalHyperparameter):
        last = len(one.sequence) - 1
        return lambda trial: float(trial.suggest_int(name, 0, last))
    if isinstance(one, IntegerHyperparameter):
        whole = (int(one.lower), int(one.upper))
        return lambda trial: float(one.to_vector(trial.suggest_int(name, *whole, log=one.log)))
    if isinstance(one, FloatHyperparameter):
        bounds = (float(one.lower), float(one.upper))
        return lambda trial: float(one.to_vector(trial.suggest_float(name, *bounds, log=one.log)))
    raise RequestError(
        f"searcher optuna takes categorical, ordinal, integer, float and constant hyperparameters, but {name!r} is a "
        f"{type(one).__name__}; use another --searcher"
    )
