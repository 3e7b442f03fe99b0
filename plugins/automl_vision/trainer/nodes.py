"""The nodes of a graph as networks: built, or loaded where they are frozen; and what trains each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_core.plugins import get_registry
from automl_core.randomness import derive_seed
from automl_spaces.gates import Gate, GateInput
from automl_spaces.graph import LABEL, Edge, KnowledgeTransferGraph, Node
from automl_vision.exporting import load_network
from automl_vision.losses import EdgeInput, EdgeLoss
from automl_vision.models import ClassifierModule, build_model
from automl_vision.randomness import isolated_randomness

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset
    from automl_vision.trainer.settings import TrainerSettings


@dataclass(frozen=True)
class LiveEdge:
    """An edge ready to be computed: what it is, what diverges, and what lets it through."""

    edge: Edge
    loss: EdgeLoss
    gate: Gate

    @property
    def source(self) -> int:
        return self.edge.source

    def gated(self, batch: EdgeInput, source_correct: Tensor, progress: float) -> Tensor:
        """Gives the edge's part of its destination's loss on one batch, a scalar.

        Args:
            batch: What the loss sees of B samples.
            source_correct: Whether the source is right, shape (B,), bool.
            progress: k / k_end, in (0, 1].

        Raises:
            RequestError: For a loss that does not give one number per sample, or a gate that does not give one number.
        """
        divergence = self.loss(batch)
        self._check_shape("loss", self.edge.loss_name, divergence, (len(batch.labels),))
        gated = self.gate(GateInput(divergence, source_correct, progress))
        self._check_shape("gate", self.edge.gate, gated, ())
        return gated * self.edge.weight

    def _check_shape(self, kind: str, name: str, given: object, expected: tuple[int, ...]) -> None:
        # Torch would broadcast or sum what has another shape, and train with another scale than was asked for.
        found = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        if found != expected:
            meaning = "one number per sample" if kind == "loss" else "one number per batch"
            raise RequestError(
                f"{kind} {name!r} on edge ({self.edge.source}, {self.edge.destination}) must give a tensor of shape "
                f"{expected}, {meaning}, but gave {found}; mend it, for example by its mean over what is too much"
            )


class GatedSGD(torch.optim.SGD):
    """SGD whose step can be called off on the device, without asking what a tensor holds.

    The fused kernel leaves everything as it is where ``found_inf`` is 1, which gradient scalers use for overflows and
    which serves here for batches without a loss. The momentum starts as zeros, and not at the first step, so that a
    first step that is called off leaves nothing uninitialised; the numbers are the same.
    """

    found_inf: Tensor | None

    def __init__(self, parameters: Sequence[Tensor], settings: TrainerSettings) -> None:
        super().__init__(
            parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        if settings.momentum:
            for parameter in parameters:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


class Learner:
    """A node that is trained here: its network, its incoming edges and its own optimiser.

    Trained are the parameters that require a gradient now; what others switch on later, they step themselves.

    Args:
        number: The node's number in the canonical graph.
        network: The network.
        edges: Its incoming edges; not empty.
        settings: How it is trained.
    """

    def __init__(
        self, number: int, network: ClassifierModule, edges: Sequence[LiveEdge], settings: TrainerSettings
    ) -> None:
        self.number = number
        self.network = network
        self.edges = tuple(edges)
        self.losses = nn.ModuleList(edge.loss for edge in edges)
        parameters = [one for part in (network, self.losses) for one in part.parameters() if one.requires_grad]
        self.optimiser = GatedSGD(parameters, settings)
        self._parameters = parameters
        self._clip = settings.clip
        self._sparsity = settings.sparsity
        self._scales = batch_norm_scales(network) if settings.sparsity else []

    def set_progress(self, progress: float) -> None:
        """Tells the network how far its training is, in [0, 1), if it wants to know: path dropout grows with it."""
        tell = getattr(self.network, "set_progress", None)
        if callable(tell):
            tell(progress)

    def set_learning_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def step(self, loss: Tensor) -> None:
        """Steps on the gradients there are, after clipping, unless the loss is exactly zero: then nothing changes.

        Not even the weights decay then.
        """
        for scale in self._scales:
            if scale.grad is not None:  # network slimming's L1 penalty: its gradient is lambda * sign(scale), 0 at 0
                scale.grad.add_(scale.detach().sign(), alpha=self._sparsity)
        if self._clip:
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self.optimiser.found_inf = loss.detach().eq(0).to(torch.float32)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


def batch_norm_scales(network: nn.Module) -> list[Tensor]:
    """Lists the scales of a network's batch normalisations that are trained, each of shape (channels,)."""
    norms = (module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return [norm.weight for norm in norms if norm.weight is not None and norm.weight.requires_grad]


@torch.no_grad()
def begin_scales(network: nn.Module, scale: float) -> None:
    """Lets the scales of a new network's batch normalisations begin elsewhere than at 1."""
    if scale != 1:
        for one in batch_norm_scales(network):
            one.fill_(scale)


def build_networks(
    graph: KnowledgeTransferGraph,
    dataset: ImageDataset,
    settings: TrainerSettings,
    artefacts: Sequence[Path],
    device: torch.device,
    seed: int,
    begun: Mapping[int, ClassifierModule] | None = None,
) -> dict[int, ClassifierModule]:
    """Builds the network of every node, by number: trained ones seeded by (seed, number), frozen ones from artefacts.

    Args:
        graph: A canonical graph.
        dataset: What the networks classify.
        settings: How they lie in memory.
        artefacts: What :meth:`CollaborativeTrainer.export` wrote, one for each frozen node by rising number.
        device: Where they go.
        seed: Seed of the evaluation.
        begun: Number to network of the nodes that go on from what they have learnt before.

    Raises:
        RequestError: When artefacts are missing, corrupt or of another network than their node's.
    """
    frozen = sorted(graph.frozen)
    if len(artefacts) != len(frozen):
        raise RequestError(
            f"every frozen node must come with its trained network, but the frozen nodes are {frozen} and the "
            f"artefacts {[str(path) for path in artefacts]}; give one directory written by export for each"
        )
    directories = dict(zip(frozen, artefacts, strict=True))
    networks: dict[int, ClassifierModule] = {}
    for number, node in enumerate(graph.nodes, start=1):
        if number in directories:
            network = load_trained(node, directories[number], dataset).requires_grad_(False)
        elif begun and number in begun:
            network = begun[number]
        else:
            network = build_model(
                node.model,
                dataset.channels,
                dataset.classes,
                options=node.options,
                seed=derive_seed(seed, "node", number),
            )
            begin_scales(network, settings.norm_scale)
        networks[number] = placed(network, settings, device)
    return networks


def placed(network: ClassifierModule, settings: TrainerSettings, device: torch.device) -> ClassifierModule:
    """Moves a network to where it is trained, and lays it out in memory as the settings say."""
    memory_format = torch.channels_last if settings.channels_last else torch.contiguous_format
    return network.to(device).to(memory_format=memory_format)


def load_trained(node: Node, directory: Path, dataset: ImageDataset) -> ClassifierModule:
    """Loads a node's network as a training of its model on the same kind of data has exported it.

    Raises:
        RequestError: When the files are missing or corrupt, or of another network.
    """
    network, card = load_network(directory)
    expected = (node.model, dict(node.options), dataset.channels, dataset.classes)
    found = (card.model, dict(card.options), card.channels, card.classes)
    if found != expected:
        raise RequestError(
            "a trained network must be of its node's own model (name, options, channels, classes) "
            f"{expected}, but {directory} holds {found}; give what a training of that model on such data has exported"
        )
    return network


def build_learners(
    graph: KnowledgeTransferGraph,
    networks: dict[int, ClassifierModule],
    settings: TrainerSettings,
    device: torch.device,
    seed: int,
) -> list[Learner]:
    """Builds what trains each node that is not frozen, by rising number.

    Raises:
        RequestError: For an unknown gate or loss, a wrong option, or a loss that cannot stand on its edge.
    """
    learners = []
    for number in sorted(networks.keys() - graph.frozen):
        edges = []
        for edge in graph.incoming(number):
            with isolated_randomness(derive_seed(seed, "edge", edge.source, edge.destination), device):
                loss = build_loss(edge)
                _fit(loss, edge, networks)
                edges.append(LiveEdge(edge, loss.to(device), build_gate(edge)))
        learners.append(Learner(number, networks[number], edges, settings))
    return learners


def _fit(loss: EdgeLoss, edge: Edge, networks: Mapping[int, ClassifierModule]) -> None:
    """Shows a loss the networks at both ends of its edge, which must give maps where it looks at these."""
    ends = [networks[number] for number in (edge.source, edge.destination) if number != LABEL]
    for network in ends if loss.needs_maps else ():
        if getattr(type(network), "forward_maps", None) in (None, ClassifierModule.forward_maps):
            raise RequestError(
                f"loss {edge.loss_name!r} on edge ({edge.source}, {edge.destination}) needs models that give their "
                f"last feature map, but {type(network).__name__} has no forward_maps and pool; add them, or choose "
                "another loss"
            )
    if loss.needs_maps and getattr(networks[edge.destination], "auxiliary", None) is not None:
        raise RequestError(
            f"loss {edge.loss_name!r} on edge ({edge.source}, {edge.destination}) cannot look at the feature maps of "
            f"{type(networks[edge.destination]).__name__} while it trains an auxiliary head; leave that head out"
        )
    loss.fit(networks.get(edge.source), networks[edge.destination])


def build_loss(edge: Edge) -> EdgeLoss:
    """Builds an edge's loss.

    Raises:
        RequestError: For an unknown loss or option, or one that needs a node as source on an edge from the label.
    """
    loss: EdgeLoss = get_registry().create("loss", edge.loss_name, edge.options)
    if edge.source == LABEL and loss.needs_source:
        raise RequestError(
            f"an edge from the label must carry a loss that needs the label alone, but edge (0, {edge.destination}) "
            f"carries {edge.loss_name!r}; use cross-entropy there, or another source"
        )
    return loss


def build_gate(edge: Edge) -> Gate:
    """Builds an edge's gate.

    Raises:
        RequestError: For an unknown gate.
    """
    gate: Gate = get_registry().create("gate", edge.gate)
    return gate
