"""Turns the studies of ``evidence_kd_pruning.py`` into tables: those of the paper, and what pruning gains."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reporting import machine, markdown_table, publish

from automl_kd_pruning.measured import Measured, Results
from automl_kd_pruning.orthogonality import PruningRow, pruning_rows
from automl_kd_pruning.tables import NONE, cell_text, points
from automl_spaces.trainings import KINDS, METHODS, PHASES, Training, kind_of, phase_of

NAME = "evidence-kd-pruning"
Line = Mapping[str, Any]

Seconds = Mapping[tuple[str, str], Line]
"""What was measured of a dense and a pruned network, by their JSON."""

SHARES = ("params", "flops", "size")
"""Metrics that are told as a share of what they were before pruning."""


def publish_evidence(lines: Sequence[Line], timed: Sequence[Line], planned: int, results: Path) -> None:
    """Writes the JSON document below ``results``, and the tables into its README.

    Args:
        lines: The studies that are done.
        timed: What was measured of their networks.
        planned: How many studies there are to be.
        results: Where README.md and results/ are.
    """
    lines = sorted(lines, key=lambda line: (METHODS.index(line["method"]), line["seed"]))
    seconds = {(line["dense"], line["pruned"]): line["batches"] for line in timed}
    rows = pruning_rows(found_in(lines))
    cells = {method: cells_of(lines, seconds, method) for method in METHODS}
    document = {
        "machine": machine("automl-graph", "torch"),
        "studies": {"planned": planned, "done": len(lines)},
        "data": lines[0]["data"] or "digits",
        "images": lines[0]["images"],
        "scale": lines[0]["scale"],
        "tables": [row.to_json() for row in rows],
        "cells": {method: found for method, found in cells.items() if found},
        "sharing": [sharing(line) for line in lines],
        "seconds": timed,
    }
    target = results / "results" / f"{NAME}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"written to {target}")
    text = [_head(document), "", *_tables(rows)]
    for method, found in document["cells"].items():
        text += [f"What pruning leaves, {_network(method, rows)}:", "", *_gains(found), ""]
    publish(results / "README.md", NAME, [*text, _shared(document["sharing"])])


def found_in(lines: Sequence[Line]) -> Results:
    """Gives the trainings and their accuracies in the form from which ``automl orthogonality`` lays out tables."""

    def measured(part: str) -> Iterable[Measured]:
        for line in lines:
            for one in line[part]:
                yield Measured(Training.from_json(one["training"]), (line["seed"], 0), one["metrics"])

    return Results(measured("cells"), measured("support"))


def cells_of(lines: Sequence[Line], seconds: Seconds, method: str) -> list[dict[str, Any]]:
    """Tells of each cell of one kind of pruning what was measured, mean and deviation over seeds."""
    by_cell: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        for cell in line["cells"] if line["method"] == method else ():
            by_cell.setdefault(named(Training.from_json(cell["training"])), []).append(cell)
    order = sorted(by_cell, key=lambda name: (KINDS.index(name[0]), PHASES.index(name[1])))
    return [{"type": kind, "phase": phase, **_figures(by_cell[kind, phase], seconds)} for kind, phase in order]


def named(training: Training) -> tuple[str, str]:
    """Gives the type of distillation of a training around a pruning, and its phase."""
    kind = kind_of(training.graph)
    if kind == "none" and training.origin is not None:
        kind = kind_of(training.origin.graph)
    return kind, phase_of(training)


def _figures(cells: Sequence[Line], seconds: Seconds) -> dict[str, Any]:
    def share(metric: str) -> Callable[[Line], float]:
        return lambda cell: cell["metrics"][metric] / cell["metrics"][f"{metric}_before"]

    figures: dict[str, Any] = {
        "accuracy right after pruning": _spread([cell["accuracy right after pruning"] for cell in cells]),
        "accuracy": _spread([cell["metrics"]["accuracy"] for cell in cells]),
        **{metric: _spread([share(metric)(cell) for cell in cells]) for metric in SHARES},
    }
    first = tuple(json.dumps(cells[0][name], sort_keys=True) for name in ("dense", "pruned"))
    figures["latency"] = {batch: one["ratios"] for batch, one in seconds.get((first[0], first[1]), {}).items()}
    return figures


def sharing(line: Line) -> dict[str, Any]:
    """Counts a study's trainings, and those that its cells would be without sharing any."""
    made = [budget for role, label, budget, _ in line["jobs"] if role == "support" and label != "without distillation"]
    return {
        "method": line["method"],
        "seed": line["seed"],
        "cells": len(line["cells"]),
        "trainings before pruning": len(made),
        "without sharing": sum(len(Training.from_json(cell["training"]).before()) for cell in line["cells"]),
        "seconds": sum(cost for *_, cost in line["jobs"]),
    }


