"""What a network costs where it is used: multiply-accumulates, parameters and the time of a forward pass.

Everything here runs networks that were built for the purpose, so that no training notices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from automl_core.plugins import get_registry
from automl_spaces.graph import Node
from automl_vision.devices import synchronise
from automl_vision.models import ClassifierModule, build_model, count_parameters
from automl_vision.randomness import isolated_randomness

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset

WARM_UP = 0.2
"""Seconds after which no further run is begun that is not counted."""

PATIENCE = 0.8
"""Seconds after which no further run is begun that is counted."""

RUNS = 100
"""Runs at most, of either kind."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """What networks are built for.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        image_size: Rows and columns of the images, in pixels.
    """

    channels: int
    classes: int
    image_size: tuple[int, int]

    @classmethod
    def of(cls, dataset: ImageDataset) -> Sizes:
        """Reads them off a loaded data set."""
        height, width = dataset.image_size
        return cls(dataset.channels, dataset.classes, (height, width))

    def build(self, node: Node) -> ClassifierModule:
        """Builds a node's network, untrained.

        Raises:
            RequestError: For an unknown model or option.
        """
        return build_model(node.model, self.channels, self.classes, options=node.options)


def count_costs(node: Node, sizes: Sizes) -> dict[str, float]:
    """Counts ``flops`` and ``params`` of a node's network, within milliseconds and without memory for its weights.

    Args:
        node: The model and its options.
        sizes: What it is built for.

    Raises:
        Exception: Whatever building the network or running it on one image raises.
    """
    try:
        return count(build_empty(node, sizes), sizes)
    except Exception as error:  # noqa: BLE001 - a model may ask in any way for numbers, which are not there on "meta"
        log.debug("%s is counted on the CPU, since without its numbers it fails: %r", node.signature, error)
    return count(sizes.build(node), sizes)


def build_empty(node: Node, sizes: Sizes) -> ClassifierModule:
    """Builds a node's network without memory for its weights, on the device ``meta``; raises what building raises."""
    get_registry().load("model", node.model)  # whatever its import makes must not be made on "meta"
    with torch.device("meta"):
        return sizes.build(node)


def count(network: ClassifierModule, sizes: Sizes) -> dict[str, float]:
    """Counts ``flops`` and ``params`` of a network, on whichever device it is, ``meta`` included.

    ``flops`` are the multiply-accumulates of convolutions and matrix products in one forward pass of one image, one
    each for a multiplication with its addition, as tables of small networks count them; normalisation, activations
    and pooling are left out. ``params`` are the trainable numbers.

    Args:
        network: The network; it is left in evaluation mode.
        sizes: What it takes.
    """
    from torch.utils.flop_counter import FlopCounterMode

    device = network.head.weight.device
    network.eval()
    image = torch.zeros(1, sizes.channels, *sizes.image_size, device=device)
    counter = FlopCounterMode(display=False)
    # The counter hooks into the modules of all threads; within this block no training runs.
    with isolated_randomness(0, device), torch.no_grad(), counter:
        network.head(network.forward_features(image))
    # The counter takes a multiplication and its addition for two.
    return {"flops": counter.get_total_flops() / 2, "params": float(count_parameters(network))}


def latencies(forwards: Sequence[Callable[[], object]], device: torch.device) -> list[float]:
    """Measures the seconds of forward passes: medians of up to 100 runs each after others that warm up, in a second.

    They run in turn, so that whatever else the machine does meets all of them. Passes that take longer than that run
    twice each. Torch's generators are left as they were, and trainings on other threads wait; other processes on the
    same cores do not, so a busy machine shows in the result.

    Args:
        forwards: Each runs a network in evaluation mode on one image.
        device: Where they run.
    """
    with isolated_randomness(0, device), torch.no_grad():
        _timed(forwards, device, WARM_UP)
        return [median(seconds) for seconds in _timed(forwards, device, PATIENCE)]


def _timed(calls: Sequence[Callable[[], object]], device: torch.device, patience: float) -> list[list[float]]:
    """Gives the seconds of each of some rounds of calls, at least one round, by call."""
    seconds: list[list[float]] = [[] for _ in calls]
    synchronise(device)
    begin = perf_counter()
    while not seconds[0] or (len(seconds[0]) < RUNS and perf_counter() - begin < patience):
        for call, taken in zip(calls, seconds, strict=True):
            start = perf_counter()
            call()
            synchronise(device)
            taken.append(perf_counter() - start)
    return seconds
