"""Learning curves extrapolated by an ensemble of parametric curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from automl_core.types import Estimate, Objective, Point
from automl_feature_history.curves import CurveEstimator

Array = NDArray[np.float64]

FEWEST = 3
"""Points of a trained network from which on a curve is fitted."""

ASYMPTOTES = np.linspace(0.0, 1.0, 24) ** 2
"""Where asymptotes are tried, from the worst (0) to the best that is possible (1): small further gains are likelier."""

EMPHASIS = 2.0
"""How many times the first point's weight the last one has."""

NOISE, TRUST = 0.04, 1.0
"""The noise before any point is seen, as a share of all possible gains, and how many points this is worth."""


class LearningCurve(CurveEstimator):
    """Averages rising, saturating curves of several families, each as far as it fits the points so far.

    The families are those of Domhan, Springenberg and Hutter, "Speeding Up Automatic Hyperparameter Optimization of
    Deep Neural Networks by Extrapolation of Learning Curves" (IJCAI 2015), table 1. All of them are
    y(t) = c - a g(t; shape): c is the asymptote, a >= 0, and g falls. The paper samples all parameters by Markov chain
    Monte Carlo. Here c and the shape, one or two numbers, come from a grid, and the best a follows from them (separable
    least squares: Golub and Pereyra, 1973); a curve weighs by its likelihood, the noise integrated out, and families
    are equal before any point is seen. That is the same average, cheap and without chance. Later points count more, as
    in the authors' code. The deviation holds how far the curves differ and the noise around them.

    Asymptotes stay within what is possible: 1 for accuracies, 0 for losses and errors; anything else gains at most as
    much again as it has gained. The untrained network, unit 0, is no part of a learning curve and is left out. With
    fewer than three points, or when nothing has moved, the estimate is the last value and its deviation all the room
    that is left; at the maximum budget it is the last value itself. Metrics that are no objective keep their last
    value.
    """

    def estimate(self) -> Estimate:
        metrics, deviation = dict(self.points[-1].metrics), {}
        for objective in self.problem.objectives:
            if objective.metric in metrics:
                extrapolated = extrapolate(self.points, objective, self.problem.max_budget)
                metrics[objective.metric], deviation[objective.metric] = extrapolated
        return Estimate(metrics, deviation)


def extrapolate(points: Sequence[Point], objective: Objective, budget: int) -> tuple[float, float]:
    """Predicts a metric at a budget.

    Args:
        points: The curve so far, by rising unit, at least one point.
        objective: The metric and its direction.
        budget: Where to predict, in the unit of the points.

    Returns:
        The prediction and its standard deviation.
    """
    last = points[-1].metrics[objective.metric]
    if points[-1].unit >= budget:
        return last, 0.0
    sign = 1.0 if objective.direction == "max" else -1.0
    trained = [point for point in points if point.unit > 0 and objective.metric in point.metrics]
    values = sign * np.array([point.metrics[objective.metric] for point in trained or points[-1:]])
    ceiling = best_possible(values, objective)
    if len(trained) < FEWEST or np.ptp(values) == 0.0:
        return last, float(ceiling - values[-1])
    times = np.array([point.unit for point in trained]) / budget
    mean, deviation = _average(times, values, ceiling)
    return sign * mean, deviation


def best_possible(values: Array, objective: Objective) -> float:
    """Gives the bound of what a metric may still reach; values and bound are turned so that larger is better."""
    if objective.direction == "min" and (values <= 0.0).all():
        return 0.0
    if objective.direction == "max" and (values >= 0.0).all() and (values <= 1.0).all():
        return 1.0
    best = float(values.max())
    return best + (float(np.ptp(values)) or abs(best) or 1.0)


def _average(times: Array, values: Array, ceiling: float) -> tuple[float, float]:
    """Averages all curves at time 1.

    Args:
        times: (n,) in (0, 1).
        values: (n,), larger is better.
        ceiling: The highest asymptote.
    """
    count = len(times)
    weights = np.geomspace(1.0, EMPHASIS, count)
    weights *= count / weights.sum()
    lowest, recent = float(values.min()), float(values[count // 2 :].min())
    asymptotes = recent + (ceiling - recent) * ASYMPTOTES
    prior = TRUST * (NOISE * (ceiling - lowest)) ** 2
    ends, likelihoods, noises = [], [], []
    for shapes in _families():
        falls = np.array([_fall(*shape, times) for shape in shapes])
        at_end = np.array([_fall(*shape, np.ones(1))[0] for shape in shapes])
        squares = ((weights * falls**2).sum(axis=1))[:, None]
        products = (weights * falls).sum(axis=1)[:, None] * asymptotes - (weights * values * falls).sum(axis=1)[:, None]
        scales = np.maximum(products / squares, 0.0)  # a, by shape and asymptote
        around = (weights * (asymptotes[:, None] - values) ** 2).sum(axis=1)
        residuals = np.maximum(around - 2.0 * scales * products + scales**2 * squares, 0.0) + prior
        ends.append((asymptotes - scales * at_end[:, None]).ravel())
        likelihoods.append((-0.5 * (count + TRUST) * np.log(residuals) - np.log(residuals.size)).ravel())
        noises.append(residuals.ravel() / (count + TRUST))
    end, likelihood, noise = map(np.concatenate, (ends, likelihoods, noises))
    share = np.exp(likelihood - likelihood.max())
    share /= share.sum()
    mean = float(share @ end)
    deviation = float(np.sqrt(share @ ((end - mean) ** 2 + noise)))
    return min(max(mean, lowest), ceiling), deviation


Shape = tuple[str, float, float]


@cache
def _families() -> tuple[tuple[Shape, ...], ...]:
    """Gives the shapes of each family; time is 1 at the maximum budget.

    weibull holds exp4 and janoschek as well, and mmf log power and Hill's, which are the same curves with other
    parameters.
    """
    exponents, rates = np.geomspace(0.1, 3.0, 12), np.geomspace(0.3, 30.0, 12)
    shifts, bends = (0.02, 0.05, 0.1, 0.3, 1.0), np.linspace(0.4, 2.0, 6)

    def family(name: str, first: Sequence[float] | Array, second: Sequence[float] | Array = (0.0,)) -> Iterator[Shape]:
        return ((name, float(one), float(other)) for one, other in product(first, second))

    return tuple(
        tuple(shapes)
        for shapes in (
            family("pow3", exponents),
            family("pow4", exponents, shifts),
            family("exp3", rates),
            family("weibull", rates, bends),
            family("mmf", rates, bends),
            family("ilog2", np.geomspace(2.0, 500.0, 12)),
        )
    )


def _fall(name: str, first: float, second: float, times: Array) -> Array:
    """Gives g of a family at times in (0, 1]: positive and falling."""
    if name == "pow3":
        return times**-first
    if name == "pow4":
        return (times + second) ** -first
    if name == "exp3":
        return np.exp(-first * times)
    if name == "weibull":
        return np.exp(-((first * times) ** second))
    if name == "mmf":
        return 1.0 / (1.0 + (first * times) ** second)
    assert name == "ilog2", name
    return 1.0 / np.log1p(first * times)
