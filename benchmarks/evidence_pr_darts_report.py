"""Turns the searches of ``evidence_pr_darts.py`` into tables, drawings and a figure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from reporting import machine, markdown_table, publish

from automl_core.plugins import get_registry
from automl_core.types import Point
from automl_spaces.cells import CellNetwork
from automl_spaces.operations import SKIP

NAME = "evidence-pr-darts"
NAMES = {"pr-darts": "PR-DARTS", "darts": "DARTS", "random": "random search"}
Line = Mapping[str, Any]

PER_CELL = 8
"""Operations of a cell."""

COMPARED = {"validation accuracy": "validation, points", "test accuracy": "test after retraining, points"}


def publish_evidence(lines: Sequence[Line], calibrations: Sequence[Line], planned: int, results: Path) -> None:
    """Writes figures and the JSON document below ``results``, and the tables into its README.

    Args:
        lines: The searches that are done.
        calibrations: What was measured before.
        planned: How many searches there are to be.
        results: Where README.md and results/ are.
    """
    order = list(NAMES)
    lines = sorted(lines, key=lambda line: (line["seed"], order.index(line["arm"])))
    target = results / "results" / f"{NAME}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    drawings = draw_cells(lines, target.parent)
    plotted = plot_search(lines, target.parent)
    document = {
        "machine": machine("automl-graph", "torch"),
        "searches": {"planned": planned, "done": len(lines)},
        "scale": lines[0]["scale"],
        "calibrations": [_without(line, "key", "part", "scale") for line in calibrations],
        "runs": [
            {**_without(line, "key", "part", "scale", "curves"), "skips": dict(zip(CELLS, skips(line), strict=True))}
            for line in lines
        ],
        "means": means(lines),
        "paired differences": differences(lines),
    }
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"written to {target}")
    about = document["machine"]
    head = (
        f"{about['processor']}, {about['cores']} cores, torch {about['torch']}, {about['date']}; data: "
        f"{lines[0]['data'] or 'digits'}. {len(lines)} of {planned} searches."
    )
    text = [head, "", *_trained(lines), "", *_per_seed(lines), "", *_per_arm(lines), "", *_differences(lines), ""]
    publish(results / "README.md", NAME, [*text, *plotted, *drawings])


CELLS = "normal", "reduction"


def network_of(line: Line) -> CellNetwork:
    """Gives the network that was retrained."""
    scale = line["scale"]
    sizes = {"cells": scale["final_cells"], "channels": scale["final_channels"], "auxiliary": 0.0, "path_dropout": 0.0}
    found: CellNetwork = get_registry().create("space", "cells-dl", sizes).decode(line["configuration"])
    return found


def skips(line: Line) -> tuple[float, float]:
    """Gives the shares of skip connections among the operations of the normal and of the reduction cell."""
    network = network_of(line)
    normal, reduction = (
        sum(name == SKIP for node in cell for name, _ in node) / PER_CELL
        for cell in (network.normal, network.reduction)
    )
    return normal, reduction


def spent(line: Line) -> float:
    """Gives images times multiply-accumulates of a search, forward."""
    return float(line["supernet multiply-accumulates"] + line["candidate multiply-accumulates"])


FIGURES: Mapping[str, Callable[[Line], float]] = {
    "seconds": lambda line: line["seconds"],
    "multiply-accumulates spent": spent,
    "validation accuracy": lambda line: line["validation accuracy"],
    "test accuracy": lambda line: line["test accuracy"],
    "params": lambda line: line["params"],
    "flops": lambda line: line["flops"],
    "skips, normal": lambda line: skips(line)[0],
    "skips, reduction": lambda line: skips(line)[1],
}


def means(lines: Sequence[Line]) -> dict[str, dict[str, tuple[float, float | None]]]:
    """Gives mean and standard deviation over the seeds of each figure, by searcher."""
    found: dict[str, dict[str, tuple[float, float | None]]] = {}
    for arm in NAMES:
        runs = [line for line in lines if line["arm"] == arm]
        if runs:
            found[arm] = {name: _spread([figure(line) for line in runs]) for name, figure in FIGURES.items()}
    return found


def differences(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Gives the differences of accuracies between two searchers, seed by seed, where both are done."""
    found = []
    for one, other in combinations(NAMES, 2):
        pairs = [
            (first, second)
            for first in lines
            for second in lines
            if (first["arm"], second["arm"]) == (one, other) and first["seed"] == second["seed"]
        ]
        for metric in COMPARED if pairs else ():
            values = [first[metric] - second[metric] for first, second in pairs]
            mean, deviation = _spread(values)
            found.append(
                {
                    "of": one,
                    "to": other,
                    "metric": metric,
                    "seeds": [first["seed"] for first, _ in pairs],
                    "values": values,
                    "mean": mean,
                    "deviation": deviation,
                }
            )
    return found


