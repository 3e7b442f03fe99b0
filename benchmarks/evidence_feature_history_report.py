"""Turns the pieces of ``evidence_feature_history.py`` into figures, tables and what they carry."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from plotting import COLOURS, figure, save
from reporting import machine, markdown_table, publish

from automl_core.auditing import kendall_tau
from automl_core.estimating import estimate_curve
from automl_core.interfaces import Problem, Segment
from automl_core.plugins import get_registry
from automl_core.types import Objective, Point

NAME = "evidence-feature-history"
Line = Mapping[str, Any]

HEADS = {"original": "the network's own head", "refitted": "its head, refitted", "vote": "vote of the last 10"}
CLOSE = 0.005
"""Within half a point of the final accuracy."""

STAGES = (0.25, 0.5, 0.75)
RESAMPLES = 2_000


def publish_evidence(lines: Sequence[Line], planned: int, results: Path) -> None:
    """Writes figures and the JSON document below ``results``, and the tables into its README."""
    by_part: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_part[line["part"]].append(line)
    told = {part: TABLES[part](found, results) for part, found in sorted(by_part.items())}
    document = {
        "machine": machine("automl-graph", "torch"),
        "pieces": {"planned": planned, "done": len(lines)},
        **{part: figures for part, (figures, _) in told.items()},
    }
    target = results / "results" / f"{NAME}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"written to {target}")
    about = document["machine"]
    processor, date = about["processor"], about["date"]
    head = f"{processor}, {about['cores']} cores, torch {about['torch']}, {date}. {len(lines)} of {planned} pieces."
    publish(results / "README.md", NAME, [head, "", *(row for part in ORDER if part in told for row in told[part][1])])


def epochs(lines: Sequence[Line], results: Path) -> tuple[Any, list[str]]:
    """Part (a): how early each accuracy comes close to the final one."""
    networks = sorted({line["subject"] for line in lines})
    drawn, panels = figure(1, len(networks), 4.2 * len(networks), 3.0, squeeze=False, sharey=False)
    found, rows = [], []
    for panel, network in zip(panels[0], networks, strict=True):
        runs = [line for line in lines if line["subject"] == network]
        final = [run["accuracies"][-1]["original"] for run in runs]
        for place, (head, label) in enumerate(HEADS.items()):
            values = np.array([[100 * one[head] for one in run["accuracies"]] for run in runs])
            units = np.arange(1, values.shape[1] + 1)
            panel.plot(units, values.mean(0), color=COLOURS[place], label=label)
            panel.fill_between(units, values.min(0), values.max(0), color=COLOURS[place], alpha=0.15, linewidth=0)
            close = [_first_close(run["accuracies"], head) for run in runs]
            last = [run["accuracies"][-1][head] for run in runs]
            found.append({"network": network, "head": head, "final": last, "close at": close, "seeds": len(runs)})
            at = ", ".join("never" if one is None else str(one) for one in close)
            rows.append((network, label, _spread(last), at))
        panel.axhline(100 * statistics.fmean(final), color="grey", linewidth=0.8, linestyle=":")
        panel.set(title=network, xlabel="epoch", ylabel="validation accuracy, %")
    panels[0][0].legend(frameon=False)
    save(drawn, results / "results" / f"{NAME}-epochs.png")
    count = len(lines[0]["accuracies"])
    heads = ("network", "classifier", f"accuracy after {count} epochs, %", "within 0.5 points of the end at epoch")
    title = "### (a) How early the final accuracy is told"
    return found, [
        title,
        "",
        *markdown_table(heads, rows),
        "",
        f"![Accuracy over epochs](results/{NAME}-epochs.png)",
        "",
    ]


def _first_close(accuracies: Sequence[Mapping[str, float]], head: str) -> int | None:
    """Gives the first epoch at which a head is within 0.5 points of the network's own final accuracy."""
    final = accuracies[-1]["original"]
    return next((unit for unit, one in enumerate(accuracies, start=1) if abs(one[head] - final) <= CLOSE), None)


