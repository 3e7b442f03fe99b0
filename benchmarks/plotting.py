"""How benchmarks draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Okabe and Ito's colours, which people with the common colour blindnesses tell apart, darkest first.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")


def figure(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, Any]:
    """Gives an empty figure, in inches, and its axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    return pyplot.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)


def label_few(panel: Any) -> None:
    """Labels logarithmic axes with powers of ten, and with 2 and 5 between them where there is room."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for axis, (low, high) in ((panel.xaxis, panel.get_xlim()), (panel.yaxis, panel.get_ylim())):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 200.0 else (1.0,)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def save(drawn: Any, path: Path) -> None:
    """Writes a figure as PNG, without the date, so that equal figures are equal files."""
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, dpi=130, metadata={"Software": None})
    pyplot.close(drawn)
    print(f"written to {path}")
