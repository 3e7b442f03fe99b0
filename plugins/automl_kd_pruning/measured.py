"""What was trained in studies, and how well it did: read from their journals, without replaying anything.

An accuracy is the one after the last epoch of a training that completed its study's full budget, never the best one.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from automl_core.errors import RequestError
from automl_core.spec import Part
from automl_core.types import Json, Metrics
from automl_spaces.trainings import Training

if TYPE_CHECKING:
    from automl_core.records import StudyRecord

Seed = tuple[int, int]
"""Seed of the study, and number of the repetition."""


@dataclass(frozen=True)
class Cell:
    """Accuracies of one training, as fractions, by seed."""

    values: Mapping[Seed, float] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation; None for one seed."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    def to_json(self) -> Json:
        values = [self.values[seed] for seed in sorted(self.values)]
        return {"mean": self.mean, "deviation": self.deviation, "seeds": len(values), "values": values}


NOTHING = Cell()


@dataclass(frozen=True)
class Measured:
    """A finished training: what it was without its repetition, by which seed, and what was measured at its end."""

    training: Training
    seed: Seed
    metrics: Metrics


class Results:
    """Accuracies of finished trainings, found by what was trained.

    Args:
        candidates: Those of the search.
        support: Those that they build on or are compared with; a candidate's own result goes before.
    """

    def __init__(self, candidates: Iterable[Measured], support: Iterable[Measured]) -> None:
        self.candidates = list(candidates)
        self.all = [*self.candidates, *support]
        self._values: dict[str, dict[Seed, float]] = {}
        for one in self.all:
            values = self._values.setdefault(dump(one.training.to_json()), {})
            values.setdefault(one.seed, one.metrics["accuracy"])

    def cell(self, training: Training) -> Cell:
        return Cell(self._values.get(dump(training.to_json()), {}))


def read(records: Sequence[StudyRecord]) -> tuple[Results, dict[str, tuple[int, ...]]]:
    """Reads studies of one data set, trained alike.

    Returns:
        The results; and, by study, the numbers of candidates that did not complete the full budget.

    Raises:
        RequestError: For studies that cannot be compared, that decode to no trainings, or without a finished candidate.
    """
    _require_comparable(records)
    candidates: list[Measured] = []
    support: list[Measured] = []
    left_out: dict[str, tuple[int, ...]] = {}
    for record in records:
        finished, missing = _candidates(record)
        candidates += finished
        support += _support(record)
        if missing:
            left_out[record.spec.name] = missing
    if not candidates:
        names = ", ".join(record.spec.name for record in records)
        raise RequestError(
            f"the tables need candidates that completed the full budget ({records[0].spec.max_budget}), but there are "
            f"none in {names}; go on with 'automl resume', or run a study with more trials"
        )
    return Results(candidates, support), left_out


def _candidates(record: StudyRecord) -> tuple[list[Measured], tuple[int, ...]]:
    """Gives the candidates that completed the full budget, and the numbers of the others."""
    from automl_core.building import build_space
    from automl_core.plugins import get_registry

    spec = record.spec
    if spec.space.given:
        raise RequestError(
            f"the tables need spaces by name, but study {spec.name!r} was given an object; choose a study of "
            "kd-pruning or kd-augment"
        )
    space = build_space(spec.space, {}, get_registry())
    finished, missing = [], []
    for trial in record.journal.trials():
        if trial.role != "candidate":
            continue
        training = space.decode(trial.configuration)
        if not isinstance(training, Training):
            raise RequestError(
                f"the tables are of trainings around a pruning or with augmentation, but study {spec.name!r} is of "
                f"space {spec.space.name!r}; choose a study of kd-pruning or kd-augment"
            )
        if trial.status == "completed" and trial.budget == spec.max_budget and "accuracy" in trial.metrics:
            finished.append(_measured(training, spec.seed, trial.metrics))
        else:
            missing.append(trial.number)
    return finished, tuple(missing)


def _support(record: StudyRecord) -> list[Measured]:
    """Gives what the search's candidates build on and were compared with; retrainings train on other data."""
    found = []
    for trial in record.journal.trials():
        told = trial.instruction or {}
        if trial.role != "support" or trial.status != "completed" or told.get("split") != "search":
            continue
        comparable = told["purpose"] == "artefact" or trial.budget == record.spec.max_budget
        if comparable and not told["setting"] and "accuracy" in trial.metrics:
            found.append(_measured(Training.from_json(told["description"]), record.spec.seed, trial.metrics))
    return found


def _measured(training: Training, seed: int, metrics: Metrics) -> Measured:
    return Measured(_once(training), (seed, training.repeat), metrics)


def _once(training: Training) -> Training:
    """Gives a training as its first repetition, with all that it builds on."""
    return replace(
        training,
        teachers=tuple(_once(teacher) for teacher in training.teachers),
        origin=None if training.origin is None else _once(training.origin),
        repeat=0,
    )


def _require_comparable(records: Sequence[StudyRecord]) -> None:
    """Refuses studies that were not trained alike; only their spaces and seeds may differ."""
    first = records[0].spec
    for other in (record.spec for record in records[1:]):
        for what in ("dataset", "evaluator", "trainer", "max_budget"):
            one, another = getattr(first, what), getattr(other, what)
            if one != another:
                raise RequestError(
                    f"studies of one table must have been trained alike, but {what} of {first.name!r} is {_said(one)} "
                    f"and that of {other.name!r} is {_said(another)}; make tables of them one by one"
                )


def _said(value: object) -> str:
    return f"{value.name} {dict(value.options)}" if isinstance(value, Part) else str(value)


def dump(value: Json) -> str:
    """Writes JSON as text that is equal for equal values."""
    return json.dumps(value, sort_keys=True)
