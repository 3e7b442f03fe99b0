"""Settings of published searches, as data; spaces name them in their presets."""

from __future__ import annotations

from collections.abc import Mapping

from automl_core.types import Json

FEATURE_HISTORIES: Mapping[str, Json] = {
    # Cao, "Efficient Model Performance Estimation via Feature Histories" (2021), appendix A.3.2: the searches of
    # NAS-Bench-201, and those of A.4 to A.6, which refer to it; 8,000 images to train on, 2,000 to validate.
    # 64 trials are those of random search; HyperBand's 280 follow from its budgets and eta.
    "searcher": {"eta": 2},
    "min_budget": 1,
    "max_budget": 128,
    "trials": 64,
    "trainer": {
        "batch": 256,
        "lr": 0.1,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 5e-4,
        "schedule": "linear",
        "pad": 4,
    },
    "dataset": {"name": "cifar10", "limit": 8000, "validation": 2000},
}

CELLS_TRAINER: Mapping[str, Json] = {
    # Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), appendix A.2, and their published code.
    "batch": 96,
    "lr": 0.025,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 3e-4,
    "schedule": "cosine",
    "clip": 5.0,
    "pad": 4,
    "padding": "zeros",
    "cutout": 16,
    "drop_last": False,
}
"""How a network of cells is trained once they are found."""

CELLS_SEARCH: Mapping[str, Json] = {
    # Liu et al., section 3.1: cells are judged by a training of 100 epochs; random search has 24 trials. (How many
    # supernets there are is for their searchers to say.)
    "max_budget": 100,
    "trials": 24,
    "trainer": CELLS_TRAINER,
    "dataset": {"name": "cifar10"},
}

QUICK_CELLS: Mapping[str, Json] = {
    # A search on digits ends in minutes on two cores. No path dropout, which slows a training of a few epochs down.
    "space": {"cells": 3, "channels": 8, "path_dropout": 0.0},
    "trainer": {"lr": 0.05, "schedule": "linear"},
    # What searchers by gradients do; the others have no such options.
    "searcher": {
        "cells": 3,
        "channels": 8,
        "cycle_epochs": [3, 3, 2, 2, 2, 2, 2, 2, 2],
        "epochs": 20,
        "batch": 32,
        "largest_batch": 0,
    },
}
"""Preset ``quick`` of every space of cells."""
