"""A model of one's own: taught, made smaller, taught again by what it was. Self-distillation around pruning, by hand.

Three trainings, each a graph: on labels alone; with that network as a frozen teacher; and, after half of the filters of
all inner layers are gone, with the taught network from before as the teacher. The space ``kd-pruning`` searches such
sequences; here they are put together one by one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn

from automl_core import Context, hookimpl
from automl_core.hookspecs import Register
from automl_core.plugins import get_registry
from automl_core.types import Job
from automl_kd_pruning.pruning import prune
from automl_spaces.graph import KnowledgeTransferGraph, Node
from automl_spaces.trainings import Distillation, Pruning
from automl_vision import ClassifierModule, CollaborativeTrainer, TrainerSettings
from automl_vision.costs import Sizes, count


class OwnNetwork(ClassifierModule):
    """Four convolutions; a model only has to tell its last map, or its features, from its linear head.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the first layer.
    """

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        widths = channels, width, 2 * width, 2 * width, 4 * width
        layers: list[nn.Module] = []
        for number in range(4):
            stride = 2 if number == 1 else 1
            layers += [
                nn.Conv2d(widths[number], widths[number + 1], 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(widths[number + 1]),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], classes)

    def forward_maps(self, images: Tensor) -> Tensor:
        """Gives the last feature map, shape (B, 4 * width, rows, columns)."""
        maps: Tensor = self.body(images)
        return maps


@hookimpl
def automl_models(register: Register) -> None:
    register("own-network", f"{__name__}:OwnNetwork", summary="four convolutions")


OWN = Node("own-network")
SETTINGS = TrainerSettings(batch=32, lr=0.05, schedule="cosine", pad=1)
FINE_TUNING = TrainerSettings(batch=32, lr=0.02, schedule="constant", pad=1)
LABELS, TAUGHT = Distillation(), Distillation("label", alpha=0.5, temperature=2.0)


def train(
    graph: KnowledgeTransferGraph,
    context: Context,
    settings: TrainerSettings = SETTINGS,
    target: ClassifierModule | None = None,
) -> CollaborativeTrainer:
    training = CollaborativeTrainer(graph, settings, context, target)
    for observation in training.advance(Job(0, {}, from_budget=0, to_budget=context.max_budget)):
        print(f"epoch {observation.unit}: {100 * observation.metrics['accuracy']:.1f} %")
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, default=None, help="at most so many training images")
    arguments = parser.parse_args()
    epochs: int = arguments.epochs
    get_registry().add("own", sys.modules[__name__])
    digits = get_registry().create("dataset", "digits", {"limit": arguments.limit})

    with TemporaryDirectory() as scratch, TemporaryDirectory() as taught:
        print("on labels alone")
        train(LABELS.graph(OWN), Context(seed=0, max_budget=epochs, dataset=digits)).export(Path(scratch))

        print("taught by that network")
        context = Context(seed=1, max_budget=epochs, dataset=digits, artefacts=(Path(scratch),))
        whole = train(TAUGHT.graph(OWN), context)
        whole.export(Path(taught))

        sizes = Sizes.of(digits)
        pruned = prune(whole.target, OWN, Pruning("l1-norm", (0.5,)), sizes)
        before, after = count(whole.target, sizes), count(pruned.network, sizes)
        for name in ("params", "flops"):
            print(f"{name}: {before[name]:,.0f} before pruning, {after[name]:,.0f} after")

        print("pruned, and taught by the network that it was")
        edges = TAUGHT.graph(OWN).edges
        context = Context(seed=2, max_budget=epochs, dataset=digits, artefacts=(Path(taught),))
        train(KnowledgeTransferGraph((pruned.node, OWN), edges), context, FINE_TUNING, pruned.network)


if __name__ == "__main__":
    main()
