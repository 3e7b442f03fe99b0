"""Cutout: where the square is, how much of it lies within the image, what it is filled with."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from automl_core import RequestError
from automl_vision.cutout import Cutout


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def covered_lengths(size: int, side: int) -> list[int]:
    """How much of a stretch of ``side`` around each place of a line is within the line."""
    return [min(size, centre - side // 2 + side) - max(0, centre - side // 2) for centre in range(size)]


@given(height=st.integers(4, 12), width=st.integers(4, 12), side=st.integers(1, 4), seed=st.integers(0, 1000))
def test_one_rectangle_of_the_square_around_a_pixel_is_filled(height: int, width: int, side: int, seed: int) -> None:
    images = torch.ones(7, 2, height, width, dtype=torch.uint8)
    for image in Cutout(side)(images, generator(seed)):
        blank = image == 0
        assert torch.equal(blank[0], blank[1])
        rows, columns = blank[0].any(1), blank[0].any(0)
        assert torch.equal(blank[0], rows[:, None] & columns)
        assert int(rows.sum()) in covered_lengths(height, side)
        assert int(columns.sum()) in covered_lengths(width, side)
        for line in (rows, columns):
            assert int(line.int().diff().abs().sum()) <= 2, "in one piece"


def test_all_pixels_are_centres_equally_often() -> None:
    images = torch.ones(40_000, 1, 5, 4, dtype=torch.uint8)
    holes = Cutout(1)(images, generator()).flatten(1).argmin(1)
    assert (torch.bincount(holes, minlength=20) / len(images)).tolist() == pytest.approx([1 / 20] * 20, abs=0.006)


def test_the_mean_area_is_that_of_squares_that_are_cut_off_at_the_border() -> None:
    images = torch.ones(20_000, 1, 32, 32, dtype=torch.uint8)
    area = (Cutout(16)(images, generator()) == 0).sum((1, 2, 3)).float()
    mean = sum(covered_lengths(32, 16)) / 32
    assert area.max() == 256 and area.min() == 64  # with the centre in the corner
    assert area.mean().item() == pytest.approx(mean**2, rel=0.01)


def test_channels_are_filled_with_their_own_values() -> None:
    images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    cut = Cutout(4, (7, 8, 9))(images, generator())
    assert cut.unique().tolist() == [0, 7, 8, 9]
    assert [channel.max().item() for channel in cut.unbind(1)] == [7, 8, 9]
    assert not images.any(), "the input stays"


def test_draws_come_from_the_given_generator_alone() -> None:
    images = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8, generator=generator(1))
    before = torch.get_rng_state()

    def cut(seed: int) -> Tensor:
        return Cutout(4)(images, generator(seed))

    assert torch.equal(cut(1), cut(1)) and not torch.equal(cut(1), cut(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_squares_that_do_not_fit_are_refused() -> None:
    images = torch.ones(2, 1, 8, 12, dtype=torch.uint8)
    with pytest.raises(RequestError, match=r"got a side of 9 pixels for images of 8x12; set trainer.cutout to at"):
        Cutout(9)(images, generator())
    assert Cutout(8)(images, generator()).shape == images.shape
    with pytest.raises(RequestError, match="at least 1 pixel, but got 0"):
        Cutout(0)
