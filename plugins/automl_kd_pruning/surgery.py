"""Removing channels from a network for real, so that it becomes smaller and not only sparser."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from automl_kd_pruning.layers import Layer, Structure
from automl_vision.models import ClassifierModule
from automl_vision.models.selection import SelectedNorm


def cut(structure: Structure, kept: Mapping[str, Tensor]) -> None:
    """Removes channels from a structure's own network; the order of those that stay does not change.

    What is left gives the output of the whole network with the removed filters, and the scales and shifts of their
    normalisation, at zero. Device, number type, memory format and which parameters are trained stay.

    Args:
        structure: The network's. It cannot be used again afterwards.
        kept: For each layer that is cut, by name: numbers of the channels that stay, rising, int64.
    """
    network = structure.network
    trained = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    channels_last = any(_is_channels_last(parameter) for parameter in network.parameters())
    for name, chosen in kept.items():
        layer = structure.layers[name]
        if len(chosen) < layer.width:
            _cut_layer(structure, layer, chosen)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trained[name])
    if channels_last:
        network.to(memory_format=torch.channels_last)


def silenced(network: ClassifierModule, layers: Mapping[str, Layer], kept: Mapping[str, Tensor]) -> ClassifierModule:
    """Gives a copy that keeps its size, with filters, biases, scales and shifts of what :func:`cut` removes at zero.

    Args:
        network: The whole network.
        layers: Its layers by name.
        kept: As for :func:`cut`.
    """
    silent = copy.deepcopy(network)
    with torch.no_grad():
        for name, chosen in kept.items():
            gone = torch.ones(layers[name].width, dtype=torch.bool)
            gone[chosen] = False
            for part in (*layers[name].norms, *(() if layers[name].selected else (name,))):
                for parameter in silent.get_submodule(part).parameters(recurse=False):
                    parameter[gone.to(parameter.device)] = 0
    return silent


def _cut_layer(structure: Structure, layer: Layer, chosen: Tensor) -> None:
    network = structure.network
    module = network.get_submodule(layer.name)
    if not isinstance(module, SelectedNorm):
        stays = set(chosen.tolist())
        # All at once: a second removal would count from the channels that the first has left.
        structure.group(layer, [index for index in range(layer.width) if index not in stays]).prune()
        return
    module.select(chosen)
    for name in layer.consumers:
        _cut_inputs(network.get_submodule(name), chosen)


def _cut_inputs(reader: nn.Module, chosen: Tensor) -> None:
    assert isinstance(reader, nn.Conv2d | nn.Linear), reader
    weight = reader.weight.detach()
    reader.weight = nn.Parameter(weight.index_select(1, chosen.to(weight.device)))
    setattr(reader, "in_channels" if isinstance(reader, nn.Conv2d) else "in_features", len(chosen))


def _is_channels_last(parameter: Tensor) -> bool:
    if parameter.dim() != 4 or parameter.is_contiguous():
        return False
    return parameter.is_contiguous(memory_format=torch.channels_last)
