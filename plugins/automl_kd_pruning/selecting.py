"""What pruning keeps: pure functions on tensors.

Sources: Li et al., "Pruning Filters for Efficient ConvNets" (ICLR 2017), section 3.1, by L1 norms; Liu et al.,
"Learning Efficient Convolutional Networks through Network Slimming" (ICCV 2017), section 3.2, by scales; Han et al.,
"Learning both Weights and Connections for Efficient Neural Networks" (NIPS 2015), section 3, by magnitudes; all as in
Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques" (2020), section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDING = 1e-9
"""What a product with a share may lack of a whole number: 10 * (1 - 0.9) is 0.9999999999999998."""


def count_kept(width: int, remaining: float) -> int:
    """Tells how many of a layer's channels a share of them is: rounded down, and at least one."""
    return max(1, math.floor(width * remaining + ROUNDING))


def largest_filters(weight: Tensor, count: int) -> Tensor:
    """Chooses the filters with the largest L1 norms.

    Args:
        weight: Of a convolution, shape (filters, inputs, rows, columns).
        count: How many stay.

    Returns:
        Their numbers, rising, int64; of filters with equal norms the first stay.
    """
    # Laid out in one way and summed in double precision, so that the device or the memory format decides nothing.
    norms = weight.detach().cpu().contiguous().flatten(1).double().abs().sum(1)
    order = torch.sort(norms, descending=True, stable=True).indices
    return order[:count].sort().values


def above_threshold(layers: Sequence[Tensor], remaining: float) -> list[Tensor]:
    """Chooses what is strictly above a threshold that all layers have in common.

    The threshold is the magnitude at place ``floor(total * (1 - remaining))``, from 0, of all magnitudes in rising
    order. So one more than that number goes, and more where magnitudes equal the threshold. A layer that would lose
    everything keeps its largest one, the first of equal ones; a share of 1 keeps everything.

    Args:
        layers: Scales or weights of each layer, of any shape.
        remaining: Share that stays, above 0 and at most 1.

    Returns:
        What stays, for each layer in its shape, bool.
    """
    magnitudes = [layer.detach().abs() for layer in layers]
    if remaining >= 1:
        return [torch.ones_like(layer, dtype=torch.bool) for layer in magnitudes]
    everything = torch.cat([layer.flatten() for layer in magnitudes])
    place = min(math.floor(len(everything) * (1 - remaining) + ROUNDING), len(everything) - 1)
    threshold = everything.kthvalue(place + 1).values
    return [_guarded(layer > threshold, layer) for layer in magnitudes]


def _guarded(kept: Tensor, magnitudes: Tensor) -> Tensor:
    if not kept.any():
        largest = (magnitudes == magnitudes.max()).flatten().nonzero()[0]
        kept.view(-1)[largest] = True
    return kept
