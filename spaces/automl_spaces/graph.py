"""Knowledge-transfer graphs: the description of every training in this project.

Nodes are networks, numbered from 1; node 1 is the target. The label is source 0. A directed edge carries a loss that
trains its destination alone, and a gate that rescales that loss. Supervised training is one node with one edge from
the label; Hinton's distillation adds a frozen node; mutual learning lets everything through.

Source: Minami et al., "Knowledge Transfer Graph for Deep Collaborative Learning" (ACCV 2020).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from automl_core.errors import RequestError
from automl_core.plugins import get_registry
from automl_core.types import Json
from automl_spaces.canonical import Flat, Order, position, smallest
from automl_spaces.gates import Gate

LABEL = 0
TARGET = 1


@dataclass(frozen=True)
class Node:
    """One network.

    Args:
        model: Registered name of the model.
        options: The model's options; JSON values.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _as_json(self.options, f"model {self.model}"))

    @property
    def signature(self) -> str:
        """The model's name, followed by its options where there are any; equal for equal nodes."""
        return self.model + (f" {_dump(self.options)}" if self.options else "")


@dataclass(frozen=True)
class Edge:
    """Knowledge transferred from ``source`` (0: the label) to ``destination``.

    Args:
        source: Number of the source node; 0 is the label.
        destination: Number of the node that this edge trains.
        gate: Registered name of the gate.
        loss: Registered name of the edge loss; empty for cross-entropy from the label and KL divergence from a node.
        weight: Factor on the gated loss; finite and not 0. No edge has weight 0: such a node would count as trained,
            and not as frozen, but learn nothing.
        options: Options of the loss, such as ``temperature``; JSON values.

    Raises:
        RequestError: For a weight that is 0, infinite or not a number.
    """

    source: int
    destination: int
    gate: str = "through"
    loss: str = ""
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _as_json(self.options, f"edge {self.source} to {self.destination}"))
        object.__setattr__(self, "weight", _as_weight(self.weight, (self.source, self.destination)))
        if self.loss == self._default_loss:  # one way to say it, so that equal edges are equal
            object.__setattr__(self, "loss", "")

    @property
    def _default_loss(self) -> str:
        return "cross-entropy" if self.source == LABEL else "kl"

    @property
    def loss_name(self) -> str:
        return self.loss or self._default_loss

    @property
    def signature(self) -> str:
        """The gate's name, followed by what else there is to say; equal for edges that do the same."""
        said: dict[str, Any] = {}
        if self.loss:
            said["loss"] = self.loss
        if self.options:
            said["options"] = self.options
        if self.weight != 1.0:
            said["weight"] = self.weight
        return self.gate + (f" {_dump(said)}" if said else "")


