"""Draws a supernet's training as SVG: panels over epochs, the borders of cycles marked.

After figure 2 of Laube and Zell, "Prune and Replace NAS" (2019). The document is self-contained and the same for the
same curve. Lengths are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from automl_core.types import Point

WIDTH = 760
LEFT, RIGHT, TOP = 64, 20, 16
HEAD = 44
"""Height of a panel's title and legend, which stand above what is drawn."""
HEIGHT = 150
GAP = 34
INK, GRID, BORDER = "#222222", "#e3e7ec", "#9aa5b1"
BLUE, ORANGE, GREEN, PURPLE = "#0b5fa5", "#d55e00", "#00875f", "#7a5195"
DASHES = {"normal": "", "reduction": "6 4"}
MOST_TICKS = 12


@dataclass(frozen=True)
class Line:
    """One curve: its metric, its name in the legend (empty: it is not in it), its colour and dashes."""

    metric: str
    title: str
    colour: str
    dashes: str = ""


@dataclass(frozen=True)
class Panel:
    """Curves on one scale.

    Args:
        title: What is drawn.
        lines: The curves.
        percent: Whether the values are fractions, which are drawn from 0 to 100 %.
    """

    title: str
    lines: tuple[Line, ...]
    percent: bool = True


PANELS = (
    Panel(
        "accuracy, %",
        (Line("train_accuracy", "training (first half)", ORANGE), Line("accuracy", "validation", BLUE)),
    ),
    Panel("batch size, images", (Line("batch", "at the end of the epoch", INK),), percent=False),
    Panel(
        "candidates, % (dashed: of the reduction cell)",
        tuple(
            Line(f"{share}_share_{kind}", "" if dashes else title, colour, dashes)
            for kind, dashes in DASHES.items()
            for share, title, colour in (
                ("pool", "pools", ORANGE),
                ("skip", "skips", GREEN),
                ("convolution", "convolutions", BLUE),
            )
        ),
    ),
    Panel(
        "similarity of an edge's candidates, %",
        tuple(Line(f"similarity_{kind}", f"{kind} cell", PURPLE, dashes) for kind, dashes in DASHES.items()),
    ),
)


def plot_curve(points: Sequence[Point]) -> str | None:
    """Draws accuracies, batch size, shares of operations and similarities over epochs as an SVG document.

    Args:
        points: A supernet's learning curve, or the beginning of one.

    Returns:
        None as long as no epoch is trained.
    """
    trained = [point for point in points if point.unit > 0]
    if not trained:
        return None
    epochs = Epochs(max(2, trained[-1].unit))
    borders = [
        before.unit + 0.5
        for before, after in pairwise(trained)
        if before.metrics.get("cycle") != after.metrics.get("cycle")
    ]
    parts: list[str] = []
    top = TOP
    for panel in PANELS:
        parts += _panel(panel, trained, epochs, borders, top)
        top += HEAD + HEIGHT + GAP
    parts.append(_text(WIDTH / 2, top + 4, "epoch" + (", cycles between dotted lines" if borders else ""), "middle"))
    height = top + 18
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" fill="{INK}">\n<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n'
        "</svg>\n"
    )


@dataclass(frozen=True)
class Epochs:
    """The horizontal axis, from the first epoch to the last."""

    last: int

    def place(self, epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (epoch - 1) / (self.last - 1)

    def ticks(self) -> list[int]:
        step = next(step for step in _steps() if self.last / step <= MOST_TICKS)
        return [1, *(tick for tick in range(step, self.last + 1, step) if tick > 1)]


def _steps() -> Iterable[int]:
    """Yields 1, 2, 5, 10, 20, 50, ..."""
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10


def _panel(
    panel: Panel, points: Sequence[Point], epochs: Epochs, borders: Sequence[float], top: float
) -> Iterable[str]:
    begin, end = top + HEAD, top + HEAD + HEIGHT
    highest = 1.0 if panel.percent else max(1.0, *(value for line in panel.lines for _, value in _values(line, points)))
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if panel.percent else _round_ticks(highest)
    highest = ticks[-1]
    yield _text(LEFT, top + 12, panel.title, size=14, bold=True)
    yield from _legend(panel.lines, top + 32)
    for tick in ticks:
        height = end - (end - begin) * tick / highest
        yield _stroke([(LEFT, height), (WIDTH - RIGHT, height)], GRID, 1)
        yield _text(LEFT - 8, height + 4, f"{100 * tick:.0f}" if panel.percent else f"{tick:.0f}", "end", 11)
    for border in borders:
        yield _stroke([(epochs.place(border), begin), (epochs.place(border), end)], BORDER, 1, "1 3")
    for tick in epochs.ticks():
        yield _stroke([(epochs.place(tick), end), (epochs.place(tick), end + 4)], INK, 1)
        yield _text(epochs.place(tick), end + 17, str(tick), "middle", 11)
    for line in panel.lines:
        spots = [(epochs.place(unit), end - (end - begin) * value / highest) for unit, value in _values(line, points)]
        if len(spots) == 1:
            yield f'<circle cx="{spots[0][0]:.1f}" cy="{spots[0][1]:.1f}" r="3" fill="{line.colour}"/>'
        elif spots:
            yield _stroke(spots, line.colour, 2, line.dashes)


def _legend(lines: Sequence[Line], height: float) -> Iterable[str]:
    """Puts samples of the curves side by side, each with the room that its words need."""
    left = float(LEFT)
    for line in lines:
        if line.title:
            yield _stroke([(left, height - 4), (left + 24, height - 4)], line.colour, 2, line.dashes)
            yield _text(left + 29, height, line.title)
            left += 44 + 6.5 * len(line.title)


def _values(line: Line, points: Sequence[Point]) -> list[tuple[int, float]]:
    pairs = ((point.unit, point.metrics.get(line.metric, math.nan)) for point in points)
    return [(unit, value) for unit, value in pairs if math.isfinite(value)]


def _round_ticks(highest: float) -> list[float]:
    step = next(step for step in _steps() if highest / step <= 5)
    return [float(step * number) for number in range(math.ceil(highest / step) + 1)]


def _stroke(spots: Sequence[tuple[float, float]], colour: str, width: float, dashes: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'


def _text(x: float, y: float, text: str, anchor: str = "start", size: float = 12, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
