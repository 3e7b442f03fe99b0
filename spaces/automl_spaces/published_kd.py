"""Settings of the published experiments on distillation with pruning and with augmentation, as data.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), section 5 and appendix; what they leave open is as in the public code that they build on, for
pruning (Liu et al., "Rethinking the Value of Network Pruning", ICLR 2019) and for CutMix (Yun et al., ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from automl_core.types import Json
from automl_spaces.trainings import Method


@dataclass(frozen=True)
class Setting:
    """One block of the published tables.

    Args:
        method: What is removed.
        model: From which network.
        remaining: Shares that stay.
    """

    method: Method
    model: str
    remaining: tuple[float, ...]


PRUNINGS = (
    Setting("l1-norm", "resnet56", (0.4, 0.7, 0.9)),
    Setting("l1-norm", "resnet56", (0.5, 0.6, 0.7)),
    Setting("l1-norm", "resnet110", (0.8, 0.8, 0.8)),
    Setting("l1-norm", "resnet110", (0.5, 0.6, 0.7)),
    Setting("slimming", "vgg19", (0.5,)),
    Setting("slimming", "preresnet56", (0.5,)),
    Setting("slimming", "densenet40", (0.3,)),
    Setting("magnitude", "preresnet110", (0.4,)),
)
"""Tables 1 to 3. Their ResNet-56 and 110 are of basic blocks where filters go, and of pre-activation ones elsewhere."""

AUGMENTATIONS = (
    ("autoaugment", "pyramidnet-200-300"),
    ("cutmix", "pyramidnet-110-64"),
    ("cutmix", "pyramidnet-200-240"),
)
"""Tables 4 and 5."""

# The lists number all 3x3 convolutions, of which every second one is an inner layer.
SPARED: Mapping[str, tuple[int, ...]] = {
    "resnet56": tuple(number // 2 for number in (16, 18, 20, 34, 38, 54)),
    "resnet110": tuple(number // 2 for number in (36, 38, 74)),
}
"""Inner layers, from 1, of which no filter goes. They are published with one triple of shares, and taken for all."""

BETAS: Mapping[str, float] = {
    "resnet": 500.0,
    "preresnet": 500.0,
    "vgg": 1500.0,
    "densenet": 1000.0,
    "pyramidnet-110": 1000.0,
    "pyramidnet-200": 2000.0,
}
"""Weight of the distance between feature maps, by what a model's name begins with."""

OTHER_BETA = 500.0

SPARSITY: Mapping[str, float] = {"vgg": 1e-4}
"""Penalty on the scales of batch normalisation before slimming (lambda), by what a model's name begins with."""

OTHER_SPARSITY = 1e-5

ALPHA, TEMPERATURE = 0.9, 4.0

SCALE = 0.5
"""Where the scales of batch normalisation begin in networks that are to be slimmed."""


def beta_of(model: str) -> float:
    """Gives the published weight of the distance between feature maps."""
    return _by_prefix(BETAS, model, OTHER_BETA)


def sparsity_of(model: str) -> float:
    """Gives the published penalty on the scales of batch normalisation."""
    return _by_prefix(SPARSITY, model, OTHER_SPARSITY)


def _by_prefix(values: Mapping[str, float], model: str, other: float) -> float:
    return next((value for prefix, value in values.items() if model.startswith(prefix)), other)


def written(remaining: tuple[float, ...]) -> str:
    """Writes shares as the space ``kd-pruning`` names them: 0.4/0.7/0.9."""
    return "/".join(f"{share:g}" for share in remaining)


_COMMON: Mapping[str, Json] = {
    "batch": 64,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "step",
    "milestones": [0.5, 0.75],
    "decay": 0.1,
    "pad": 4,
    "padding": "zeros",
    "drop_last": False,
}

PAPER_PRUNING: Mapping[str, Json] = {
    # 160 epochs before pruning and 40 after it, at the learning rate and on the schedule that the evaluator has.
    "space": {
        "methods": ["l1-norm", "slimming", "magnitude"],
        "models": list(dict.fromkeys(one.model for one in PRUNINGS)),
        "ratios": list(dict.fromkeys(written(one.remaining) for one in PRUNINGS if one.method == "l1-norm")),
        "remaining": sorted({one.remaining[0] for one in PRUNINGS if one.method != "l1-norm"}),
        "published": True,
    },
    "evaluator": {"epochs": 160, "lr": 0.001, "schedule": "constant"},
    # All trials are complete: with none, and with either kind of distillation in each of its four phases.
    "min_budget": 40,
    "max_budget": 40,
    "trials": len(PRUNINGS) * (1 + 2 * 4),
    "trainer": {**_COMMON, "lr": 0.1, "nesterov": False},
    "dataset": {"name": "cifar100"},
}

PAPER_AUGMENTATION: Mapping[str, Json] = {
    "space": {
        "augmentations": list(dict.fromkeys(augmentation for augmentation, _ in AUGMENTATIONS)),
        "models": [model for _, model in AUGMENTATIONS],
        "published": True,
    },
    "min_budget": 300,
    "max_budget": 300,
    # Without distillation, with and without augmentation; with either kind, for each pair of switches.
    "trials": len(AUGMENTATIONS) * (2 + 2 * 4),
    "trainer": {**_COMMON, "lr": 0.25, "nesterov": True},
    "dataset": {"name": "cifar100"},
}

QUICK_FINE_TUNING: Mapping[str, Json] = {"lr": 0.05, "schedule": "cosine"}
"""Of pruned networks, on digits. The published 0.001, kept constant, is for forty epochs of hundreds of batches; in
eight of eighteen it leaves a network slimmed to 30 % at 77 % accuracy where this brings it back to 93 % (one seed)."""

QUICK_BETA = 50.0
"""Balances the two losses on digits as the published weights do on images of 32x32: the distance between normalised
maps falls with the root of their size, 16 times smaller here, and the loss of ten classes is half that of a hundred."""
