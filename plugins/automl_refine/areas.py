"""Tables of areas: how small the errors are that go with each category of each condition.

Source: Iwata et al., "Refining Design Spaces in Knowledge Distillation for Deep Collaborative Learning", table II.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from automl_core.building import build_space
from automl_core.engine.state import trial_key
from automl_core.errors import RequestError
from automl_core.interfaces import SearchSpace
from automl_core.plugins import get_registry
from automl_core.randomness import derive_seed
from automl_core.restricting import Allowed, Condition, holds
from automl_core.types import OVER, Configuration, Json, Objective
from automl_refine.categories import Category, categories
from automl_refine.edf import LEVEL, RESAMPLES, Bootstrap, area, check_span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from automl_core.records import StudyRecord, TrialRow

PERCENT = (0.0, 100.0)
"""The span of errors in percent, over which an area is the mean accuracy in percent."""

DEAD = 0.5
"""A trial is dead below that share of the reference's value."""

BELOW = "below the floor"
REASONS = ("failed", "diverged", "infeasible", BELOW)


@dataclass(frozen=True)
class Member:
    """A configuration with its error.

    Args:
        configuration: As drawn.
        key: its canonical form, hashed; configurations with equal keys come from one training.
        error: What :func:`error_of` gives; None when it is left out.
        trial: Its number in its study.
        reason: Why it is left out: one of :data:`REASONS`; empty when it counts.
    """

    configuration: Configuration
    key: str
    error: float | None
    trial: int
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One category of a table.

    Args:
        category: The category.
        trials: How many members that count are of it.
        distinct: How many trainings these come from.
        area: The area under their distribution; None where there are none.
        interval: Its ends; None for fewer than two trainings.
    """

    category: Category
    trials: int
    distinct: int
    area: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class AreaTable:
    """Areas by condition and category.

    Args:
        conditions: Each with the rows of its categories.
        span: From where to where errors are looked at.
        trials: How many members count.
        left_out: How many do not, by reason.
        floor: The value below which members were left out; None where there is none.
        overall: The area of all that count; None where there are none.
        level: Confidence level of the intervals.
    """

    conditions: tuple[tuple[Condition, tuple[Row, ...]], ...]
    span: tuple[float, float]
    trials: int
    left_out: Mapping[str, int]
    floor: float | None
    overall: float | None
    level: float

    def rows(self) -> Iterator[tuple[Condition, Row]]:
        """Yields every row with its condition, in order."""
        for condition, rows in self.conditions:
            for row in rows:
                yield condition, row

    def to_json(self) -> Json:
        """Gives all of it as plain, strict JSON."""
        return {
            "span": list(self.span),
            "trials": self.trials,
            "left_out": dict(self.left_out),
            "floor": self.floor,
            "overall": self.overall,
            "level": self.level,
            "resamples": RESAMPLES,
            "conditions": [
                {
                    "condition": condition.label,
                    "names": list(condition.names),
                    "categories": [_row_json(row) for row in rows],
                }
                for condition, rows in self.conditions
            ],
        }


def area_table(
    space: SearchSpace,
    members: Sequence[Member],
    conditions: Sequence[Condition],
    span: tuple[float, float] | None = None,
    floor: float | None = None,
    seed: int = 0,
) -> AreaTable:
    """Divides members by each condition and takes the area of every category.

    All intervals are read from the same bootstrap samples of the members, so that a table of hundreds of conditions
    takes seconds, and what is found for a category does not depend on what else is asked for.

    Args:
        space: The members' space; a design space has the categories that are left of it.
        members: In any order; what has no error is counted by reason.
        conditions: By what to divide.
        span: From where to where to look at errors; 0 to 100 by default, see :func:`span_of`.
        floor: Noted in the table; it was applied when the members were made.
        seed: Determines the bootstrap.

    Raises:
        RequestError: For a range that holds nothing, and as :func:`automl_refine.categories.categories` does.
    """
    low, high = PERCENT if span is None else span
    check_span(low, high)
    counted = [member for member in members if member.error is not None]
    masks = _Masks([member.configuration for member in counted])
    errors = np.array([member.error for member in counted], dtype=np.float64)
    bootstrap = Bootstrap([member.key for member in counted], seed=derive_seed(seed, "areas"))

    def row(category: Category) -> Row:
        group = masks.of(category)
        mine = errors[group]
        if not len(mine):
            return Row(category, 0, 0, None, None)
        found = bootstrap.interval(mine, low, high, group=group)
        return Row(category, len(mine), bootstrap.distinct(group), area(mine, low, high), found)

    rows = tuple((one, tuple(row(category) for category in categories(space, one))) for one in conditions)
    reasons = Counter(member.reason for member in members if member.error is None)
    left_out = {
        reason: reasons[reason] for reason in (*REASONS, *sorted(set(reasons) - set(REASONS))) if reasons[reason]
    }
    overall = area(errors, low, high) if counted else None
    return AreaTable(rows, (low, high), len(counted), left_out, floor, overall, LEVEL)


class _Masks:
    """Which configurations a category holds, from what each hyperparameter's values say: looked at once each."""

    def __init__(self, configurations: Sequence[Configuration]) -> None:
        self._configurations = configurations
        self._known: dict[tuple[str, str], NDArray[np.bool_]] = {}

    def of(self, category: Category) -> NDArray[np.bool_]:
        boxes = (reduce(np.logical_and, (self._one(*item) for item in box.items())) for box in category.boxes)
        return reduce(np.logical_or, boxes)

    def _one(self, name: str, allowed: Allowed) -> NDArray[np.bool_]:
        key = (name, repr(allowed))
        if key not in self._known:
            found = (name in one and holds(allowed, one[name]) for one in self._configurations)
            self._known[key] = np.fromiter(found, dtype=np.bool_, count=len(self._configurations))
        return self._known[key]


