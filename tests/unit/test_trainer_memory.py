"""Keeping freed memory is told to glibc, and quietly left out elsewhere."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from automl_vision.trainer.memory import keep_freed_memory

told = keep_freed_memory.__wrapped__


class Library:
    def __init__(self, answers: list[int]) -> None:
        self.answers, self.calls = answers, []

    def mallopt(self, parameter: int, value: int) -> int:
        self.calls.append((parameter, value))
        return self.answers.pop(0)


def test_both_thresholds_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library([1, 1])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert told()
    assert library.calls == [(-3, 2**25), (-1, 2**31 - 1)]


def test_a_refusal_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library([0]))
    assert not told()


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_systems_without_it_go_on(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def missing(name: Any) -> Any:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not told()
