"""VGG and MobileNetV2 for small images: published sizes, the same function as torchvision's, images of any size."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from automl_core import RequestError
from automl_core.options import describe
from automl_core.plugins import get_registry
from automl_vision import build_model, count_parameters
from automl_vision.models.mobilenet import MobileNetV2
from automl_vision.models.vgg import VGG16

NARROW: list[tuple[str, dict[str, Any]]] = [("vgg16", {"width": 4}), ("mobilenetv2", {"multiplier": 0.25})]


def meta(name: str, classes: int) -> nn.Module:
    with torch.device("meta"):
        model = get_registry().create("model", name, channels=3, classes=classes)
    assert isinstance(model, nn.Module)
    return model


@pytest.mark.parametrize("classes", [10, 100])
def test_parameters_of_vgg16(classes: int) -> None:
    widths = [3, 64, 64, 128, 128, 256, 256, 256] + [512] * 6
    weights = sum(9 * inputs * outputs for inputs, outputs in pairwise(widths))
    expected = weights + 2 * sum(widths[1:]) + 513 * classes
    assert count_parameters(meta("vgg16", classes)) == expected
    if classes == 10:
        # The usual 14,728,266 count a bias of each convolution besides, which batch normalisation takes away again.
        assert expected == 14_728_266 - sum(widths[1:])


def test_parameters_of_mobilenetv2() -> None:
    published, head = 3_504_872, 1281 * 1000  # with ImageNet's 1,000 classes
    assert count_parameters(meta("mobilenetv2", 10)) == published - head + 1281 * 10 == 2_236_682


@pytest.mark.parametrize(("depth", "pooled"), [(11, False), (16, True), (19, False)])
def test_vgg_computes_what_torchvisions_does_before_its_head(depth: int, pooled: bool) -> None:
    model = build_model(f"vgg{depth}", 3, 10, seed=1).eval()
    with torch.device("meta"):
        features = getattr(torchvision.models, f"vgg{depth}_bn")().features
    other = (features if pooled else features[:-1]).to_empty(device="cpu").eval()
    theirs = dict.fromkeys(other.state_dict())
    own = (value for name, value in model.state_dict().items() if not name.startswith("head"))
    for name in theirs:
        is_conv_bias = name.endswith("bias") and isinstance(other[int(name.split(".")[0])], nn.Conv2d)
        theirs[name] = torch.zeros(other.state_dict()[name].shape) if is_conv_bias else next(own)
    other.load_state_dict(theirs)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.forward_maps(images), other(images))
        torch.testing.assert_close(model.forward_features(images), other(images).mean((2, 3)))


def test_mobilenetv2_computes_what_torchvisions_does_with_two_strides_of_1() -> None:
    model = build_model("mobilenetv2", 3, 10, seed=1).eval()
    other = torchvision.models.mobilenet_v2(num_classes=10).eval()
    other.features[0][0].stride = other.features[2].conv[1][0].stride = (1, 1)
    other.load_state_dict(dict(zip(other.state_dict(), model.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(images), other(images))


@pytest.mark.parametrize(("name", "options"), NARROW)
@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 17, 13), (3, 40, 40)])
def test_images_of_any_size(name: str, options: dict[str, Any], shape: tuple[int, int, int]) -> None:
    model = build_model(name, shape[0], 7, options)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    features = model.forward_features(images)
    assert features.shape == (2, model.head.in_features)
    model.head(features).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_widths_are_options() -> None:
    assert build_model("vgg16", 3, 10, {"width": 4}).head.in_features == 32
    narrow = build_model("mobilenetv2", 3, 10, {"multiplier": 0.5})
    assert narrow.head.in_features == 1280
    assert narrow.get_parameter("layers.0.weight").shape == (16, 3, 3, 3)
    for model, options in ((VGG16, ["width"]), (MobileNetV2, ["multiplier"])):
        described = describe(model, frozenset({"channels", "classes"}))
        assert [one.name for one in described] == options and all(one.meaning for one in described)


@pytest.mark.parametrize(("name", "option", "value"), [("vgg16", "width", 0), ("mobilenetv2", "multiplier", 0.0)])
def test_no_width_is_refused(name: str, option: str, value: float) -> None:
    with pytest.raises(RequestError, match=f"but got {value}"):
        build_model(name, 3, 10, {option: value})
