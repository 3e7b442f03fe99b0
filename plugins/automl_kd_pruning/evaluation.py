"""Training a target that goes on from a trained network, or from what pruning has left of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from automl_core.interfaces import Context
from automl_core.types import Json
from automl_kd_pruning.encoding import encoded_size, sparsity
from automl_kd_pruning.layers import convolutions
from automl_kd_pruning.pruning import prune
from automl_spaces.graph import TARGET, KnowledgeTransferGraph, Node
from automl_spaces.trainings import Training
from automl_vision.costs import Sizes, count_costs
from automl_vision.exporting import read_card
from automl_vision.models import ClassifierModule
from automl_vision.trainer.loop import CollaborativeTrainer, image_dataset
from automl_vision.trainer.nodes import load_trained, placed
from automl_vision.trainer.settings import TrainerSettings
from automl_vision.trainer.update import Update

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset

BEFORE = "_before"
"""What the names of the whole network's metrics end in."""


class Sequel(CollaborativeTrainer):
    """Trains a graph whose target may go on from a trained network, after something was removed from that.

    Pruning follows from the origin's weights alone, so it is not part of checkpoints: it is done again.

    Args:
        training: What to train.
        settings: How.
        context: Where; its ``artefacts`` are what the origin's training exported, if there is an origin, and then those
            of the frozen nodes.
        measures_latency: Whether the latency before and after is reported where channels are removed.

    Raises:
        RequestError: When the origin's network is another one than the target, or nothing can be removed from it.
    """

    def __init__(self, training: Training, settings: TrainerSettings, context: Context, measures_latency: bool) -> None:
        self.training = training
        self._measures_latency = measures_latency
        self._begun = Begun(None, training.model)
        if training.origin is not None:
            origin, *teachers = context.artefacts
            context = replace(context, artefacts=tuple(teachers))
            dataset = image_dataset(context)
            dataset.load()
            self._begun = begin(training, origin, dataset)
        graph = KnowledgeTransferGraph((self._begun.node, *training.graph.nodes[1:]), training.graph.edges)
        super().__init__(graph, settings, context, target=self._begun.network)

    def build_update(self, watch: Callable[[Tensor, Tensor], None] | None) -> Update:
        """Keeps the weights at zero that were put there, after every step."""
        update = super().build_update(watch)
        return MaskedUpdate(update, self.target, self._begun.masks) if self._begun.masks else update

    @property
    def fixed_metrics(self) -> frozenset[str]:
        """Names what the context asks for, and what was gained by pruning."""
        pruning = self.training.pruning
        if pruning is None:
            return super().fixed_metrics
        if not pruning.structured:
            return super().fixed_metrics | {"size", "size" + BEFORE, "accuracy" + BEFORE, "sparsity"}
        gained = {"params", "flops", "size"} | ({"latency"} if self._measures_latency else set())
        return super().fixed_metrics | gained | {name + BEFORE for name in (*gained, "accuracy")}

    def find_costs(self, missing: frozenset[str]) -> dict[str, float]:
        """Finds the metrics that training does not change, of the target and of the network it was pruned from."""
        node, sizes = self.graph.node(TARGET), Sizes.of(self.dataset)
        whole, whole_node = self._begun.whole, self._begun.whole_node
        found = {
            "size": float(encoded_size(self.target)),
            "sparsity": sparsity(self.target),
            **count_costs(node, sizes),
        }
        if whole is None or whole_node is None:
            return found | ({"latency": self.latencies(node)[0]} if "latency" in missing else {})
        before = {
            "accuracy": self._accuracy(whole),
            "size": float(encoded_size(whole)),
            **count_costs(whole_node, sizes),
        }
        if "latency" in missing:
            found["latency"], before["latency"] = self.latencies(node, whole_node)
        return found | {name + BEFORE: value for name, value in before.items()}

    def _accuracy(self, network: ClassifierModule) -> float:
        """Measures a network on the images that the target is measured on."""
        network = placed(network, self.settings, self.device).eval()
        hits = count = 0
        with torch.no_grad():
            for images, labels in self.batches.measured():
                hits += int((self.forward(network, images).logits.argmax(dim=1) == labels).sum())
                count += len(labels)
        return hits / count

    def report(self) -> Json:
        """Says how many channels (or weights) each layer has kept, and of how many."""
        return {"kept": {name: list(counts) for name, counts in self._begun.kept.items()}}


@dataclass(frozen=True)
class Begun:
    """What a target begins as.

    Args:
        network: The network; None for a new one.
        node: What builds a network of its kind.
        masks: Name of a parameter to its mask, 1 where a weight stays; of those that have zeros for good.
        kept: Name of a layer to how many of its channels (or weights) were kept, and of how many.
        whole: The network before anything was removed from it just now; None where nothing was.
        whole_node: What builds a network of that kind.
    """

    network: ClassifierModule | None
    node: Node
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    whole: ClassifierModule | None = None
    whole_node: Node | None = None


def begin(training: Training, origin: Path, dataset: ImageDataset) -> Begun:
    """Removes from the origin's network what the training says.

    Args:
        training: A training with an origin.
        origin: What that has exported.
        dataset: What both train on.

    Raises:
        RequestError: When it is another network than the training's, or nothing can be removed from it.
    """
    assert training.origin is not None
    node, earlier = training.model, training.origin.prunings
    if any(pruning.structured for pruning in earlier):
        card = read_card(origin)  # its shape follows from what was learnt, and is told by its export alone
        node = Node(card.model, card.options)
    network = load_trained(node, origin, dataset)
    begun = Begun(network, node)
    if training.pruning is not None:
        pruned = prune(network, node, training.pruning, Sizes.of(dataset))
        begun = Begun(pruned.network, pruned.node, pruned.masks, pruned.kept, network, node)
    if any(not pruning.structured for pruning in earlier):  # what was put to zero for good is zero here, too
        assert begun.network is not None
        masks = {f"{name}.weight": one.weight.ne(0) for name, one in convolutions(begun.network).items()}
        begun = replace(begun, masks=masks)
    return begun


class MaskedUpdate:
    """Another update, after each of whose steps the masked weights are zero again.

    A mask that is fixed and put on the weights, and not on their gradients, keeps them zero whatever the optimiser's
    momentum and decay do.

    Args:
        update: The update.
        network: What it trains.
        masks: Name of a parameter to its mask, 1 where a weight stays; same shape.
    """

    def __init__(self, update: Update, network: ClassifierModule, masks: Mapping[str, Tensor]) -> None:
        self._update = update
        weights = dict(network.named_parameters())
        self._weights = [weights[name] for name in masks]
        self._masks = [mask.to(weights[name]) for name, mask in masks.items()]
        self.begin, self.metrics = update.begin, update.metrics
        self.state_dict, self.load_state_dict = update.state_dict, update.load_state_dict

    def __call__(self, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        """Trains on one batch; see :class:`Update`."""
        losses = self._update(images, labels, progress)
        with torch.no_grad():
            for weight, mask in zip(self._weights, self._masks, strict=True):
                weight.mul_(mask)
        return losses
