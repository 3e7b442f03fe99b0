from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from automl_core import RequestError
from automl_vision import Augmentation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coordinates(count: int, height: int, width: int) -> torch.Tensor:
    """Images whose two channels hold each pixel's own row and column, from 1."""
    rows = torch.arange(1, height + 1, dtype=torch.uint8)[:, None].expand(height, width)
    columns = torch.arange(1, width + 1, dtype=torch.uint8)[None].expand(height, width)
    return torch.stack([rows, columns]).expand(count, 2, height, width)


def plain(image: torch.Tensor, pad: int, mode: str, top: int, left: int, flip: bool) -> torch.Tensor:
    """Pad, crop, flip as one would write it for a single image."""
    height, width = image.shape[1:]
    padding = {"reflect": "reflect", "zeros": "constant"}[mode]
    padded = torch.nn.functional.pad(image[None].float(), (pad,) * 4, mode=padding)[0]
    crop = padded[:, top : top + height, left : left + width]
    return (crop.flip(2) if flip else crop).to(image.dtype)


@given(
    height=st.integers(4, 9),
    width=st.integers(4, 9),
    pad=st.integers(0, 3),
    mode=st.sampled_from(["reflect", "zeros"]),
    flip=st.booleans(),
    seed=st.integers(0, 1000),
    channels=st.integers(1, 3),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
)
def test_every_image_is_one_of_the_crops_of_its_padded_self(
    height: int, width: int, pad: int, mode: str, flip: bool, seed: int, channels: int, dtype: torch.dtype
) -> None:
    images = torch.randint(0, 256, (5, channels, height, width), generator=generator(seed)).to(dtype)
    augmented = Augmentation(pad=pad, mode=mode, flip=flip)(images, generator(seed))  # type: ignore[arg-type]
    assert augmented.shape == images.shape and augmented.dtype == dtype
    for image, result in zip(images, augmented, strict=True):
        candidates = (
            plain(image, pad, mode, top, left, flipped)
            for top in range(2 * pad + 1)
            for left in range(2 * pad + 1)
            for flipped in ({False, flip})
        )
        assert any(torch.equal(result, candidate) for candidate in candidates)


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_all_offsets_and_both_directions_come_equally_often(mode: str) -> None:
    images = coordinates(40_000, 8, 8)
    augmented = Augmentation(pad=2, mode=mode, flip=True)(images, generator())  # type: ignore[arg-type]
    flipped = augmented[:, 1, 4, 3] > augmented[:, 1, 4, 4]
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.02)
    upright = torch.where(flipped[:, None, None, None], augmented.flip(3), augmented)
    tops, lefts = upright[:, 0, 4, 4].long() - 3, upright[:, 1, 4, 4].long() - 3
    frequency = torch.bincount(tops * 5 + lefts, minlength=25) / len(images)
    assert frequency.tolist() == pytest.approx([1 / 25] * 25, abs=0.006)


def test_nothing_to_do_changes_nothing() -> None:
    images = coordinates(3, 5, 6)
    assert torch.equal(Augmentation(pad=0, flip=False)(images, generator()), images)


def test_draws_come_from_the_given_generator_alone_and_the_input_stays() -> None:
    images = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8, generator=generator(1))
    before, global_state = images.clone(), torch.get_rng_state()
    augment = Augmentation()
    first, again, other = augment(images, generator(3)), augment(images, generator(3)), augment(images, generator(4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), global_state)


def test_channels_last_images_are_taken_too() -> None:
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=generator(1))
    augment = Augmentation()
    strided = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(strided, generator()), augment(images, generator()))


def test_too_small_images_and_negative_padding_are_refused() -> None:
    with pytest.raises(RequestError, match=r"4 pixels for images of 4x8; pad at most 3"):
        Augmentation(pad=4)(torch.zeros(1, 1, 4, 8, dtype=torch.uint8), generator())
    Augmentation(pad=4, mode="zeros")(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), generator())
    Augmentation(pad=4)(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), generator())
    with pytest.raises(RequestError, match="got -1"):
        Augmentation(pad=-1)
