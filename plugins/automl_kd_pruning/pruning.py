"""Pruning a trained network, by any of three methods.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), section 4.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_core.plugins import Registry, get_registry
from automl_core.types import EMPTY
from automl_kd_pruning.layers import Layer, Structure, convolutions
from automl_kd_pruning.selecting import above_threshold, count_kept, largest_filters
from automl_kd_pruning.surgery import cut, silenced
from automl_spaces.graph import Node
from automl_spaces.trainings import Pruning
from automl_vision.costs import Sizes, build_empty
from automl_vision.models import ClassifierModule

log = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Difference of outputs, relative to the largest one, that rounding may make in deep networks of low precision."""


@dataclass(frozen=True)
class Pruned:
    """What pruning gives.

    Args:
        network: The pruned network.
        node: What builds it again, untrained.
        masks: For ``magnitude``: name of each pruned parameter, to 1 where a weight stays and 0 where it is to stay
            zero, in the parameter's shape, device and type. Empty for the other methods.
        kept: Of each layer from which something could go: how much is left, and how much there was, in channels; for
            ``magnitude`` in weights.
    """

    network: ClassifierModule
    node: Node
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def prune(network: ClassifierModule, node: Node, pruning: Pruning, sizes: Sizes) -> Pruned:
    """Prunes a copy of a trained network. Equal weights give an equal result; of equal values the first ones stay.

    Args:
        network: The network; it is left as it is.
        node: What it was built by.
        pruning: What is removed from it.
        sizes: What it was built for.

    Raises:
        RequestError: When the method finds nothing in this network that it could remove, the network cannot be traced,
            or shares or numbers do not fit it.
    """
    if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values() if tensor.is_floating_point()):
        raise RequestError(
            f"a network to prune must have finite weights, but this {node.model} has others; its training has "
            "diverged, so lower its learning rate"
        )
    own = copy.deepcopy(network)
    own.zero_grad(set_to_none=True)
    if pruning.method == "magnitude":
        return _sparse(own, node, pruning.remaining[0])
    structure = Structure(own, sizes.channels, node.model)
    if pruning.method == "l1-norm":
        kept = {
            name: largest_filters(_weight(own, name), count)
            for name, count in _counts(structure.inner, node, pruning).items()
        }
    else:
        kept = _by_scales(structure, node, pruning.remaining[0])
    before = {name: structure.layers[name].width for name in kept}
    cut(structure, kept)
    own.kept_features = next((kept[name] for name in kept if "head" in structure.layers[name].consumers), None)
    _check_same_function(own, silenced(network, structure.layers, kept), node, sizes)
    left = {name: len(chosen) for name, chosen in kept.items()}
    return Pruned(own, _cut_node(node, left, before), EMPTY, {name: (left[name], before[name]) for name in kept})


@torch.no_grad()
def _check_same_function(smaller: ClassifierModule, silent: ClassifierModule, node: Node, sizes: Sizes) -> None:
    """Refuses a network that does not compute what the whole one does without the removed channels.

    The dependency graph sees which tensors meet and not always how: a model that moves channels about in an operation
    of its own could be cut in the wrong places.
    """
    weight = silent.head.weight
    images = torch.randn(4, sizes.channels, *sizes.image_size, generator=torch.Generator().manual_seed(0)).to(weight)
    expected = _evaluated(silent, images)
    try:
        got: Tensor | None = _evaluated(smaller, images)
    except RuntimeError:  # some operation does not take what is left
        got = None
    allowed = TOLERANCE * max(1.0, float(expected.abs().max())) if bool(expected.isfinite().all()) else float("inf")
    if got is None or float((got - expected).abs().max()) > allowed:
        raise RequestError(
            f"{node.model} cannot be pruned by removing channels: without them it computes something else than with "
            "their filters at zero, since it moves channels about or normalises them without scales; prune it by "
            "magnitude, or prune another model"
        )


def _evaluated(network: ClassifierModule, images: Tensor) -> Tensor:
    """Gives a network's logits in evaluation mode, and leaves it in the mode it was in."""
    training = network.training
    logits: Tensor = network.eval()(images).float()
    network.train(training)
    return logits


def foreseen(node: Node, pruning: Pruning, sizes: Sizes) -> Node | None:
    """Gives the node that pruning a network will give, without the network; None where its weights decide.

    Args:
        node: What the network is built by.
        pruning: What will be removed from it.
        sizes: What it is built for.

    Raises:
        RequestError: As for :func:`prune`.
    """
    if pruning.method == "magnitude":
        return node
    layers = _layers(get_registry(), node, sizes)
    if pruning.method == "slimming":
        _scaled(layers, node)
        return None
    counts = _counts([layer for layer in layers if not layer.selected], node, pruning)
    return _cut_node(node, counts, {layer.name: layer.width for layer in layers})


