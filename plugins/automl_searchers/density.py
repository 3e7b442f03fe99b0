"""Kernel density estimates over points of a unit cube with categorical axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from automl_searchers.cube import Points


class Density:
    """A mean of product kernels, one kernel per point.

    A number has a normal kernel truncated to [0, 1], a categorical value the kernel of Aitchison and Aitken
    ("Multivariate Binary Discrimination by the Kernel Method", 1976): 1 - h for itself, h / (choices - 1) for each
    other one.

    Bandwidths follow the normal reference rule, 1.06 * deviation * n**(-1 / (4 + axes)). The variance of a categorical
    axis is half the expected squared distance of two of its values, unequal ones being 1 apart: for two choices it is
    that of the positions 0 and 1, and for more of them it does not depend on their order, as that of positions would.

    Args:
        points: What to estimate from, at least one point, without gaps.
        choices: (axes,): how many values a categorical axis has; 0 on the others.
        min_bandwidth: Smallest bandwidth.
    """

    def __init__(self, points: Points, choices: NDArray[np.int64], min_bandwidth: float) -> None:
        self.points = points
        self._choices = choices
        self._categorical = choices > 0
        self._numeric = ~self._categorical
        self._own_indicators = self._indicators(points)
        # With h = (c - 1) / c the kernel is uniform; beyond it, it would prefer all other values to the point's own.
        most = np.where(self._categorical, 1.0 - 1.0 / np.maximum(choices, 1), np.inf)
        rule = 1.06 * self._deviations() * len(points) ** (-1.0 / (4 + points.shape[1]))
        self.bandwidths: NDArray[np.float64] = np.clip(rule, min_bandwidth, most)
        self._prepare()

    def log(self, points: Points) -> NDArray[np.float64]:
        """Gives the logarithm of the density at each point."""
        scaled = points[:, self._numeric] / self._width
        squares = (scaled**2).sum(1)[:, None] + (self._scaled**2).sum(1) - 2.0 * scaled @ self._scaled.T
        matches = (self._indicators(points) * self._gain) @ self._own_indicators.T
        kernels = self._constants - 0.5 * np.maximum(squares, 0.0) + matches
        highest = kernels.max(axis=1, keepdims=True)
        densities: NDArray[np.float64] = highest[:, 0] + np.log(np.exp(kernels - highest).mean(axis=1))
        return densities

    def sample(self, count: int, widened: float, generator: np.random.Generator) -> Points:
        """Draws points.

        Args:
            count: How many.
            widened: Factor on the bandwidths of numbers.
            generator: Where the random numbers come from.
        """
        drawn = self.points[generator.integers(len(self.points), size=count)]
        centre, width = drawn[:, self._numeric], widened * self._width
        low, high = ndtr(-centre / width), ndtr((1.0 - centre) / width)
        between = low + (high - low) * generator.random(centre.shape)
        drawn[:, self._numeric] = np.clip(centre + width * ndtri(between), 0.0, 1.0)
        own, choices = drawn[:, self._categorical], self._choices[self._categorical]
        others = (own + 1 + generator.integers(choices - 1, size=own.shape)) % choices
        leaves = generator.random(own.shape) < self.bandwidths[self._categorical]
        drawn[:, self._categorical] = np.where(leaves, others, own)
        return drawn

    def _deviations(self) -> NDArray[np.float64]:
        deviations: NDArray[np.float64] = self.points.std(axis=0)
        shares = self._own_indicators.mean(axis=0).reshape(-1, max(1, self._most_choices))
        deviations[self._categorical] = np.sqrt(np.maximum(0.0, 1.0 - (shares**2).sum(axis=1)) / 2.0)
        return deviations

    def _prepare(self) -> None:
        """Works out what does not depend on where the density is asked for."""
        self._width = self.bandwidths[self._numeric]
        centre = self.points[:, self._numeric]
        self._scaled = centre / self._width
        inside = ndtr((1.0 - centre) / self._width) - ndtr(-centre / self._width)
        numbers = -np.log(np.sqrt(2.0 * np.pi) * self._width * inside).sum(axis=1)
        leaving, choices = self.bandwidths[self._categorical], self._choices[self._categorical]
        missed = np.log(leaving / (choices - 1))
        self._constants = numbers + missed.sum()
        self._gain = np.repeat(np.log1p(-leaving) - missed, self._most_choices)

    @property
    def _most_choices(self) -> int:
        return int(self._choices.max(initial=0))

    def _indicators(self, points: Points) -> NDArray[np.float64]:
        """Gives (points, categorical axes * most choices): 1 where a point has the value, else 0."""
        equal = points[:, self._categorical, None] == np.arange(self._most_choices)
        return np.asarray(equal.reshape(len(points), -1), dtype=np.float64)


def impute(points: Points, choices: NDArray[np.int64], generator: np.random.Generator) -> Points:
    """Fills gaps by random ones of the values that the axis has elsewhere, or by uniform ones where it has none.

    Args:
        points: Points, NaN where a hyperparameter is inactive.
        choices: (axes,): how many values a categorical axis has; 0 on the others.
        generator: Where the random numbers come from.
    """
    filled = points.copy()
    gaps = np.isnan(points)
    for axis in np.flatnonzero(gaps.any(axis=0)):
        known, count = points[~gaps[:, axis], axis], int(gaps[:, axis].sum())
        if len(known):
            filled[gaps[:, axis], axis] = generator.choice(known, count)
        elif choices[axis]:
            filled[gaps[:, axis], axis] = generator.integers(choices[axis], size=count)
        else:
            filled[gaps[:, axis], axis] = generator.random(count)
    return filled
