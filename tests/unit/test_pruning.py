"""Pruning as the published tables have it, what it says of itself, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from automl_core import RequestError
from automl_kd_pruning.encoding import sparsity
from automl_kd_pruning.pruning import foreseen, prune
from automl_spaces.graph import Node
from automl_spaces.trainings import Pruning
from automl_vision.costs import Sizes, count_costs
from automl_vision.models import ClassifierModule, build_model, count_parameters
from automl_vision.models.base import convolution

CIFAR100 = Sizes(3, 100, (32, 32))
SIZES = Sizes(3, 10, (8, 8))
SMALL = Node("resnet8", {"width": 4})
SPARED = {"resnet56": (16, 18, 20, 34, 38, 54), "resnet110": (36, 38, 74)}
"""Numbers of the convolutions that Li et al. leave whole; every second one is an inner layer."""


def small() -> ClassifierModule:
    return build_model("resnet8", 3, 10, options=SMALL.options, seed=1)


@pytest.mark.parametrize(
    ("model", "shares", "counts", "before", "after"),
    [
        ("resnet56", (0.4, 0.7, 0.9), (6, 22, 57), 858_868, 741_562),
        ("resnet56", (0.5, 0.6, 0.7), (8, 19, 44), 858_868, 628_470),
        ("resnet110", (0.8,), (12, 25, 51), 1_733_812, 1_390_276),
        ("resnet110", (0.5, 0.6, 0.7), (8, 19, 44), 1_733_812, 1_174_274),
    ],
)
def test_published_numbers_of_parameters(
    model: str, shares: tuple[float, ...], counts: tuple[int, ...], before: int, after: int
) -> None:
    spared = tuple(number // 2 for number in SPARED[model])
    pruning = Pruning("l1-norm", shares, spared)
    network = build_model(model, 3, 100)
    assert count_parameters(network) == before
    result = prune(network, Node(model), pruning, CIFAR100)
    assert count_parameters(result.network) == after
    expected = dict(zip((16, 32, 64), counts, strict=True))
    for number, (left, whole) in enumerate(result.kept.values(), start=1):
        assert left == (whole if number in spared else expected[whole])
    node = foreseen(Node(model), pruning, CIFAR100)
    assert node == result.node
    assert count_costs(node, CIFAR100)["params"] == after


def test_a_description_names_the_layers_that_lost_something() -> None:
    result = prune(small(), SMALL, Pruning("l1-norm", (0.5, 1.0, 0.1), (1,)), SIZES)
    assert result.node == Node(
        "pruned", {"model": "resnet8", "options": {"width": 4}, "widths": {"blocks.2.convolution_1": 1}}
    )
    assert list(result.kept.values()) == [(4, 4), (8, 8), (1, 16)]
    assert result.masks == {}


def test_slimming_looks_at_all_scales_together() -> None:
    network = small()
    scales = [module.weight for name, module in network.named_modules() if name.endswith("norm_1")]
    for scale, values in zip(scales, (range(4), range(10, 18), range(20, 36)), strict=True):
        scale.data = torch.tensor(values, dtype=torch.float32)
    result = prune(network, SMALL, Pruning("slimming", (0.5,)), SIZES)
    assert list(result.kept.values()) == [(1, 4), (1, 8), (13, 16)]  # element 14 of 28 goes as well: 22
    assert foreseen(SMALL, Pruning("slimming", (0.5,)), SIZES) is None


def test_magnitude_puts_the_smallest_weights_to_zero_and_says_which() -> None:
    network = small()
    result = prune(network, SMALL, Pruning("magnitude", (0.4,)), SIZES)
    assert result.node == SMALL == foreseen(SMALL, Pruning("magnitude", (0.4,)), SIZES)
    weights = {name: one.weight for name, one in network.named_modules() if isinstance(one, nn.Conv2d)}
    assert set(result.masks) == {f"{name}.weight" for name in weights}
    largest = sorted((float(value) for one in weights.values() for value in one.detach().abs().flatten()), reverse=True)
    kept = len(largest) - int(len(largest) * 0.6) - 1
    for name, weight in weights.items():
        mask = result.masks[f"{name}.weight"]
        assert torch.equal(mask, (weight.abs() >= largest[kept - 1]).float())
        assert torch.equal(result.network.get_parameter(f"{name}.weight"), weight * mask)
        assert result.kept[name] == (int(mask.sum()), mask.numel())
    assert sparsity(network) == 0
    assert sparsity(result.network) == pytest.approx(1 - kept / len(largest))
    assert torch.equal(result.network.head.weight, network.head.weight)


def test_magnitude_leaves_every_convolution_a_weight() -> None:
    network = small()
    network.get_parameter("stem.weight").data.mul_(1e-9)
    masks = prune(network, SMALL, Pruning("magnitude", (0.01,)), SIZES).masks
    assert masks["stem.weight"].sum() == 1


class Bare(ClassifierModule):
    """A network without any normalisation; as wide as it is told."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(3, width) if width else None
        self.head = nn.Linear(width or 3, 10)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return (images if self.first is None else self.first(images)).mean((2, 3))


@pytest.mark.parametrize(
    ("model", "pruning", "message"),
    [
        (
            "resnet8",
            Pruning("l1-norm", (0.5, 0.5)),
            r"one for each of its 3 groups.*\(1 of 16, 1 of 32, 1 of 64\), but got \[0.5, 0.5\]; give one share",
        ),
        ("resnet8", Pruning("l1-norm", (0.5,), (3, 4, 0)), r"from 1 to 3.*resnet8, but got \[0, 4\]; mend 'spared'"),
        ("densenet10", Pruning("l1-norm", (0.5,)), r"densenet10 cannot be pruned by l1-norm.*by slimming"),
        ("resnet9", Pruning("l1-norm", (0.5,)), "unknown model 'resnet9'"),
    ],
)
def test_what_cannot_be_pruned_is_refused_before_any_training(model: str, pruning: Pruning, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        foreseen(Node(model), pruning, SIZES)
    if model != "resnet9":
        with pytest.raises(RequestError, match=message):
            prune(build_model(model, 3, 10), Node(model), pruning, SIZES)


def test_a_network_without_what_a_method_looks_at_is_refused() -> None:
    with pytest.raises(RequestError, match="bare cannot be pruned by slimming: no batch normalisation"):
        prune(Bare(4), Node("bare"), Pruning("slimming", (0.5,)), SIZES)
    with pytest.raises(RequestError, match="bare cannot be pruned by magnitude: it has no convolutions"):
        prune(Bare(0), Node("bare"), Pruning("magnitude", (0.5,)), SIZES)
    assert prune(Bare(4), Node("bare"), Pruning("l1-norm", (0.5,)), SIZES).network.head.in_features == 2
