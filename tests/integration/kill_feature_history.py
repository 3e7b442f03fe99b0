"""Runs a search that ranks by feature histories again and again, killed in the middle of an epoch each time.

Prints a line of JSON for every run: how often it was killed, and every ask and tell that its journal holds.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import kill_training
import torch._dynamo  # noqa: F401 - the first optimiser would import it, in each of the forks

SETTINGS: dict[str, Any] = {
    "space": "ktg",
    "searcher": "hyperband",
    "estimator": "feature-history",
    "trials": 4,
    "max_budget": 4,
    "seed": 5,
    "name": "graphs",
    "threads": 1,
    "options": {
        "space": {
            "nodes": 2,
            "target": "resnet8",
            "models": ["resnet8"],
            "gates": ["through", "linear"],
        },
        "searcher": {"eta": 2},
        "dataset": {"limit": 40},
        "trainer": {"batch": 20, "pad": 1},
        "estimator": {"window": 3, "batch": 20},
    },
}


def journal(workspace: Path) -> list[Any]:
    """Gives kind and content of every event, in order, without what it cost."""
    with sqlite3.connect(workspace / "journal.sqlite") as connection:
        rows = connection.execute("SELECT kind, payload FROM events ORDER BY sequence").fetchall()
    events = [[kind, json.loads(payload)] for kind, payload in rows]
    for _, payload in events:
        payload.get("outcome", {}).pop("cost", None)
    return events


if __name__ == "__main__":
    kill_training.SETTINGS = SETTINGS
    kill_training.ended = lambda workspace: {"journal": journal(workspace)}
    kill_training.main(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]])
