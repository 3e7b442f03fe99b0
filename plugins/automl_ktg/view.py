"""What there is to see of a trained knowledge-transfer graph, for the drawings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node


@dataclass(frozen=True)
class View:
    """The nodes and edges that took part in training the target, numbered as in the configuration.

    Args:
        nodes: Number to node, the target first.
        edges: The edges that exist, by destination and source.
        accuracy: Number to accuracy, a fraction; only of nodes whose accuracy is known.
        frozen: Numbers of the nodes that were trained beforehand.
        dropped: Number to node of those without a path to the target.
    """

    nodes: Mapping[int, Node]
    edges: tuple[Edge, ...]
    accuracy: Mapping[int, float]
    frozen: frozenset[int]
    dropped: Mapping[int, Node]

    def incoming(self, number: int) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.destination == number)

    def note(self) -> str:
        """Says which nodes are left out, and why; empty when none is."""
        if not self.dropped:
            return ""
        names = [f"node {number} ({name_of(node)})" for number, node in self.dropped.items()]
        return f"Left out, with no path to the target: {', '.join(names)}."


def look(graph: KnowledgeTransferGraph, metrics: Mapping[str, float]) -> View:
    """Collects what to draw.

    Args:
        graph: A graph, not necessarily canonical.
        metrics: ``accuracy_1``, ... of the nodes of the CANONICAL graph, which is the one that is trained.
    """
    canonical, order = graph.canonical(), graph.canonical_order()
    original = {LABEL: LABEL} | dict(enumerate(order, start=1))
    edges = [replace(e, source=original[e.source], destination=original[e.destination]) for e in canonical.edges]
    accuracy = {
        original[number]: metrics[f"accuracy_{number}"]
        for number in range(1, len(order) + 1)
        if f"accuracy_{number}" in metrics
    }
    if "accuracy" in metrics:
        accuracy.setdefault(TARGET, metrics["accuracy"])
    return View(
        nodes={number: graph.node(number) for number in sorted(order)},
        edges=tuple(sorted(edges, key=lambda edge: (edge.destination, edge.source))),
        accuracy=accuracy,
        frozen=frozenset(original[number] for number in canonical.frozen),
        dropped={n: node for n, node in enumerate(graph.nodes, start=1) if n not in order},
    )


def name_of(node: Node) -> str:
    """Gives a node's model and options in words."""
    return " ".join([node.model, *(f"{name}={value}" for name, value in sorted(node.options.items()))])


def gate_of(edge: Edge) -> str:
    """Gives an edge's gate in words, followed by what else is not as usual."""
    words = [edge.gate, edge.loss, *(f"{name}={value}" for name, value in sorted(edge.options.items()))]
    if edge.weight != 1.0:
        words.append(f"x {edge.weight:g}")
    return " ".join(word for word in words if word)


def percent(accuracy: float | None) -> str:
    """Gives an accuracy in percent; empty when it is not known."""
    return "" if accuracy is None else f"{accuracy * 100:.1f} %"


def shorten(text: str, width: int) -> str:
    """Cuts a text to a width, with an ellipsis where something is missing."""
    return text if len(text) <= width else text[: width - 1] + "…"
