"""Cells of NAS-Bench-201: the benchmark's notation and unique string, and the cell that stands for equal ones."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.plugins import get_registry
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_spaces.nas_bench_201 import EDGES, OPERATIONS, WEIGHTS, Cell, NASBench201Space, canonical_cells

CELLS = st.builds(Cell, st.tuples(*(st.sampled_from(OPERATIONS) for _ in EDGES)))
NONE, SKIP, CONV_1, CONV_3, POOL = OPERATIONS


def weights(cell):
    return sum(WEIGHTS.get(operation, 0) for operation in cell.operations)


def test_there_are_6466_networks_in_15625_cells():
    space = NASBench201Space()
    cells = [Cell(operations) for operations in product(OPERATIONS, repeat=len(EDGES))]
    assert space.size() == len(cells) == 15_625
    assert len({cell.unique for cell in cells}) == len(canonical_cells()) == 6_466
    assert [cell.index for cell in cells] == list(range(len(cells)))


def test_the_enumeration_gives_each_network_once():
    space = NASBench201Space()
    assert sum(1 for _ in space.enumerate(0)) == 6_466


@pytest.mark.parametrize(
    ("operations", "same"),
    [
        # What comes out of zero is zero.
        ((NONE, SKIP, CONV_3, SKIP, CONV_1, POOL), (NONE, SKIP, NONE, SKIP, NONE, POOL)),
        # What does not arrive does not count.
        ((CONV_3, CONV_1, NONE, SKIP, NONE, POOL), (NONE, CONV_1, NONE, SKIP, NONE, POOL)),
        # A skip connection stands for its source, and the order of a sum does not count.
        ((SKIP, NONE, NONE, CONV_3, POOL, NONE), (SKIP, NONE, NONE, POOL, CONV_3, NONE)),
    ],
)
def test_equal_networks_have_one_unique_string(operations, same):
    assert operations != same
    assert Cell(operations).canonical() == Cell(same).canonical()
    assert Cell(operations).canonical() != Cell((CONV_3,) * 6).canonical()


def test_the_unique_string_is_the_benchmarks():
    cell = Cell((CONV_3, SKIP, NONE, SKIP, POOL, CONV_1))
    # Node 1: conv(0); node 2: 0 + zero; node 3: 0 + pool(node 1) + conv(node 2), sorted.
    node_1, node_2 = "(0)@nor_conv_3x3", "#+0"
    terms = sorted(["0", f"({node_1})@avg_pool_3x3", f"({node_2})@nor_conv_1x1"])
    assert cell.unique == "+".join(terms)
    assert Cell((NONE,) * 6).unique == "#+#+#"


@given(CELLS)
def test_the_canonical_cell_is_the_same_network_with_no_more_weights(cell):
    chosen = cell.canonical()
    assert chosen.unique == cell.unique
    assert chosen.canonical() == chosen
    assert weights(chosen) <= weights(cell)


@given(CELLS, st.sampled_from(OPERATIONS))
def test_what_does_not_reach_the_output_does_not_count(cell, operation):
    first, second, _, fourth, _, sixth = cell.operations
    cut_off = Cell((first, second, NONE, fourth, NONE, sixth))  # node 1 leads nowhere
    changed = Cell((operation, second, NONE, fourth, NONE, sixth))
    assert cut_off.unique == changed.unique
    assert weights(cut_off.canonical()) <= weights(Cell((NONE, second, NONE, fourth, NONE, sixth)))


@given(CELLS)
def test_json_and_the_benchmarks_notation_are_read_back(cell):
    assert Cell.from_json(json.loads(json.dumps(cell.to_json()))) == cell
    assert Cell.from_architecture(cell.architecture) == cell


def test_the_notation_is_the_benchmarks():
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
    assert Cell.from_architecture(text) == Cell((CONV_3, NONE, SKIP, CONV_1, NONE, POOL))


@pytest.mark.parametrize("text", ["", "|none~0|", "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "a+b+c+d+e+f"])
def test_another_notation_is_refused(text):
    with pytest.raises(RequestError):
        Cell.from_architecture(text)


def test_the_space_names_edges_by_source_and_destination():
    space = NASBench201Space()
    assert list(space.config_space) == ["edge_0_1", "edge_0_2", "edge_0_3", "edge_1_2", "edge_1_3", "edge_2_3"]
    configuration = dict.fromkeys(space.config_space, SKIP) | {"edge_0_2": POOL, "edge_2_3": CONV_3}
    assert space.decode(configuration) == Cell((SKIP, POOL, SKIP, SKIP, SKIP, CONV_3))


def test_what_is_no_configuration_is_refused():
    space = NASBench201Space()
    with pytest.raises(RequestError, match="edge_0_1 is missing"):
        space.canonical({})
    with pytest.raises(RequestError, match="nor_conv_3x3"):
        space.decode(dict.fromkeys(space.config_space, "nor_conv_3x4"))
    with pytest.raises(RequestError, match="6 operations"):
        Cell((SKIP,))


# -- trained for real -----------------------------------------------------------------------------------------------


@given(CELLS, st.integers(1, 9), st.integers(1, 99))
def test_sizes_travel_with_the_cell(cell, cells, channels):
    small = Cell(cell.operations, cells, channels)
    assert Cell.from_json(json.loads(json.dumps(small.to_json()))) == small
    assert Cell.from_json({"operations": list(cell.operations)}) == cell == Cell(cell.operations, 5, 16)
    assert (small.unique, small.index) == (cell.unique, cell.index)
    assert small.canonical() == Cell(cell.canonical().operations, cells, channels)


@given(CELLS, st.data())
def test_equal_cells_are_trained_alike(cell, data):
    same = data.draw(st.sampled_from(CELLS_BY_KEY[cell.unique]))
    assert Cell(same).recipe() == cell.recipe()
    (node,) = cell.recipe().graph.nodes
    assert Cell.from_architecture(node.options["architecture"]) == cell.canonical()


CELLS_BY_KEY: dict[str, list[tuple[str, ...]]] = {}
for _operations in product(OPERATIONS, repeat=len(EDGES)):
    CELLS_BY_KEY.setdefault(Cell(_operations).unique, []).append(_operations)


def test_a_cell_is_trained_alone_by_the_label():
    recipe = Cell((CONV_3, NONE, NONE, SKIP, NONE, NONE), cells=1, channels=8).recipe()
    architecture = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    options = {"architecture": architecture, "cells": 1, "width": 8}
    assert recipe.graph == KnowledgeTransferGraph((Node("nas-bench-201", options),), (Edge(0, 1),))
    assert recipe.trainer == {}


@given(CELLS)
def test_live_edges_lie_on_a_path_from_the_input_to_the_output(cell):
    edges = {edge: one for edge, one in zip(EDGES, cell.operations, strict=True) if one != NONE}
    paths = [path for path in ALL_PATHS if all(edge in edges for edge in path)]
    alive = {edge for path in paths for edge in path}
    assert cell.live_edges == tuple((*edge, edges[edge]) for edge in EDGES if edge in alive)


ALL_PATHS = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]


def test_the_sizes_are_options_of_the_space():
    space = get_registry().create("space", "nas-bench-201", {"cells": 1, "channels": 8})
    configuration = dict.fromkeys(space.config_space, CONV_3)
    assert space.decode(configuration) == Cell((CONV_3,) * 6, cells=1, channels=8)
    assert space.canonical(configuration) == NASBench201Space().canonical(configuration)
    assert NASBench201Space().decode(configuration) == Cell((CONV_3,) * 6)


@pytest.mark.parametrize("option", ["cells", "channels"])
def test_a_network_without_cells_or_channels_is_refused(option):
    with pytest.raises(RequestError, match=f"{option} = 0"):
        NASBench201Space(**{option: 0})


def test_presets_are_for_cells_that_are_trained_for_real():
    space = NASBench201Space()
    assert space.presets("tabular") == {}
    quick, paper = space.presets("supervised")["quick"], space.presets("supervised")["paper"]
    assert quick["space"] == {"cells": 1, "channels": 8}
    assert paper["space"] == {"cells": 5, "channels": 16}
    # Cao (2021), appendix A.3.2.
    assert (paper["min_budget"], paper["max_budget"], paper["trials"]) == (1, 128, 64)
    assert paper["dataset"] == {"name": "cifar10", "limit": 8000, "validation": 2000}
    trainer = paper["trainer"]
    assert (trainer["batch"], trainer["lr"], trainer["momentum"], trainer["weight_decay"]) == (256, 0.1, 0.9, 5e-4)
    assert (trainer["schedule"], trainer["nesterov"]) == ("linear", False)