def cells(lines: Sequence[Line], results: Path) -> tuple[Any, list[str]]:
    """Part (b): Kendall's tau between early estimates and the final ranking."""
    lines = sorted(lines, key=lambda line: int(line["subject"]))
    final = [line["curve"][-1][1]["accuracy"] for line in lines]
    total = lines[0]["epochs"]
    stages = sorted({max(1, round(share * total)) for share in STAGES})
    estimates: dict[str, dict[int, list[float | None]]] = {
        "last": {at: [line["curve"][at][1]["accuracy"] for line in lines] for at in stages},
        "learning-curve": {at: _curve_estimates("learning-curve", lines, at, None) for at in stages},
        "lcnet": {at: _curve_estimates("lcnet", lines, at, at) for at in stages},
        "lcnet, given the others' whole curves": {at: _curve_estimates("lcnet", lines, at, total) for at in stages},
        "naswot (epoch 0)": {at: [line["naswot"] for line in lines] for at in stages},
        "feature-history": {at: [line["accuracies"][at - 1]["vote"] for line in lines] for at in stages},
    }
    found, rows = [], []
    drawn, panel = figure(1, 1, 7.6, 3.0)
    for place, (name, by_stage) in enumerate(estimates.items()):
        told = {at: _tau(values, final) for at, values in by_stage.items()}
        found.append({"estimator": name, "tau": {str(at): one for at, one in told.items()}})
        rows.append((name, *(f"{tau:.2f} [{low:.2f}, {high:.2f}]" for tau, low, high in told.values())))
        offsets = np.arange(len(told)) + 0.11 * (place - len(estimates) / 2)
        taus = np.array(list(told.values()))
        bars = np.clip([taus[:, 0] - taus[:, 1], taus[:, 2] - taus[:, 0]], 0.0, None)
        panel.errorbar(offsets, taus[:, 0], yerr=bars, fmt="o", color=COLOURS[place], markersize=4, label=name)
    panel.set_xticks(np.arange(len(stages)), [f"epoch {at} of {total}" for at in stages])
    panel.set(ylabel="Kendall's tau to the end", ylim=(-0.6, 1.05))
    panel.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save(drawn, results / "results" / f"{NAME}-cells.png")
    heads = ("estimator", *(f"tau at epoch {at} of {total}" for at in stages))
    title = f"### (b) How well {len(lines)} cells are ranked early"
    spread = f"Final accuracies: {_spread(final)} %, from {100 * min(final):.1f} to {100 * max(final):.1f} %."
    picture = f"![Rank correlation with the end](results/{NAME}-cells.png)"
    return found, [title, "", spread, "", *markdown_table(heads, rows), "", picture, ""]


def _curve_estimates(name: str, lines: Sequence[Line], at: int, known: int | None) -> list[float | None]:
    """Asks an estimator for each cell's final accuracy at an epoch.

    Args:
        name: The estimator.
        lines: The cells.
        at: How much of its own curve it sees, in epochs.
        known: How much of all other cells' curves it sees; None for nothing.
    """
    registry = get_registry()
    space = registry.create("space", "nas-bench-201", {})
    problem = Problem(space, (Objective("accuracy"),), 1, lines[0]["epochs"], None, 0)
    found: list[float | None] = []
    for own in lines:
        estimator = registry.create("estimator", name, {})
        estimator.start(problem)
        others = [line for line in lines if line is not own] if known is not None else []
        history = [Segment(int(line["subject"]), line["configuration"], _points(line, known or 0)) for line in others]
        found.append(estimate_curve(estimator, own["configuration"], _points(own, at), history)["accuracy"])
    return found


def _points(line: Line, until: int) -> tuple[Point, ...]:
    return tuple(Point(unit, metrics) for unit, metrics in line["curve"] if unit <= until)


