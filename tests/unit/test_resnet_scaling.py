"""The search space of scaled ResNet-18s: its closed form of multiply-accumulates, its bound, its canonical form."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.plugins import get_registry
from automl_core.sampling import RandomSampler
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_spaces.resnet_scaling import FACTORS, ResNetScalingSpace
from automl_vision.costs import Sizes, count_costs

NAMES = ("d2", "d3", "d4", "d5", "w2", "w3", "w4", "w5")
PLAIN: dict[str, Any] = dict.fromkeys(NAMES, 1.0)
CONFIGURATIONS = st.fixed_dictionaries({name: st.sampled_from(FACTORS) for name in NAMES})


def test_it_is_registered_and_the_plain_configuration_is_resnet18() -> None:
    space = get_registry().create("space", "resnet-scaling", {"limit": 4})
    assert isinstance(space, ResNetScalingSpace)
    options = {"blocks": [2, 2, 2, 2], "widths": [64, 128, 256, 512], "stem": 64}
    assert space.decode(PLAIN) == KnowledgeTransferGraph((Node("resnet18", options),), (Edge(0, 1),))
    assert space.multiply_accumulates(PLAIN) == space.base == 555_468_800
    assert list(space.config_space) == list(NAMES)
    assert dict(space.config_space.get_default_configuration()) == PLAIN


@settings(max_examples=10)
@given(CONFIGURATIONS, st.integers(4, 37), st.integers(1, 4), st.integers(2, 100), st.sampled_from([8, 16, 64]))
@example(dict.fromkeys(NAMES, 3.0), 32, 3, 100, 64)
@example({**PLAIN, "d5": 1.25, "w2": 1.25}, 32, 3, 100, 64)
def test_the_closed_form_is_what_the_real_network_costs(
    configuration: dict[str, Any], size: int, channels: int, classes: int, width: int
) -> None:
    space = ResNetScalingSpace(size=size, channels=channels, classes=classes, width=width)
    (node,) = space.decode(configuration).nodes
    counted = count_costs(node, Sizes(channels, classes, (size, size)))
    assert space.multiply_accumulates(configuration) == counted["flops"]


def test_halves_are_rounded_up_and_channels_to_a_multiple_of_8() -> None:
    blocks = [ResNetScalingSpace().canonical({**PLAIN, "d3": factor})[0][1] for factor in FACTORS]
    assert blocks == [2, 3, 3, 4, 4, 5, 5, 6, 6]
    widths = [ResNetScalingSpace(width=16).canonical({**PLAIN, "w2": factor})[1][0] for factor in FACTORS]
    assert widths == [16, 24, 24, 32, 32, 40, 40, 48, 48]
    widths = [ResNetScalingSpace().canonical({**PLAIN, "w5": factor})[1][3] for factor in FACTORS]
    assert widths == [512, 640, 768, 896, 1024, 1152, 1280, 1408, 1536]


@given(CONFIGURATIONS, CONFIGURATIONS)
def test_equal_keys_are_equal_networks(one: dict[str, Any], other: dict[str, Any]) -> None:
    space = ResNetScalingSpace()
    assert (space.canonical(one) == space.canonical(other)) == (space.decode(one) == space.decode(other))


def test_depths_that_give_as_many_blocks_are_one_network() -> None:
    space = ResNetScalingSpace()
    assert space.canonical({**PLAIN, "d4": 1.25}) == space.canonical({**PLAIN, "d4": 1.5})


@given(CONFIGURATIONS, st.sampled_from([1.0, 2.0, 4.0]))
def test_a_violation_gives_both_numbers(configuration: dict[str, Any], limit: float) -> None:
    space = ResNetScalingSpace(limit=limit)
    needed, allowed = space.multiply_accumulates(configuration), int(limit * 555_468_800)
    reason = space.violation(configuration)
    assert (reason is None) == (needed <= allowed)
    assert reason is None or (f"{needed:,}" in reason and f"{allowed:,}" in reason)


@pytest.mark.parametrize(("limit", "factors"), [(1.0, 1), (2.0, 6), (4.0, 9)])
def test_factors_that_no_allowed_network_has_are_not_offered(limit: float, factors: int) -> None:
    space = ResNetScalingSpace(limit=limit)
    offered = {name: tuple(one.sequence) for name, one in space.config_space.items()}
    assert [len(offered[name]) for name in NAMES[4:]] == [factors] * 4
    for name, factor in product(NAMES, FACTORS):
        assert (factor in offered[name]) == (space.violation({**PLAIN, name: factor}) is None)


def test_twice_resnet18_leaves_2553_networks() -> None:
    """Counted by going through all 9^8 configurations; here by stage, which is the same sum."""
    space = ResNetScalingSpace(limit=2.0)
    depths = {space.canonical({**PLAIN, "d2": factor})[0][0]: factor for factor in FACTORS}.values()
    widths = space.config_space["w2"].sequence  # type: ignore[union-attr]
    found = 0
    for wide in product(widths, repeat=4):
        at = dict(zip(NAMES[4:], wide, strict=True))
        least = space.multiply_accumulates({**PLAIN, **at})
        more = [
            [space.multiply_accumulates({**PLAIN, **at, name: depth}) - least for depth in depths] for name in NAMES[:4]
        ]
        rest = 2 * space.base - least
        if rest >= 0:
            found += sum(sum(added) <= rest for added in product(*more))
    assert found == 2553


@pytest.mark.parametrize("limit", [2.0, 4.0])
def test_random_draws_find_allowed_networks(limit: float) -> None:
    space = ResNetScalingSpace(limit=limit)
    sampler = RandomSampler(space, seed=1)
    drawn = [sampler.draw() for _ in range(30)]
    assert all(one is not None and space.violation(one) is None for one in drawn)
    assert len({space.canonical(one) for one in drawn if one is not None}) == 30


def test_a_bound_that_leaves_the_plain_network_alone_is_searched_to_its_end() -> None:
    space = ResNetScalingSpace(limit=1.0)
    assert list(space.enumerate(0)) == [PLAIN]


@pytest.mark.parametrize("limit", [0.99, 0.0, -1.0, float("inf"), float("nan")])
def test_a_bound_that_nothing_meets_is_refused_with_the_smallest(limit: float) -> None:
    with pytest.raises(RequestError, match=r"at least 1 and finite.* 555,468,800 multiply-accumulates"):
        ResNetScalingSpace(limit=limit)


@pytest.mark.parametrize("option", ["size", "channels", "classes", "width"])
def test_sizes_that_give_no_network_are_refused(option: str) -> None:
    with pytest.raises(RequestError, match=option):
        ResNetScalingSpace(**{option: 0})
    with pytest.raises(RequestError, match="multiple of 8, but got 20"):
        ResNetScalingSpace(width=20)


def test_what_is_no_configuration_is_refused() -> None:
    space = ResNetScalingSpace()
    with pytest.raises(RequestError, match=r"w5 of space resnet-scaling must be one of 1, 1.25, .*, but got 'nothing'"):
        space.canonical(dict.fromkeys(NAMES[:-1], 1.0))
    with pytest.raises(RequestError, match=r"but got 1\.1"):
        space.decode({**PLAIN, "w3": 1.1})
    with pytest.raises(RequestError, match="did you mean 'd2'"):
        space.decode({**PLAIN, "d22": 1.0})


def test_presets_are_for_networks_trained_for_real() -> None:
    space = ResNetScalingSpace()
    presets = space.presets("supervised")
    assert space.presets("tabular") == {}
    assert (presets["paper"]["min_budget"], presets["paper"]["max_budget"]) == (1, 128)
    assert presets["paper"]["dataset"] == {"name": "cifar100", "limit": 8000, "validation": 2000}
    for preset in presets.values():
        get_registry().create("space", "resnet-scaling", preset["space"])
