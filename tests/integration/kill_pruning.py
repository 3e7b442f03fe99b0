"""Distils, prunes and fine-tunes again and again, killed in the middle of an epoch each time at another place.

A process of its own: it forks, which must happen before torch has trained anything. Prints a line of JSON for every
run: how often it was killed, and what it ended with.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import kill_training

import automl_kd_pruning.evaluation  # noqa: F401 - imported once, for all the forks

SETTINGS: dict[str, Any] = {
    "space": "kd-pruning",
    "searcher": "asha",
    "objective": ["accuracy", "flops:min"],
    "trials": 4,
    "min_budget": 1,
    "max_budget": 2,
    "seed": 5,
    "name": "pruned",
    "threads": 1,
    "options": {
        "space": {"models": ["resnet8"], "types": ["label", "feature"]},
        "evaluator": {"epochs": 2, "latency": False},
        "dataset": {"limit": 60},
        "trainer": {"batch": 20, "pad": 1},
    },
}

if __name__ == "__main__":
    kill_training.SETTINGS = SETTINGS
    kill_training.main(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]])
