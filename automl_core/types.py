"""The frozen values that pass between searcher, engine, evaluator and journal.

All of them are plain data. ``Job`` and ``Outcome`` turn into JSON and back without loss, since a study is what
replaying its journal gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Value = bool | int | float | str | None
"""A hyperparameter's value."""

Configuration = Mapping[str, Value]
"""One point of a search space: hyperparameter name to value; inactive hyperparameters are absent."""

Json = Any
"""Anything that ``json.dumps`` takes and ``json.loads`` gives back equal."""

Metrics = Mapping[str, float]
Direction = Literal["max", "min"]
Role = Literal["candidate", "support"]
Status = Literal["done", "failed", "diverged", "infeasible", "interrupted", "lost"]
OVER = frozenset({"failed", "diverged", "infeasible"})
"""How a trial ends without a value: nothing of it is gone on with, and it ranks nowhere."""

Split = Literal["search", "final"]
"""``search``: trained on the training split, measured on validation. ``final``: trained on training + validation,
measured on test."""

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and the direction in which it is better.

    Args:
        metric: Name of a metric that the evaluator reports.
        direction: ``"max"`` or ``"min"``.
    """

    metric: str
    direction: Direction = "max"

    def loss(self, value: float) -> float:
        """Gives the value turned so that smaller is better; NaN becomes infinity."""
        if math.isnan(value):
            return math.inf
        return -value if self.direction == "max" else value

    def __str__(self) -> str:
        return f"{self.metric}:{self.direction}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a metric, which every candidate must keep.

    Args:
        metric: Name of a metric that the evaluator reports or foresees.
        sense: ``"<="`` or ``">="``.
        bound: The bound, in the metric's own unit.
    """

    metric: str
    sense: Literal["<=", ">="]
    bound: float

    def violation(self, metrics: Metrics) -> str | None:
        """Says how metrics violate it; None where they keep it or do not hold the metric."""
        value = metrics.get(self.metric)
        if value is None or (value <= self.bound if self.sense == "<=" else value >= self.bound):
            return None
        return f"{self} must hold, but {self.metric} is {value:g}"

    def __str__(self) -> str:
        return f"{self.metric}{self.sense}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Job:
    """Take a trial from one budget to another.

    Args:
        trial: Number of the trial, from 0, counted over both roles.
        configuration: The trial's configuration; empty for a support trial.
        from_budget: Budget reached so far, in the evaluator's unit; 0 for a new trial.
        to_budget: Budget to reach.
        role: ``candidate`` (ranked) or ``support`` (teacher, control, retraining, supernet).
        attempt: 0, or how often a lost worker made the engine hand the job out again.
        instruction: Plain JSON from the searcher (or the engine, for support trials) to the evaluation.
    """

    trial: int
    configuration: Configuration
    from_budget: int
    to_budget: int
    role: Role = "candidate"
    attempt: int = 0
    instruction: Json = None

    def to_json(self) -> dict[str, Json]:
        return {
            "trial": self.trial,
            "configuration": dict(self.configuration),
            "from_budget": self.from_budget,
            "to_budget": self.to_budget,
            "role": self.role,
            "attempt": self.attempt,
            "instruction": self.instruction,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Job:
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a learning curve.

    Args:
        unit: Budget at which it was measured; 0 is the untrained network.
        metrics: Metric name to value; accuracies and errors are fractions in [0, 1].
    """

    unit: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Observation:
    """What an evaluation yields after each unit.

    Args:
        unit: Budget reached.
        metrics: Metric name to value.
        features: What estimators that need features are given; never journalled.
        network: The live network for estimators that need it; never journalled.
        seconds: What the unit cost, from an evaluator that looks results up; None: the clock is read.
    """

    unit: int
    metrics: Metrics
    features: Any = None
    network: Any = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A prediction of final performance: metric name to value, and its standard deviation where known."""

    metrics: Metrics
    deviation: Metrics = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back of a job.

    Args:
        status: ``done``, ``failed`` (raised), ``diverged`` (NaN or infinity), ``infeasible`` (violates a constraint),
            ``interrupted`` (cut at a unit) or ``lost`` (its worker died). The engine keeps the last two to itself.
        budget: Budget reached.
        curve: Points observed within this job, by rising unit.
        values: One number per objective, in the objective's own direction; this is what ranks. Empty unless done.
        estimates: Estimator name to its estimate's metrics.
        cost: Seconds of work.
        report: Plain JSON from the evaluation to the searcher.
        error: Traceback or reason; empty when done.
    """

    status: Status
    budget: int
    curve: tuple[Point, ...] = ()
    values: tuple[float, ...] = ()
    estimates: Mapping[str, Metrics] = field(default_factory=dict)
    cost: float = 0.0
    report: Json = None
    error: str = ""

    @property
    def metrics(self) -> Metrics:
        """The metrics of the last point."""
        return self.curve[-1].metrics if self.curve else EMPTY

    def to_json(self) -> dict[str, Json]:
        return {
            "status": self.status,
            "budget": self.budget,
            "curve": [[point.unit, dict(point.metrics)] for point in self.curve],
            "values": list(self.values),
            "estimates": {name: dict(metrics) for name, metrics in self.estimates.items()},
            "cost": self.cost,
            "report": self.report,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Outcome:
        changed = dict(data)
        changed["curve"] = tuple(Point(unit, metrics) for unit, metrics in data["curve"])
        changed["values"] = tuple(data["values"])
        return cls(**changed)
