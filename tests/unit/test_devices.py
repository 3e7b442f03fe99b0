"""Devices as they are asked for, with torch's view of GPUs replaced."""

from __future__ import annotations

import pytest
import torch

from automl_core import RequestError
from automl_vision.devices import resolve_device


def see(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("asked", "count", "given"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_found(asked: str, count: int, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, count)
    assert resolve_device(asked) == given


@pytest.mark.parametrize(
    ("asked", "count", "message"),
    [
        ("cuda:0", 0, "torch sees no GPU at all"),
        ("cuda:2", 2, "torch sees 2 of them"),
        ("gpu", 2, "must be auto, cpu, cuda or cuda:NUMBER"),
        ("cuda:-1", 2, "must be auto, cpu, cuda or cuda:NUMBER"),
    ],
)
def test_refused(asked: str, count: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, count)
    with pytest.raises(RequestError, match=message):
        resolve_device(asked)
