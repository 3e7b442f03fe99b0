"""Estimators that take a trial's learning curve as it is."""

from __future__ import annotations

from automl_core.interfaces import Estimator
from automl_core.types import Estimate, Observation, Point


class CurveEstimator(Estimator):
    """Keeps the trial's curve. It runs in the engine, which shows it the journalled curve, so nothing is saved."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def observe(self, observation: Observation) -> None:
        self.points.append(Point(observation.unit, observation.metrics))


class Last(CurveEstimator):
    """Takes the newest point for the final one."""

    def estimate(self) -> Estimate:
        return Estimate(dict(self.points[-1].metrics))


class Best(CurveEstimator):
    """Takes each objective's best value so far for the final one; other metrics are those of the newest point."""

    def estimate(self) -> Estimate:
        metrics = dict(self.points[-1].metrics)
        for objective in self.problem.objectives:
            seen = [point.metrics[objective.metric] for point in self.points if objective.metric in point.metrics]
            if seen:
                metrics[objective.metric] = min(seen, key=objective.loss)
        return Estimate(metrics)
