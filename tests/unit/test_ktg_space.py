"""The space of knowledge-transfer graphs: its counts, its canonical form, what it refuses."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.hookspecs import hookimpl
from automl_core.plugins import Registry, use_registry
from automl_spaces.gates import Correct
from automl_spaces.graph import KnowledgeTransferGraph
from automl_spaces.ktg import KTGSpace

SMALL = {"models": ("resnet32", "wrn-28-2"), "gates": ("through", "cutoff", "linear")}


def configurations(space: KTGSpace) -> Iterator[dict[str, Any]]:
    names = list(space.config_space)
    for values in product(*(space.models if name.startswith("model") else space.gates for name in names)):
        yield dict(zip(names, values, strict=True))


def count(space: KTGSpace) -> tuple[int, int, int]:
    """Counts raw and valid configurations, and the behaviours among the valid ones."""
    raw = valid = 0
    behaviours = set()
    for configuration in configurations(space):
        raw += 1
        if space.violation(configuration) is None:
            valid += 1
            behaviours.add(space.canonical(configuration))
    return raw, valid, len(behaviours)


def test_three_nodes_three_models_four_gates() -> None:
    space = KTGSpace()
    assert count(space) == (space.size(), space.valid_size(), 420_878) == (2_359_296, 2_322_432, 420_878)


def test_three_nodes_two_models_three_gates() -> None:
    space = KTGSpace(**SMALL)
    assert count(space) == (space.size(), space.valid_size(), 29_432) == (78_732, 75_816, 29_432)


@pytest.mark.parametrize(
    ("nodes", "raw", "dead"),
    [(2, 768, 48), (3, 2_359_296, 36_864), (4, 115_964_116_992, 452_984_832)],
)
def test_counts_of_the_published_sizes(nodes: int, raw: int, dead: int) -> None:
    space = KTGSpace(nodes=nodes)
    assert (space.size(), space.valid_size()) == (raw, raw - dead)


@pytest.mark.parametrize("nodes", [5, 6, 7])
def test_counts_of_larger_graphs(nodes: int) -> None:
    space = KTGSpace(nodes=nodes)
    assert space.size() == 3 ** (nodes - 1) * 4 ** (nodes**2)
    assert space.size() - space.valid_size() == 3 ** (nodes - 1) * 4 ** (nodes**2 - nodes)


class StrictlyCorrect(Correct):
    """As ``correct``, but it does not say that a label is always right."""

    on_label = ""


class StrictPlugin:
    @hookimpl
    def automl_gates(self, register: Any) -> None:
        register("strictly-correct", f"{__name__}:StrictlyCorrect", summary="for this test")


def test_without_the_rule_on_label_edges_there_are_more_behaviours() -> None:
    registry = Registry()
    registry.add("strict", StrictPlugin())
    with use_registry(registry):
        space = KTGSpace(nodes=2, gates=("through", "cutoff", "linear", "strictly-correct"))
    assert count(space) == (768, 720, 579)
    assert count(KTGSpace(nodes=2))[2] < 579


@st.composite
def spaces_and_configurations(draw: st.DrawFn) -> tuple[KTGSpace, dict[str, Any]]:
    nodes = draw(st.integers(2, 5))
    gates = draw(st.permutations(["through", "cutoff", "linear", "correct", "negative-linear"]))
    space = KTGSpace(nodes=nodes, models=("resnet32", "wrn-28-2"), gates=tuple(gates))
    # Closed gates drawn more often than others, or every node would have a path to the target.
    some_gate = st.sampled_from(["cutoff", "cutoff", *gates])
    names = list(space.config_space)
    return space, {
        name: draw(st.sampled_from(space.models) if name.startswith("model") else some_gate) for name in names
    }


@settings(max_examples=400, deadline=None)
@given(spaces_and_configurations())
def test_the_fast_canonical_form_is_the_one_of_the_graph(drawn: tuple[KTGSpace, dict[str, Any]]) -> None:
    space, configuration = drawn
    graph = space.decode(configuration)
    assert space.canonical(configuration) == graph.key()
    assert KnowledgeTransferGraph.from_json(json.loads(json.dumps(graph.to_json()))) == graph
    assert (space.violation(configuration) is None) == bool(graph.incoming(1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_draws_of_the_configuration_space_decode(seed: int) -> None:
    space = KTGSpace(nodes=3)
    space.config_space.seed(seed)
    drawn = space.config_space.sample_configuration()
    plain = json.loads(json.dumps(dict(drawn)))
    assert space.canonical(drawn) == space.canonical(plain) == space.decode(plain).key()


def gates(**of_edges: str) -> dict[str, str]:
    """Gives a configuration of three nodes; edges that are not named are cut off."""
    names = [name for name in KTGSpace().config_space if name.startswith("gate")]
    return {"model_2": "resnet32", "model_3": "resnet32"} | dict.fromkeys(names, "cutoff") | of_edges


def test_frozen_node_and_dead_target() -> None:
    space = KTGSpace()
    configuration = gates(gate_label_1="through", gate_2_1="linear", gate_2_3="correct")
    graph = space.decode(configuration)
    assert space.violation(configuration) is None
    assert graph.frozen == {2}
    assert graph.influential == {1, 2}
    dead = gates(gate_2_3="correct")
    assert "gate_label_1, gate_2_1 and gate_3_1" in str(space.violation(dead))
    assert "gate_label_1=through" in str(space.violation(dead))


def test_mirrored_graphs_are_equal() -> None:
    space = KTGSpace(**SMALL)
    short = {"T": "through", "C": "cutoff", "L": "linear"}

    def configuration(models: tuple[str, str], **edges: str) -> dict[str, str]:
        named = {f"gate_{edge[1:]}": short[gate] for edge, gate in edges.items()}
        return {"model_2": models[0], "model_3": models[1], "gate_label_1": "linear"} | named

    one = configuration(
        ("resnet32", "wrn-28-2"), _label_2="T", _label_3="C", _2_1="L", _3_1="C", _1_2="T", _1_3="L", _2_3="C", _3_2="T"
    )
    other = configuration(
        ("wrn-28-2", "resnet32"), _label_2="C", _label_3="T", _2_1="C", _3_1="L", _1_2="L", _1_3="T", _2_3="T", _3_2="C"
    )
    assert space.canonical(one) == space.canonical(other)
    assert space.decode(one).canonical() == space.decode(other).canonical()
    assert space.canonical(one) != space.canonical(other | {"gate_3_1": "through"})


def test_decode_keeps_the_chosen_gates_and_the_target() -> None:
    graph = KTGSpace(target="resnet8").decode(gates(gate_label_1="correct", gate_3_1="linear"))
    assert [node.model for node in graph.nodes] == ["resnet8", "resnet32", "resnet32"]
    assert [(edge.source, edge.destination, edge.gate) for edge in graph.edges] == [
        (0, 1, "correct"),
        (3, 1, "linear"),
    ]


def test_the_default_configuration_is_allowed_whatever_the_order_of_gates() -> None:
    space = KTGSpace(gates=("cutoff", "linear"))
    assert space.violation(dict(space.config_space.get_default_configuration())) is None


def test_a_space_can_be_sent_to_a_worker() -> None:
    space = KTGSpace(nodes=4)
    again = pickle.loads(pickle.dumps(space))  # noqa: S301 - its own bytes
    configuration = dict(space.config_space.get_default_configuration())
    assert again.canonical(configuration) == space.canonical(configuration)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"nodes": 1}, "2 <= nodes <= 7 must hold, but got 1"),
        ({"nodes": 8}, "2 <= nodes <= 7 must hold, but got 8"),
        ({"models": ("a", "b", "a")}, "holds a more than once"),
        ({"models": ()}, "models = .* is empty"),
        ({"gates": ()}, "gates = .* is empty"),
        ({"gates": ("through", "through")}, "holds through more than once"),
        ({"gates": ("trough", "cutoff")}, "did you mean 'through'"),
        ({"gates": ("cutoff",)}, "at least one gate must let something through.*add an open one"),
    ],
)
def test_options_that_give_no_space_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        KTGSpace(**options)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"gate_4_1": "through"}, "unknown hyperparameter of space ktg 'gate_4_1'; did you mean"),
        ({"gate_2_1": "trough"}, "unknown value of gate_2_1 'trough'; did you mean 'through'"),
        ({"model_2": 3}, "unknown value of model_2 '3'"),
    ],
)
def test_configurations_of_another_space_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        KTGSpace().decode(gates() | change)


def test_a_missing_hyperparameter_is_named() -> None:
    configuration = gates()
    del configuration["gate_3_2"]
    for refuse in (KTGSpace().decode, KTGSpace().canonical):
        with pytest.raises(RequestError, match="gate_3_2 is missing; add gate_3_2=through"):
            refuse(configuration)
