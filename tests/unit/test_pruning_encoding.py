"""The encoded size is that of a real file: an encoder writes it, and a decoder gives the network back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from automl_kd_pruning.encoding import encoded_size, sparsity
from automl_kd_pruning.pruning import prune
from automl_spaces.graph import Node
from automl_spaces.trainings import Pruning
from automl_vision.costs import Sizes
from automl_vision.models import ClassifierModule, build_model

SIZES = Sizes(3, 10, (32, 32))
NODE = Node("resnet8", {"width": 3})


def network() -> ClassifierModule:
    return build_model("resnet8", 3, 10, options=NODE.options, seed=1)


def encode(tensor: Tensor, sparse: bool) -> bytes:
    dense = tensor.numpy().tobytes()
    if not sparse:
        return dense
    values = tensor.numpy().ravel()
    short = np.packbits(values != 0).tobytes() + values[values != 0].tobytes()
    return short if len(short) < len(dense) else dense


def decode(data: bytes, like: Tensor) -> Tensor:
    values = np.zeros(like.numel(), like.numpy().dtype)
    if len(data) == values.nbytes:
        values[:] = np.frombuffer(data, values.dtype)
    else:
        bits = (like.numel() + 7) // 8
        there = np.unpackbits(np.frombuffer(data[:bits], np.uint8), count=like.numel()).astype(bool)
        values[there] = np.frombuffer(data[bits:], values.dtype)
    return torch.from_numpy(values).view(like.shape)


def encoded(module: nn.Module) -> dict[str, bytes]:
    sparse = {f"{name}.weight" for name, one in module.named_modules() if isinstance(one, nn.Conv2d)}
    return {name: encode(tensor.contiguous(), name in sparse) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("remaining", [1.0, 0.98, 0.5, 0.1])
def test_the_size_is_that_of_what_can_be_decoded(remaining: float) -> None:
    pruned = prune(network(), NODE, Pruning("magnitude", (remaining,)), SIZES).network
    files = encoded(pruned)
    assert encoded_size(pruned) == sum(len(data) for data in files.values())
    for name, tensor in pruned.state_dict().items():
        torch.testing.assert_close(decode(files[name], tensor.contiguous()), tensor, rtol=0, atol=0)


def test_zeros_make_a_network_smaller_and_ones_do_not() -> None:
    whole = network()
    assert sparsity(whole) == 0
    assert encoded_size(whole) == sum(one.numel() * one.element_size() for one in whole.state_dict().values())
    pruned = prune(whole, NODE, Pruning("magnitude", (0.4,)), SIZES).network
    total = sum(one.weight.numel() for one in whole.modules() if isinstance(one, nn.Conv2d))
    assert sparsity(pruned) == pytest.approx((int(total * 0.6) + 1) / total)
    assert encoded_size(pruned) < encoded_size(whole)


def test_what_is_not_a_convolution_is_written_in_full() -> None:
    linear = nn.Sequential(nn.Linear(8, 8, dtype=torch.float64))
    nn.init.zeros_(linear[0].weight)
    assert sparsity(linear) == 0
    assert encoded_size(linear) == 8 * (64 + 8)
