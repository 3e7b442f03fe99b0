"""Pictures of a refinement as SVG: how errors are distributed in each space, and how fast searches find small ones.

Sources: Radosavovic et al., "On Network Design Spaces for Visual Recognition" (the EDF as a tool), and Iwata et al.,
"Refining Design Spaces in Knowledge Distillation for Deep Collaborative Learning", figures 1, 3 and 4.

Equal pictures are equal documents, text stays text, and nothing of the process's state changes: figures are drawn
without pyplot. Lines are told apart by their dashes, too.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_core.errors import RequestError
from automl_refine.raster import missing

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

STYLES = (
    ("#000000", "-"),
    ("#d55e00", (0, (7, 2))),
    ("#0072b2", (0, (2, 1.2))),
    ("#009e73", (0, (7, 2, 1.5, 2))),
    ("#cc79a7", (0, (12, 2))),
    ("#b08a00", (0, (1, 1))),
    ("#56b4e9", (0, (7, 2, 1.5, 2, 1.5, 2))),
    ("#7f3c8d", (0, (4, 4))),
)
"""Colours that the colour-blind tell apart (Okabe and Ito's, yellow and the last one darker), and dashes."""

OTHERS = "#b8b8b8"
TAIL = 0.95
"""The quantile of the first line's errors at which an axis ends: the few bad ones beyond it would take all the room."""

MOST_SEARCHES = 200
"""Searches that are shown at least where there are so many: as in figure 4."""

SETTLED = 2
"""Searches after which a curve is in the picture for certain."""

SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "automl",
    "text.parse_math": False,
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 3.4,
    "legend.borderaxespad": 0.0,
}

WIDTH, HEIGHT, LINE = 4.8, 3.3, 0.2
"""Of a panel, and height of a line of its legend, in inches."""

LONGEST = 56
"""Letters of a line that fit above or below a panel."""

Style = dict[str, Any]
"""How matplotlib is to draw a line."""


@dataclass(frozen=True)
class Line:
    """Errors of one space or category.

    Args:
        label: What it is.
        errors: The errors, in the axis' unit.
        area: Area under their EDF, where it is to be told.
        chosen: Whether to set it off.
    """

    label: str
    errors: Sequence[float]
    area: float | None = None
    chosen: bool = False

    @property
    def legend(self) -> str:
        """The label with the number of errors and the area."""
        area = "" if self.area is None else f", area {number(self.area)}"
        told = f" (n = {len(self.errors):,}{area})"
        room = LONGEST - len(told)
        return (self.label if len(self.label) <= room else f"{self.label[: room - 1]}…") + told