def draw_cells(lines: Sequence[Line], directory: Path) -> list[str]:
    """Writes a picture of each pair of cells, and gives those of the first seed as text, with links to all."""
    first = min(line["seed"] for line in lines)
    told = [f"### The cells of seed {first}", ""]
    links = []
    for line in lines:
        network, name = network_of(line), f"{NAME}-{line['arm']}-{line['seed']}.svg"
        (directory / name).write_text(network.picture(), encoding="utf-8")
        links.append(f"[{NAMES[line['arm']]}, seed {line['seed']}](results/{name})")
        if line["seed"] == first:
            told += [f"{_capital(NAMES[line['arm']])}:", "", "```text", *network.draw().splitlines(), "```", ""]
    return [*told, f"All cells as pictures: {', '.join(links)}.", ""]


def plot_search(lines: Sequence[Line], directory: Path) -> list[str]:
    """Draws the course of the first PR-DARTS search, as figure 2 of its paper does."""
    from automl_prdarts.picture import plot_curve

    line = next((line for line in lines if line["arm"] == "pr-darts"), None)
    if line is None:
        return []
    picture = plot_curve([Point(unit, metrics) for unit, metrics in line["curves"][0]])
    if picture is None:
        return []
    (directory / f"{NAME}-search.svg").write_text(picture, encoding="utf-8")
    return [
        f"### The course of PR-DARTS, seed {line['seed']}",
        "",
        f"![Accuracies, batch size, kinds of operations and their similarity over epochs](results/{NAME}-search.svg)",
        "",
    ]


def _trained(lines: Sequence[Line]) -> list[str]:
    """Says how far everything was trained."""
    one_of = {line["arm"]: line for line in lines}
    told = []
    if "pr-darts" in one_of:
        epochs, grace = one_of["pr-darts"]["epochs"], one_of["pr-darts"]["grace"]
        told.append(f"PR-DARTS: {sum(epochs)} epochs in cycles of {_listed(epochs)}, of these grace {_listed(grace)}")
    if "darts" in one_of:
        told.append(f"DARTS: {sum(one_of['darts']['epochs'])} epochs")
    if "random" in one_of:
        counts = [line["candidates"] for line in lines if line["arm"] == "random"]
        told.append(f"random search: {_listed(counts)} complete candidates")
    return [f"{'; '.join(told)}. Retraining: {lines[0]['final_epochs']} epochs."]


def _per_seed(lines: Sequence[Line]) -> list[str]:
    heads = ("searcher", "seed", *TITLES)
    return markdown_table(heads, [(NAMES[line["arm"]], str(line["seed"]), *_shown_line(line)) for line in lines])


TITLES = (
    "search, s",
    "spent, 10^12",
    "of it supernet, %",
    "validation, %",
    "test, %",
    "parameters, 10^3",
    "multiply-accumulates, 10^6",
    "skips, normal",
    "skips, reduction",
)


def _shown_line(line: Line) -> list[str]:
    normal, reduction = (f"{round(share * PER_CELL)} of {PER_CELL}" for share in skips(line))
    return [
        f"{line['seconds']:.0f}",
        f"{spent(line) / 1e12:.3f}",
        f"{100 * line['supernet multiply-accumulates'] / max(1.0, spent(line)):.0f}",
        f"{100 * line['validation accuracy']:.1f}",
        f"{100 * line['test accuracy']:.1f}",
        f"{line['params'] / 1e3:.1f}",
        f"{line['flops'] / 1e6:.2f}",
        normal,
        reduction,
    ]


def _per_arm(lines: Sequence[Line]) -> list[str]:
    shown = (
        ("seconds", "search, s", 1, 0),
        ("multiply-accumulates spent", "spent, 10^12", 1e-12, 3),
        ("validation accuracy", "validation, %", 100, 1),
        ("test accuracy", "test, %", 100, 1),
        ("params", "parameters, 10^3", 1e-3, 1),
        ("flops", "multiply-accumulates, 10^6", 1e-6, 2),
        ("skips, normal", "skips, normal, %", 100, 0),
        ("skips, reduction", "skips, reduction, %", 100, 0),
    )
    rows = [
        (NAMES[arm], *(_with_deviation(figures[name], scale, digits) for name, _, scale, digits in shown))
        for arm, figures in means(lines).items()
    ]
    return markdown_table(("mean ± standard deviation", *(title for _, title, _, _ in shown)), rows)


def _differences(lines: Sequence[Line]) -> list[str]:
    rows = [
        (
            f"{NAMES[one['of']]} less {NAMES[one['to']]}",
            COMPARED[one["metric"]],
            ", ".join(f"{100 * value:+.1f}" for value in one["values"]),
            _with_deviation((one["mean"], one["deviation"]), 100, 1, "+"),
        )
        for one in differences(lines)
    ]
    return markdown_table(("paired differences", "accuracy", "by seed", "mean ± standard deviation"), rows)


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _with_deviation(spread: Sequence[float | None], scale: float, digits: int, sign: str = "") -> str:
    mean, deviation = spread
    assert mean is not None, "a mean is there wherever there is a value"
    told = f"{scale * mean:{sign}.{digits}f}"
    return told if deviation is None else f"{told} ± {scale * deviation:.{digits}f}"


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _without(line: Line, *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}
