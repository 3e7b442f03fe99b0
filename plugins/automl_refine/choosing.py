"""Which category to go on with: the third step of algorithm 1, which is by hand in the paper.

Source: Iwata et al., "Refining Design Spaces in Knowledge Distillation for Deep Collaborative Learning", algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from automl_core.errors import RequestError, unknown
from automl_core.restricting import Condition
from automl_refine.areas import AreaTable, Row
from automl_refine.edf import FEWEST

Rule = Literal["auc", "separated"]
RULES: tuple[Rule, ...] = ("auc", "separated")

MIN_GROUP = 30
"""Trials below which an area is mostly noise."""


@dataclass(frozen=True)
class Verdict:
    """What a rule makes of a table.

    Args:
        row: The category to go on with; None when there is none.
        condition: Its condition; without a row the one whose best category was not good enough, or None.
        reason: Why, with the numbers.
    """

    row: Row | None
    condition: Condition | None
    reason: str


def choose(table: AreaTable, rule: Rule, min_group: int = MIN_GROUP) -> Verdict:
    """Takes the category with the largest area of all; ties go to the condition, then the category, listed first.

    Only conditions with two categories of at least ``min_group`` trials take part: with one there is nothing to choose
    between.

    Args:
        table: The areas.
        rule: ``auc`` is content with that; ``separated`` asks that the category's interval lies above those of all
            others of its condition that have as many trials. Another whose trials are all one training, such as that
            of a target cut off from its auxiliaries, has no interval; its area counts instead.
        min_group: Trials that a category must have to be looked at; to be taken, they must be two trainings at least.

    Raises:
        RequestError: For an unknown rule, and for a group of nobody.
    """
    if rule not in RULES:
        raise unknown("rule of choosing", str(rule), RULES)
    if min_group < 1:
        raise RequestError(
            f"a group must have 1 trial at least, but min_group is {min_group}; pass --min-group 1 or more"
        )
    eligible = [(condition, large) for condition, rows in table.conditions if len(large := _large(rows, min_group)) > 1]
    # What is all one training says nothing of a choice, however many configurations it stands for.
    pairs = [(condition, row) for condition, rows in eligible for row in rows if row.distinct >= FEWEST]
    if not pairs:
        return Verdict(None, None, _nothing(table, min_group))
    condition, best = max(pairs, key=lambda pair: _area(pair[1]))  # of equal ones the first
    found = f"{best.category.label!r} of {condition.label!r} has the largest area, {number(_area(best))}"
    if rule == "auc":
        return Verdict(best, condition, found)
    others = next(rows for one, rows in eligible if one is condition)
    close = _not_below(best, [row for row in others if row is not best])
    if close:
        return Verdict(None, condition, f"{found}, but {close}")
    return Verdict(best, condition, f"{found}, and its interval {_span(best)} lies above those of all others")


def _large(rows: Sequence[Row], min_group: int) -> list[Row]:
    return [row for row in rows if row.trials >= min_group and row.area is not None]


def _area(row: Row) -> float:
    assert row.area is not None, "only rows with trials are compared"
    return row.area


def _not_below(best: Row, others: Sequence[Row]) -> str:
    """Says which of the others a category's interval does not lie above, the highest one; empty for none."""
    assert best.interval is not None, "two trainings have one"
    highest = max(others, key=_top)
    if _top(highest) < best.interval[0]:
        return ""
    return f"its interval {_span(best)} does not lie above that of {highest.category.label!r}, {_span(highest)}"


def _top(row: Row) -> float:
    """Gives the upper end of an interval; where all trials are one training, its area, since no other would come."""
    return _area(row) if row.interval is None else row.interval[1]


def _span(row: Row) -> str:
    return number(_area(row)) if row.interval is None else " to ".join(map(number, row.interval))


def number(value: float) -> str:
    """Writes an area in a few digits."""
    return f"{value:.4g}"


def _nothing(table: AreaTable, min_group: int) -> str:
    sizes = [sorted((row.trials for row in rows), reverse=True) for _, rows in table.conditions]
    most = max((own[1] for own in sizes if len(own) > 1), default=None)
    if most is None:
        return "no condition has two categories to choose between"
    return (
        f"no condition has two categories of at least {min_group} trials; the second largest category of any "
        f"condition has {most}"
    )
