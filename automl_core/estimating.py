"""Asking estimators, and turning what parts report into plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from automl_core.interfaces import Estimator, Segment
from automl_core.types import Configuration, Metrics, Observation, Point


def estimate_curve(
    estimator: Estimator, configuration: Configuration, curve: Iterable[Point], history: Sequence[Segment]
) -> Metrics:
    """Asks an estimator that needs nothing but curves.

    Args:
        estimator: A new one that was started.
        configuration: That of the trial.
        curve: The trial's whole curve so far.
        history: What was told of all candidates before.
    """
    estimator.learn(configuration, history)
    for point in curve:
        estimator.observe(Observation(point.unit, point.metrics))
    return plain_metrics(estimator.estimate().metrics)


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Turns numbers of any library into plain ones, which JSON can hold.

    Raises:
        TypeError: Naming the metric that is no number.
    """
    return {str(name): _plain(name, value) for name, value in metrics.items()}


def _plain(name: str, value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, str | bytes):
        raise TypeError(f"metric {name!r} must be a number, but is {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"metric {name!r} must be a number, but is {value!r}") from None
