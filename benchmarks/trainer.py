"""What the collaborative trainer costs beside the networks that it trains.

Three ResNet-8 teach one another (all gates through) on 3x32x32 images, batch 64, with 1 and with 2 threads. In turns:

- bare: forward, backward from a given gradient and optimiser step of each node, on batches that lie ready. No loss,
  no data, no metrics; the same networks, memory layout and fused SGD.
- bare + measuring: the same, and then forward passes of each node over validation images that lie ready.
- trainer: an epoch as ``advance`` yields it. Training on the bare loop's number of batches, with augmentation, all
  losses, gates and training metrics; then all three networks measured on validation images, a quarter as many as the
  training images, the paper's proportion.
- training only: the same without the measuring, but with its augmentation, losses, gates and training metrics.
- plain: the same epoch as code beside papers often has it. PIL images through torchvision's transforms one by one in a
  DataLoader (without workers, so that it has the same cores), one backward per node with the graph retained,
  ``.item()`` at each step.
- channels first, bfloat16: the trainer with these options.

All arms run in one process, so all of them have freed memory kept as the trainer asks for. Ratios are taken within
each turn, so that a machine that is busy for a while weighs on both sides of a ratio; each arm but the bare ones has
one to either of them, since whether measuring belongs into an epoch's bare cost can be seen in two ways.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms
from torchvision.transforms import functional as images_as

from automl_core import Context
from automl_core.types import Job
from automl_spaces.graph import KnowledgeTransferGraph, Node, all_through
from automl_vision import CollaborativeTrainer, ImageDataset, ImageSplit, RawImages, TrainerSettings, build_model

ASKED = ("bare", "bare + measuring", "trainer", "training only")
"""Arms whose ratios are held against the goal: measured in every turn, the others in the first ``OTHER_TURNS``."""

OTHER_TURNS = 5
NODES, BATCH, BATCHES = 3, 64, 4
GOAL = 1.15
RESULTS = Path(__file__).parent / "results" / "trainer.json"
GRAPH = all_through(KnowledgeTransferGraph((Node("resnet8"),) * NODES, ()))


class Synthetic(ImageDataset):
    """Random images of ten classes; what they show does not matter for time."""

    name = "synthetic"

    def _read(self) -> RawImages:
        generator = torch.Generator().manual_seed(0)

        def draw(count: int) -> ImageSplit:
            images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
            return ImageSplit(images, torch.arange(count) % 10)

        train = BATCH * BATCHES
        return RawImages(train=draw(train), validation=draw(train // 4), test=draw(10))


class Ours:
    """The trainer, epoch by epoch."""

    def __init__(self, dataset: ImageDataset, threads: int, **options: Any) -> None:
        context = Context(seed=0, max_budget=10**6, dataset=dataset, threads=threads)
        self.trainer = CollaborativeTrainer(GRAPH, TrainerSettings(batch=BATCH, **options), context)

    def epoch(self) -> None:
        list(self.trainer.advance(Job(0, {}, self.trainer.epoch, self.trainer.epoch + 1)))

    def training_only(self) -> None:
        self.trainer._train_epoch()
        self.trainer.epoch += 1


class Bare:
    """Nothing but the networks' own work."""

    def __init__(self, dataset: ImageDataset) -> None:
        networks = [build_model("resnet8", 3, 10, seed=node) for node in range(NODES)]
        self.nodes = []
        for network in networks:
            network.to(memory_format=torch.channels_last).train()
            optimiser = torch.optim.SGD(
                network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
            )
            self.nodes.append((network, optimiser))
        floats = dataset.split("train").images.float().div(255.0).to(memory_format=torch.channels_last)
        self.batches = torch.split(floats, BATCH)
        measured = dataset.split("validation").images.float().div(255.0)
        self.measured = measured.to(memory_format=torch.channels_last)
        self.gradient = torch.randn(BATCH, 10, generator=torch.Generator().manual_seed(0)) / BATCH

    def epoch(self) -> None:
        for network, _ in self.nodes:
            network.train()
        for images in self.batches:
            for network, optimiser in self.nodes:
                network(images).backward(self.gradient)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)

    def epoch_and_measuring(self) -> None:
        self.epoch()
        with torch.no_grad():
            for network, _ in self.nodes:
                network.eval()
                network(self.measured)


class PlainImages(TorchDataset[tuple[Tensor, int]]):
    """Images as PIL objects, transformed one by one."""

    def __init__(self, split: ImageSplit, steps: list[Any]) -> None:
        self.images = [images_as.to_pil_image(image) for image in split.images]
        self.labels: list[int] = split.labels.tolist()
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


