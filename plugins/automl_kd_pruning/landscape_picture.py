"""Draws a landscape: contours of loss and accuracy on the plane, the trained network in the middle."""

from __future__ import annotations

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

WIDE = 20.0
"""From this ratio of the largest loss to the smallest on, losses are drawn on a logarithmic scale."""

LEVELS = 24


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
    _contours(figure, panels[1], landscape.steps, 100.0 * accuracy, np.linspace(0, 100, 21), None, "accuracy, %")
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


def _loss_levels(loss: Any) -> tuple[Any, Any]:
    """Gives contour levels, and a logarithmic norm where the losses range widely."""
    from matplotlib.colors import LogNorm

    finite = loss[np.isfinite(loss)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if least > 0 and most >= WIDE * least:
        return np.geomspace(least, most, LEVELS), LogNorm(least, most)
    if most - least <= 1e-6 * abs(most):  # flat: contours need some room
        least, most = least - 0.5, most + 0.5
    return np.linspace(least, most, LEVELS), None


def _contours(figure: Any, panel: Any, steps: Any, values: Any, levels: Any, norm: Any, title: str) -> None:
    shown = np.ma.masked_invalid(values)  # what is not finite stays white
    filled = panel.contourf(steps, steps, shown, levels=levels, norm=norm, cmap="cividis")
    marked = levels[::4]
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
    panel.set(title=title + ("" if norm is None else ", logarithmic"), aspect="equal")
    panel.set_xlabel("step along random direction 1")
    panel.locator_params(nbins=5)


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
