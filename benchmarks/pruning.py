"""What removing filters and channels gains: a pruned network beside the dense one, in size and in seconds.

Networks for images of 3x32x32 and 100 classes, with random weights, which decide nothing here but which channels go.
Filters are removed by L1 norm with published ratios; channels by the scales of batch normalisation, which are drawn
uniformly between 0 and 1, as if they had been trained: half of all channels go, more in one layer and fewer in another.

- params, flops: of the pruned network over the dense one; flops are multiply-accumulates of convolutions and matrix
  products.
- latency: of a forward pass in evaluation mode, of one image and of a batch, channels last and on one thread. Dense and
  pruned networks take turns in one process; ratios are taken within each turn. What is timed is the processor time of
  the process, which other work on the machine does not stretch so much.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
from reporting import HERE, Report, markdown_table, publish, rounds
from torch import Tensor, nn

from automl_kd_pruning.pruning import prune
from automl_spaces.graph import Node
from automl_spaces.published_kd import SPARED
from automl_spaces.trainings import Pruning
from automl_vision import ClassifierModule, build_model
from automl_vision.costs import Sizes, count

SIZES = Sizes(channels=3, classes=100, image_size=(32, 32))
HALF = Pruning("slimming", (0.5,))
FILTERS = Pruning("l1-norm", (0.5, 0.6, 0.7), SPARED["resnet56"])

CASES: Mapping[str, tuple[str, Pruning]] = {
    "resnet56, L1 norm, 50/60/70 % left": ("resnet56", FILTERS),
    "preresnet56, slimming, 50 % left": ("preresnet56", HALF),
    "vgg16, slimming, 50 % left": ("vgg16", HALF),
    "vgg19, slimming, 50 % left": ("vgg19", HALF),
}
BATCHES = (1, 64)

NAME = "pruning"
HEADS = ("", "parameters", "multiply-accumulates", *(f"latency, batch {batch}" for batch in BATCHES))


def as_if_trained(model: str) -> ClassifierModule:
    """Builds a network, and draws the scales of its normalisations."""
    network = build_model(model, SIZES.channels, SIZES.classes, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.0, 1.0, generator=generator)
    return network


def seconds(network: nn.Module, images: Tensor, passes: int) -> float:
    """Gives the processor seconds of a forward pass, on average over some."""
    with torch.no_grad():
        begin = time.process_time()
        for _ in range(passes):
            network(images)
        return (time.process_time() - begin) / passes


def ratios(
    dense: nn.Module, pruned: nn.Module, batch: int, sizes: Sizes, turns: int
) -> tuple[list[float], list[float]]:
    """Gives the dense network's seconds of a forward pass, and the pruned one's over them, by turn."""
    generator = torch.Generator().manual_seed(batch)
    images = torch.randn(batch, sizes.channels, *sizes.image_size, generator=generator)
    images = images.to(memory_format=torch.channels_last)
    arms = {}
    for name, network in (("dense", dense), ("pruned", pruned)):
        network.eval().to(memory_format=torch.channels_last)
        passes = max(1, int(0.2 / max(1e-4, seconds(network, images, 1))))  # the first pass, which warms up, is slower
        arms[name] = lambda network=network, passes=passes: seconds(network, images, passes)
    times = rounds(arms, turns)
    return times["dense"], [one / other for one, other in zip(times["pruned"], times["dense"], strict=True)]


def measure(report: Report, label: str, turns: int) -> list[str]:
    """Prunes one network, measures, and gives its line of the table."""
    model, pruning = CASES[label]
    dense = as_if_trained(model)
    pruned = prune(dense, Node(model), pruning, SIZES).network
    before, after = count(dense, SIZES), count(pruned, SIZES)
    figures = {name: after[name] / before[name] for name in ("params", "flops")}
    told = [label, *(f"{figures[name]:.3f} of {before[name] / 1e6:.2f} million" for name in ("params", "flops"))]
    for batch in BATCHES:
        times, found = ratios(dense, pruned, batch, SIZES, turns)
        figures |= {
            f"dense seconds, batch {batch}": median(times),
            f"latency, batch {batch}": median(found),
            f"lowest, batch {batch}": min(found),
            f"highest, batch {batch}": max(found),
        }
        shown = f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        told.append(f"{shown} of {1e3 * median(times):.3g} ms")
    report.row(label, **figures)
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES), metavar="CASE")
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md and results/ are")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    report = Report(NAME, __doc__ or "", "torch", "automl-graph")
    rows = [measure(report, label, given.turns) for label in given.cases]
    report.finish(given.results / "results" / f"{NAME}.json")
    publish(given.results / "README.md", NAME, [report.measured_on(), "", *markdown_table(HEADS, rows)])


if __name__ == "__main__":
    main()
