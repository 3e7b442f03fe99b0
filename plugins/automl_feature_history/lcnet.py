"""Learning curves predicted from the configurations and curves of all trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import chain

import numpy as np
import torch

from automl_core.errors import RequestError
from automl_core.interfaces import Segment
from automl_core.randomness import derive_seed
from automl_core.types import Configuration, Estimate, Objective, Point, Value
from automl_feature_history import curve_network
from automl_feature_history.curves import CurveEstimator
from automl_feature_history.parametric import best_possible

FEWEST = 3
"""Curves from which on a network is trained."""
CATEGORIES = 16
"""A hyperparameter that is no number and has had more values than this says nothing that could be learnt."""
WIDE = 100.0
"""Positive numbers that differ by this factor or more are encoded by their logarithm."""
FURTHEST = 4.0
"""Scaled values beyond this, such as an exploded loss, are taken for it."""

Curve = tuple[tuple[float, ...], tuple[tuple[float, float], ...]]
"""An encoded configuration, and the times and scaled values of its points."""


class LCNet(CurveEstimator):
    """Predicts final values by Bayesian neural networks that have seen the curves of all trials.

    Klein, Falkner, Springenberg and Hutter, "Learning Curve Prediction with Bayesian Neural Networks" (ICLR 2017): a
    network turns a configuration into the parameters of its learning curve, a sum of basis functions, and is sampled
    by stochastic-gradient Hamiltonian Monte Carlo. See :mod:`automl_feature_history.curve_network`, also for how a
    trial's own points are taken account of, which goes beyond the paper.

    Training takes ``steps`` steps of a few milliseconds whatever the number of trials. It is repeated when the
    history has grown by half: after 3, 4, 6, 9, 13, ... jobs, some ten times within hundreds; in between, a trial's
    own points make up for it. Networks follow from the history, the options and the study's seed alone.

    Before three curves are known the estimate is the last value, and its deviation all the room left for gains; the
    same where a metric has not moved since the trial began. At the maximum budget it is the last value itself. Metrics
    that are no objective keep their last value.

    Args:
        steps: Steps of the sampler, at least 2.
        burn_in: Steps before the first network is kept, below ``steps``.
        samples: Networks to average, at least 1; at most 8 come of a step.
        hidden: Width of the networks' two hidden layers, at least 1.
    """

    def __init__(self, steps: int = 300, burn_in: int = 200, samples: int = 80, hidden: int = 32) -> None:
        super().__init__()
        if not 1 <= burn_in < steps:
            raise RequestError(
                f"1 <= burn_in < steps must hold, but got {burn_in} and {steps}; raise steps or lower burn_in"
            )
        for name, number in (("samples", samples), ("hidden", hidden)):
            if number < 1:
                raise RequestError(f"{name} must be at least 1, but got {number}; raise it")
        self._sampler = (hidden, steps, burn_in, samples)
        self._configuration: Configuration = {}
        self._history: tuple[Segment, ...] = ()

    def learn(self, configuration: Configuration, history: Sequence[Segment]) -> None:
        self._configuration, self._history = configuration, tuple(history[: trained_on(len(history))])

    def estimate(self) -> Estimate:
        metrics, deviation = dict(self.points[-1].metrics), {}
        for objective in self.problem.objectives:
            if objective.metric in metrics:
                metrics[objective.metric], deviation[objective.metric] = self._predicted(objective)
        return Estimate(metrics, deviation)

    def _predicted(self, objective: Objective) -> tuple[float, float]:
        budget, sign = self.problem.max_budget, 1.0 if objective.direction == "max" else -1.0
        last = self.points[-1].metrics[objective.metric]
        if self.points[-1].unit >= budget:
            return last, 0.0
        own = _points(self.points, objective.metric, sign)
        trials: dict[int, list[tuple[int, float]]] = {}
        configurations: dict[int, Configuration] = {}
        for segment in self._history:
            if points := _points(segment.points, objective.metric, sign):
                trials.setdefault(segment.trial, []).extend(points)
                configurations[segment.trial] = segment.configuration
        values = np.array([value for _, value in chain(own, *trials.values())] or [sign * last])
        ceiling = best_possible(values, objective)
        seen = {point.metrics.get(objective.metric) for point in self.points}
        unmoved = len(self.points) > 1 and len(seen) == 1
        learnt = values[len(own) :]
        if len(trials) < FEWEST or np.ptp(learnt) == 0.0 or not own or unmoved:
            return last, ceiling - sign * last
        low, centre, high = np.quantile(learnt, (0.1, 0.5, 0.9))
        extent = float(high - low) / 2.0 or float(learnt.std())
        scaled = partial(_scaled, budget=budget, centre=float(centre), extent=extent)
        encode = Encoding(configurations.values())
        curves = tuple((encode(configurations[trial]), scaled(points)) for trial, points in trials.items())
        seed = derive_seed(self.problem.seed, "lcnet", objective.metric)
        trial = (encode(self._configuration), scaled(own))
        mean, deviation = _predict(curves, trial, 1.0 / budget, self._sampler, seed)
        if not (math.isfinite(mean) and math.isfinite(deviation)):  # no sampled network is of use
            return last, ceiling - sign * last
        predicted = min(max(float(centre) + extent * mean, float(values.min())), ceiling)
        return sign * predicted, extent * deviation


def trained_on(jobs: int) -> int:
    """Gives how many jobs of a history are trained on: the largest of 3, 4, 6, 9, 13, ... that there are, or 0."""
    size, following = 0, FEWEST
    while following <= jobs:
        size, following = following, following * 3 // 2
    return size


class Encoding:
    """Turns configurations into numbers between -1 and 1, as what was seen of them allows.

    Numbers are scaled by their least and greatest; everything else with few values is encoded one-hot. What a
    configuration lacks is 0, and a further number says so.

    Args:
        configurations: What was seen.
    """

    def __init__(self, configurations: Iterable[Configuration]) -> None:
        seen = list(configurations)
        self._columns: list[Callable[[Configuration], float]] = []
        for name in sorted(set(chain(*seen))):
            values = [one[name] for one in seen if name in one]
            if len(values) < len(seen):
                self._columns.append(partial(_lacks, name))
            numbers = [number for value in values if (number := _number_of(value)) is not None]
            if len(numbers) < len(values):
                distinct = sorted(set(values), key=repr)
                if 1 < len(distinct) <= CATEGORIES:
                    self._columns += (partial(_equals, name, value) for value in distinct)
            elif min(numbers) < max(numbers):
                self._columns.append(partial(_number, name, min(numbers), max(numbers)))

    def __call__(self, configuration: Configuration) -> tuple[float, ...]:
        return tuple(column(configuration) for column in self._columns) or (0.0,)


def _number_of(value: Value) -> float | None:
    return None if isinstance(value, bool | str) or value is None else float(value)


def _lacks(name: str, configuration: Configuration) -> float:
    return float(name not in configuration)


def _equals(name: str, value: Value, configuration: Configuration) -> float:
    return float(name in configuration and repr(configuration[name]) == repr(value))


def _number(name: str, low: float, high: float, configuration: Configuration) -> float:
    value = _number_of(configuration.get(name))
    if value is None:
        return 0.0
    value = min(max(value, low), high)
    if low > 0.0 and high >= WIDE * low:
        low, value, high = np.log([low, value, high]).tolist()
    return 2.0 * (value - low) / (high - low) - 1.0


def _points(points: Sequence[Point], metric: str, sign: float) -> list[tuple[int, float]]:
    """Gives units and values, larger being better; the untrained network is no part of a learning curve."""
    return [(one.unit, sign * one.metrics[metric]) for one in points if one.unit > 0 and metric in one.metrics]


def _scaled(
    points: Sequence[tuple[int, float]], budget: int, centre: float, extent: float
) -> tuple[tuple[float, float], ...]:
    values = np.clip([(value - centre) / extent for _, value in points], -FURTHEST, FURTHEST).tolist()
    return tuple((unit / budget, value) for (unit, _), value in zip(points, values, strict=True))


@lru_cache(maxsize=8)
def _train(
    curves: tuple[Curve, ...], first: float, sampler: tuple[int, int, int, int], seed: int
) -> tuple[curve_network.Network, torch.Tensor]:
    """Samples networks. It is called for every outcome and follows from its arguments, so the newest are kept."""
    points = [(index, *point) for index, (_, points) in enumerate(curves) for point in points]
    position, time, value = zip(*points, strict=True)
    data = curve_network.Curves(
        torch.tensor([inputs for inputs, _ in curves], dtype=torch.float64),
        torch.tensor(position),
        torch.tensor(time, dtype=torch.float64),
        torch.tensor(value, dtype=torch.float64),
        first,
    )
    return curve_network.sample(data, *sampler, seed)


def _predict(
    curves: tuple[Curve, ...], trial: Curve, first: float, sampler: tuple[int, int, int, int], seed: int
) -> tuple[float, float]:
    network, weights = _train(curves, first, sampler, seed)
    inputs, points = trial
    time, value = torch.tensor(points, dtype=torch.float64).unbind(dim=1)
    return curve_network.predict(network, weights, torch.tensor(inputs, dtype=torch.float64), time, value, first)
