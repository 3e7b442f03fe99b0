"""What each of RandAugment's operations does to a few pixels, worked out by hand, and to random ones in torchvision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from automl_vision import distortions
from automl_vision.randaugment import RandAugment


def grey(*rows: list[int]) -> Tensor:
    """One image with one channel."""
    return torch.tensor(rows, dtype=torch.uint8)[None, None]


def colored(red: int, green: int, blue: int) -> Tensor:
    """One image of 4x4 equal pixels."""
    return torch.tensor([red, green, blue], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)


def factor(value: float) -> Tensor:
    return torch.tensor([value]).view(1, 1, 1, 1)


def random_images(channels: int = 3) -> Tensor:
    images = torch.randint(0, 256, (8, channels, 32, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[1] = images[1] // 4 + 60
    images[2] = 77
    return images


def test_autocontrast_stretches_each_channel() -> None:
    assert distortions.autocontrast(grey([50, 100], [149, 150])).tolist() == [[[[0, 127], [252, 255]]]]
    flat = colored(10, 0, 255)
    assert torch.equal(distortions.autocontrast(flat), flat)


def test_autocontrast_always_reaches_white() -> None:
    low, high = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    pairs = torch.stack([low, high], dim=-1).to(torch.uint8).view(-1, 1, 1, 2)
    stretched = distortions.autocontrast(pairs)
    assert stretched[pairs[..., 0] != pairs[..., 1]].amax(-1).eq(255).all()


def test_equalize_makes_levels_equally_frequent() -> None:
    three = torch.tensor([10, 20, 30], dtype=torch.uint8).repeat_interleave(256).view(1, 1, 24, 32)
    levels = torch.tensor([0, 128, 255], dtype=torch.uint8).repeat_interleave(256).view(1, 1, 24, 32)
    assert torch.equal(distortions.equalize(three), levels)


def test_equalize_leaves_small_and_flat_images() -> None:
    small = random_images()[:, :, :8, :8]
    assert torch.equal(distortions.equalize(small), small)
    flat = torch.full((1, 3, 32, 32), 9, dtype=torch.uint8)
    assert torch.equal(distortions.equalize(flat), flat)


def test_posterize_keeps_the_highest_bits() -> None:
    image = grey([0b10110111, 0b00001111])
    assert distortions.posterize(image, 4).flatten().tolist() == [0b10110000, 0]
    assert distortions.posterize(image, 7).flatten().tolist() == [0b10110110, 0b00001110]
    assert torch.equal(distortions.posterize(image, 8), image)


def test_solarize_inverts_from_the_threshold_on() -> None:
    image = grey([0, 127, 128, 255])
    assert distortions.solarize(image, 128.0).flatten().tolist() == [0, 127, 127, 0]
    assert distortions.solarize(image, 0.0).flatten().tolist() == [255, 128, 127, 0]
    assert torch.equal(distortions.solarize(image, 256.0), image)


def test_brightness_mixes_with_black() -> None:
    assert distortions.brightness(grey([0, 100, 200]), factor(1.5)).flatten().tolist() == [0, 150, 255]
    assert distortions.brightness(grey([0, 100, 200]), factor(0.1)).flatten().tolist() == [0, 10, 20]


def test_color_mixes_with_grey() -> None:
    red = colored(255, 0, 0)  # of brightness 0.299 * 255 = 76.2
    assert torch.equal(distortions.color(red, factor(0.0)), colored(76, 76, 76))
    assert torch.equal(distortions.color(red, factor(2.0)), colored(255, 0, 0))
    assert torch.equal(distortions.color(red, factor(0.8)), colored(219, 15, 15))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_what_is_not_red_green_and_blue_has_no_color_but_contrast(channels: int) -> None:
    images = random_images(channels)
    assert torch.equal(distortions.color(images, factor(0.1).expand(8, 1, 1, 1)), images)
    softer = distortions.contrast(images, factor(0.1).expand(8, 1, 1, 1))
    assert (softer.float().std((1, 2, 3)) < 0.2 * images.float().std((1, 2, 3)) + 1).all()


def test_contrast_mixes_with_the_mean() -> None:
    image = grey([50, 150], [150, 50])
    assert distortions.contrast(image, factor(0.5)).flatten().tolist() == [75, 125, 125, 75]
    assert distortions.contrast(image, factor(1.5)).flatten().tolist() == [25, 175, 175, 25]


def test_sharpness_mixes_the_inner_pixels_with_their_smoothed_selves() -> None:
    image = grey([13, 0, 0], [0, 130, 0], [0, 0, 0])  # smooth: (5 * 130 + 13) / 13 = 51
    assert distortions.sharpness(image, factor(0.0)).tolist() == [[[[13, 0, 0], [0, 51, 0], [0, 0, 0]]]]
    assert distortions.sharpness(image, factor(2.0)).tolist() == [[[[13, 0, 0], [0, 209, 0], [0, 0, 0]]]]


@pytest.mark.parametrize(
    "mix", [distortions.brightness, distortions.color, distortions.contrast, distortions.sharpness]
)
def test_each_image_has_its_own_factor_and_1_changes_nothing(mix: Callable[[Tensor, Tensor], Tensor]) -> None:
    images = random_images()
    factors = torch.tensor([1.0, 0.1, 1.9, 1.0, 0.5, 1.5, 0.9, 1.1]).view(-1, 1, 1, 1)
    mixed = mix(images, factors)
    for place in range(len(images)):
        assert torch.equal(mixed[place], mix(images[place : place + 1], factors[place : place + 1])[0])
    assert torch.equal(mixed[factors.flatten() == 1], images[factors.flatten() == 1])
    assert not torch.equal(mixed[4], images[4])


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        (distortions.brightness, reference.adjust_brightness),
        (distortions.color, reference.adjust_saturation),
        (distortions.contrast, reference.adjust_contrast),
        (distortions.sharpness, reference.adjust_sharpness),
    ],
)
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.73, 1.27, 1.9])
def test_mixing_is_torchvisions_up_to_rounding(
    mix: Callable[[Tensor, Tensor], Tensor], expected: Callable[[Tensor, float], Tensor], strength: float
) -> None:
    images = random_images()
    difference = mix(images, factor(strength).expand(8, 1, 1, 1)).int() - expected(images, strength).int()
    # It cuts off, which is lower by one at most, and weighs colours to four places, which can make grey lower by one.
    assert difference.min() >= -1 and difference.max() <= 2


def test_the_rest_is_torchvisions() -> None:
    images = random_images()
    assert torch.equal(distortions.equalize(images), reference.equalize(images))
    assert torch.equal(distortions.posterize(images, 5), reference.posterize(images, 5))
    assert torch.equal(distortions.solarize(images, 99.5), reference.solarize(images, 99.5))
    difference = distortions.autocontrast(images).int() - reference.autocontrast(images).int()
    assert difference.min() >= 0 and difference.max() <= 1  # there, a division comes out below a whole number


def places(height: int, width: int) -> Tensor:
    """An image whose pixels hold their number, from 1."""
    return torch.arange(1, height * width + 1, dtype=torch.uint8).view(1, 1, height, width)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[1.0, 0, 0], [0, 1, 0]], [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]),
        ([[1.0, 0, -1], [0, 1, 0]], [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]]),
        ([[1.0, 0, 0], [0, 1, 2]], [[9, 10, 11, 12], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ([[1.0, 0.5, 0], [0, 1, 0]], [[1, 2, 3, 4], [6, 7, 8, 0], [10, 11, 12, 0]]),  # rows come from .25, .75, 1.25
        ([[-1.0, 0, 4], [0, -1, 3]], [[12, 11, 10, 9], [8, 7, 6, 5], [4, 3, 2, 1]]),
        ([[1.0, 0, 9], [0, 1, 0]], [[0, 0, 0, 0]] * 3),
    ],
)
def test_warp_takes_each_pixel_from_where_the_matrix_says(matrix: list[list[float]], expected: list[list[int]]) -> None:
    black = torch.zeros(1, dtype=torch.uint8)
    assert distortions.warp(places(3, 4), torch.tensor([matrix]), black)[0, 0].tolist() == expected


def test_warp_fills_each_channel_with_its_own_value() -> None:
    away = torch.tensor([[[1.0, 0, -2], [0, 1, 0]], [[1.0, 0, 0], [0, 1, 0]]])
    moved = distortions.warp(colored(1, 2, 3).expand(2, 3, 4, 4), away, torch.tensor([7, 8, 9], dtype=torch.uint8))
    assert moved[0, :, 0].tolist() == [[7, 7, 1, 1], [8, 8, 2, 2], [9, 9, 3, 3]]
    assert torch.equal(moved[1], colored(1, 2, 3)[0])


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 5), (3, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_images_are_taken(size: tuple[int, int], channels: int) -> None:
    images = torch.randint(0, 256, (14, channels, *size), dtype=torch.uint8)
    augmented = RandAugment(3, 9)(images, torch.Generator().manual_seed(0))
    assert augmented.shape == images.shape
    assert augmented.dtype == torch.uint8
