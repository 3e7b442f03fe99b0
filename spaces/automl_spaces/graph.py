"""Knowledge-transfer graphs: the description of every training in this project.

Nodes are networks, numbered from 1; node 1 is the target. The label is source 0. A directed edge carries a loss that
trains its destination alone, and a gate that rescales that loss. Supervised training is one node with one edge from
the label; Hinton's distillation adds a frozen node; mutual learning lets everything through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automl_core.errors import RequestError
from automl_core.types import EMPTY, Json

LABEL = 0
TARGET = 1


@dataclass(frozen=True)
class Node:
    """One network: the registered name of its model, and the model's options."""

    model: str
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class Edge:
    """Knowledge transferred from ``source`` (0: the label) to ``destination``.

    Args:
        source: Number of the source node; 0 is the label.
        destination: Number of the node that this edge trains.
        gate: Registered name of the gate.
        loss: Registered name of the edge loss; empty for cross-entropy from the label and KL divergence from a node.
        weight: Factor on the gated loss.
        options: Options of the loss, such as ``temperature``.
    """

    source: int
    destination: int
    gate: str = "through"
    loss: str = ""
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)

    @property
    def loss_name(self) -> str:
        return self.loss or ("cross-entropy" if self.source == LABEL else "kl")


@dataclass(frozen=True)
class KnowledgeTransferGraph:
    """Networks that teach one another. An edge that is absent is cut off.

    Args:
        nodes: The networks; ``nodes[0]`` is node 1, the target.
        edges: At most one per (source, destination).

    Raises:
        RequestError: For an edge that does not fit the nodes, or is there twice.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        seen = set()
        for edge in self.edges:
            pair = (edge.source, edge.destination)
            if not (0 <= edge.source <= len(self.nodes) and 1 <= edge.destination <= len(self.nodes)):
                raise RequestError(
                    f"an edge must join nodes 1 to {len(self.nodes)} (or the label, 0, as source), but got {pair}"
                )
            if edge.source == edge.destination or pair in seen:
                raise RequestError(f"an edge must join two different nodes and be given once, but got {pair} ")
            seen.add(pair)

    def node(self, number: int) -> Node:
        return self.nodes[number - 1]

    def incoming(self, number: int) -> tuple[Edge, ...]:
        return tuple(edge for edge in self.edges if edge.destination == number)

    @property
    def frozen(self) -> frozenset[int]:
        """Nodes without any incoming edge: trained beforehand with labels only, never updated here."""
        trained = {edge.destination for edge in self.edges}
        return frozenset(number for number in range(1, len(self.nodes) + 1) if number not in trained)

    @property
    def influential(self) -> frozenset[int]:
        """The target and the nodes with a directed path to it; the others cannot change its training."""
        reached, frontier = {TARGET}, [TARGET]
        while frontier:
            number = frontier.pop()
            for edge in self.incoming(number):
                if edge.source != LABEL and edge.source not in reached:
                    reached.add(edge.source)
                    frontier.append(edge.source)
        return frozenset(reached)

    def to_json(self) -> Json:
        return {
            "nodes": [{"model": node.model, "options": dict(node.options)} for node in self.nodes],
            "edges": [
                {
                    "source": edge.source,
                    "destination": edge.destination,
                    "gate": edge.gate,
                    "loss": edge.loss,
                    "weight": edge.weight,
                    "options": dict(edge.options),
                }
                for edge in self.edges
            ],
        }

    @classmethod
    def from_json(cls, data: Json) -> KnowledgeTransferGraph:
        return cls(
            nodes=tuple(Node(**node) for node in data["nodes"]), edges=tuple(Edge(**edge) for edge in data["edges"])
        )


def alone(model: str) -> KnowledgeTransferGraph:
    """Supervised training as a graph: one node, taught by the label."""
    return KnowledgeTransferGraph((Node(model),), (Edge(LABEL, TARGET),))