def _head(document: Mapping[str, Any]) -> str:
    about, scale, images = document["machine"], document["scale"], document["images"]
    done, planned = document["studies"]["done"], document["studies"]["planned"]
    return (
        f"{about['processor']}, {about['cores']} cores, torch {about['torch']}, {about['date']}; data: "
        f"{document['data']}, {images['train']:,} images of {scale['resize']}x{scale['resize']} to train on and "
        f"{images['validation']:,} to measure on; {scale['epochs']} epochs before pruning, {scale['tuning']} after it. "
        f"{done} of {planned} studies."
    )


def _tables(rows: Sequence[PruningRow]) -> list[str]:
    heads = ("type", "unpruned", "tuned / pre", "post", "pre-post", "self", "surplus, points [95 %]")
    text: list[str] = []
    for method in METHODS:
        chosen = [row for row in rows if row.pruning.method == method]
        if chosen:
            shown = [(row.kind, *map(cell_text, row.cells), _surplus(row)) for row in chosen]
            text += [f"Accuracy in per cent, {_network(method, rows)}:", "", *markdown_table(heads, shown), ""]
    return text


def _network(method: str, rows: Sequence[PruningRow]) -> str:
    row = next(row for row in rows if row.pruning.method == method)
    left = "/".join(f"{100 * share:g}" for share in row.pruning.remaining)
    return f"{row.network} by {method}, {left} % left"


def _surplus(row: PruningRow) -> str:
    if row.surplus is None:
        return NONE
    interval = row.surplus.interval
    told = "" if interval is None else f" [{points(interval[0])}, {points(interval[1])}]"
    return points(row.surplus.mean) + told


def _gains(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    batches = list(dict.fromkeys(batch for cell in cells for batch in cell["latency"]))
    heads = (
        "cell",
        "accuracy right after pruning, %",
        "fine-tuned, %",
        "parameters, %",
        "multiply-accumulates, %",
        "bytes, %",
        *(f"latency, batch {batch}, %" for batch in batches),
    )
    rows = [
        (
            cell["type"] if cell["phase"] == "none" else f"{cell['type']}, {cell['phase']}",
            *(_shown(cell[name]) for name in ("accuracy right after pruning", "accuracy", *SHARES)),
            *(_ratios(cell["latency"][batch]) for batch in batches),
        )
        for cell in cells
    ]
    return markdown_table(heads, rows)


def _ratios(values: Sequence[float]) -> str:
    return f"{100 * statistics.median(values):.0f} ({100 * min(values):.0f} to {100 * max(values):.0f})"


def _shared(counts: Sequence[Mapping[str, Any]]) -> str:
    names = ("cells", "trainings before pruning", "without sharing")
    made = {tuple(one[name] for name in names) for one in counts}
    told = "; ".join(
        f"{cells} cells on {before} trainings before pruning, which would be {alone} without sharing"
        for cells, before, alone in sorted(made)
    )
    return f"Of each study: {told}. All trainings together: {sum(one['seconds'] for one in counts) / 60:.0f} minutes."


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _shown(spread: tuple[float, float | None]) -> str:
    mean, deviation = spread
    return f"{100 * mean:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")
