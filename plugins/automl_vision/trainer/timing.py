"""How long an epoch of a graph takes, measured on a few real batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from automl_vision.devices import synchronise
from automl_vision.randomness import isolated_randomness

if TYPE_CHECKING:
    from automl_vision.trainer.loop import CollaborativeTrainer

PATIENCE = 1.0
"""Seconds after which measuring one kind of step ends."""

STEPS = 10
"""Steps of one kind that are measured at most."""


def seconds_per_epoch(trainer: CollaborativeTrainer) -> float:
    """Measures roughly what an epoch costs: training and measuring. The trainer's networks change; use it up.

    Args:
        trainer: A trainer at epoch 0.
    """
    torch.set_num_threads(trainer.context.threads)
    training = _training_batches(trainer)
    some = trainer.settings.batch  # of the images that are measured on at once, which are many
    with isolated_randomness(trainer.context.seed, trainer.device):
        step = _seconds(lambda: trainer.update(*next(training), progress=1.0), trainer.device)
        images, labels = next(trainer.batches.measured())
        images, labels = images[:some], labels[:some]
        look = _seconds(lambda: trainer.look(images, labels, list(trainer.networks)), trainer.device)
    return step * trainer.batches.count + look * trainer.batches.measured_images / len(labels)


def _training_batches(trainer: CollaborativeTrainer) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields batches of the first epoch, which begins again and again."""
    while True:
        trainer.update.begin(0)
        yield from trainer.batches.epoch(0)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Gives the mean seconds of a call, after a first one that warms up; of that one where it takes long."""
    begin, calls = time.perf_counter(), 1
    call()
    synchronise(device)
    if time.perf_counter() - begin < PATIENCE:
        begin, calls = time.perf_counter(), 0
    while calls < STEPS and time.perf_counter() - begin < PATIENCE:
        call()
        synchronise(device)
        calls += 1
    return (time.perf_counter() - begin) / calls
