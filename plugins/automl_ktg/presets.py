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

# Of the searcher that refines spaces; others have no such options. Four conditions of up to ten categories make steps
# this small show how it goes, not what is good. What is left has 136 graphs, or 256 after a choice of two unlike gates.
QUICK_REFINEMENT: Mapping[str, Json] = {"per_step": 36, "min_group": 4, "lower_limit": 300}

# Iwata et al., "Refining Design Spaces in Knowledge Distillation for Deep Collaborative Learning", section on
# experiments. On CIFAR-100, whose 50,000 training images the usual share for validation divides into 40,000 and 10,000.
# Weight decay is not stated there: that of the graphs' own code. 200 trials are those of the random searches beside it.
REFINEMENT: Mapping[str, Json] = {
    "min_budget": 1,
    "max_budget": 100,
    "trials": 200,
    "space": {
        "nodes": 3,
        "target": "resnet32",
        "models": ["resnet32", "wrn-28-2"],
        "gates": ["through", "cutoff", "linear"],
    },
    "searcher": {"per_step": 2500, "lower_limit": 500},
    "trainer": {
        "batch": 64,
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "schedule": "cosine",
        "pad": 4,
        "padding": "reflect",
    },
    "retrain": {"max_budget": 200, "repeats": 5},
}


def presets(data: Mapping[str, Json] | None) -> dict[str, dict[str, Json]]:
    """Gives the presets: those of every training on images with a search space each, and the refinement's own.

    Args:
        data: What the data set's ``describe`` gives; None when there is none.
    """
    found = {name: {**preset, "space": dict(SPACES[name])} for name, preset in training_presets(data).items()}
    found["quick"]["searcher"] = dict(QUICK_REFINEMENT)
    return {**found, "refinement": dict(REFINEMENT)}
