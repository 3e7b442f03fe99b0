"""Draws knowledge-transfer graphs for a terminal: a box for each network, with what teaches it beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from automl_ktg.view import View, gate_of, look, name_of, percent, shorten
from automl_spaces.graph import LABEL, TARGET, KnowledgeTransferGraph

WIDTH = 80
INNER = 26
"""Columns between the sides of a box."""

ARROWS = {
    "through": "━━━━━━",
    "linear": "▁▂▃▄▅▆",
    "negative-linear": "▆▅▄▃▂▁",
    "correct": "━╸━╸━╸",
}
"""How much a gate lets through, drawn; other gates get a thin line."""

THICK, THIN = "┏━┓┃┗┛", "┌─┐│└┘"


def draw(graph: KnowledgeTransferGraph, metrics: Mapping[str, float]) -> str:
    """Draws a graph in at most 80 columns.

    Args:
        graph: The graph, numbered as in its configuration.
        metrics: Accuracies of the nodes of its canonical form, ``accuracy_1`` and so on, where they are known.
    """
    view = look(graph, metrics)
    lines = [line for number in view.nodes for line in _box(view, number)]
    lines += textwrap.wrap(view.note(), WIDTH - 2)
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _box(view: View, number: int) -> list[str]:
    corner, line, end, side, low_corner, low_end = tuple(THICK if number == TARGET else THIN)
    role = "target" if number == TARGET else "frozen" if number in view.frozen else ""
    title = f"{line} {number} {line} {role} " if role else f"{line} {number} "
    accuracy = percent(view.accuracy.get(number))
    model = shorten(name_of(view.nodes[number]), INNER - 3 - len(accuracy))
    inside = [f" {model}{accuracy:>{INNER - 2 - len(model)}} "]
    beside = _teachers(view, number)
    inside += [" " * INNER] * (len(beside) - 1)
    return [
        f"{corner}{title}{line * (INNER - len(title))}{end}",
        *(f"{side}{within}{side}{teacher}" for within, teacher in zip(inside, beside, strict=True)),
        f"{low_corner}{line * INNER}{low_end}",
    ]


def _teachers(view: View, number: int) -> list[str]:
    """Gives one arrow for each kind of gate into a node, with all sources that come through it."""
    sources: dict[tuple[str, str], list[int]] = {}
    for edge in view.incoming(number):
        sources.setdefault((edge.gate, gate_of(edge)), []).append(edge.source)
    if not sources:
        return [" trained beforehand by the label alone"]
    room = max(len(gate_of(edge)) for edge in view.edges)
    return [
        shorten(f"◀{ARROWS.get(gate, '──────')} {words:<{room}}  {_names(numbers)}", WIDTH - INNER - 4)
        for (gate, words), numbers in sorted(sources.items(), key=lambda one: one[1])
    ]


def _names(sources: list[int]) -> str:
    nodes = [str(source) for source in sources if source != LABEL]
    words = ["label"] if LABEL in sources else []
    if nodes:
        words.append(("node " if len(nodes) == 1 else "nodes ") + ", ".join(nodes))
    return " and ".join(words)
