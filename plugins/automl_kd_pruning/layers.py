"""Which channels of a network can be removed while everything around them keeps its width.

Two kinds of layers have such channels. The output of an **inner layer** goes to other layers alone: through batch
normalisation, depthwise convolutions and operations on single channels, but into no sum with another layer's output and
into no concatenation. And a **selected normalisation** at the start of a block reads a residual stream, or what is
concatenated, of which it can choose a part without changing it for others.

torch-pruning's dependency graph tells what depends on a layer's channels. Source: Fang et al., "DepGraph: Towards Any
Structural Pruning" (CVPR 2023), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch_pruning.ops import OPTYPE

from automl_core.errors import RequestError
from automl_vision.models import ClassifierModule
from automl_vision.models.selection import SelectedNorm
from automl_vision.randomness import isolated_randomness

IMAGE_SIZES = (32, 64, 224)
"""Sides of the square image, in pixels, that a network is traced with: the first that it takes."""

AUXILIARY = "auxiliary."
"""How the names begin of what helps in training alone, and from which nothing is removed."""

_CHANNELWISE = (OPTYPE.ELEMENTWISE, OPTYPE.RESHAPE)
_PRODUCERS = (OPTYPE.CONV, OPTYPE.LINEAR)


@dataclass(frozen=True)
class Layer:
    """A layer with channels that can be removed. Modules are given by their names in the network.

    Args:
        name: The convolution, or the selected normalisation.
        width: Its channels.
        norms: The batch normalisations of these channels that have scales, in the network's order.
        consumers: The convolutions and linear layers that read its channels.
        selected: Whether it is a selected normalisation.
    """

    name: str
    width: int
    norms: tuple[str, ...]
    consumers: tuple[str, ...]
    selected: bool = False


class Structure:
    """A network's dependency graph, and what can be removed from it.

    Args:
        network: The network, on whichever device, ``meta`` included. It is not changed.
        channels: Channels of the images.
        model: Its name, for messages.

    Raises:
        RequestError: For a network that cannot be traced, or a selected normalisation that no layer reads.
    """

    def __init__(self, network: ClassifierModule, channels: int, model: str) -> None:
        self.network = network
        self.graph = _traced(network, channels, model)
        self._names = {module: name for name, module in network.named_modules()}
        self._selected = {module.norm for module in network.modules() if isinstance(module, SelectedNorm)}
        self._tied = set[nn.Module]()
        found = [self._layer(name, module) for name, module in network.named_modules()]
        self.layers: Mapping[str, Layer] = {layer.name: layer for layer in found if layer is not None}

    @property
    def inner(self) -> list[Layer]:
        """The inner layers, in the network's order."""
        return [layer for layer in self.layers.values() if not layer.selected]

    def group(self, layer: Layer, removed: list[int]) -> Any:
        """Gives torch-pruning's group of an inner layer: everything that goes with some of its channels."""
        module = self.network.get_submodule(layer.name)
        return self.graph.get_pruning_group(module, torch_pruning.prune_conv_out_channels, removed)

    def _layer(self, name: str, module: nn.Module) -> Layer | None:
        if name.startswith(AUXILIARY):
            return None
        if isinstance(module, SelectedNorm):
            return Layer(name, module.norm.num_features, (f"{name}.norm",), (self._reader(name, module),), True)
        if isinstance(module, nn.Conv2d) and module.groups == 1 and module in self.graph.module2node:
            return self._inner(name, module)
        return None

    def _inner(self, name: str, convolution: nn.Conv2d) -> Layer | None:
        """Gives a convolution as inner layer; None when its channels are tied to others."""
        if convolution in self._tied:
            return None
        everything = list(range(convolution.out_channels))
        group = self.graph.get_pruning_group(convolution, torch_pruning.prune_conv_out_channels, everything)
        producers = {one.target.module for one, _ in group if one.target.type in _PRODUCERS and not self._reads(one)}
        if producers != {convolution}:
            self._tied |= producers  # which need not be asked again: a residual stream has hundreds of them
            return None
        norms, consumers = set[str](), set[str]()
        for dependency, indices in group:
            module, kind = dependency.target.module, dependency.target.type
            if kind in _CHANNELWISE or (module is convolution and not self._reads(dependency)):
                continue
            if len(indices) != _width_at(module):  # not all of its channels are this layer's
                return None
            if kind == OPTYPE.BN and module not in self._selected:
                if module.affine:
                    norms.add(self._names[module])
            elif kind in _PRODUCERS and getattr(module, "groups", 1) == 1 and module is not convolution:
                consumers.add(self._names[module])
            elif kind != OPTYPE.DEPTHWISE_CONV:
                return None
        reshaped = any(dependency.target.type == OPTYPE.RESHAPE for dependency, _ in group)
        if not consumers or (reshaped and consumers & convolutions(self.network).keys()):
            return None  # before a linear layer maps are flattened; before a convolution their channels are shuffled
        return Layer(name, convolution.out_channels, self._ordered(norms), self._ordered(consumers))

    def _reads(self, dependency: Any) -> bool:
        """Tells whether what goes are a module's inputs and not its outputs."""
        return not self.graph.is_out_channel_pruning_fn(dependency.handler)

    def _ordered(self, names: set[str]) -> tuple[str, ...]:
        return tuple(name for name in self._names.values() if name in names)

    def _reader(self, name: str, selected: SelectedNorm) -> str:
        """Gives the layer that reads a selected normalisation: the next convolution or linear layer.

        Raises:
            RequestError: When there is none, or it does not fit.
        """
        modules = iter(self.network.named_modules())
        next(_ for _, module in modules if module is selected)
        reader: str
        for reader, module in modules:
            if isinstance(module, nn.Conv2d | nn.Linear):
                if _width_at(module) == selected.norm.num_features and getattr(module, "groups", 1) == 1:
                    return reader
                break
        raise RequestError(
            f"a SelectedNorm must come, in the order of the network's modules, right before the layer that reads it, "
            f"but no convolution or linear layer of {selected.norm.num_features} inputs follows {name!r}; create its "
            "reader after it"
        )


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Gives a network's convolutions by name, in its order, without those of its auxiliary head."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and not name.startswith(AUXILIARY)
    }


