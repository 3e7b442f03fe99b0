"""Torch's global generators, lent to code that draws from nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_CPU = torch.device("cpu")
_LENT = threading.RLock()  # a loss may build a model while it is built


@contextmanager
def isolated_randomness(seed: int, device: torch.device = _CPU) -> Iterator[None]:
    """Seeds torch's global generators within a ``with`` block, and puts them back as they were.

    Our own code draws from generators of its own; this is for what cannot: constructors of layers, dropout, and
    whatever else strangers' models and losses draw. The generators belong to the process, so one thread at a time is
    within such a block and the others wait: threads give the numbers that they give alone, but do not train at once.

    Args:
        seed: What the generators of the CPU and of ``device`` are seeded with.
        device: Where is drawn; other GPUs' generators are left alone.
    """
    devices = [device] if device.type == "cuda" else []
    with _LENT, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the generators of all GPUs
        for one in devices:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        yield
