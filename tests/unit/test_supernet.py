"""The supernet: equal to the plain sum of its candidates and to networks derived from it, in any form it is run in."""

from __future__ import annotations

import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automl_core import RequestError
from automl_prdarts.candidates import Candidate, MixedEdge, Source
from automl_prdarts.plan import KINDS, Kind, Pools
from automl_prdarts.supernet import Supernet, multiply_accumulates
from automl_spaces.cell_costs import CellCosts
from automl_spaces.genotype import EDGES, OPERATIONS, Application, CellNodes
from automl_spaces.operations import POOLS_AND_SKIP, START
from automl_vision import build_model, count_parameters
from automl_vision.costs import Sizes, count
from automl_vision.models.darts import DARTSNetwork
from automl_vision.models.darts_operations import build_operation

POOL = (*START, "conv_5x5_d2", "conv_3x3_e2-1", "dil_conv_5x5", "sep_conv_3x3")
STARTS = (START,) * len(EDGES)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def small(pools: Pools = STARTS, **options: Any) -> Supernet:
    network = build_model("supernet", 3, 10, {"normal": pools, "reduction": pools, "cells": 3, "width": 2} | options)
    assert isinstance(network, Supernet)
    return network


def trained(module: nn.Module) -> nn.Module:
    """Gives running statistics as if of a training."""
    for number, (name, buffer) in enumerate(module.named_buffers()):
        if name.endswith(("mean", "var")):
            buffer.uniform_(0.5, 2, generator=torch.Generator().manual_seed(number))
    return module


def copy_layers(to: nn.Module, source: nn.Module) -> None:
    """Copies convolutions and norms in their order: candidates hold the same ones as operations, at other places."""
    for kind in (nn.Conv2d, nn.BatchNorm2d):
        layers = [[one for one in module.modules() if isinstance(one, kind)] for module in (to, source)]
        for mine, its in zip(*layers, strict=True):
            mine.load_state_dict(its.state_dict(), strict=False)


def whole(candidate: Candidate, name: str, channels: int, stride: int) -> nn.Module:
    """Gives a candidate's operation as it is built, with its weights; pools with the norm that follows them."""
    operation = build_operation(name, channels, stride, affine=False)
    if "pool" in name:
        operation = nn.Sequential(operation, nn.BatchNorm2d(channels, affine=False))
    operation.train(candidate.training).to(torch.float64)
    copy_layers(operation, candidate)
    return operation


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pool", [POOL, ("none", *POOL), ("skip_connect", "none"), ("none",), OPERATIONS])
def test_an_edge_is_the_sum_of_its_weighted_candidates(pool: tuple[str, ...], training: bool, stride: int) -> None:
    edge = MixedEdge(pool, 4, stride).double().train(training)
    trained(edge)
    operations = [whole(one, name, 4, stride) for name, one in edge.candidates.items()]
    found = []
    for fused in (True, False):
        maps, weights = draw(3, 4, 7, 8).requires_grad_(), draw(len(pool), seed=1).requires_grad_()
        if fused:
            total = edge.add_to(None, Source(maps), weights)
            parameters = [*edge.parameters()]
        else:
            total = torch.stack([w * one(maps) for w, one in zip(weights, operations, strict=True)]).sum(0)
            parameters = [one for operation in operations for one in operation.parameters()]
        inputs = [maps, weights, *parameters]
        gradients = torch.autograd.grad(
            (total * draw(*total.shape, seed=2)).sum() + 0 * maps.sum(),
            inputs,
            allow_unused=True,
            materialize_grads=True,
        )
        found.append([total, *gradients])
    for mine, plain in zip(*found, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-9, atol=1e-9)
    # Both have seen the batch: their running statistics are the same too.
    for mine, operation in zip(edge.candidates.values(), operations, strict=True):
        buffers = [[one for one in module.buffers() if one.dim()] for module in (mine, operation)]
        for first, second in zip(*buffers, strict=True):
            torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-12)


