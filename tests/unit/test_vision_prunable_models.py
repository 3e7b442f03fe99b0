"""Networks that distillation around pruning is tried on: published sizes, what blocks compute, and cutting them."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_core import RequestError
from automl_core.options import describe
from automl_core.plugins import get_registry
from automl_vision import ClassifierModule, build_model, count_parameters
from automl_vision.models.densenet import DenseNet, Transition, densenet10
from automl_vision.models.preresnet import Block as PreResNetBlock
from automl_vision.models.preresnet import PreResNet, preresnet11
from automl_vision.models.pyramidnet import Block as PyramidBlock
from automl_vision.models.pyramidnet import pyramidnet_11_24
from automl_vision.models.selection import SelectedNorm
from automl_vision.models.vgg import VGG19

DRAWN = ["resnet8", "resnet18", "wrn-10-1", "vgg11", "vgg16", "vgg19", "mobilenetv2", "darts", "nas-bench-201"]
DRAWN += ["preresnet11", "densenet10", "pyramidnet-11-24"]
SMALL: dict[str, dict[str, Any]] = {
    "resnet18": {"widths": [4, 4, 4, 4], "stem": 4},
    "vgg11": {"width": 4},
    "vgg16": {"width": 4},
    "vgg19": {"width": 4},
    "mobilenetv2": {"multiplier": 0.25},
    "darts": {"cells": 3, "width": 4},
    "nas-bench-201": {"architecture": "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"},
}
NEW = ["preresnet11", "densenet10", "pyramidnet-11-24", "vgg11", "vgg19"]
SELECTING = ["preresnet11", "densenet10"]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def empty(name: str, classes: int = 100) -> ClassifierModule:
    with torch.device("meta"):
        return build_model(name, 3, classes).eval()


def shake(network: nn.Module) -> None:
    """Gives every normalisation other scales, shifts and statistics."""
    for seed, module in enumerate(network.modules()):
        if isinstance(module, nn.BatchNorm2d):
            for place, value in enumerate((module.weight, module.bias, module.running_mean, module.running_var)):
                assert value is not None
                value.data = draw(len(value), seed=4 * seed + place).to(value).abs() + 0.1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet56", 858_868), ("resnet110", 1_733_812)],  # with 100 classes, as the base code of pruning counts them
)
def test_parameters_of_residual_networks(name: str, parameters: int) -> None:
    assert count_parameters(empty(name)) == parameters


@pytest.mark.parametrize(
    ("name", "classes", "millions"),
    [
        ("vgg19", 10, "20.04"),  # Liu et al. (2017), table 1, as are the next
        ("vgg19", 100, "20.08"),
        ("pyramidnet-110-64", 100, "1.7"),  # Yun et al., "CutMix" (ICCV 2019), on CIFAR-100, as is the next
        ("pyramidnet-200-240", 100, "26.8"),
    ],
)
def test_published_parameters(name: str, classes: int, millions: str) -> None:
    decimals = len(millions.partition(".")[2])
    assert f"{count_parameters(empty(name, classes)) / 1e6:.{decimals}f}" == millions


def preresnet_parameters(depth: int, classes: int) -> int:
    blocks, total, inputs = (depth - 2) // 9, 27 * 16, 16
    for inner in (16, 32, 64):
        for block in range(blocks):
            total += 2 * inputs + inputs * inner + 2 * inner + 9 * inner**2 + 2 * inner + 4 * inner**2
            total += 0 if block else inputs * 4 * inner  # the projection
            inputs = 4 * inner
    return total + 2 * inputs + (inputs + 1) * classes


def test_parameters_of_preresnets() -> None:
    with torch.device("meta"):
        deep = [PreResNet(164, 3, classes) for classes in (10, 100)]
    assert [f"{count_parameters(one) / 1e6:.2f}" for one in deep] == ["1.70", "1.73"]  # Liu et al. (2017), table 1
    for depth in (11, 20, 56, 110):
        assert count_parameters(empty(f"preresnet{depth}")) == preresnet_parameters(depth, 100)


def densenet_parameters(depth: int, stem: int, classes: int) -> int:
    total, channels = 27 * stem, stem
    for block in range(3):
        total += 0 if not block else 2 * channels + channels**2  # the transition
        for _ in range((depth - 4) // 3):
            total += 2 * channels + 9 * channels * 12
            channels += 12
    return total + 2 * channels + (channels + 1) * classes


def test_parameters_of_densenets() -> None:
    # Liu et al. (2017), table 1: with the 16 channels that Huang et al. begin with. Their later code begins with 24.
    assert [f"{densenet_parameters(40, 16, classes) / 1e6:.2f}" for classes in (10, 100)] == ["1.02", "1.06"]
    for depth in (10, 22, 40):
        assert count_parameters(empty(f"densenet{depth}")) == densenet_parameters(depth, 24, 100)


@pytest.mark.parametrize(("depth", "alpha"), [(11, 24), (110, 64), (200, 240), (200, 300)])
def test_parameters_of_pyramidnets(depth: int, alpha: int) -> None:
    blocks = (depth - 2) // 3
    total, inputs = 27 * 16 + 2 * 16, 16
    for block in range(1, blocks + 1):
        inner = 16 + math.floor(alpha * block / blocks + 0.5)
        total += 2 * inputs + inputs * inner + 2 * inner + 9 * inner**2 + 2 * inner + 4 * inner**2 + 8 * inner
        inputs = 4 * inner
    total += 2 * inputs + (inputs + 1) * 100
    assert inputs == 4 * (16 + alpha) and count_parameters(empty(f"pyramidnet-{depth}-{alpha}")) == total


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet56", (64, 8, 8)),  # Park et al., table of beta: what the weight of feature distillation is made for
        ("vgg19", (512, 2, 2)),
        ("densenet40", (456, 8, 8)),
        ("pyramidnet-110-64", (320, 8, 8)),
        ("pyramidnet-200-240", (1024, 8, 8)),
        ("preresnet56", (256, 8, 8)),
        ("vgg16", (512, 1, 1)),
    ],
)
def test_last_maps_of_images_of_32x32(name: str, shape: tuple[int, int, int]) -> None:
    assert empty(name).forward_maps(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, *shape)


@pytest.mark.parametrize("name", DRAWN)
def test_features_are_the_mean_of_the_last_maps(name: str) -> None:
    model = build_model(name, 3, 5, SMALL.get(name, {})).eval()
    images = draw(2, 3, 16, 16)
    maps, features = model.forward_maps(images), model.forward_features(images)
    assert maps.shape[:2] == (2, model.head.in_features) and torch.equal(features, maps.mean((2, 3)))
    assert torch.equal(model(images), model.head(features))


def test_all_names_are_registered_and_give_a_map_per_feature() -> None:
    names = [f"preresnet{depth}" for depth in (11, 20, 56, 110)] + [f"densenet{depth}" for depth in (10, 22, 40)]
    names += ["vgg11", "vgg19", "pyramidnet-11-24", "pyramidnet-110-64", "pyramidnet-200-240", "pyramidnet-200-300"]
    assert set(names) <= set(get_registry().names("model"))
    for name in names:
        model = empty(name)
        maps = model.forward_maps(torch.empty(1, 3, 8, 8, device="meta"))
        assert maps.shape[1] == model.head.in_features


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 13), (2, 9, 30)])
def test_images_of_any_size(name: str, shape: tuple[int, int, int]) -> None:
    model = build_model(name, shape[0], 7, SMALL.get(name, {}))
    model(draw(2, *shape)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_widths_are_options() -> None:
    assert build_model("preresnet11", 3, 5, {"width": 4}).head.in_features == 4 * 4 * 4
    assert build_model("densenet10", 3, 5, {"growth": 5}).head.in_features == 8 * 5
    assert build_model("pyramidnet-11-24", 3, 5, {"width": 4}).head.in_features == 4 * (4 + 24)
    assert build_model("vgg19", 3, 5, {"width": 4}).head.in_features == 8 * 4
    given, models = frozenset({"channels", "classes"}), (preresnet11, VGG19, densenet10, pyramidnet_11_24)
    assert all(option.meaning for model in models for option in describe(model, given))
    for name, option in (("preresnet11", "width"), ("densenet10", "growth"), ("pyramidnet-11-24", "width")):
        with pytest.raises(RequestError, match=f"but got 0; raise the option '{option}'"):
            build_model(name, 3, 5, {option: 0})


def affine(norm: nn.Module, images: Tensor) -> Tensor:
    """Normalises by hand, with the running statistics."""
    state = norm.state_dict(prefix="n.")
    mean, variance, weight, bias = (
        next(value for key, value in state.items() if key.endswith(end)).view(1, -1, 1, 1)
        for end in ("running_mean", "running_var", ".weight", ".bias")
    )
    return (images - mean) / (variance + 1e-5).sqrt() * weight + bias


def test_a_preactivation_block_adds_its_input_projected_as_it_is() -> None:
    block = PreResNetBlock(3, 2, stride=2).double().eval()
    shake(block)
    images = draw(2, 3, 5, 6).double()
    assert block.projection is not None and PreResNetBlock(8, 2, stride=1).projection is None
    inner = F.conv2d(affine(block.norm_1, images).clamp_min(0), block.convolution_1.weight)
    inner = F.conv2d(affine(block.norm_2, inner).clamp_min(0), block.convolution_2.weight, stride=2, padding=1)
    residual = F.conv2d(affine(block.norm_3, inner).clamp_min(0), block.convolution_3.weight)
    torch.testing.assert_close(block(images), residual + F.conv2d(images, block.projection.weight, stride=2))
    assert residual.shape == (2, 8, 3, 3)


def test_a_pyramidal_block_has_no_first_rectifier_and_a_last_normalisation() -> None:
    block = PyramidBlock(3, 2, stride=2).double().eval()
    shake(block)
    images = draw(2, 3, 5, 6).double()
    inner = F.conv2d(affine(block.norm_1, images), block.convolution_1.weight)
    inner = F.conv2d(affine(block.norm_2, inner).clamp_min(0), block.convolution_2.weight, stride=2, padding=1)
    residual = affine(block.norm_4, F.conv2d(affine(block.norm_3, inner).clamp_min(0), block.convolution_3.weight))
    shortcut = block(images) - residual
    torch.testing.assert_close(shortcut[:, :3, :2], F.avg_pool2d(images[:, :, :4], 2))
    torch.testing.assert_close(shortcut[:, :3, 2:], F.avg_pool2d(images[:, :, 4:], (1, 2)))  # the rest of an odd side
    torch.testing.assert_close(shortcut[:, 3:], torch.zeros(2, 5, 3, 3).double())


def test_every_block_of_a_pyramid_is_wider_than_the_one_before() -> None:
    blocks: Any = empty("pyramidnet-110-64").blocks
    widths = [block.convolution_2.out_channels for block in blocks]
    assert widths[:4] == [18, 20, 21, 23] and widths[-1] == 80  # 16 + 64 * k / 36
    assert all(one < other for one, other in pairwise(widths))
    assert [place for place, block in enumerate(blocks) if block.stride == 2] == [12, 24]


def test_a_dense_layer_appends_and_a_transition_keeps_all_channels() -> None:
    model: Any = build_model("densenet10", 3, 5, {"growth": 2}).double().eval()
    shake(model)
    layer, transition = model.layers[0], model.layers[2]
    images = draw(2, 4, 6, 6).double()
    maps = layer(images)
    assert torch.equal(maps[:, :4], images)
    new = F.conv2d(affine(layer.norm, images).clamp_min(0), layer.convolution.weight, padding=1)
    torch.testing.assert_close(maps[:, 4:], new)
    assert isinstance(transition, Transition)
    maps = draw(2, 8, 6, 6).double()
    expected = F.conv2d(affine(transition.norm, maps).clamp_min(0), transition.convolution.weight)
    torch.testing.assert_close(transition(maps), F.avg_pool2d(expected, 2))
    assert transition(draw(1, 8, 5, 3).double()).shape == (1, 8, 3, 2)  # the rest of an odd side stays


@pytest.mark.parametrize(
    ("name", "expected"),
    # One for each block and the last; one for each layer, transition and the last.
    [("preresnet11", 3 + 1), ("preresnet20", 6 + 1), ("densenet10", 6 + 2 + 1), ("densenet22", 18 + 2 + 1)],
)
def test_the_next_layer_reads_what_a_normalisation_selects(name: str, expected: int) -> None:
    modules = list(empty(name).modules())
    selecting = [(place, module) for place, module in enumerate(modules) if isinstance(module, SelectedNorm)]
    assert len(selecting) == expected
    for place, module in selecting:
        consumer = next(one for one in modules[place:] if isinstance(one, nn.Conv2d | nn.Linear))
        inputs = consumer.in_channels if isinstance(consumer, nn.Conv2d) else consumer.in_features
        assert inputs == module.channels


@pytest.mark.parametrize("name", SELECTING)
def test_cutting_a_network_is_masking_it(name: str) -> None:
    masked = build_model(name, 3, 5, seed=2).double().eval()
    shake(masked)
    cut = deepcopy(masked)
    consumers = [module for module in cut.modules() if isinstance(module, SelectedNorm | nn.Conv2d | nn.Linear)]
    pairs = zip(masked.modules(), cut.modules(), strict=True)
    for seed, (one, other) in enumerate(pair for pair in pairs if isinstance(pair[0], SelectedNorm)):
        assert isinstance(one, SelectedNorm) and isinstance(other, SelectedNorm)
        kept = (draw(one.channels, seed=seed) > 0).nonzero().flatten()
        mask = torch.zeros(one.channels).double().index_fill(0, kept, 1)
        one.norm.weight.data *= mask
        one.norm.bias.data *= mask
        other.select(kept)
        consumer = consumers[consumers.index(other) + 1]
        assert isinstance(consumer, nn.Conv2d | nn.Linear)
        consumer.weight.data = consumer.weight.data[:, kept]
    images = draw(2, 3, 12, 12).double()
    with torch.no_grad():
        assert not torch.allclose(masked(images), build_model(name, 3, 5, seed=2).double().eval()(images))
        torch.testing.assert_close(cut(images), masked(images), rtol=1e-9, atol=1e-9)
    assert count_parameters(cut) < count_parameters(masked)


def test_depths_that_are_none_cannot_be_built() -> None:
    for build in (PreResNet, DenseNet):
        with pytest.raises(AssertionError):
            build(12, 3, 10)
