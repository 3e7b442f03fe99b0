"""Searches cells again and again, killed in the middle of a cycle each time at another place.

A process of its own: it forks, which must happen before torch has trained anything. Prints a line of JSON for every
run: how often it was killed, in which epochs of the supernet, and what it ended with.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import sklearn.datasets
import torch

import automl_prdarts.evaluation  # noqa: F401 - imported once, for all the forks
from automl_core import Study, faults
from automl_core.engine.worker import Worker
from automl_core.records import Workspace

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


def run(workspace: Path) -> None:
    known = Workspace(workspace)
    if known.exists() and known.studies():
        Study.resume("cells", workspace=workspace)
    else:
        Study(workspace=workspace, **SETTINGS).run()


def in_child(workspace: Path, passage: int) -> bool:
    """Runs or resumes in a child that is killed at a batch; tells whether it was."""
    child = os.fork()
    if child == 0:
        faults._name, faults._left = "trainer.batch", passage
        run(workspace)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.WEXITSTATUS(status) == 0
    return killed


def reached(workspace: Path) -> int:
    """Gives the epoch of the supernet's last checkpoint; 0 when there is none."""
    return max((int(path.name.removeprefix("unit-")) for path in workspace.glob("checkpoints/*/0/unit-*")), default=0)


def ended(workspace: Path) -> dict[str, Any]:
    study = Study.load("cells", workspace=workspace)
    target = workspace / "exported"
    study.export(target)
    weights = hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest()
    return {"shown": study.record.to_json(times=False), "weights": weights}


def main(directory: Path, passages: list[int]) -> None:
    torch.set_num_threads(1)
    sklearn.datasets.load_digits()
    defaults = Worker.__init__.__defaults__
    assert defaults is not None
    Worker.__init__.__defaults__ = (*defaults[:-1], EVERY_EPOCH)
    for passage in passages:
        workspace = directory / str(passage)
        killed_at: list[int] = []
        while in_child(workspace, passage if len(killed_at) < 4 else 10**9):
            killed_at.append(reached(workspace))
        sys.stdout.write(json.dumps({"passage": passage, "killed_at": killed_at, **ended(workspace)}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]])