def test_candidates_of_all_edges_share_what_needs_no_weights() -> None:
    calls = []
    maps = draw(1, 2, 4, 4)
    source = Source(maps)
    for _ in range(3):
        edge = MixedEdge(("max_pool_3x3", "conv_3x3", "conv_5x5"), 2, 1).double()
        for name, candidate in edge.candidates.items():
            candidate.preparation.register_forward_hook(lambda *_, name=name: calls.append(name))
        edge.add_to(None, source, draw(3))
    assert calls == ["max_pool_3x3", "conv_3x3"]


def random_cell(choose: random.Random, names: tuple[str, ...]) -> CellNodes:
    nodes = []
    for node in range(2, 6):
        first, second = choose.sample(range(node), 2)
        applications: tuple[Application, Application] = ((choose.choice(names), first), (choose.choice(names), second))
        nodes.append(applications)
    return tuple(nodes)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pools", [False, True], ids=["as derived", "with normalised pools"])
def test_with_weights_of_a_genotype_it_is_the_derived_network(pools: bool, training: bool) -> None:
    names = ("skip_connect", "conv_5x5_d2", "conv_3x3_e2-1", *(POOLS_AND_SKIP[:2] if pools else ()))
    supernet = trained(small((names,) * len(EDGES), cells=4).double().train(training))
    for seed in range(2):
        choose = random.Random(seed)
        cells = {kind: random_cell(choose, names) for kind in KINDS}
        derived = DARTSNetwork(3, 10, cells["normal"], cells["reduction"], cells=4, width=2).double().train(training)
        weights = copy_derived(derived, supernet, cells, names)
        before = {name: one.clone() for name, one in supernet.named_buffers()}
        images = draw(2, 3, 17, 16)
        found = supernet.forward_features(images, weights)
        torch.testing.assert_close(found, derived.forward_features(images), rtol=1e-9, atol=1e-9)
        assert found.std() > 0.01
        assert (supernet.forward_features(images) - found).abs().max() > 0.01  # all candidates, equally weighted
        supernet.load_state_dict(before, strict=False)


def copy_derived(
    derived: DARTSNetwork, supernet: Supernet, cells: dict[Kind, CellNodes], pool: tuple[str, ...]
) -> dict[Kind, list[Tensor]]:
    """Copies a supernet's layers into a genotype's network, and gives the weights that choose them in the supernet."""
    weights = {kind: [torch.zeros(len(pool), dtype=torch.float64) for _ in EDGES] for kind in KINDS}
    copy_layers(derived.stem, supernet.stem)
    derived.head.load_state_dict(supernet.head.state_dict())
    for cell, mixed in zip(derived.cells, supernet.mixed_cells, strict=True):
        copy_layers(cell.inputs, mixed.inputs)
        for operations, (node, applications) in zip(cell.operations, enumerate(cells[mixed.kind], 2), strict=True):
            for place, (name, source) in enumerate(applications):
                edge = EDGES.index((source, node))
                weights[mixed.kind][edge][pool.index(name)] = 1
                if "pool" in name:  # a derived network has no norm there
                    norm = nn.BatchNorm2d(mixed.outputs // 4).double().train(derived.training)
                    operations[place] = nn.Sequential(operations[place], norm)
                copy_layers(operations[place], mixed.mixed_edges[edge].candidates[name])
    return weights


def test_spare_columns_take_no_part() -> None:
    pools = (START, ("conv_3x3", "skip_connect"), *STARTS[2:])
    network = small(pools)
    architecture = network.architecture
    assert {name: one.shape for name, one in architecture.named_parameters()} == dict.fromkeys(KINDS, (14, 4))
    assert not any(one.any() for one in architecture.parameters())
    probabilities = architecture.probabilities()
    for kind in KINDS:
        assert [len(row) for row in probabilities[kind]] == [len(pool) for pool in pools]
        assert all((row == 1 / len(row)).all() for row in probabilities[kind])
    architecture.requires_grad_(True)
    rows = architecture.probabilities()["normal"]
    (gradient,) = torch.autograd.grad(rows[1][0] + rows[0][3], [architecture.normal])
    assert gradient[1, :2].all() and gradient[0].all() and not gradient[1, 2:].any() and not gradient[2:].any()


def test_architecture_weights_are_trained_only_when_asked_for() -> None:
    network = small()
    assert not any(one.requires_grad for one in network.architecture.parameters())
    others = sum(one.numel() for name, one in network.named_parameters() if not name.startswith("architecture."))
    assert count_parameters(network) == others
    network.architecture.requires_grad_(True)
    gradients = torch.autograd.grad(
        nn.functional.cross_entropy(network(draw(4, 3, 8, 8).float()), torch.arange(4)),
        list(network.architecture.parameters()),
    )
    assert all(one.shape == (14, 4) and one.abs().sum(dim=1).min() > 0 for one in gradients)
    assert all(one.grad is None for one in network.parameters())


def test_searches_have_no_scales_and_shifts() -> None:
    names = [name for name, one in small((POOL,) * 14).cells.named_parameters() if one.dim() == 1]
    assert names == []


@pytest.mark.parametrize("cells", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(8, 8), (13, 9), (16, 16)])
def test_every_size_of_image_and_number_of_cells_works(cells: int, size: tuple[int, int]) -> None:
    network = small(cells=cells).to(memory_format=torch.channels_last)
    images = draw(2, 3, *size).float()
    network(images).sum().backward()
    assert all(one.grad is not None for one in network.parameters() if one.requires_grad) or cells < 3
    with torch.no_grad():
        assert network.eval()(images).shape == (2, 10)
        assert torch.equal(network(images), network.head(network.forward_features(images)))