def error_of(objective: Objective, value: float) -> float:
    """Turns a value into an error: of a "max" metric 100 * (1 - value) percent, a "min" metric itself.

    Raises:
        RequestError: When a "max" metric is no fraction.
    """
    if objective.direction == "min":
        return value
    if not 0.0 <= value <= 1.0:
        raise RequestError(
            "a metric that is to be large must be a fraction from 0 to 1 for its error to be known, but "
            f"{objective.metric} is {value:g}; take one that is to be small, as METRIC:min, and pass "
            "--range LOW HIGH"
        )
    return 100.0 * (1.0 - value)


def span_of(objective: Objective, members: Sequence[Member]) -> tuple[float, float]:
    """Gives the usual span: 0 to 100 percent; for a "min" metric 0, or the smallest error below it, to the largest."""
    if objective.direction == "max":
        return PERCENT
    errors = [member.error for member in members if member.error is not None]
    low, high = min(errors, default=0.0), max(errors, default=0.0)
    low = min(low, 0.0)
    return (low, high) if low < high else (low, low + 1.0)


def floor_of(record: StudyRecord, space: SearchSpace | None = None) -> float | None:
    """Gives half of the value that the space's reference came to, as a complete trial of the study.

    Args:
        record: A recorded study.
        space: Its space; built by name when None.

    Returns:
        A value of the first objective; None for a "min" metric, and where no trial has the reference's canonical key.
    """
    space = space or space_of(record)
    reference = space.whole.reference()
    if reference is None or record.objectives[0].direction == "min":
        return None
    key = space.canonical(reference)
    for row in record.trials():
        if _complete(record, row) and row.value is not None and space.canonical(row.configuration) == key:
            return DEAD * row.value
    return None


def members_of(record: StudyRecord, floor: float | None = None, space: SearchSpace | None = None) -> list[Member]:
    """Gives the complete candidates of a recorded study with the errors that ranked, and those that came to nothing.

    Candidates that were stopped early or still run are no members.

    Args:
        record: A recorded study, finished or not.
        floor: A value of the first objective, a fraction; what is below it is left out. :func:`floor_of` by default.
        space: The study's space; built by name when None.

    Raises:
        RequestError: When the space was given as an object and is not given here, when a "max" metric is no fraction,
            and for a floor that is none or stands beside a "min" metric.
    """
    space = space or space_of(record)
    objective = record.objectives[0]
    check_floor(floor, objective)
    least = floor_of(record, space) if floor is None else floor
    found = []
    for row in record.trials():
        if row.role != "candidate":
            continue
        if row.status in OVER:
            found.append(Member(row.configuration, trial_key(space, row.configuration), None, row.number, row.status))
        elif _complete(record, row) and row.value is not None:
            dead = least is not None and row.value < least
            error, reason = (None, BELOW) if dead else (error_of(objective, row.value), "")
            found.append(Member(row.configuration, trial_key(space, row.configuration), error, row.number, reason))
    return found


def check_floor(floor: float | None, objective: Objective) -> None:
    """Refuses a floor that cannot be.

    Raises:
        RequestError: Naming the rule.
    """
    if floor is None:
        return
    if objective.direction == "min":
        raise RequestError(
            f"a floor must be the least value of a metric that is to be large, but {objective.metric} is to be small "
            f"and got {floor:g}; leave the floor out"
        )
    if not 0.0 <= floor <= 1.0:
        raise RequestError(f"a floor must be a fraction from 0 to 1, but got {floor:g}; pass 0.1 for 10 %, for example")


def space_of(record: StudyRecord) -> SearchSpace:
    """Builds a recorded study's space.

    Raises:
        RequestError: When it was given as an object, which no journal holds.
    """
    part = record.spec.space
    if part.given:
        raise RequestError(
            f"the space of study {record.spec.name!r} must be known by name, but was given as an object, {part.name}; "
            "pass it to members_of(record, space=...) in Python"
        )
    return build_space(part, {}, get_registry())


def _complete(record: StudyRecord, row: TrialRow) -> bool:
    return (
        row.role == "candidate"
        and row.status not in OVER
        and row.budget >= record.spec.max_budget
        and row.value is not None
        and math.isfinite(row.value)
    )


def _row_json(row: Row) -> Json:
    return {
        "category": row.category.label,
        "restriction": row.category.restriction.to_json(),
        "trials": row.trials,
        "distinct": row.distinct,
        "area": row.area,
        "interval": None if row.interval is None else list(row.interval),
    }