@dataclass(frozen=True)
class Panel:
    """Lines in one pair of axes."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Minimum:
    """The minimum error so far, as :func:`automl_refine.curves.minimum_curves` gives it; shapes (searches,)."""

    label: str
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


def edf_picture(
    lines: Sequence[Line], title: str = "", axis: str = "error, %", span: tuple[float, float] | None = None
) -> str:
    """Draws the share of configurations with a smaller error, one line for each design space (figure 1).

    Args:
        lines: The spaces, the widest first; those without errors are left out.
        title: Stands on top.
        axis: What errors are, with their unit.
        span: Errors to draw from and to; from the smallest of all to the first line's 95th percentile when None.

    Returns:
        An SVG document.

    Raises:
        RequestError: When no line has errors, the span is empty, or matplotlib is missing.
    """
    return _panels([Panel(title, lines)], axis, span)


def choice_picture(panels: Sequence[Panel], axis: str = "error, %", span: tuple[float, float] | None = None) -> str:
    """Draws EDFs of the categories of conditions, in a panel for each condition (figure 3).

    Args:
        panels: One for each condition; of many lines the eight with the largest areas, and the chosen one, are named.
        axis: What errors are, with their unit.
        span: As for :func:`edf_picture`; each panel's own when None.

    Returns:
        An SVG document.

    Raises:
        RequestError: When a panel has no errors, the span is empty, or matplotlib is missing.
    """
    return _panels([Panel(panel.title, _ranked(panel.lines)) for panel in panels], axis, span)


def minimum_picture(curves: Sequence[Minimum], title: str = "", axis: str = "error, %") -> str:
    """Draws the minimum error so far over the number of searches, with a band of one deviation (figure 4).

    Args:
        curves: One for each space; at most the larger of 200 searches and the shortest curve are shown.
        title: Stands on top.
        axis: What errors are, with their unit.

    Returns:
        An SVG document.

    Raises:
        RequestError: When there is no curve, or matplotlib is missing.
    """
    if not curves:
        raise RequestError("a picture of minimum errors needs a curve, but got none; give one for each space")
    shown = max(MOST_SEARCHES, min(len(one.mean) for one in curves))
    with _figure((5.2, 4.0)) as (figure, document):
        panel = figure.subplots()
        for place, one in enumerate(curves):
            colour, dashes = STYLES[place % len(STYLES)]
            places = np.minimum(np.arange(shown + 1), len(one.mean) - 1)[: len(one.mean) + 1]  # what was found holds on
            mean, deviation, searches = one.mean[places], one.deviation[places], np.arange(1, len(places) + 1)
            band: Style = {"step": "post", "color": colour, "alpha": 0.18, "linewidth": 0}
            panel.fill_between(searches, mean - deviation, mean + deviation, **band)
            line: Style = {"drawstyle": "steps-post", "color": colour, "linestyle": dashes}
            panel.plot(searches, mean, label=one.label, **line)
        panel.set(title=_wrapped(title), xlabel="number of searches", ylabel=f"minimum {axis}")
        panel.set(xlim=(0, None), ylim=(None, _top(curves)))
        panel.grid(color="#e6e6e6", linewidth=0.6)
        panel.legend(loc="upper right")
    return document.getvalue()


def number(value: float) -> str:
    """Writes an area or an error: two digits after the point, more for small ones and none for thousands."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[tuple[Figure, io.StringIO]]:
    """Gives a figure of a size in inches to draw on, and the document that holds it afterwards."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.style import context
    except ImportError as error:
        raise missing("a picture of distributions", error) from error
    document = io.StringIO()
    with context(["default", SETTINGS]):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, document
        figure.savefig(document, format="svg", metadata={"Date": None, "Creator": None})


def _ranked(lines: Sequence[Line]) -> list[Line]:
    """Orders lines by area, the largest first, as they stand one above the other."""
    return sorted(lines, key=lambda line: -float("inf") if line.area is None else line.area, reverse=True)


def _panels(panels: Sequence[Panel], axis: str, span: tuple[float, float] | None) -> str:
    """Draws panels side by side, each with its legend below, where no line can run into it."""
    for panel in panels:
        if not any(len(line.errors) for line in panel.lines):
            raise RequestError(
                f"a picture of distributions needs errors, but {panel.title or 'this one'} has none; sample more"
            )
    if span is not None and not span[0] < span[1]:
        raise RequestError(f"low < high must hold for a span of errors, but got {span[0]:g} and {span[1]:g}; widen it")
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    rows = -(-len(panels) // columns)
    heights = []
    for row in range(rows):
        names = max(min(len(panel.lines), len(STYLES) + 1) for panel in panels[row * columns : (row + 1) * columns])
        heights += [HEIGHT, LINE * (1 + names)]
    with _figure((WIDTH * columns, sum(heights))) as (figure, document):
        places = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=heights)
        for place in places[1::2].flat:
            place.axis("off")
        for place, room, panel in zip(places[::2].flat, places[1::2].flat, panels, strict=False):
            drawn = _distributions(place, panel, axis, span)
            legend = room.legend(handles=drawn, loc="upper left")
            legend.set_in_layout(False)
            for text, line in zip(legend.get_texts(), _named(panel), strict=False):
                text.set_fontweight("bold" if line.chosen else "normal")
        for place in places[::2].flat[len(panels) :]:
            place.remove()
    return document.getvalue()


def _named(panel: Panel) -> list[Line]:
    """Gives the lines that are told apart: all if they are few enough, else the first ones and the chosen one."""
    lines = [line for line in panel.lines if len(line.errors)]
    chosen = [line for line in lines[len(STYLES) :] if line.chosen]
    return lines[: len(STYLES) - len(chosen)] + chosen


def _distributions(place: Axes, panel: Panel, axis: str, span: tuple[float, float] | None) -> list[Artist]:
    """Draws a panel, and gives what stands in its legend."""
    lines = [line for line in panel.lines if len(line.errors)]
    low, high = _span(lines) if span is None else span
    named = _named(panel)
    drawn: list[Artist] = []
    for line, (colour, dashes) in zip(named, STYLES, strict=False):
        style: Style = {"color": colour, "linestyle": dashes, "linewidth": 2.4 if line.chosen else 1.4}
        drawn += place.plot(*_steps(line.errors, low, high), drawstyle="steps-post", label=line.legend, **style)
    others = [line for line in lines if not any(line is one for one in named)]
    grey: Style = {"color": OTHERS, "linewidth": 0.8, "zorder": 1.5, "label": f"{len(others)} more"}
    for line in others:
        found = place.plot(*_steps(line.errors, low, high), drawstyle="steps-post", **grey)
        drawn += found if line is others[0] else []
    place.set(
        title=_wrapped(panel.title), xlabel=axis, ylabel="share with a smaller error", xlim=(low, high), ylim=(0, 1.02)
    )
    place.grid(color="#e6e6e6", linewidth=0.6)
    return drawn


def _wrapped(title: str) -> str:
    return textwrap.fill(title, LONGEST)


def _top(curves: Sequence[Minimum]) -> float | None:
    """Gives an error below which all curves are after a few searches; where they come from would squeeze the rest."""
    reached = [one.mean[SETTLED:][:1] + np.nan_to_num(one.deviation[SETTLED:][:1]) for one in curves]
    found = np.concatenate(reached)
    found = found[np.isfinite(found)]
    least = min((float(np.nanmin(one.mean)) for one in curves if np.isfinite(one.mean).any()), default=0.0)
    return float(found.max()) + 0.1 * (float(found.max()) - least) if found.size and found.max() > least else None


def _span(lines: Sequence[Line]) -> tuple[float, float]:
    """Gives the smallest error and the first line's 95th percentile, with some room; at least the median of all."""
    low = min(min(line.errors) for line in lines)
    high = max(float(np.quantile(lines[0].errors, TAIL)), *(float(np.median(line.errors)) for line in lines))
    room = 0.02 * (high - low) or 0.01 * max(abs(low), 1.0)
    return low - room, high + room


def _steps(errors: Sequence[float], low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gives the corners of F(x) = share of errors < x between two errors, each value holding up to the next corner."""
    sorted_E = np.sort(np.asarray(errors, dtype=float))
    inside = np.unique(sorted_E[(sorted_E >= low) & (sorted_E < high)])
    at_ends = np.searchsorted(sorted_E, [low, high], side="left")
    after = np.searchsorted(sorted_E, inside, side="right")  # right of an error, it counts
    shares = np.concatenate([at_ends[:1], after, at_ends[1:]]) / len(sorted_E)
    return np.concatenate([[low], inside, [high]]), shares