def _tau(estimates: Sequence[float | None], final: Sequence[float]) -> tuple[float, float, float]:
    """Gives Kendall's tau-b with its 95 % percentile interval over resampled cells; a missing estimate ranks last."""
    known = [value for value in estimates if value is not None]
    lowest = min(known, default=0.0) - 1.0
    pairs = np.array([[lowest if value is None else value, end] for value, end in zip(estimates, final, strict=True)])
    drawn = np.random.default_rng(0).integers(0, len(pairs), (RESAMPLES, len(pairs)))
    resampled = [kendall_tau(*pairs[rows].T.tolist()) for rows in drawn]
    low, high = np.percentile([tau for tau in resampled if tau is not None] or [0.0], [2.5, 97.5])
    return kendall_tau(*pairs.T.tolist()) or 0.0, float(low), float(high)


def search(lines: Sequence[Line], results: Path) -> tuple[Any, list[str]]:
    """Part (c): HyperBand with and without the estimator."""
    rows, found = [], []
    for line in sorted(lines, key=lambda line: (line["seed"], line["subject"])):
        chosen = line["configuration"]
        tests = line["test accuracy"]
        rows.append(
            (
                str(line["seed"]),
                line["subject"] or "measured accuracy",
                f"N {chosen['augmentations']}, M {chosen['magnitude']}",
                f"{100 * line['validation accuracy']:.1f}",
                f"{100 * statistics.fmean(tests):.2f} ({', '.join(f'{100 * one:.1f}' for one in tests)})",
                str(line["epochs trained"]),
                f"{line['search seconds']:.0f}",
            )
        )
        found.append({name: line[name] for name in line if name not in ("key", "data", "part")})
    means = {
        name: [statistics.fmean(line["test accuracy"]) for line in lines if line["subject"] == name]
        for name in sorted({line["subject"] for line in lines})
    }
    summary = "; ".join(
        f"ranked by {name or 'measured accuracy'}: {_spread(values)} % on the test images, {len(values)} seeds"
        for name, values in means.items()
        if values
    )
    budget = lines[0]["epochs"]
    heads = ("seed", "ranked by", "found", "validation, %", "test after retraining, %", "epochs trained", "seconds")
    title = f"### (c) HyperBand on RandAugment, ResNet-8, {budget} epochs"
    return found, [title, "", *markdown_table(heads, rows), "", summary[:1].upper() + summary[1:] + ".", ""]


def overhead(lines: Sequence[Line], results: Path) -> tuple[Any, list[str]]:
    """Part (d): what an estimate costs."""
    rows, found = [], []
    for line in lines:
        turns = line["turns"]
        ratios = [turn["estimate"] / turn["bare"] for turn in turns]
        watched = [turn["watched"] / turn["bare"] for turn in turns]
        size, after = turns[0]["bytes"], turns[0]["bytes after"]
        rows.append(
            (
                line["subject"],
                str(line["threads"]),
                f"{statistics.median(turn['bare'] for turn in turns):.2f}",
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
                f"{statistics.median(watched):.2f} ({min(watched):.2f} to {max(watched):.2f})",
                f"{size / 1e6:.1f} MB, then {after / 1e6:.1f} MB",
            )
        )
        found.append({"network": line["subject"], "threads": line["threads"], "turns": turns})
    heads = ("network", "threads", "epoch, s", "estimate / epoch", "epoch with features / without", "memory")
    title = "### (d) What an estimate costs"
    return found, [title, "", *markdown_table(heads, rows), ""]


ORDER = ("epochs", "cells", "search", "overhead")
TABLES: Mapping[str, Callable[[Sequence[Line], Path], tuple[Any, list[str]]]] = {
    "epochs": epochs,
    "cells": cells,
    "search": search,
    "overhead": overhead,
}


def _spread(values: Sequence[float]) -> str:
    """Writes fractions in percent: mean and standard deviation."""
    mean = f"{100 * statistics.fmean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean
