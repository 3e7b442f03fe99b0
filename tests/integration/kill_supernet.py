"""Searches cells again and again, killed in the middle of a cycle each time at another place.

A process of its own: it forks, which must happen before torch has trained anything. Prints a line of JSON for every
run: how often it was killed, in which epochs of the supernet, and what it ended with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import kill_training
import sklearn.datasets
import torch

import automl_prdarts.evaluation  # noqa: F401 - imported once, for all the forks
from automl_core.engine.worker import Worker

SETTINGS: dict[str, Any] = {
    "space": "cells-dl",
    "searcher": "pr-darts",
    "trials": 1,
    "max_budget": 1,
    "seed": 13,
    "name": "cells",
    "threads": 1,
    "options": {
        "space": {"cells": 3, "channels": 2},
        "searcher": {
            "cells": 3,
            "channels": 2,
            "batch": 15,
            "largest_batch": 0,
            "cycle_epochs": [2, 2],
            "cycle_grace": [1, 0],
            "cycle_candidates": [3, 1],
            "cycle_morphisms": [1, 0],
            "architecture_lr": 0.05,
        },
        "dataset": {"limit": 60},
        "trainer": {"batch": 30, "pad": 1},
    },
}
EVERY_EPOCH = 0.0
"""Seconds between two checkpoints; on its own a cycle this short would have none."""


def reached(workspace: Path) -> int:
    """Gives the epoch of the supernet's last checkpoint; 0 when there is none."""
    return max((int(path.name.removeprefix("unit-")) for path in workspace.glob("checkpoints/*/0/unit-*")), default=0)


def main(directory: Path, passages: list[int]) -> None:
    kill_training.SETTINGS = SETTINGS
    torch.set_num_threads(1)
    sklearn.datasets.load_digits()
    defaults = Worker.__init__.__defaults__
    assert defaults is not None
    Worker.__init__.__defaults__ = (*defaults[:-1], EVERY_EPOCH)
    for passage in passages:
        workspace = directory / str(passage)
        killed_at: list[int] = []
        while kill_training.in_child(workspace, passage if len(killed_at) < 4 else 10**9):
            killed_at.append(reached(workspace))
        sys.stdout.write(
            json.dumps({"passage": passage, "killed_at": killed_at, **kill_training.ended(workspace)}) + "\n"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]])
