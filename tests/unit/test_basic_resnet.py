"""ResNet-18, ResNet-34 and networks scaled from them: published sizes, and what a block does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from automl_core import RequestError
from automl_core.options import describe
from automl_spaces.graph import Node
from automl_vision import build_model
from automl_vision.costs import Sizes, count_costs
from automl_vision.models.basic_resnet import Block, resnet18, resnet34

CIFAR100 = Sizes(channels=3, classes=100, image_size=(32, 32))
SMALL = {"blocks": [1, 2], "widths": [4, 6], "stem": 5}


@pytest.mark.parametrize(
    ("name", "millions", "giga"),
    [("resnet18", 11.22, 0.56), ("resnet34", 21.33, 1.16)],  # Cao (2021), table 4.4
)
def test_published_sizes(name: str, millions: float, giga: float) -> None:
    costs = count_costs(Node(name), CIFAR100)
    assert round(costs["params"] / 1e6, 2) == millions
    assert round(costs["flops"] / 1e9, 2) == giga


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_stages_are_those_of_imagenet(name: str) -> None:
    """All weights but the stem's and the head's have the shapes that torchvision's have, in the same order."""
    with torch.device("meta"):
        own = build_model(name, 3, 10)
        known = getattr(torchvision.models, name)(num_classes=10)
    shapes = [tuple(one.shape) for one in own.blocks.parameters()]  # type: ignore[union-attr]
    stages = [known.layer1, known.layer2, known.layer3, known.layer4]
    assert sorted(shapes) == sorted(tuple(one.shape) for stage in stages for one in stage.parameters())


def test_each_stage_but_the_first_halves_the_image() -> None:
    model = build_model("resnet18", 1, 10, {"blocks": [1, 1, 1], "widths": [2, 3, 4], "stem": 2})
    shapes: list[tuple[int, ...]] = []
    blocks: Any = model.blocks
    for block in blocks:
        block.register_forward_hook(lambda _module, _images, maps: shapes.append(tuple(maps.shape)))
    features = model.forward_features(torch.rand(2, 1, 13, 16))
    assert shapes == [(2, 2, 13, 16), (2, 3, 7, 8), (2, 4, 4, 4)]
    assert features.shape == (2, 4)
    assert model(torch.rand(2, 1, 13, 16)).shape == (2, 10)


def test_a_block_projects_only_where_the_shape_changes() -> None:
    assert Block(4, 4, stride=1).projection is None
    assert Block(4, 4, stride=2).projection is not None
    assert Block(4, 6, stride=1).projection is not None


def test_a_silent_block_is_its_shortcut() -> None:
    block = Block(3, 3, stride=1).eval()
    nn.init.zeros_(block.norm_2.weight)
    images = torch.rand(2, 3, 5, 5)
    assert torch.equal(block(images), images)


def test_depth_width_and_stem_are_options() -> None:
    for factory, blocks in ((resnet18, (2, 2, 2, 2)), (resnet34, (3, 4, 6, 3))):
        options = {option.name: option.default for option in describe(factory, frozenset({"channels", "classes"}))}
        assert options == {"blocks": blocks, "widths": (64, 128, 256, 512), "stem": 64}
        assert all(option.meaning for option in describe(factory))
    assert build_model("resnet18", 1, 3, SMALL).head.in_features == 6


@pytest.mark.parametrize("wrong", [{"blocks": [1]}, {"blocks": [1, 0]}, {"widths": [0, 6]}, {"stem": 0}])
def test_stages_that_give_no_network_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="each stage one number of at least 1"):
        build_model("resnet18", 1, 3, SMALL | wrong)
    with pytest.raises(RequestError, match="blocks = \\[\\]"):
        build_model("resnet18", 1, 3, SMALL | {"blocks": [], "widths": []})