@dataclass(frozen=True)
class KnowledgeTransferGraph:
    """Networks that teach one another. An edge that is absent is cut off.

    Args:
        nodes: The networks; ``nodes[0]`` is node 1, the target.
        edges: At most one per (source, destination).

    Raises:
        RequestError: For a graph without nodes, or an edge that does not fit the nodes or is there twice.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise RequestError("a graph must have a target, its node 1, but got no nodes; give at least one")
        seen = set()
        for edge in self.edges:
            pair = (edge.source, edge.destination)
            if not (0 <= edge.source <= len(self.nodes) and 1 <= edge.destination <= len(self.nodes)):
                raise RequestError(
                    f"an edge must join nodes 1 to {len(self.nodes)} (or the label, 0, as source), but got {pair}; "
                    "mend its numbers or add the node"
                )
            if edge.source == edge.destination or pair in seen:
                raise RequestError(
                    f"an edge must join two different nodes and be given once, but got {pair}; leave it out"
                )
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

    def canonical(self) -> KnowledgeTransferGraph:
        """Gives the graph that stands for all those that must train their target as this one does.

        Nodes without a live path to the target are dropped with their edges, so are edges behind a closed gate; a
        gate on a label edge is replaced by the one that does the same there (``correct`` by ``through``); auxiliary
        nodes are renumbered to the smallest order, edges sorted by destination and source.

        Raises:
            RequestError: For a gate that is not registered.
        """
        order = self.canonical_order()
        number_of = {LABEL: LABEL} | {original: number for number, original in enumerate(order, start=1)}
        edges = [
            replace(edge, source=number_of[edge.source], destination=number_of[edge.destination])
            for edge in self._live_edges()
            if edge.destination in number_of
        ]
        return KnowledgeTransferGraph(
            tuple(self.node(original) for original in order),
            tuple(sorted(edges, key=lambda edge: (edge.destination, edge.source))),
        )

    def canonical_order(self) -> Order:
        """Gives the numbers that nodes 1, 2, ... of the canonical graph have here; dropped nodes are missing."""
        return self._smallest()[1]

    def key(self) -> Flat:
        """Gives a tuple that is equal for two graphs exactly when their canonical graphs are.

        Its form is the one of :mod:`automl_spaces.canonical`.
        """
        return self._smallest()[0]

    def _smallest(self) -> tuple[Flat, Order]:
        count = len(self.nodes)
        flat = [node.signature for node in self.nodes] + [""] * count**2
        for edge in self._live_edges():
            flat[position(edge.source, edge.destination, count)] = edge.signature
        return smallest(tuple(flat), count)

    def _live_edges(self) -> tuple[Edge, ...]:
        """Gives the edges behind open gates, each with the gate that says shortest what it does."""
        registry = get_registry()
        gates: dict[str, type[Gate]] = {name: registry.load("gate", name) for name in {e.gate for e in self.edges}}
        return tuple(
            replace(edge, gate=gates[edge.gate].on_label or edge.gate) if edge.source == LABEL else edge
            for edge in self.edges
            if gates[edge.gate].open
        )

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
        """Builds a graph from what :meth:`to_json` gave.

        Raises:
            RequestError: For anything else.
        """
        try:
            nodes = tuple(Node(**node) for node in data["nodes"])
            edges = tuple(Edge(**edge) for edge in data["edges"])
            for name in [node.model for node in nodes] + [name for edge in edges for name in (edge.gate, edge.loss)]:
                if not isinstance(name, str):
                    raise TypeError(f"names must be text, but one is {name!r}")
            return cls(nodes, edges)
        except (KeyError, TypeError) as error:
            raise RequestError(
                "a graph must be {nodes: [{model, options}, ...], edges: [{source, destination, gate, loss, weight, "
                f"options}}, ...]}}, but {error!r} came up in reading {str(data)[:200]}; mend the description"
            ) from error


def alone(model: str) -> KnowledgeTransferGraph:
    """Supervised training as a graph: one node, taught by the label."""
    return KnowledgeTransferGraph((Node(model),), (Edge(LABEL, TARGET),))


def all_through(graph: KnowledgeTransferGraph) -> KnowledgeTransferGraph:
    """Gives the same networks with every edge there and every gate through: mutual learning of them all.

    An edge that the graph has keeps its loss, options and weight, so that nothing but gates differs on it; one that it
    lacks is a plain one.
    """
    numbers = range(1, len(graph.nodes) + 1)
    present = {(edge.source, edge.destination): edge for edge in graph.edges}
    pairs = [(source, destination) for destination in numbers for source in (LABEL, *numbers) if source != destination]
    return KnowledgeTransferGraph(
        graph.nodes, tuple(replace(present.get(pair, Edge(*pair)), gate="through") for pair in pairs)
    )


def _as_weight(weight: Any, pair: tuple[int, int]) -> float:
    try:
        number = float(weight)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number == 0:
        raise RequestError(
            f"the weight of an edge must be a finite number other than 0, but edge {pair} has {weight!r}; give another "
            "weight, or leave the edge out where nothing is to be transferred"
        )
    return number


def _as_json(options: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Copies options to what JSON gives back, so that a graph equals itself after a round trip."""
    if not options:
        return {}
    try:
        copied: dict[str, Any] = json.loads(_dump(dict(options)))
    except (TypeError, ValueError) as error:
        raise RequestError(f"options of {owner} must be JSON values, but got {options!r}: {error}") from error
    return copied


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
