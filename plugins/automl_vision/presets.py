"""What a training of networks on images does unless told otherwise, as data, and how it is sized from the images."""

from __future__ import annotations

import math
from collections.abc import Mapping

from automl_core.types import Json

PAPER: Mapping[str, Json] = {
    # Minami et al. (ACCV 2020), section on experiments; the number of trials is that of its section on the search.
    "min_budget": 1,
    "max_budget": 200,
    "trials": 1500,
    "trainer": {
        "batch": 64,
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "schedule": "step",
        "milestones": [0.3, 0.6, 0.9],
        "decay": 0.1,
        "pad": 4,
    },
}

QUICK: Mapping[str, Json] = {
    "min_budget": 1,
    "max_budget": 8,
    "trials": 20,
    "trainer": {"batch": 64, "schedule": "cosine"},
}

QUICK_PIXELS = 1_000_000
"""Pixels of training images in an epoch that keep a quick search within minutes on two cores."""


def presets(data: Mapping[str, Json] | None) -> dict[str, dict[str, Json]]:
    """Gives the presets, the quick one sized from the data set. What is given may be changed.

    Args:
        data: What the data set's ``describe`` gives; None when there is none.
    """
    quick = {**QUICK, "trainer": dict(QUICK["trainer"])}
    if data is not None:
        height, width = data["image_size"]
        # A shift of 4 pixels is an eighth of a 32 x 32 image; of smaller images it would be too much.
        quick["trainer"]["pad"] = min(4, min(height, width) // 8)
        affordable = QUICK_PIXELS // (height * width) // data["classes"] * data["classes"]
        limit = max(affordable, data["classes"] * 10)
        images = min(data["train"], limit)
        quick["trainer"]["batch"] = min(QUICK["trainer"]["batch"], 2 ** int(math.log2(max(1, images))))
        if data["train"] > limit:
            quick["dataset"] = {"limit": limit}
            quick["notes"] = [
                f"preset quick uses {limit} of {data['train']} training images, to end within minutes; "
                "--set dataset.limit=N sets another number, --preset paper the published recipe"
            ]
    return {"quick": quick, "paper": {**PAPER, "trainer": dict(PAPER["trainer"])}}
