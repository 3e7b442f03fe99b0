"""Configurations as points of a unit cube, with categorical axes among the continuous ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace.hyperparameters import CategoricalHyperparameter, IntegerHyperparameter, OrdinalHyperparameter
from numpy.typing import NDArray

from automl_core.sampling import VectorDecoder, allowed_vectors
from automl_core.types import Configuration

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

Points = NDArray[np.float64]
"""(points, axes). A number lies in [0, 1] by ConfigSpace's scale, an ordinal value by its place; a categorical value is
its position among the choices. NaN: the hyperparameter is inactive."""


class UnitCube:
    """Maps configurations to points and back. Each hyperparameter with more than one value is an axis.

    Args:
        config_space: The hyperparameters.
    """

    def __init__(self, config_space: ConfigurationSpace) -> None:
        self._config_space = config_space
        self._decoder = VectorDecoder(config_space)
        self._hyperparameters = list(config_space.values())
        self._axes = [place for place, one in enumerate(self._hyperparameters) if one.size > 1]
        self._ordinal = [isinstance(one, OrdinalHyperparameter) for one in self._hyperparameters]
        self.choices = np.array([_choices(self._hyperparameters[place]) for place in self._axes], dtype=np.int64)
        """(axes,): how many values a categorical axis has; 0 on the others."""

    def encode(self, configuration: Configuration) -> NDArray[np.float64]:
        """Gives a configuration's point, (axes,)."""
        point = np.full(len(self._axes), np.nan)
        for axis, place in enumerate(self._axes):
            one = self._hyperparameters[place]
            if one.name in configuration:
                value = one.to_vector(configuration[one.name])
                point[axis] = value / (one.size - 1) if self._ordinal[place] else value
        return point

    def snap(self, points: Points) -> Points:
        """Moves points to the nearest ones that stand for a value."""
        snapped = points.copy()
        for axis, place in enumerate(self._axes):
            one = self._hyperparameters[place]
            if self._ordinal[place]:
                snapped[:, axis] = np.rint(points[:, axis] * (one.size - 1)) / (one.size - 1)
            elif isinstance(one, IntegerHyperparameter):
                snapped[:, axis] = one.to_vector(one.to_value(points[:, axis]))
        return snapped

    def decode(self, points: Points) -> Iterator[Configuration]:
        """Yields the configurations of snapped points, in order.

        Hyperparameters that the conditions make inactive are left out, and so are forbidden configurations.
        """
        vectors = np.zeros((len(self._hyperparameters), len(points)))
        for axis, place in enumerate(self._axes):
            scale = self._hyperparameters[place].size - 1 if self._ordinal[place] else 1
            vectors[place] = np.rint(points[:, axis] * scale) if self._ordinal[place] else points[:, axis]
        return self._decoder(allowed_vectors(self._config_space, vectors))


def _choices(hyperparameter: Hyperparameter[Any, Any]) -> int:
    return int(hyperparameter.size) if isinstance(hyperparameter, CategoricalHyperparameter) else 0
