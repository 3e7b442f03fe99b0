"""The networks of NAS-Bench-201: the benchmark's own sizes, and that a cell computes what its operations say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from automl_core import RequestError
from automl_core.options import describe
from automl_spaces.graph import Node
from automl_spaces.nas_bench_201 import EDGES, OPERATIONS, WEIGHTS, Cell
from automl_tabular.benchmarks import BENCHMARKS
from automl_vision import build_model, count_parameters
from automl_vision.costs import Sizes, count_costs
from automl_vision.models.nas_bench_201 import NASBench201Network, Reduction, StackedCell

CELLS = st.builds(Cell, st.tuples(*(st.sampled_from(OPERATIONS) for _ in EDGES)))
NONE, SKIP, CONV_1, CONV_3, POOL = OPERATIONS
ALL_3X3 = Cell((CONV_3,) * 6)
DOCUMENTED = Cell((POOL, CONV_1, SKIP, CONV_1, SKIP, SKIP))


def network(cell: Cell, **options: Any) -> nn.Module:
    return build_model("nas-bench-201", 3, 10, {"architecture": cell.architecture, **options})


@pytest.mark.parametrize(
    ("cell", "classes", "params", "flops"),
    [
        # The benchmark's extremes, in the order of its files: parameters in M and FLOPs in M, of which the head's bias
        # is one for each class; that is not counted here.
        (Cell((NONE,) * 6), 10, 0.073306, 7.78305),
        (ALL_3X3, 10, 1.531546, 220.11969),
        (Cell((NONE,) * 6), 100, 0.079156, 7.7889),
        (ALL_3X3, 100, 1.537396, 220.12554),
    ],
)
def test_the_sizes_are_the_benchmarks(cell: Cell, classes: int, params: float, flops: float) -> None:
    costs = count_costs(Node("nas-bench-201", {"architecture": cell.architecture}), Sizes(3, classes, (32, 32)))
    assert costs["params"] == round(params * 1e6)
    assert costs["flops"] == round(flops * 1e6) - classes


@pytest.mark.parametrize("cell", [DOCUMENTED, Cell((CONV_3, SKIP, CONV_1, NONE, POOL, CONV_3))])
def test_parameters_are_those_of_the_benchmarks_table(cell: Cell) -> None:
    with torch.device("meta"):
        counted = count_parameters(network(cell))  # type: ignore[arg-type]
    assert counted == BENCHMARKS["nas-bench-201"].table("cifar10").means["params"][cell.index]


@settings(max_examples=25)
@given(CELLS, st.integers(1, 3), st.integers(1, 5))
def test_parameters_follow_from_the_operations_that_count(cell: Cell, cells: int, width: int) -> None:
    with torch.device("meta"):
        counted = count_parameters(network(cell, cells=cells, width=width))  # type: ignore[arg-type]
        skeleton = count_parameters(network(Cell((NONE,) * 6), cells=cells, width=width))  # type: ignore[arg-type]
    stages = [width, 2 * width, 4 * width]
    edges = [
        operation
        for (source, destination), operation in zip(EDGES, cell.operations, strict=True)
        if (source, destination, operation) in cell.live_edges and operation in WEIGHTS
    ]
    per_cell = sum(WEIGHTS[one] * stage**2 + 2 * stage for one in edges for stage in stages)
    assert counted == skeleton + cells * per_cell


def by_the_book(cell: Cell, layers: dict[tuple[int, int], nn.Module], images: Tensor) -> Tensor:
    """Computes all edges, dead ones too, without a thought for what it costs."""
    nodes = [images] + [torch.zeros_like(images)] * 3
    for (source, destination), operation in zip(EDGES, cell.operations, strict=True):
        value = nodes[source]
        if operation in WEIGHTS:
            layer = layers.get((source, destination))
            value = torch.zeros_like(value) if layer is None else layer(F.relu(value))
        elif operation == POOL:
            ones = torch.ones_like(value[:, :1])
            kernel = torch.ones(value.shape[1], 1, 3, 3)
            total = F.conv2d(value, kernel, padding=1, groups=value.shape[1])
            value = total / F.conv2d(ones, kernel[:1], padding=1)  # what lies outside of the image does not count
        elif operation == NONE:
            value = torch.zeros_like(value)
        nodes[destination] = nodes[destination] + value
    return nodes[3]


@settings(max_examples=30)
@given(CELLS)
@example(ALL_3X3)
@example(Cell((NONE, NONE, NONE, NONE, SKIP, CONV_3)))
def test_a_cell_computes_what_its_operations_say(cell: Cell) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 5, 4)
    stacked = StackedCell(cell, 3).eval()
    layers = {(s, d): layer for (s, d, _), layer in zip(stacked.edges, stacked.layers, strict=True)}
    before = images.clone()
    torch.testing.assert_close(stacked(images), by_the_book(cell, layers, images))
    assert torch.equal(images, before), "another edge may need the same images"


def test_the_reduction_pools_then_projects_beside_two_convolutions() -> None:
    block = Reduction(2, 4).eval()
    images = torch.randn(1, 2, 6, 4)
    nn.init.zeros_(block.convolution_2[1].weight)
    assert torch.equal(block(images), block.shortcut(images))
    expected = F.conv2d(F.avg_pool2d(images, 2), block.shortcut[1].weight)
    torch.testing.assert_close(block(images), expected)
    assert Reduction(2, 4)(torch.randn(2, 2, 7, 5)).shape == (2, 4, 4, 3)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 17), (3, 28, 28)])
def test_features_and_head_make_the_logits(shape: tuple[int, int, int]) -> None:
    options = {"architecture": DOCUMENTED.architecture, "cells": 1, "width": 2}
    model = build_model("nas-bench-201", shape[0], 7, options).eval()
    features = model.forward_features(torch.randn(2, *shape))
    assert features.shape == (2, 8) == (2, model.head.in_features)
    assert model(torch.randn(2, *shape)).shape == (2, 7)


def test_a_cell_that_gives_nothing_still_trains() -> None:
    model = build_model("nas-bench-201", 1, 3, {"architecture": Cell((NONE,) * 6).architecture, "cells": 1, "width": 2})
    model(torch.randn(4, 1, 8, 8)).sum().backward()
    assert model.head.bias.grad is not None


def test_its_options_are_explained() -> None:
    options = describe(NASBench201Network, frozenset({"channels", "classes"}))
    assert [option.name for option in options] == ["architecture", "cells", "width"]
    assert all(option.meaning for option in options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs the option 'architecture'"),
        ({"architecture": "resnet"}, "a cell must be written as"),
        ({"architecture": ALL_3X3.architecture, "cells": 0}, "at least 1 cell, but got 0"),
        ({"architecture": ALL_3X3.architecture, "width": 0}, "at least 1 channel, but got 0"),
    ],
)
def test_what_gives_no_network_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        build_model("nas-bench-201", 3, 10, options)
