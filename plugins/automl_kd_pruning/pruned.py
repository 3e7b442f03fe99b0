"""A model with some of another model's channels removed, so that a pruned network is a description and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch

from automl_core.errors import RequestError, unknown
from automl_core.plugins import get_registry
from automl_core.types import EMPTY
from automl_kd_pruning.layers import Structure
from automl_kd_pruning.surgery import cut
from automl_vision.models import ClassifierModule


def pruned(
    channels: int, classes: int, model: str, widths: Mapping[str, int], options: Mapping[str, Any] = EMPTY
) -> ClassifierModule:
    """Builds another model and removes channels from some of its layers.

    Which channels those are does not show in a network that is not trained: each layer keeps its first ones, and the
    weights of a pruned network, with the choice that its selected normalisations make, come from a file.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        model: Registered name of the other model.
        widths: Channels that are left in those layers that lose some, by the layers' names in the other model.
        options: The other model's options.

    Raises:
        RequestError: For a layer whose channels cannot be removed, or a width that it cannot have.
    """
    # The generators are seeded for the model that is built here, so they are not seeded again for the other one.
    network = cast(ClassifierModule, get_registry().create("model", model, options, channels=channels, classes=classes))
    if not widths:
        return network
    structure = Structure(network, channels, model)
    for name, width in widths.items():
        if name not in structure.layers:
            raise unknown(f"layer with removable channels of {model}", name, structure.layers)
        if not 1 <= width <= structure.layers[name].width:
            raise RequestError(
                f"the layer {name!r} of {model} must be left from 1 to {structure.layers[name].width} channels, but "
                f"got {width}; mend the option 'widths'"
            )
    cut(structure, {name: torch.arange(width, device="cpu") for name, width in widths.items()})
    return network
