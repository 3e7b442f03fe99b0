"""Batch normalisation at the start of a block: cutting it is masking, and its cut state is found again."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from automl_core import RequestError
from automl_vision.models.selection import SelectedNorm, selected

CHANNELS = 6


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(channels: int = CHANNELS) -> SelectedNorm:
    """Gives one whose scale, shift and statistics all differ from channel to channel."""
    selected = SelectedNorm(channels)
    for seed, value in enumerate(selected.norm.state_dict().values()):
        if value.dim():
            value.copy_(draw(channels, seed=seed).abs() + 0.1)
    return selected.eval()


@given(kept=st.sets(st.integers(0, CHANNELS - 1), min_size=1), training=st.booleans())
@settings(max_examples=40, deadline=None)
def test_cutting_is_masking_scale_and_shift(kept: set[int], training: bool) -> None:
    index = torch.tensor(sorted(kept))
    consumer = nn.Conv2d(CHANNELS, 3, 3, padding=1, bias=False)
    masked, cut = trained().train(training), trained().train(training)
    mask = torch.zeros(CHANNELS).index_fill(0, index, 1.0)
    with torch.no_grad():
        masked.norm.weight.mul_(mask)
        masked.norm.bias.mul_(mask)
    cut.select(index)
    images = draw(4, CHANNELS, 5, 5)
    with torch.no_grad():
        expected = consumer(masked(images).relu())
        found = nn.functional.conv2d(cut(images).relu(), consumer.weight[:, index], padding=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert cut.norm.num_features == len(kept) and cut.norm.training == training
    torch.testing.assert_close(cut.norm.running_mean, masked.norm.running_mean[index])


def test_gradients_reach_only_what_is_kept() -> None:
    cut = trained()
    cut.select(torch.tensor([1, 4]))
    images = draw(2, CHANNELS, 3, 3).requires_grad_()
    cut(images).square().sum().backward()
    assert images.grad is not None and cut.norm.weight.grad is not None
    assert images.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist() == [1, 4]


def test_a_cut_state_is_found_again_from_a_file(tmp_path: Path) -> None:
    cut, path = trained(), tmp_path / "norm.safetensors"
    names = set(cut.state_dict())
    cut.select(torch.tensor([0, 2, 5]))
    assert set(cut.state_dict()) == names | {"kept"}
    save_file(cut.state_dict(), path)
    again = SelectedNorm(CHANNELS).eval()
    again.resize(3)
    again.load_state_dict(load_file(path))
    assert again.kept is not None and again.kept.dtype == torch.int64 and again.kept.tolist() == [0, 2, 5]
    images = draw(2, CHANNELS, 3, 3)
    assert torch.equal(again(images), cut(images))
    assert again.double().kept.dtype == torch.int64  # type: ignore[union-attr]


def test_cutting_twice_counts_in_what_is_left() -> None:
    twice, once = trained(), trained()
    twice.select(torch.tensor([1, 2, 4]))
    twice.select(torch.tensor([0, 2]))
    once.select(torch.tensor([1, 4]))
    images = draw(2, CHANNELS, 3, 3)
    assert torch.equal(twice(images), once(images))


def test_keeping_all_changes_nothing() -> None:
    norm = trained()
    before = deepcopy(norm.state_dict())
    norm.select(torch.arange(CHANNELS))
    norm.resize(CHANNELS)
    assert norm.kept is None and list(norm.state_dict()) == list(before)
    images = draw(2, CHANNELS, 3, 3)
    assert torch.equal(norm(images), norm.norm(images))


def test_it_moves_and_resizes_without_numbers() -> None:
    norm = trained().requires_grad_(False).to("meta")
    norm.resize(2)
    assert norm(torch.empty(1, CHANNELS, 4, 4, device="meta")).shape == (1, 2, 4, 4)
    assert norm.kept is not None and norm.kept.device == norm.norm.weight.device == torch.device("meta")
    assert not norm.norm.weight.requires_grad
    there = trained()
    there.select(torch.tensor([3]))
    assert there.to("meta").kept.device == torch.device("meta")  # type: ignore[union-attr]


@pytest.mark.parametrize("kept", [[], [2, 1], [1, 1], [-1, 0], [0, CHANNELS]])
def test_channels_that_are_not_there_are_refused(kept: list[int]) -> None:
    with pytest.raises(RequestError, match="from 0 to 5, but got"):
        trained().select(torch.tensor(kept, dtype=torch.int64))


@pytest.mark.parametrize("count", [0, CHANNELS + 1])
def test_counts_that_are_not_there_are_refused(count: int) -> None:
    with pytest.raises(RequestError, match=f"of 6 channels must keep 1 to all of them, but got {count}"):
        trained().resize(count)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_channels_are_selected_in_whichever_order_they_lie(memory_format: torch.memory_format) -> None:
    maps = draw(3, CHANNELS, 4, 5).contiguous(memory_format=memory_format).requires_grad_()
    kept = torch.tensor([1, 2, 5])
    chosen = selected(maps, kept)
    assert torch.equal(chosen, maps[:, kept])
    assert chosen.is_contiguous(memory_format=memory_format)
    chosen.square().sum().backward()
    assert maps.grad is not None
    assert torch.equal(maps.grad[:, kept], 2 * maps.detach()[:, kept])
    assert float(maps.grad[:, [0, 3, 4]].abs().sum()) == 0