def _width_at(module: nn.Module) -> int:
    """Gives the channels of a batch normalisation, or the inputs of a convolution or linear layer."""
    for attribute in ("num_features", "in_channels", "in_features"):
        if hasattr(module, attribute):
            return int(getattr(module, attribute))
    return -1


class _WithoutDetaching(TorchFunctionMode):
    """Lets what is detached stay in the graph: gradients do not pass there, channels do."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.detach or func is torch.detach:
            return args[0]
        return func(*args, **(kwargs or {}))


def _traced(network: ClassifierModule, channels: int, model: str) -> Any:
    """Builds the dependency graph; the network is left as it was.

    Raises:
        RequestError: When that fails for an image of any size.
    """
    training = {module: module.training for module in network.modules()}
    trained = {parameter: parameter.requires_grad for parameter in network.parameters()}
    network.requires_grad_(True)  # the graph is read off autograd's
    reasons = []
    try:
        for size in IMAGE_SIZES:
            image = torch.zeros(1, channels, size, size).to(network.head.weight)
            try:
                with isolated_randomness(0, image.device), torch.enable_grad(), _WithoutDetaching():
                    return torch_pruning.DependencyGraph().build_dependency(
                        network, (image,), forward_fn=_outputs, verbose=False
                    )
            except Exception as error:  # noqa: BLE001 - a model may fail in any way; all are told
                reason = str(error).partition("\n")[0]
                reasons.append(f"{size}x{size}: {type(error).__name__}: {reason}")
    finally:
        for parameter, requires_grad in trained.items():
            parameter.requires_grad_(requires_grad)
        for module, mode in training.items():
            module.training = mode
    raise RequestError(
        f"to remove channels from {model!r} it must be traced on one image, but that failed ({'; '.join(reasons)}); "
        "mend the model, or prune by magnitude, which needs no tracing"
    )


def _outputs(network: ClassifierModule, images: tuple[Tensor]) -> list[Tensor]:
    """Gives everything that a network computes, an auxiliary head's logits included."""
    if not hasattr(network, "forward_with_auxiliary"):
        return [network(*images)]
    features, auxiliary = network.forward_with_auxiliary(*images)  # type: ignore[operator]
    return [network.head(features)] + ([] if auxiliary is None else [auxiliary])
