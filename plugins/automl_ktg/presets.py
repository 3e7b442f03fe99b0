"""What a search of knowledge-transfer graphs does unless told otherwise, as data beside the method."""

from __future__ import annotations

from collections.abc import Mapping

from automl_core.types import Json
from automl_vision.presets import presets as training_presets

SPACES: Mapping[str, Mapping[str, Json]] = {
    "quick": {"nodes": 3, "target": "resnet8", "models": ["resnet8", "resnet14", "wrn-10-1"]},
    # Minami et al. (ACCV 2020), section on experiments.
    "paper": {
        "nodes": 3,
        "target": "resnet32",
        "models": ["resnet32", "resnet110", "wrn-28-2"],
        "gates": ["through", "cutoff", "linear", "correct"],
    },
}


def presets(data: Mapping[str, Json] | None) -> dict[str, dict[str, Json]]:
    """Gives the presets: those of every training on images, with a search space each.

    Args:
        data: What the data set's ``describe`` gives; None when there is none.
    """
    return {name: {**preset, "space": dict(SPACES[name])} for name, preset in training_presets(data).items()}
