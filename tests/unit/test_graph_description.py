"""Knowledge-transfer graphs as plain data, and their canonical form."""

from __future__ import annotations

import json
import pickle
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node, all_through, alone

OPTIONS = st.dictionaries(st.sampled_from(["temperature", "alpha"]), st.floats(0.5, 8) | st.integers(1, 9), max_size=1)
NODES = st.builds(Node, st.sampled_from(["resnet8", "wrn-10-1"]), st.just({}) | OPTIONS)
LABEL_GATES = ["", "through", "cutoff", "linear", "correct"]


@st.composite
def graphs(draw: st.DrawFn, most: int = 4) -> KnowledgeTransferGraph:
    nodes = tuple(draw(st.lists(NODES, min_size=1, max_size=most)))
    numbers = range(1, len(nodes) + 1)
    edges = []
    for pair in [(s, d) for d in numbers for s in (0, *numbers) if s != d]:
        gate = draw(st.sampled_from(LABEL_GATES))
        if gate:
            weight, options = draw(st.sampled_from([1, 1, 1, 0.5])), draw(st.just({}) | OPTIONS)
            edges.append(Edge(*pair, gate=gate, weight=weight, options=options))
    return KnowledgeTransferGraph(nodes, tuple(draw(st.permutations(edges))))


def renumbered(graph: KnowledgeTransferGraph, order: tuple[int, ...]) -> KnowledgeTransferGraph:
    """Gives the graph whose nodes 1, 2, ... are the given ones."""
    number_of = {0: 0} | {old: new for new, old in enumerate(order, start=1)}
    edges = [
        Edge(number_of[e.source], number_of[e.destination], e.gate, e.loss, e.weight, e.options) for e in graph.edges
    ]
    return KnowledgeTransferGraph(tuple(graph.node(old) for old in order), tuple(edges))


@given(graphs())
def test_a_graph_survives_json_and_pickle_and_can_be_hashed(graph: KnowledgeTransferGraph) -> None:
    for again in (
        KnowledgeTransferGraph.from_json(json.loads(json.dumps(graph.to_json()))),
        pickle.loads(pickle.dumps(graph)),  # noqa: S301 - its own bytes
    ):
        assert again == graph
        assert hash(again) == hash(graph)


def test_option_values_are_what_json_gives_back() -> None:
    assert Node("resnet8", {"widths": (16, 32)}) == Node("resnet8", {"widths": [16, 32]})
    with pytest.raises(RequestError, match="resnet8 must be JSON values"):
        Node("resnet8", {"widths": {1, 2}})


@settings(max_examples=200)
@given(graphs(), st.randoms(use_true_random=False))
def test_the_canonical_form_is_one_for_all_numberings_and_changes_nothing_further(
    graph: KnowledgeTransferGraph, random: Any
) -> None:
    canonical = graph.canonical()
    assert canonical.canonical() == canonical
    assert canonical.canonical_order() == tuple(range(1, len(canonical.nodes) + 1))
    auxiliaries = list(range(2, len(graph.nodes) + 1))
    random.shuffle(auxiliaries)
    other = renumbered(graph, (1, *auxiliaries))
    assert other.canonical() == canonical
    assert other.key() == graph.key() == canonical.key()


@given(graphs(3), graphs(3))
def test_keys_are_equal_exactly_when_canonical_graphs_are(
    one: KnowledgeTransferGraph, other: KnowledgeTransferGraph
) -> None:
    assert (one.key() == other.key()) == (one.canonical() == other.canonical())


@given(graphs())
def test_the_canonical_order_says_which_nodes_stay(graph: KnowledgeTransferGraph) -> None:
    order = graph.canonical_order()
    assert tuple(graph.node(original) for original in order) == graph.canonical().nodes
    opened = KnowledgeTransferGraph(graph.nodes, tuple(edge for edge in graph.edges if edge.gate != "cutoff"))
    assert frozenset(order) == opened.influential
    assert {order[number - 1] for number in graph.canonical().frozen} == opened.frozen & opened.influential


def test_all_numberings_of_the_largest_space_agree() -> None:
    ring = [Edge(source, source % 6 + 2, "linear") for source in range(2, 8)]
    graph = KnowledgeTransferGraph((Node("a"),) * 7, (Edge(0, 1), Edge(4, 1, "correct"), *ring[:5]))
    orders = list(permutations(range(2, 8)))[::97]
    assert {renumbered(graph, (1, *order)).canonical() for order in orders} == {graph.canonical()}


