"""Trains a network under a limit of its own address space, as ``ulimit -v`` sets it.

A process of its own, since the limit cannot be taken back. Prints a line of JSON: the sizes of the growing batches, and
what a fixed batch beyond the limit ended with.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from automl_core import Context
from automl_core.plugins import Registry, use_registry
from automl_core.types import Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_vision import ClassifierModule, CollaborativeTrainer, ImageDataset, ImageSplit, RawImages, TrainerSettings

FIXED = 0.6
"""Share of the limit that the process takes before it trains."""

FULL = 128
"""Images whose batch would take all the rest."""


class Keep(torch.autograd.Function):
    """Gives what it gets, and keeps memory for each image until the backward pass, without writing to it."""

    @staticmethod
    def forward(context: Any, images: Tensor, kept: int) -> Tensor:
        context.save_for_backward(torch.empty(len(images), kept, dtype=torch.uint8))
        return images.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        assert len(context.saved_tensors[0]) == len(gradient)
        return gradient, None


class Hungry(ClassifierModule):
    """A linear network that takes some bytes for each image that it is trained on."""

    def __init__(self, channels: int, classes: int, kept: int = 1) -> None:
        super().__init__()
        self.kept = kept
        self.body, self.head = nn.Linear(16 * channels, 8), nn.Linear(8, classes)

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = Keep.apply(self.body(images.flatten(1)), self.kept)
        return features


class Blank(ImageDataset):
    """Blank images of 4x4 pixels, of two classes."""

    name = "blank"

    def _read(self) -> RawImages:
        def blank(count: int) -> ImageSplit:
            return ImageSplit(torch.zeros(count, 1, 4, 4, dtype=torch.uint8), torch.arange(count) % 2)

        return RawImages(blank(1024), blank(16), blank(16))


def train(kept: int, epochs: int, **options: Any) -> list[float]:
    graph = KnowledgeTransferGraph((Node("hungry", {"kept": kept}),), (Edge(0, 1),))
    settings = TrainerSettings(pad=0, evaluation_batch=16, **options)
    trainer = CollaborativeTrainer(graph, settings, Context(seed=0, max_budget=epochs, dataset=Blank()))
    return [one.metrics.get("batch", 0.0) for one in trainer.advance(Job(0, {}, 0, epochs))]


def main() -> None:
    registry = Registry()
    load = registry.load
    registry.load = lambda kind, name: Hungry if name == "hungry" else load(kind, name)  # type: ignore[method-assign]
    with use_registry(registry):
        train(1, 1, batch=16)  # whatever is loaded at first use is there before the limit is set
        (peak,) = re.findall(r"VmPeak:\s*(\d+) kB", Path("/proc/self/status").read_text())
        limit = int(int(peak) * 1024 / FIXED)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        kept = int(limit * (1 - FIXED) / FULL)
        sizes = train(kept, 3, batch=48, largest_batch=1024, batch_every=2)
        try:
            train(kept, 1, batch=2 * FULL)
            error = ""
        except (RuntimeError, MemoryError) as raised:
            error = str(raised)
    sys.stdout.write(json.dumps({"sizes": sizes, "error": error}) + "\n")


if __name__ == "__main__":
    main()