def test_reduced_precision() -> None:
    network = small((("none", *POOL),) * 14)
    network.architecture.requires_grad_(True)
    images = draw(4, 3, 8, 8).float()
    with torch.autocast("cpu", torch.bfloat16):
        network(images).sum().backward()
    assert torch.isfinite(network.architecture.normal.grad).all()


def test_what_is_no_supernet_is_refused() -> None:
    for pools, message in (
        (STARTS[1:], "14 edges, but got pools for 13"),
        ((*STARTS[:13], ()), "from 4 to 5 .* there are \\[\\]"),
        ((*STARTS[:13], ("conv_3x3", "conv_3x3")), "none twice"),
        ((*STARTS[:13], ("conv_4x4",)), "conv_4x4"),
    ):
        with pytest.raises(RequestError, match=message):
            small(pools)
    with pytest.raises(RequestError, match="at least 1 cell"):
        small(cells=0)
    with pytest.raises(RequestError, match="width"):
        small(width=0)


def test_multiply_accumulates_are_those_that_are_counted() -> None:
    pools, others = (POOL, ("none", "conv_7x7_d2"), *(("skip_connect",),) * 12), (("conv_3x3", "skip_connect"),) * 14
    network = small(pools, reduction=others, cells=3, width=3)
    found = multiply_accumulates(pools, others, CellCosts(3, 3, 3, 10, (17, 20)))
    assert found == count(network, Sizes(3, 10, (17, 20)))["flops"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Imports the benchmark as a script does, at a small scale; its name is left to others afterwards."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    module = importlib.import_module("supernet")
    monkeypatch.setattr(module, "POOL", ("max_pool_3x3", "skip_connect", "conv_3x3"))
    monkeypatch.setattr(module, "CELLS", 1)
    monkeypatch.setattr(module, "SETTINGS", ((8, 3),))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    yield module
    for name in ("supernet", "reporting"):
        sys.modules.pop(name, None)


def test_the_benchmark_compares_what_is_equal(benchmark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    steps = benchmark.Steps(8, 3)
    assert len(benchmark.Bare(steps).forward()) == len(EDGES) * 3
    images, _ = next(iter(steps.trainer.batches.epoch(0)))
    fused = steps.network(images)
    with benchmark.plainly():
        torch.testing.assert_close(steps.network(images), fused)
    monkeypatch.setattr(sys, "argv", ["supernet", "--turns", "1", "--json", str(tmp_path / "supernet.json")])
    benchmark.main()
    rows = json.loads((tmp_path / "supernet.json").read_text())["rows"]
    assert [row["label"].split(": ")[1] for row in rows] == ["step", "bare", "plain"]
    step, bare, plain = (row["megabytes"] for row in rows)
    assert 0 < step < bare < plain
