"""How much a network takes when the zeros among its weights are not written out."""

from __future__ import annotations

from torch import Tensor, nn

from automl_kd_pruning.layers import convolutions


def sparsity(network: nn.Module) -> float:
    """Gives the share of zeros among the weights of all convolutions; 0 for a network without any."""
    weights = [module.weight for module in convolutions(network).values()]
    total = sum(weight.numel() for weight in weights)
    return sum(_zeros(weight) for weight in weights) / total if total else 0.0


def encoded_size(network: nn.Module) -> int:
    """Gives the bytes of everything that a network's file holds, parameters and buffers, encoded as follows.

    A tensor is the row of its numbers, each in its type's size. A convolution's weight may instead be a row of bits,
    one for each number and filled up to whole bytes, followed by the numbers whose bit is set, which are those that are
    not zero; it is where that is shorter, so the length tells which it is. Names, shapes and lengths are left out: they
    take the same whatever the weights are.

    This is a size on disk. Computing with zeros takes as long as with other numbers.
    """
    sparse = {f"{name}.weight" for name in convolutions(network)}
    return sum(_size(tensor, name in sparse) for name, tensor in network.state_dict().items())


def dense_size(network: nn.Module) -> int:
    """Gives the bytes of a network without zeros, from its shapes alone; works on the device ``meta`` as well."""
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _size(tensor: Tensor, sparse: bool) -> int:
    dense = tensor.numel() * tensor.element_size()
    if not sparse:
        return dense
    return min(dense, (tensor.numel() + 7) // 8 + (tensor.numel() - _zeros(tensor)) * tensor.element_size())


def _zeros(tensor: Tensor) -> int:
    return int((tensor == 0).sum())
