"""How results look: JSON documents, tables, numbers. Standard output holds results alone."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

import click

UNBOUNDED = 100_000
_NARROWEST = 20
_SHORTEST = 8
_ELLIPSIS = "…"
_BELOW = " " * 8
"""Stands before what is written below its row."""
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_COUNTS = ("flops", "params")


def print_json(document: Any) -> None:
    """Prints one JSON document; numbers that JSON has no word for (NaN, infinity) become null."""
    click.echo(json.dumps(_plain(document), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def width() -> int:
    """Columns of the terminal; in a pipe unbounded, since nothing is to be wrapped there, unless $COLUMNS says."""
    asked = is_terminal(sys.stdout) or os.environ.get("COLUMNS")
    return shutil.get_terminal_size((UNBOUNDED, 24)).columns if asked else UNBOUNDED


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; one that the caller closed (None) is not."""
    return stream is not None and stream.isatty()


def heading(text: str) -> str:
    return click.style(text, bold=True)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """Lays out a table without lines, within the terminal's width as far as that goes.

    The last column is wrapped, unless it holds numbers, or stands below its row where there is no room beside it. Only
    where the others alone are too wide, the widest of them are cut. Numbers are never cut.

    Args:
        titles: One per column.
        rows: Cells as text.
        right: Titles of the columns that hold numbers, which are aligned to the right.
    """
    rows = list(rows)
    numbers = {index for index, title in enumerate(titles) if title in right}
    widths = _fitting(titles, rows, numbers)
    head = click.style(_row(_cut(titles, widths, numbers), widths, numbers), dim=True)
    return "\n".join([head, *(_row(_cut(row, widths, numbers), widths, numbers) for row in rows)])


def _fitting(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int]) -> list[int]:
    """Gives the width of each column, those of the widest reduced until the table fits or nothing more can be cut."""
    widths = widths_of([titles, *rows])
    last = len(titles) - 1
    least = [min(wide, _SHORTEST) for wide in widths]
    for index in numbers:
        least[index] = max((len(row[index]) for row in rows if row[index]), default=1)
    needed = list(widths)
    if last not in numbers:
        least[last] = needed[last] = len(titles[last])  # it is wrapped, or stands below
    room = width() - sum(len("  ") for _ in titles)
    while sum(needed) > room:
        long = [index for index, wide in enumerate(needed) if wide > least[index]]
        if not long:
            break
        needed[max(long, key=lambda index: needed[index])] -= 1
    return [*needed[:last], needed[last] if last in numbers else widths[last]]


def _cut(cells: Sequence[str], widths: Sequence[int], numbers: Collection[int]) -> list[str]:
    """Cuts what is longer than its column; the last one is wrapped instead, unless it holds numbers."""
    last = len(cells) - 1
    return [
        cell if len(cell) <= wide or (index == last and last not in numbers) else cell[: wide - 1] + _ELLIPSIS
        for index, (cell, wide) in enumerate(zip(cells, widths, strict=True))
    ]


def columns(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> str:
    """Lays out rows in columns of given widths, without titles; otherwise as :func:`table` does."""
    return "\n".join(_row(row, widths) for row in rows)


def widths_of(rows: Iterable[Sequence[str]]) -> list[int]:
    """Gives the width of each column."""
    return [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]


def _row(cells: Sequence[str], widths: Sequence[int], right: Collection[int] = ()) -> str:
    aligned = [
        cell.rjust(wide) if index in right else cell.ljust(wide)
        for index, (cell, wide) in enumerate(zip(cells, widths, strict=True))
    ]
    head = "".join(f"  {cell}" for cell in aligned[:-1]) + "  "
    last = aligned[-1].rstrip()
    room = width() - len(head)
    if len(last) > room and room < _NARROWEST and len(cells) - 1 not in {0, *right}:
        below = textwrap.wrap(last, max(width() - len(_BELOW), _NARROWEST))
        return "\n".join([head.rstrip(), *(_BELOW + line for line in below)])
    first, *others = (textwrap.wrap(last, max(room, _NARROWEST)) if len(last) > room else [last]) or [""]
    return "\n".join([f"{head}{first}".rstrip(), *(" " * len(head) + other for other in others)])


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Lays out names and what they are, one pair a line; empty ones are left out."""
    kept = [(name, text) for name, text in pairs if text]
    wide = max((len(name) for name, _ in kept), default=0)
    lines = []
    for name, text in kept:
        head = f"  {name.ljust(wide)}  "
        room = max(width() - len(head), _NARROWEST)
        first, *others = textwrap.wrap(text, room) or [""]
        lines.append(f"  {click.style(name.ljust(wide), dim=True)}  {first}")
        lines += [" " * len(head) + other for other in others]
    return "\n".join(lines)


def percent(fraction: float | None) -> str:
    """Writes a fraction as a percentage with one decimal; "-" when there is none."""
    if fraction is None or not math.isfinite(fraction):
        return "-" if fraction is None else "not finite"
    return f"{100 * fraction:.1f} %"


def number(metric: str, value: float | None) -> str:
    """Writes a metric's value for people to read.

    Accuracies that are fractions are written in percent, ``flops`` and ``params`` with a prefix (1.12 G, 0.47 M),
    ``latency``, which is in seconds, in milliseconds, and everything else in four digits.
    """
    if value is None or not math.isfinite(value):
        return "-" if value is None else "not finite"
    kind = metric.partition("_")[0]
    if kind == "accuracy" and 0 <= value <= 1:
        return percent(value)
    if kind == "latency":
        return f"{1000 * value:#.3g} ms" if value < 0.1 else f"{1000 * value:,.0f} ms"
    for factor, prefix in _PREFIXES if kind in _COUNTS else ():
        if abs(value) >= factor / 10:
            return f"{value / factor:,.2f} {prefix}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def agreement(tau: float | None) -> str:
    """Writes Kendall's tau: 0.82, -0.10; "-" where it is not defined."""
    return "-" if tau is None else f"{round(tau, 2) + 0.0:.2f}"  # no "-0.00"


def measured(metrics: Mapping[str, float]) -> str:
    """Writes metrics in one line: "accuracy 93.1 %, loss 0.3312"."""
    return ", ".join(f"{name} {number(name, value)}" for name, value in metrics.items())


def seconds(value: float | None) -> str:
    """Writes a time span: 4.1 s, 2 min 5 s, 3 h 20 min."""
    if value is None:
        return "-"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def counted(count: int, what: str) -> str:
    """Writes a number of things: 1 worker, 1,000 workers."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """Writes a number of bytes: 512 bytes, 1.2 MB."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return counted(count, "byte")


def budget_text(budget: int, unit: str) -> str:
    """Writes a budget with its unit: "1 epoch", "8 epochs"; "budget 8" for one that is called nothing else."""
    if unit == "budget":
        return f"budget {budget}"
    return f"{budget} {unit.removesuffix('s') if budget == 1 else unit}"


def budgets_text(smallest: int, largest: int, unit: str) -> str:
    """Writes a range of budgets: "1 to 8 epochs"; "8 epochs" where there are complete trials alone."""
    return budget_text(largest, unit) if smallest == largest else f"{smallest} to {largest} {unit}"


def value_text(value: Any) -> str:
    """Writes an option's or a hyperparameter's value for people to read."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(value_text(one) for one in value) + "]"
    return str(value) if value != "" else '""'
