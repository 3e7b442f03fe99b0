"""Pruned networks compute what the whole ones do with zeros in the place of what went; and they can be built again."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from automl_core import RequestError
from automl_core.plugins import get_registry
from automl_kd_pruning.layers import Structure
from automl_kd_pruning.pruned import pruned
from automl_kd_pruning.pruning import Pruned, foreseen, prune
from automl_kd_pruning.surgery import cut
from automl_spaces.graph import Node
from automl_spaces.trainings import Method, Pruning
from automl_vision.costs import Sizes, count, count_costs
from automl_vision.exporting import ModelCard, load_network, save_network
from automl_vision.models import ClassifierModule, build_model
from automl_vision.models.selection import SelectedNorm
from automl_vision.randomness import isolated_randomness

SIZES = Sizes(2, 3, (10, 12))
DENSE_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
SMALL: dict[str, dict[str, Any]] = {
    "resnet18": {"blocks": [1, 2], "widths": [6, 9], "stem": 5},
    "resnet34": {"blocks": [2, 1], "widths": [6, 9], "stem": 6},
    "mobilenetv2": {"multiplier": 0.1},
    "nas-bench-201": {"architecture": DENSE_CELL, "cells": 1, "width": 6},
    "darts": {"cells": 3, "width": 4, "auxiliary": True},
}
"""Options by which a model is small; that of the others is their width, or growth."""

DEEP = ("20", "28-", "32", "34", "44", "56", "110")
"""What the names of models contain that differ from others in being deep alone, and slow."""


def node_of(model: str) -> Node:
    return Node(model, SMALL.get(model, {"growth" if model.startswith("densenet") else "width": 5}))


def models() -> list[str]:
    names = set(get_registry().names("model")) - {"pruned", "supernet"}
    return sorted(name for name in names if not any(part in name for part in DEEP))


def trained(node: Node) -> ClassifierModule:
    """Builds a network whose weights and statistics are all different, in double precision."""
    network = build_model(node.model, SIZES.channels, SIZES.classes, options=node.options, seed=1).double()
    drawn = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.2, 1.5, generator=drawn)
                module.bias.normal_(0, 0.3, generator=drawn)
                module.running_mean.normal_(0, 0.3, generator=drawn)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2, generator=drawn)  # type: ignore[union-attr]
    return network.eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, SIZES.channels, *SIZES.image_size, generator=torch.Generator().manual_seed(3)).double()


def masked(network: ClassifierModule, smaller: ClassifierModule) -> ClassifierModule:
    """Puts everything to zero that the smaller network does not have, told by its scales, all of them different."""
    whole = copy.deepcopy(network)
    for layer in Structure(whole, SIZES.channels, "it").layers.values():
        for norm in layer.norms:
            gone = ~torch.isin(whole.get_parameter(f"{norm}.weight"), smaller.get_parameter(f"{norm}.weight"))
            parts = [norm] if layer.selected else [norm, layer.name]
            for name, parameter in whole.named_parameters():
                if name.rpartition(".")[0] in parts:
                    parameter.data[gone] = 0
    return whole


def assert_same_function(network: ClassifierModule, smaller: ClassifierModule) -> None:
    with torch.no_grad():
        expected, got = masked(network, smaller)(images()), smaller(images())
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(got, network(images()), rtol=1e-3, atol=1e-3)  # or nothing was removed


def card_of(result: Pruned) -> ModelCard:
    return ModelCard(result.node.model, result.node.options, 2, 3, SIZES.image_size, (0.5, 0.5), (0.2, 0.2), "none")


@pytest.mark.parametrize("method", ["l1-norm", "slimming"])
@pytest.mark.parametrize("model", models())
def test_a_smaller_network_is_the_masked_one(model: str, method: Method, tmp_path: Path) -> None:
    node = node_of(model)
    network = trained(node)
    pruning = Pruning(method, (0.6,))
    if model.startswith("densenet") and method == "l1-norm":
        with pytest.raises(RequestError, match=rf"{model} cannot be pruned by l1-norm.*slimming.*DenseNet"):
            prune(network, node, pruning, SIZES)
        return
    before = copy.deepcopy(network.state_dict())
    result = prune(network, node, pruning, SIZES)
    assert_same_function(network, result.network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert 0 < sum(left for left, _ in result.kept.values()) < sum(whole for _, whole in result.kept.values())
    # The description builds it again: empty, for counting; and with weights from a file.
    assert count_costs(result.node, SIZES) == count(copy.deepcopy(result.network).float(), SIZES)
    save_network(result.network, card_of(result), tmp_path)
    loaded = load_network(tmp_path)[0].double()
    torch.testing.assert_close(loaded(images()), result.network(images()), rtol=1e-4, atol=1e-4)
    assert foreseen(node, pruning, SIZES) == (result.node if method == "l1-norm" else None)


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), st.sets(st.integers(1, 3)))
@settings(max_examples=15, deadline=None)
def test_any_shares_give_the_masked_network(shares: list[float], spared: set[int]) -> None:
    node = Node("resnet8", {"width": 4})
    network = trained(node)
    result = prune(network, node, Pruning("l1-norm", tuple(shares), tuple(spared)), SIZES)
    with torch.no_grad():
        torch.testing.assert_close(result.network(images()), masked(network, result.network)(images()))
    assert [left for left, _ in result.kept.values()] == [
        width if number in spared else max(1, int(width * share + 1e-9))
        for number, (width, share) in enumerate(zip((4, 8, 16), shares, strict=True), start=1)
    ]


@given(st.floats(0.01, 1.0))
@settings(max_examples=15, deadline=None)
def test_any_share_of_scales_gives_the_masked_network(share: float) -> None:
    node = Node("preresnet11", {"width": 3})
    network = trained(node)
    smaller = prune(network, node, Pruning("slimming", (share,)), SIZES).network
    with torch.no_grad():
        torch.testing.assert_close(smaller(images()), masked(network, smaller)(images()))


def test_the_selection_is_saved_with_the_weights(tmp_path: Path) -> None:
    node = Node("densenet10", {"growth": 4})
    network = trained(node)
    result = prune(network, node, Pruning("slimming", (0.5,)), SIZES)
    save_network(result.network, card_of(result), tmp_path)
    loaded = load_network(tmp_path)[0]
    gaps = 0
    for name, (left, before) in result.kept.items():
        scales = [one.get_parameter(f"{name}.norm.weight") for one in (network, result.network)]
        expected = torch.isin(*scales).nonzero().flatten()
        if left < before:
            assert torch.equal(loaded.get_buffer(f"{name}.kept"), expected)
            gaps += int(expected[-1]) >= left
    assert gaps > 0  # or the first channels, which are there before the weights are read, would do


@pytest.mark.parametrize(("model", "method"), [("preresnet11", "slimming"), ("resnet8", "l1-norm")])
def test_a_pruned_network_can_be_pruned_again(model: str, method: Method, tmp_path: Path) -> None:
    node = Node(model, {"width": 8})
    first = prune(trained(node), node, Pruning(method, (0.7,)), SIZES)
    second = prune(first.network, first.node, Pruning(method, (0.6,)), SIZES)
    assert_same_function(first.network, second.network)
    save_network(second.network, card_of(second), tmp_path)
    torch.testing.assert_close(load_network(tmp_path)[0].double()(images()), second.network(images()))


def test_pruning_is_deterministic_and_may_follow_a_round_trip() -> None:
    node = Node("resnet8", {"width": 4})
    results = [prune(trained(node), node, Pruning("l1-norm", (0.5,)), SIZES) for _ in range(2)]
    states = [one.network.state_dict() for one in results]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert results[0].node == results[1].node


@pytest.mark.parametrize("method", ["l1-norm", "slimming", "magnitude"])
def test_layout_type_mode_and_what_is_trained_stay(method: Method) -> None:
    node = Node("preresnet11", {"width": 4})
    network = trained(node).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    network.stem.requires_grad_(False)  # type: ignore[union-attr]
    network(images()).sum().backward()
    modes = {name: module.training for name, module in network.named_modules()}
    result = prune(network, node, Pruning(method, (0.5,)), SIZES).network
    assert {name for name, one in result.named_parameters() if not one.requires_grad} == {"stem.weight"}
    assert all(one.dtype == torch.float64 and one.is_leaf for one in result.parameters())
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in result.parameters() if one.dim() == 4)
    assert {name: module.training for name, module in result.named_modules()} == modes
    assert network.stem.weight.grad is None and network.head.weight.grad is not None  # type: ignore[union-attr]
    result(images()).sum().backward()


def test_of_equal_filters_the_first_stay() -> None:
    node = Node("resnet8", {"width": 4})
    network = trained(node)
    convolution = network.get_parameter("blocks.0.convolution_1.weight")
    convolution.data[:] = convolution.data[0]
    norm = prune(network, node, Pruning("l1-norm", (0.5,)), SIZES).network.get_parameter("blocks.0.norm_1.weight")
    assert torch.equal(norm, network.get_parameter("blocks.0.norm_1.weight")[:2])


def test_slimming_leaves_every_layer_a_channel() -> None:
    node = Node("vgg11", {"width": 2})
    network = trained(node)
    network.stages[0][1].weight.data.mul_(1e-6)  # type: ignore[index]
    result = prune(network, node, Pruning("slimming", (0.1,)), SIZES)
    assert result.kept["stages.0.0"] == (1, 2)
    assert result.network(images()).isfinite().all()


# What the dependency graph must not be taken in by.


class Model(ClassifierModule):
    """Four convolutions that tests put together differently."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 3, padding=1, groups=2 if kind == "grouped" else 1)
        self.auxiliary = nn.Sequential(nn.Conv2d(4, 5, 3), nn.Conv2d(5, 3, 3))
        self.head = nn.Linear(16 if kind == "flattened" else 4, 3)

    def forward_features(self, images: Tensor) -> Tensor:
        return self.forward_with_auxiliary(images)[0]

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        first = self.first(images)
        second = self.second(F.relu(first))
        if self.kind == "detached":
            second = second + first.detach()
        if self.kind == "concatenated":
            second = torch.cat([first[:, :2], second[:, 2:]], dim=1)
        if self.kind == "recurrent":
            second = self.second(second)
        if self.kind == "shuffled":
            second = second.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)
        third = self.third(second)
        auxiliary = self.auxiliary(second).mean((2, 3)) if self.kind == "auxiliary" else None
        return F.adaptive_avg_pool2d(third, 2 if self.kind == "flattened" else 1).flatten(1), auxiliary


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("plain", ["first", "second", "third"]),
        ("detached", ["third"]),
        ("concatenated", ["third"]),
        ("grouped", ["first"]),
        ("recurrent", ["third"]),
        ("shuffled", ["first", "third"]),
        ("flattened", ["first", "second", "third"]),
        ("auxiliary", ["first", "second", "third"]),
    ],
)
def test_inner_layers_share_their_channels_with_no_other(kind: str, expected: list[str]) -> None:
    network = Model(kind).double().eval()
    structure = Structure(network, 2, "it")
    assert [layer.name for layer in structure.inner] == expected
    whole = copy.deepcopy(network)
    for name, parameter in whole.named_parameters():
        if name.rpartition(".")[0] in expected:
            parameter.data[[0, 2]] = 0
    cut(structure, {name: torch.tensor([1, 3]) for name in expected})
    torch.testing.assert_close(network(images()), whole(images()))
    if kind == "auxiliary":
        assert network.forward_with_auxiliary(images())[1].shape == (2, 3)  # type: ignore[union-attr]