def _cut_node(node: Node, left: Mapping[str, int], before: Mapping[str, int]) -> Node:
    """Describes a network by the layers that lost something."""
    widths = {name: count for name, count in left.items() if count < before[name]}
    return Node("pruned", {"model": node.model, "options": dict(node.options), "widths": widths})


@lru_cache(maxsize=64)
def _layers(registry: Registry, node: Node, sizes: Sizes) -> tuple[Layer, ...]:
    """Finds a model's layers without weights; a search asks for the same few models again and again."""
    try:
        network = build_empty(node, sizes)
    except Exception:  # noqa: BLE001 - a model may ask in any way for numbers, which are not there on "meta"
        network = sizes.build(node)
    return tuple(Structure(network, sizes.channels, node.model).layers.values())


def _weight(network: nn.Module, name: str) -> Tensor:
    return network.get_parameter(f"{name}.weight")


def _counts(layers: list[Layer], node: Node, pruning: Pruning) -> dict[str, int]:
    """Tells how many channels each inner layer keeps: its group's share, and all of them when it is spared.

    Layers of equal width are a group; groups are in the order of their first layers.
    """
    if not layers:
        raise RequestError(
            f"{node.model} cannot be pruned by l1-norm: it has no convolution whose output goes to other layers alone, "
            "and into no sum or concatenation with another's; prune it by slimming (which DenseNets take) or by "
            "magnitude, or prune a residual network"
        )
    widths = list(dict.fromkeys(layer.width for layer in layers))
    shares = pruning.remaining * len(widths) if len(pruning.remaining) == 1 else pruning.remaining
    if len(shares) != len(widths):
        groups = ", ".join(f"{sum(layer.width == width for layer in layers)} of {width}" for width in widths)
        raise RequestError(
            f"pruning {node.model} by l1-norm must be given one share for all, or one for each of its {len(widths)} "
            f"groups of layers by width in channels ({groups}), but got {list(pruning.remaining)}; give one share "
            "(of the space kd-pruning: --set 'space.ratios=[0.5]'), or leave l1-norm out"
        )
    wrong = [number for number in pruning.spared if not 1 <= number <= len(layers)]
    if wrong:
        raise RequestError(
            f"layers that pruning spares must be numbers from 1 to {len(layers)}, the inner layers of {node.model}, "
            f"but got {wrong}; mend 'spared'"
        )
    share_of = dict(zip(widths, shares, strict=True))
    return {
        layer.name: layer.width if number in pruning.spared else count_kept(layer.width, share_of[layer.width])
        for number, layer in enumerate(layers, start=1)
    }


def _by_scales(structure: Structure, node: Node, remaining: float) -> dict[str, Tensor]:
    """Chooses the channels that stay by the scales of batch normalisation, of all layers together."""
    layers = _scaled(structure.layers.values(), node)
    # The first one is the layer's own; others would be those of depthwise convolutions behind it.
    kept = above_threshold([_weight(structure.network, layer.norms[0]) for layer in layers], remaining)
    share = sum(int(mask.sum()) for mask in kept) / sum(mask.numel() for mask in kept)
    if share < remaining / 2:
        log.warning(
            "slimming %s was to leave %.0f %% of the channels and leaves %.1f %%, since so many scales are equal: all "
            "that are not above the threshold go; train longer before pruning, or with a stronger penalty",
            node.model,
            100 * remaining,
            100 * share,
        )
    return {layer.name: mask.nonzero().flatten().cpu() for layer, mask in zip(layers, kept, strict=True)}


def _scaled(layers: Iterable[Layer], node: Node) -> list[Layer]:
    """Gives those layers that slimming can cut: the ones whose channels have scales."""
    scaled = [layer for layer in layers if layer.norms]
    if not scaled:
        raise RequestError(
            f"{node.model} cannot be pruned by slimming: no batch normalisation with scales follows a layer whose "
            "channels could be removed; prune it by magnitude, or prune a residual network"
        )
    return scaled


@torch.no_grad()
def _sparse(network: ClassifierModule, node: Node, remaining: float) -> Pruned:
    """Puts the smallest weights of all convolutions together to zero."""
    weights = {f"{name}.weight": module.weight for name, module in convolutions(network).items()}
    if not weights:
        raise RequestError(
            f"{node.model} cannot be pruned by magnitude: it has no convolutions; prune a network that has some"
        )
    masks = {}
    for name, kept in zip(weights, above_threshold(list(weights.values()), remaining), strict=True):
        masks[name] = kept.to(weights[name].dtype)
        weights[name].mul_(masks[name])
    kept_counts = {name.removesuffix(".weight"): (int(mask.sum()), mask.numel()) for name, mask in masks.items()}
    return Pruned(network, node, masks, kept_counts)