class Plain:
    """Mutual learning as a script beside a paper has it."""

    def __init__(self, dataset: ImageDataset) -> None:
        to_tensor = [transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std)]
        moves = [
            transforms.RandomHorizontalFlip(),
            transforms.Pad(4, padding_mode="reflect"),
            transforms.RandomCrop(32),
        ]
        train = PlainImages(dataset.split("train"), moves + to_tensor)
        self.train = DataLoader(train, batch_size=BATCH, shuffle=True, drop_last=True)
        self.validation = DataLoader(PlainImages(dataset.split("validation"), to_tensor), batch_size=BATCH)
        self.networks: list[nn.Module] = [build_model("resnet8", 3, 10, seed=node) for node in range(NODES)]
        self.optimisers = [
            torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
            for network in self.networks
        ]

    def epoch(self) -> None:
        for network in self.networks:
            network.train()
        loss_sum = hits = 0.0
        for images, labels in self.train:
            outputs = [network(images) for network in self.networks]
            losses = [self._loss(outputs, node, labels) for node in range(NODES)]
            for optimiser, loss in zip(self.optimisers, losses, strict=True):
                optimiser.zero_grad()
                loss.backward(retain_graph=True)
            for optimiser in self.optimisers:
                optimiser.step()
            for output, loss in zip(outputs, losses, strict=True):
                loss_sum += loss.item()
                hits += (output.argmax(1) == labels).sum().item()
        self._validate()

    @staticmethod
    def _loss(outputs: list[Tensor], node: int, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(outputs[node], labels)
        for other in range(NODES):
            if other != node:
                source = F.softmax(outputs[other].detach(), dim=1)
                loss = loss + F.kl_div(F.log_softmax(outputs[node], dim=1), source, reduction="batchmean")
        return loss

    @torch.no_grad()
    def _validate(self) -> None:
        hits = 0.0
        for network in self.networks:
            network.eval()
        for images, labels in self.validation:
            for network in self.networks:
                hits += (network(images).argmax(1) == labels).sum().item()


def seconds(call: Callable[[], None]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure(threads: int, turns: int) -> list[dict[str, Any]]:
    """Gives a row per arm: seconds and ratios to the bare loop, over all turns."""
    torch.set_num_threads(threads)
    dataset = Synthetic()
    dataset.load()
    trainer, bare = Ours(dataset, threads), Bare(dataset)
    arms: dict[str, Callable[[], None]] = {
        "bare": bare.epoch,
        "bare + measuring": bare.epoch_and_measuring,
        "trainer": trainer.epoch,
        "training only": trainer.training_only,
        "plain": Plain(dataset).epoch,
        "channels first": Ours(dataset, threads, channels_last=False).epoch,
        "bfloat16": Ours(dataset, threads, precision="bfloat16").epoch,
    }
    for call in arms.values():
        call()  # warms up
    times: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(turns):
        for name, call in arms.items():
            if name in ASKED or turn < OTHER_TURNS:
                times[name].append(seconds(call))
    return [row(name, threads, times) for name in arms]


def row(name: str, threads: int, times: dict[str, list[float]]) -> dict[str, Any]:
    ratios = {
        bare: spread([one / other for one, other in zip(times[name], times[bare], strict=False)])
        for bare in ("bare", "bare + measuring")
    }
    return {"threads": threads, "arm": name, "seconds": spread(times[name]), "ratio to": ratios}


def spread(figures: list[float]) -> dict[str, float]:
    return {"median": statistics.median(figures), "min": min(figures), "max": max(figures)}


def machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "torch": torch.__version__, "python": platform.python_version()}


def show(rows: list[dict[str, Any]]) -> None:
    heads = ("seconds", "ratio to bare", "to bare + measuring")
    print(f"{'threads':>7}  {'arm':<18}" + "".join(f"{head + ' (min to max)':>34}" for head in heads))
    for one in rows:
        figures = (one["seconds"], *one["ratio to"].values())
        text = "".join(f"{f['median']:>16.3f} ({f['min']:.3f} to {f['max']:.3f})" for f in figures)
        print(f"{one['threads']:>7}  {one['arm']:<18}{text}")
    pairs = (("training only", "bare"), ("trainer", "bare + measuring"), ("trainer", "bare"))
    for threads in sorted({one["threads"] for one in rows}):
        of = {one["arm"]: one["ratio to"] for one in rows if one["threads"] == threads}
        for arm, bare in pairs:
            ratio = of[arm][bare]["median"]
            verdict = "met" if ratio <= GOAL else "missed"
            print(f"{threads} threads: {arm} over {bare} is {ratio:.3f}, at most {GOAL}: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="where the results are written")
    arguments = parser.parse_args()
    rows = [one for threads in arguments.threads for one in measure(threads, arguments.turns)]
    show(rows)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "benchmark": "trainer",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "setting": {"nodes": NODES, "model": "resnet8", "batch": BATCH, "batches": BATCHES, "image": [3, 32, 32]},
        "turns": arguments.turns,
        "goal": GOAL,
        "rows": rows,
    }
    arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