class Shuffling(ClassifierModule):
    """Moves channels about in an operation that looks as if it worked on each by itself."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, classes)

    def forward_features(self, images: Tensor) -> Tensor:
        shuffled = torch.channel_shuffle(F.relu(self.norm(self.first(images))), 4)
        return self.second(shuffled).mean((2, 3))


@pytest.mark.parametrize("method", ["l1-norm", "slimming"])
def test_what_was_cut_in_the_wrong_places_is_refused(method: Method) -> None:
    with isolated_randomness(3):
        network = Shuffling(2, 3).eval()
    nn.init.uniform_(network.norm.weight, generator=torch.Generator().manual_seed(1))
    with pytest.raises(RequestError, match=r"shuffling cannot be pruned by removing channels: .* moves channels about"):
        prune(network, Node("shuffling"), Pruning(method, (0.5,)), SIZES)


class Unread(ClassifierModule):
    def __init__(self) -> None:
        super().__init__()
        self.norm = SelectedNorm(2)
        self.convolution = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(3, 3)

    def forward_features(self, images: Tensor) -> Tensor:
        normalised = self.norm(images)
        return self.convolution(torch.cat([normalised, normalised], dim=1)).mean((2, 3))  # type: ignore[no-any-return]


def test_a_selected_normalisation_that_the_next_layer_does_not_read_is_refused() -> None:
    with pytest.raises(RequestError, match=r"'norm'.*create its reader after it"):
        Structure(Unread(), 2, "unread")


class Untraceable(ClassifierModule):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 3)

    def forward_features(self, images: Tensor) -> Tensor:
        raise ValueError(f"no images of {images.shape[2]} pixels here")


def test_a_network_that_cannot_be_traced_is_refused_with_the_reason() -> None:
    network = Untraceable()
    with pytest.raises(RequestError, match=r"'strange'.*32x32: ValueError: no images of 32 pixels here.*magnitude"):
        Structure(network, 2, "strange")
    with pytest.raises(RequestError, match=r"'resnet8'.*traced"):
        prune(network, Node("resnet8"), Pruning("slimming", (0.5,)), SIZES)


# The model that is built from widths.


def test_a_model_with_fewer_channels_is_seeded_as_any_other() -> None:
    options = {"model": "resnet8", "options": {"width": 4}, "widths": {"blocks.1.convolution_1": 3}}
    built = build_model("pruned", 2, 3, options=options, seed=5)
    whole = build_model("resnet8", 2, 3, options={"width": 4}, seed=5)
    name = "blocks.1.convolution_1.weight"
    assert torch.equal(built.get_parameter(name), whole.get_parameter(name)[:3])
    assert not torch.equal(
        built.get_parameter(name), build_model("pruned", 2, 3, options=options, seed=6).get_parameter(name)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": {"blocks.0.convolution_2": 2}}, r"unknown layer.*'blocks.0.convolution_2'.*convolution_1"),
        ({"widths": {"blocks.0.convolution_1": 0}}, r"from 1 to 16 channels, but got 0"),
        ({"widths": {"blocks.0.convolution_1": 17}}, r"from 1 to 16 channels, but got 17"),
        ({"widths": {"blocks.0.convolution_1": 2.5}}, "option 'widths' of model pruned must be"),
        ({"widths": 3}, "option 'widths' of model pruned must be"),
        ({"widths": {}, "options": {"breadth": 3}}, "unknown option of model resnet8"),
        ({"widths": {}, "model": "resnet9"}, "resnet8"),
        ({}, "widths"),
    ],
)
def test_a_description_that_fits_no_network_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_model("pruned", 3, 10, options={"model": "resnet8"} | options)


def test_a_description_without_widths_is_the_other_model() -> None:
    assert type(pruned(2, 3, "resnet8", {})) is type(build_model("resnet8", 2, 3))


@pytest.mark.parametrize("method", ["l1-norm", "slimming", "magnitude"])
def test_a_network_that_has_diverged_is_refused(method: Method) -> None:
    node = node_of("resnet8")
    network = trained(node)
    network.get_parameter("stem.weight").data[0, 0, 0, 0] = float("nan")
    with pytest.raises(RequestError, match=r"finite weights, but this resnet8 has others"):
        prune(network, node, Pruning(method, (0.5,)), SIZES)


def test_far_fewer_channels_than_asked_for_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    node = node_of("preresnet11")
    untrained = build_model(node.model, 2, 3, node.options)
    prune(untrained, node, Pruning("slimming", (0.5,)), SIZES)
    assert "was to leave 50 % of the channels and leaves" in caplog.text
