"""What pruning keeps: the published numbers, ties, and layers that would be emptied."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from automl_kd_pruning.selecting import above_threshold, count_kept, largest_filters


def masks(kept: list[Tensor]) -> list[list[int]]:
    return [one.int().tolist() for one in kept]


def test_filters_with_the_largest_norms_stay_in_their_order() -> None:
    filters = torch.tensor([[1, -1], [0.5, 0.2], [-3, 0.1], [0, 0.4], [2, 2]]).view(5, 2, 1, 1)
    assert largest_filters(filters, count_kept(5, 0.6)).tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("share", "counts"),
    [
        ((0.4, 0.7, 0.9), [6, 22, 57]),
        ((0.5, 0.6, 0.7), [8, 19, 44]),
        ((0.8, 0.8, 0.8), [12, 25, 51]),
        ((0.9, 0.9, 0.9), [14, 28, 57]),
    ],
)
def test_counts_of_the_published_shares(share: tuple[float, ...], counts: list[int]) -> None:
    assert [count_kept(width, one) for width, one in zip((16, 32, 64), share, strict=True)] == counts


def test_a_count_loses_nothing_to_floating_point_and_is_never_zero() -> None:
    assert count_kept(20, 1 - 0.8) == 4  # a plain product gives 3.9999999999999996
    assert count_kept(10, 1 - 0.9) == 1
    assert count_kept(16, 0.01) == 1
    assert count_kept(16, 1.0) == 16


def test_of_filters_with_equal_norms_the_first_stay() -> None:
    filters = torch.tensor([1.0, 2.0, 1.0, -1.0, 1.0]).view(5, 1, 1, 1)
    assert largest_filters(filters, 3).tolist() == [0, 1, 2]


def test_the_memory_format_decides_nothing() -> None:
    filters = torch.randn(64, 32, 3, 3, generator=torch.Generator().manual_seed(0))
    doubled = torch.cat([filters, filters.flip(1, 2, 3)])  # equal norms, added up in another order
    other = doubled.to(memory_format=torch.channels_last)
    assert largest_filters(doubled, 30).tolist() == largest_filters(other, 30).tolist()


GAMMAS = [
    torch.tensor([0.9, 0.05, -0.4, 0.01]),
    torch.tensor([0.3, -0.6, 0.2]),
    torch.tensor([0.02, 0.5, 0.7]),
]


def test_scales_strictly_above_the_common_threshold_stay() -> None:
    assert masks(above_threshold(GAMMAS, 0.5)) == [[1, 0, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_a_layer_that_would_be_emptied_keeps_its_largest_scale() -> None:
    assert masks(above_threshold(GAMMAS, 0.2)) == [[1, 0, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_weights_strictly_above_the_threshold_stay() -> None:
    weights = torch.tensor([0.1, -0.5, 0.3, 0.05, -0.2, 0.9, 0.15, -0.4, 0.6, 0.25]).view(5, 2, 1, 1)
    (kept,) = above_threshold([weights], 0.4)
    assert kept.shape == weights.shape
    assert weights[kept].tolist() == pytest.approx([-0.5, 0.9, 0.6])


def test_the_threshold_loses_no_place_to_floating_point() -> None:
    values = torch.arange(10.0)
    assert int(above_threshold([values], 0.9)[0].sum()) == 8  # 10 * (1 - 0.9) is 0.9999999999999998


def test_a_share_of_one_keeps_everything() -> None:
    assert masks(above_threshold([torch.zeros(2), torch.ones(1)], 1.0)) == [[1, 1], [1]]


def test_equal_values_go_together_and_the_guard_keeps_the_first() -> None:
    assert masks(above_threshold([torch.ones(3), torch.ones(2)], 0.5)) == [[1, 0, 0], [1, 0]]


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.floats(0.001, 1.0, exclude_max=True),
    st.integers(0, 2**31),
)
def test_all_but_one_more_than_the_share_goes(widths: list[int], remaining: float, seed: int) -> None:
    total = sum(widths)
    values = torch.randperm(total, generator=torch.Generator().manual_seed(seed)).float() + 1
    layers = list(values.split(widths))
    kept = above_threshold(layers, remaining)
    expected = total - math.floor(total * (1 - remaining) + 1e-9) - 1
    guarded = sum(int(not (layer > total - expected).any()) for layer in layers)
    assert sum(int(one.sum()) for one in kept) == expected + guarded
    assert all(one.any() for one in kept)
