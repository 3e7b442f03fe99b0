"""Draws a landscape: contours of loss and accuracy on the plane, the trained network in the middle."""

from __future__ import annotations

import math
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_core.errors import RequestError, unknown

if TYPE_CHECKING:
    from automl_kd_pruning.landscape import Landscape

KINDS = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""What a picture's file may end in, and which metadata are left out, so that equal pictures are equal files."""

WIDE = 8.0
"""From this ratio of the largest loss to the smallest on, losses are drawn on a logarithmic scale."""

SHADES = 4
"""Shades of colour between two lines."""

MANY = 12
"""Lines on a linear scale and decades on a logarithmic one, at most about so many."""


def check_target(path: Path) -> None:
    """Refuses a place where no picture can be written, and a missing package.

    Raises:
        RequestError: For another suffix, a directory that is missing or cannot be written to, or matplotlib missing.
    """
    if path.suffix.lower() not in KINDS:
        raise unknown("suffix of a picture", path.suffix or path.name, KINDS)
    if not path.parent.is_dir():
        raise RequestError(f"a picture needs a directory that exists, but {path.parent} does not; make it first")
    if path.is_dir():
        raise RequestError(f"a picture must be a file, but {path} is a directory; choose another name")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise RequestError(
            f"a picture needs a directory to write to, but {path.parent}: {error.strerror}; choose another"
        ) from error
    try:
        import matplotlib.figure  # noqa: F401 - whether it is there
    except ImportError as error:
        raise RequestError(
            f"a picture needs the package matplotlib, but it cannot be imported ({error}); "
            "pip install 'automl-graph[plots]', or leave -o out and pass --json"
        ) from error


def draw(landscape: Landscape, path: Path) -> None:
    """Writes the picture, whole or not at all; in PNG, SVG or PDF by the path's suffix.

    A figure of its own is drawn, without pyplot: nothing of the process's state changes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 5.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    loss, accuracy = (np.array(surface, dtype=float) for surface in (landscape.loss, landscape.accuracy))
    _contours(figure, panels[0], landscape.steps, loss, *_loss_levels(loss), "loss (cross-entropy)")
    _contours(figure, panels[1], landscape.steps, 100.0 * accuracy, np.linspace(0, 100, 6), False, "accuracy, %")
    panels[0].set_ylabel("step along random direction 2")
    centre = len(landscape.steps) // 2
    figure.suptitle(
        f"{landscape.study}, trial {landscape.trial}: {landscape.label}\n"
        f"{landscape.dataset}, {landscape.images} validation images; at the star, as trained: loss "
        f"{loss[centre, centre]:.3g}, accuracy {100.0 * accuracy[centre, centre]:.1f} %\n"
        f"directions filter-normalised, seed {landscape.seed}: at 1 a filter has moved by its own norm",
        fontsize=10,
        parse_math=False,
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    kind = path.suffix.lower()
    try:
        figure.savefig(temporary, format=kind[1:], dpi=150, metadata=KINDS[kind])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _loss_levels(loss: Any) -> tuple[Any, bool]:
    """Gives the losses to draw lines at, round numbers around all that there are, and whether they are logarithmic."""
    finite = loss[np.isfinite(loss)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if least > 0 and most >= WIDE * least:
        return _decades(least, most), True
    if most - least <= 1e-6 * abs(most):  # flat: contours need some room
        least, most = least - 0.5, most + 0.5
    step = next(one for one in _round(most - least) if (most - least) / one <= MANY)
    return step * np.arange(math.floor(least / step), math.ceil(most / step) + 1), False


def _round(size: float) -> list[float]:
    """Lists 1, 2, 5, 10 and so on, rising from a hundredth of a size to above it."""
    decade = math.floor(math.log10(size))
    return [digit * 10.0**power for power in range(decade - 2, decade + 2) for digit in (1, 2, 5)]


def _decades(least: float, most: float) -> Any:
    """Gives 1, 2 and 5 of each decade, those beside both ends included; of very many decades, every so manieth 1."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    if last - first > MANY // 2:
        return 10.0 ** np.arange(first, last + 1 + (last - first) // MANY, 1 + (last - first) // MANY)
    all_of_them = np.array([digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)])
    inside = (least < all_of_them) & (all_of_them < most)
    return all_of_them[np.flatnonzero(inside)[0] - 1 : np.flatnonzero(inside)[-1] + 2]


def _contours(figure: Any, panel: Any, steps: Any, values: Any, marked: Any, logarithmic: bool, title: str) -> None:
    from matplotlib.colors import LogNorm

    shown = np.ma.masked_invalid(values)  # what is not finite stays white
    places = np.linspace(0, len(marked) - 1, SHADES * (len(marked) - 1) + 1)
    between = np.interp(places, range(len(marked)), np.log(marked) if logarithmic else marked)
    levels = np.exp(between) if logarithmic else between
    levels[::SHADES] = marked
    norm = LogNorm(levels[0], levels[-1]) if logarithmic else None
    filled = panel.contourf(steps, steps, shown, levels=levels, norm=norm, cmap="cividis")
    inks = ["white" if place < 0.6 * len(marked) else "black" for place in range(len(marked))]  # the map gets brighter
    crossed = [place for place, level in enumerate(marked) if shown.min() < level < shown.max()]
    if crossed:  # matplotlib warns of lines that are nowhere
        colours = [inks[place] for place in crossed]
        lines = panel.contour(steps, steps, shown, levels=marked[crossed], norm=norm, colors=colours, linewidths=0.7)
        panel.clabel(lines, fmt=_number, fontsize=8)
    bar = figure.colorbar(filled, ax=panel, ticks=marked, shrink=0.9)
    bar.ax.set_yticklabels([_number(level) for level in marked])
    bar.ax.minorticks_off()
    panel.plot(0, 0, marker="*", markersize=13, markerfacecolor="white", markeredgecolor="black", linestyle="none")
    panel.set(title=title + (", logarithmic" if logarithmic else ""), aspect="equal")
    panel.set_xlabel("step along random direction 1")
    panel.locator_params(nbins=5)


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
