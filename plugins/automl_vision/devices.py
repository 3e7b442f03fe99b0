"""Devices: what the user asks for, held against what torch sees; and waiting for them."""

from __future__ import annotations

import re

import torch

from automl_core.errors import RequestError


def resolve_device(device: str) -> str:
    """Turns ``auto``, ``cpu``, ``cuda`` or ``cuda:i`` into a device that is there.

    Args:
        device: What was asked for; ``auto`` takes the first GPU, or else the CPU.

    Returns:
        ``cpu`` or ``cuda:i``.

    Raises:
        RequestError: For any other text, or a GPU that is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda:0" if count else "cpu"
    if device == "cpu":
        return device
    asked = re.fullmatch(r"cuda(?::(\d+))?", device)
    if asked is None:
        raise RequestError(f"a device must be auto, cpu, cuda or cuda:NUMBER, but got {device!r}")
    number = int(asked[1] or 0)
    if number >= count:
        there = f"torch sees {count} of them" if count else "torch sees no GPU at all"
        raise RequestError(f"device {device!r} must be there, but {there}; pass --device auto or cpu")
    return f"cuda:{number}"


def synchronise(device: torch.device) -> None:
    """Waits until a device has done what it was given; the CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
