"""What a training step of a supernet costs beside its candidate operations by themselves.

Three cells (one normal, two reductions), 16 channels, six candidates on each edge, one thread. In turns:

- step: a step of architecture weights on one batch, then one of network weights on another, as searches train; with
  augmentation, losses, optimisers and all that a supernet has beside its candidates.
- bare: each candidate of each edge by itself, forward and backward on maps of its size that lie ready, twice, as often
  as the step runs it.
- plain: the step, but every candidate run from its rectifier to its normalisation and then multiplied by its
  probability, and the products summed, as the definition has it.

What is timed is the processor time of the process, which other work on the machine does not stretch so much; ratios are
taken within each turn. Memory is what lies ready for the backward pass after the forward pass of the architecture's
step (every tensor once, weights left out), against the sum of what the candidates by themselves keep.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from unittest import mock

import torch
from reporting import Report, rounds
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from automl_core import Context
from automl_prdarts.candidates import Candidate, MixedEdge, Source
from automl_prdarts.evaluation import SupernetTrainer
from automl_prdarts.plan import ArchitectureSettings
from automl_spaces.genotype import EDGES
from automl_spaces.graph import Node
from automl_vision import ImageDataset, ImageSplit, RawImages, TrainerSettings

POOL = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "conv_3x3", "conv_5x5", "conv_3x3_d2")
CELLS, WIDTH, BATCHES = 3, 16, 2
SETTINGS = ((64, 4), (32, 24))
"""Rows (and columns) of images, and images of a batch."""

GOAL = 1.2


class Synthetic(ImageDataset):
    """Random images of three classes; what they show does not matter for time."""

    name = "synthetic"

    def __init__(self, size: int, images: int) -> None:
        super().__init__()
        self.size, self.images = size, images

    def _read(self) -> RawImages:
        generator = torch.Generator().manual_seed(0)

        def draw(count: int) -> ImageSplit:
            images = torch.randint(0, 256, (count, 3, self.size, self.size), generator=generator, dtype=torch.uint8)
            return ImageSplit(images, torch.arange(count) % 3)

        return RawImages(train=draw(self.images), validation=draw(10), test=draw(10))


class Steps:
    """The step as searches train, batch after batch."""

    def __init__(self, size: int, batch: int) -> None:
        dataset = Synthetic(size, batch * BATCHES)
        dataset.load()
        pools = [list(POOL)] * len(EDGES)
        node = Node("supernet", {"normal": pools, "reduction": pools, "cells": CELLS, "width": WIDTH})
        context = Context(seed=0, max_budget=1, dataset=dataset, threads=1)
        settings = TrainerSettings(batch=batch, clip=5.0)
        self.trainer = SupernetTrainer(node, settings, context, dataset, ArchitectureSettings(), grace=0)
        self.network = self.trainer.supernet
        self._batches = cycle(list(self.trainer.batches.epoch(0)))

    def step(self) -> None:
        self.network.train()
        self.trainer.update(*next(self._batches), 0.5)

    def forward(self) -> Tensor:
        images, labels = next(self._batches)
        return nn.functional.cross_entropy(self.network(images), labels)

    def plain_step(self) -> None:
        with plainly():
            self.step()


class Bare:
    """Each candidate of the same network by itself, on the maps that it is given there."""

    def __init__(self, steps: Steps) -> None:
        self._runs: list[tuple[Candidate, Tensor, Tensor]] = []

        def record(candidate: Candidate, total: Tensor | None, source: Source, weight: Tensor) -> Tensor:
            maps = source.maps.detach().clone().requires_grad_()
            with torch.no_grad():
                gradient = torch.randn_like(alone(candidate, maps))
            self._runs.append((candidate, maps, gradient))
            return original(candidate, total, source, weight)

        original = Candidate.add_to
        with mock.patch.object(Candidate, "add_to", record):
            steps.forward()

    def twice(self) -> None:
        for _ in range(2):
            for candidate, maps, gradient in self._runs:
                alone(candidate, maps).backward(gradient)
                maps.grad = None
                for parameter in candidate.parameters():
                    parameter.grad = None

    def forward(self) -> list[Tensor]:
        return [alone(candidate, maps) for candidate, maps, _ in self._runs]


def alone(candidate: Candidate, maps: Tensor) -> Tensor:
    """Gives a candidate from its rectifier to its normalisation, without a weight."""
    found: Tensor = candidate.body(candidate.preparation(maps))
    norm = candidate.norm
    if norm is None:
        return found.view_as(found)
    return nn.functional.batch_norm(found, norm.running_mean, norm.running_var, training=candidate.training)


@contextmanager
def plainly() -> Iterator[None]:
    """Lets edges be computed as their definition has it."""

    def add_to(edge: MixedEdge, total: Tensor | None, source: Source, weights: Tensor) -> Tensor:
        found = [
            weight * alone(one, source.maps) for one, weight in zip(edge.candidates.values(), weights, strict=True)
        ]
        return sum(found) if total is None else total + sum(found)

    with mock.patch.object(MixedEdge, "add_to", add_to):
        yield


def seconds(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def kept(network: nn.Module, forward: Callable[[], object]) -> float:
    """Gives the megabytes that a forward pass keeps for the backward pass, beside the network's own tensors."""
    own = {one.untyped_storage().data_ptr() for one in (*network.parameters(), *network.buffers())}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        graph = forward()  # held, so that no address is used twice
    del graph
    return sum(found.values()) / 2**20


def measure(report: Report, size: int, batch: int, turns: int) -> None:
    steps = Steps(size, batch)
    bare = Bare(steps)
    arms = {"step": steps.step, "bare": bare.twice, "plain": steps.plain_step}
    for call in arms.values():
        call()  # warms up
    times = rounds({name: lambda call=call: seconds(call) for name, call in arms.items()}, turns)
    steps.network.architecture.requires_grad_(True)
    memory = {"step": kept(steps.network, steps.forward), "bare": kept(steps.network, bare.forward)}
    with plainly():
        memory["plain"] = kept(steps.network, steps.forward)
    label = f"{size}x{size} images, batch {batch}"
    for name in arms:
        ratios = [one / other for one, other in zip(times[name], times["bare"], strict=True)]
        report.row(
            f"{label}: {name}",
            seconds=median(times[name]),
            lowest=min(ratios),
            ratio=median(ratios),
            highest=max(ratios),
            megabytes=memory[name],
        )
        if name != "bare":
            bound = GOAL if name == "step" else None
            report.ratio(f"{label}: time of {name} over bare", median(ratios), at_most=bound)
            report.ratio(f"{label}: memory of {name} over bare", memory[name] / memory["bare"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the results are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = Report("supernet", __doc__ or "", "torch", "automl-graph")
    for size, batch in SETTINGS:
        measure(report, size, batch, arguments.turns)
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
