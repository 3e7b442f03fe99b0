"""Cells of NAS-Bench-201: the benchmark's notation and unique string, and the cell that stands for equal ones."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core.errors import RequestError
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
