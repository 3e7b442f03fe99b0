"""Draws a supernet's training for a terminal: bars over all epochs, and a line for each cycle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from automl_core.types import Point
from automl_prdarts.plan import KINDS
from automl_prdarts.statistics import SHARES

T = TypeVar("T")

BARS = "▁▂▃▄▅▆▇█"
BARS_SHOWN = 24
"""Bars at most; of more epochs each bar shows the last of a few."""

ROWS = 12
"""Lines at most of a search that has one cycle alone."""

CURVES = (
    ("accuracy, training", "train_accuracy"),
    ("accuracy, validation", "accuracy"),
    ("batch size", "batch"),
    ("similarity, normal", "similarity_normal"),
    ("similarity, reduction", "similarity_reduction"),
)


def draw_curve(points: Sequence[Point]) -> str | None:
    """Draws accuracies, batch size, shares of operations and similarities, at most 80 columns wide.

    Args:
        points: A supernet's learning curve, or the beginning of one.

    Returns:
        None as long as no epoch is trained.
    """
    trained = [point for point in points if point.unit > 0]
    if not trained:
        return None
    return "\n".join([*_bars(trained), "", *_table(trained)])


def _bars(points: Sequence[Point]) -> list[str]:
    lines = []
    for title, name in CURVES:
        values = [point.metrics[name] for point in points if math.isfinite(point.metrics.get(name, math.nan))]
        if values:
            low, high, last = (_shown(name, value) for value in (min(values), max(values), values[-1]))
            span = low if low == high else f"{low} to {high}, last {last}"
            lines.append(f"{title:<21}  {sparkline(_thinned(values, BARS_SHOWN))}  {span}")
    return lines


def _table(points: Sequence[Point]) -> list[str]:
    """Gives a line for the end of each cycle; of a single cycle, lines for some of its epochs."""
    numbers = [point.metrics.get("cycle") for point in points]
    ends = [here != after for here, after in zip(numbers, [*numbers[1:], None], strict=True)]
    rows = [point for point, end in zip(points, ends, strict=True) if end]
    if len(set(numbers)) == 1:
        rows = _thinned(points, ROWS)
    columns = "pool skip conv simil"
    return [
        f"{'accuracy, %':>23}         {'normal cell, %':<20}   reduction cell, %",
        f"cycle epoch train valid batch   {columns}   {columns}",
        *map(_row, rows),
    ]


def _row(point: Point) -> str:
    metrics = point.metrics
    cycle = metrics.get("cycle")
    parts = [
        f"{'-' if cycle is None else int(cycle) + 1:>5}",
        f"{point.unit:>5}",
        f"{_percent(metrics.get('train_accuracy'), 1):>5}",
        f"{_percent(metrics.get('accuracy'), 1):>5}",
        f"{_shown('batch', metrics.get('batch')):>5}",
    ]
    for kind in KINDS:
        shares = (f"{_percent(metrics.get(f'{share}_share_{kind}'), 0):>4}" for share in SHARES)
        parts += [" ", *shares, f"{_percent(metrics.get(f'similarity_{kind}'), 0):>5}"]
    return " ".join(parts)


def sparkline(values: Sequence[float]) -> str:
    """Draws values as bars between their smallest and their largest."""
    low, high = min(values), max(values)
    if not high > low:
        return BARS[0] * len(values)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in values)


def _thinned(values: Sequence[T], most: int) -> list[T]:
    """Gives evenly spaced ones of too many, the last one among them."""
    count = min(most, len(values))
    return [values[(place + 1) * len(values) // count - 1] for place in range(count)]


def _shown(name: str, value: float | None) -> str:
    if name != "batch":
        return f"{_percent(value, 1)} %"
    return "-" if value is None or not math.isfinite(value) else str(int(value))


def _percent(value: float | None, digits: int) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}"
