"""Runs the scripts that are killed again and again, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def told_by(script: str, directory: Path, passages: Sequence[int]) -> list[Any]:
    """Gives what a script tells of its runs, one for each passage.

    Args:
        script: Name of a file beside this one.
        directory: Where it works.
        passages: Batches after which a run is killed.
    """
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), str(directory), *map(str, passages)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
