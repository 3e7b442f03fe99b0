from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from automl_core import RequestError, hookimpl
from automl_core.hookspecs import Register
from automl_core.options import describe
from automl_core.plugins import Registry, get_registry, use_registry
from automl_vision import build_model, count_parameters
from automl_vision.models.resnet import Block, resnet8

SMALL = ["resnet8", "resnet14", "resnet20", "resnet32", "wrn-10-1", "wrn-16-1", "wrn-16-2"]


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("resnet32", 10, 464_154),
        ("resnet32", 100, 470_004),
        ("resnet110", 10, 1_727_962),
        ("resnet110", 100, 1_733_812),
        ("wrn-28-2", 10, 1_467_610),
        ("wrn-28-2", 100, 1_479_220),
    ],
)
def test_published_parameter_counts(name: str, classes: int, parameters: int) -> None:
    assert count_parameters(build_model(name, 3, classes)) == parameters


def test_all_names_are_registered() -> None:
    expected = {f"resnet{depth}" for depth in (8, 14, 20, 32, 44, 56, 110)}
    expected |= {"wrn-10-1", "wrn-16-1", "wrn-16-2", "wrn-28-2", "wrn-28-10"}
    assert expected <= set(get_registry().names("model"))
    with torch.device("meta"):
        for name in expected:
            get_registry().create("model", name, channels=3, classes=10)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 13), (3, 64, 64)])
def test_features_and_head_make_the_logits(name: str, shape: tuple[int, int, int]) -> None:
    model = build_model(name, shape[0], 7).eval()
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    features = model.forward_features(images)
    assert features.shape == (2, model.head.in_features)
    logits = model(images)
    assert logits.shape == (2, 7) and torch.equal(logits, model.head(features))


@pytest.mark.parametrize("name", ["resnet8", "wrn-16-2"])
def test_channels_last_gives_the_same_gradients(name: str) -> None:
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    plain = build_model(name, 3, 5, seed=1).double()
    strided = build_model(name, 3, 5, seed=1).double().to(memory_format=torch.channels_last)
    plain(images).square().sum().backward()
    strided(images.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    for one, other in zip(plain.parameters(), strided.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad)


def test_the_shortcut_subsamples_and_appends_zero_channels() -> None:
    block = Block(2, 5, stride=2).eval()
    nn.init.zeros_(block.convolution_2.weight)  # the residual branch is silent
    images = torch.rand(1, 2, 5, 6)
    pooled = nn.functional.avg_pool2d(images, kernel_size=1, stride=2)
    result = block(images)
    assert torch.equal(result[:, :2], pooled) and not result[:, 2:].any() and result.shape == (1, 5, 3, 3)


def test_weights_follow_from_the_seed_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build_model("resnet8", 1, 10, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again, other = build_model("resnet8", 1, 10, seed=3), build_model("resnet8", 1, 10, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)
    assert not torch.equal(first.get_parameter("stem.weight"), other.get_parameter("stem.weight"))


def test_convolutions_are_drawn_he_normally_by_fan_out() -> None:
    model = build_model("wrn-16-2", 3, 10, {"width": 32})
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.12)


def test_width_is_an_option() -> None:
    narrow, default = build_model("resnet8", 3, 10, {"width": 4}), build_model("resnet8", 3, 10)
    assert (narrow.head.in_features, default.head.in_features) == (16, 64)
    assert [option.name for option in describe(resnet8, frozenset({"channels", "classes"}))] == ["width"]
    assert all(option.meaning for option in describe(resnet8))
    with pytest.raises(RequestError, match="at least 1 channel, but got 0"):
        build_model("resnet8", 3, 10, {"width": 0})


def test_unknown_models_and_options_are_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="did you mean 'resnet32'"):
        build_model("resnet-32", 3, 10)
    with pytest.raises(RequestError, match="did you mean 'width'"):
        build_model("resnet8", 3, 10, {"widht": 8})


class Stranger:
    @hookimpl
    def automl_models(self, register: Register) -> None:
        register("headless", "unittest.mock:Mock", summary="has every attribute, but no linear head")


def test_a_model_without_features_and_linear_head_is_refused() -> None:
    registry = Registry()
    registry.add("stranger", Stranger())
    with use_registry(registry), pytest.raises(RequestError, match="'headless' built a Mock"):
        build_model("headless", 3, 10)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, automl_vision; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
