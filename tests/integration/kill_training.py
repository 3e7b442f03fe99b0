"""Runs a real search again and again, killed in the middle of an epoch each time at another place.

A process of its own: it forks, which must happen before torch has trained anything. Prints a line of JSON for every
run: how often it was killed, and what it ended with.
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

import automl_vision.trainer.loop  # noqa: F401 - imported once, for all the forks
from automl_core import Study, faults
from automl_core.records import Workspace

SETTINGS: dict[str, Any] = {
    "space": "ktg",
    "trials": 3,
    "max_budget": 2,
    "seed": 13,
    "name": "graphs",
    "threads": 1,
    "options": {
        "space": {
            "nodes": 2,
            "target": "resnet8",
            "models": ["resnet8", "wrn-10-1"],
            "gates": ["through", "cutoff", "linear"],
        },
        "dataset": {"limit": 60},
        "trainer": {"batch": 20, "pad": 1},
    },
}


def run(workspace: Path) -> None:
    known = Workspace(workspace)
    if known.exists() and known.studies():
        Study.resume(SETTINGS["name"], workspace=workspace)
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


def ended(workspace: Path) -> dict[str, Any]:
    study = Study.load(SETTINGS["name"], workspace=workspace)
    target = workspace / "exported"
    study.export(target)
    weights = hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest()
    return {"shown": study.record.to_json(times=False), "weights": weights}


def main(directory: Path, passages: list[int]) -> None:
    torch.set_num_threads(1)
    sklearn.datasets.load_digits()
    for passage in passages:
        workspace = directory / str(passage)
        kills = 0
        # Killed at this passage of every attempt, until an attempt is shorter than that: dozens of places in all.
        while in_child(workspace, passage if kills < 4 else 10**9):
            kills += 1
        sys.stdout.write(json.dumps({"passage": passage, "kills": kills, **ended(workspace)}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]])
