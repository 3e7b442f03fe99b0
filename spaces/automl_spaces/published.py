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
