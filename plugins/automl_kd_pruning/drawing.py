"""Says in text what a training builds on, step by step, and what pruning has gained."""

from __future__ import annotations

from collections.abc import Mapping

from automl_spaces.graph import LABEL, TARGET, Edge
from automl_spaces.trainings import Pruning, Training

COSTS = (
    ("accuracy", "accuracy, %", 100.0, ".1f"),
    ("params", "parameters", 1.0, ",.0f"),
    ("flops", "flops", 1.0, ",.0f"),
    ("size", "size, bytes", 1.0, ",.0f"),
    ("latency", "latency, ms", 1000.0, ",.2f"),
)
"""Metric, what it is called, factor and format of what is shown of it."""


def draw(training: Training, metrics: Mapping[str, float]) -> str:
    """Describes a training in lines of at most 80 columns.

    Args:
        training: The training.
        metrics: Its last metrics, where they are known.
    """
    steps = [*training.before(), training]
    lines = [line for step in steps for line in _step(step, steps)]
    return "\n".join([*lines, *_gains(metrics)])


def _step(step: Training, steps: list[Training]) -> list[str]:
    def called(other: Training) -> str:
        return f"network {steps.index(other) + 1}"

    if step.origin is None:
        begin = " ".join(
            ["new", step.model.model, *(f"{key}={one}" for key, one in sorted(step.model.options.items()))]
        )
    elif step.pruning is None:
        begin = f"{called(step.origin)}, fine-tuned"
    else:
        begin = f"{called(step.origin)}, {pruning_in_words(step.pruning)}"
    lines = [f"{steps.index(step) + 1}  {begin}"]
    canonical = step.graph.canonical()
    teachers = dict(zip(sorted(canonical.frozen), step.needed_teachers(), strict=True))
    for edge in canonical.incoming(TARGET):
        if edge.source == LABEL:
            source = "the labels"
        elif edge.source in teachers:
            source = called(teachers[edge.source])
        else:
            source = f"{canonical.node(edge.source).model}, which learns beside it"
        lines.append(f"     learns from {source}{_edge(edge)}")
    decided = {key: value for key, value in sorted(step.recipe.trainer.items()) if value}
    if decided:
        lines.append("     with " + ", ".join(f"{key}={value}" for key, value in decided.items()))
    return [line if len(line) <= 80 else line[:79] + "…" for line in lines]


def _edge(edge: Edge) -> str:
    words = [f"{edge.loss} distance"] if edge.loss == "feature" else [edge.loss] if edge.loss else []
    words += [f"T = {value:g}" if key == "temperature" else f"{key}={value}" for key, value in edge.options.items()]
    words += [f"x {edge.weight:.3g}"] if edge.weight != 1 else []
    words += [edge.gate] if edge.gate != "through" else []
    return f" ({', '.join(words)})" if words else ""


def pruning_in_words(pruning: Pruning) -> str:
    """Says what is left: ``of whose filters l1-norm leaves 40/70/90 %``."""
    left = "/".join(f"{100 * share:.4g}" for share in pruning.remaining)
    what = {"l1-norm": "filters", "slimming": "channels", "magnitude": "weights"}[pruning.method]
    spared = f", {len(pruning.spared)} layers spared" if pruning.spared else ""
    return f"of whose {what} {pruning.method} leaves {left} %{spared}"


def _gains(metrics: Mapping[str, float]) -> list[str]:
    lines = []
    for metric, name, factor, form in COSTS:
        after, before = metrics.get(metric), metrics.get(f"{metric}_before")
        if after is not None and before:
            told = [format(factor * value, form) for value in (before, after)]
            lines.append(f"   {name:12} {told[0]:>14}  ->  {told[1]:>14}   {100 * after / before:5.1f} %")
    if "sparsity" in metrics:
        lines.append(
            f"   {100 * metrics['sparsity']:.1f} % of the convolutions' weights are zero; that makes nothing faster"
        )
    return ["", *lines] if lines else []