def test_correct_on_a_label_edge_is_through() -> None:
    rightly = KnowledgeTransferGraph((Node("a"),), (Edge(0, 1, "correct"),))
    assert rightly.canonical() == alone("a")
    between = KnowledgeTransferGraph((Node("a"), Node("a")), (Edge(0, 1), Edge(2, 1, "correct")))
    assert between.canonical() == between


def test_what_an_edge_says_beyond_its_gate_counts() -> None:
    def graph(**options: Any) -> KnowledgeTransferGraph:
        return KnowledgeTransferGraph((Node("a"), Node("a")), (Edge(0, 1), Edge(2, 1, **options)))

    different = [{}, {"weight": -1.0}, {"weight": 0.5}, {"loss": "feature"}, {"options": {"temperature": 2}}]
    assert len({graph(**options).key() for options in different}) == len(different)
    assert graph(loss="kl") == graph()


def test_frozen_and_dropped_nodes() -> None:
    nodes = (Node("resnet32"), Node("resnet110"), Node("wrn-28-2"))
    edges = (Edge(0, 1), Edge(2, 1, "linear"), Edge(2, 3, "correct"))
    graph = KnowledgeTransferGraph(nodes, edges)
    assert graph.frozen == {2}
    assert graph.influential == {1, 2}
    assert graph.canonical() == KnowledgeTransferGraph(nodes[:2], edges[:2])
    assert graph.canonical_order() == (1, 2)


def test_a_closed_gate_is_no_edge_in_the_canonical_form() -> None:
    explicit = KnowledgeTransferGraph((Node("a"), Node("b")), (Edge(0, 1), Edge(2, 1), Edge(0, 2, "cutoff")))
    canonical = explicit.canonical()
    assert canonical == KnowledgeTransferGraph(explicit.nodes, explicit.edges[:2])
    assert canonical.frozen == {2}


def test_all_through_is_the_complete_graph() -> None:
    graph = all_through(KnowledgeTransferGraph((Node("a"), Node("b"), Node("c")), (Edge(0, 1, "linear"),)))
    assert [node.model for node in graph.nodes] == ["a", "b", "c"]
    assert {(edge.source, edge.destination) for edge in graph.edges} == {
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2),
    }  # fmt: skip
    assert {edge.gate for edge in graph.edges} == {"through"}
    assert len(graph.edges) == 9


def test_all_through_changes_nothing_but_gates_on_edges_that_exist() -> None:
    edges = (Edge(0, 1, "linear", weight=0.5), Edge(2, 1, "correct", "feature", 3.0, {"temperature": 2}))
    control = all_through(KnowledgeTransferGraph((Node("a"), Node("b")), edges))
    assert set(control.edges) == {
        Edge(0, 1, weight=0.5), Edge(2, 1, "through", "feature", 3.0, {"temperature": 2}), Edge(0, 2), Edge(1, 2)
    }  # fmt: skip
    assert control.incoming(1)[1].options == {"temperature": 2}


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), 0, -0.0, "much", None])
def test_weights_that_say_nothing_are_refused(weight: Any) -> None:
    with pytest.raises(RequestError, match=r"weight of an edge must be .* \(2, 1\) has .* leave the edge out"):
        Edge(2, 1, weight=weight)


@pytest.mark.parametrize(
    ("edges", "complaint"),
    [
        ((Edge(3, 1),), r"must join nodes 1 to 2.*\(3, 1\)"),
        ((Edge(1, 0),), r"must join nodes 1 to 2"),
        ((Edge(1, 1),), r"two different nodes"),
        ((Edge(0, 1), Edge(0, 1, "linear")), r"given once"),
    ],
)
def test_edges_that_do_not_fit_are_refused(edges: tuple[Edge, ...], complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        KnowledgeTransferGraph((Node("a"), Node("b")), edges)


def test_a_graph_needs_a_target() -> None:
    with pytest.raises(RequestError, match="node 1"):
        KnowledgeTransferGraph((), ())


def test_an_unknown_gate_is_named_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="did you mean 'linear'"):
        KnowledgeTransferGraph((Node("a"),), (Edge(0, 1, "lineal"),)).canonical()


@pytest.mark.parametrize("data", [None, [], {"nodes": []}, {"nodes": [{"modell": "a"}], "edges": []}, {"nodes": 3}])
def test_what_is_no_graph_is_refused(data: Any) -> None:
    with pytest.raises(RequestError):
        KnowledgeTransferGraph.from_json(data)
