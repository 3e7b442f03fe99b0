"""Runs work and scripts that are killed again and again, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from automl_core import faults


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


def killed(work: Callable[[], None], point: str, passage: int) -> bool:
    """Does the work in a child that dies at a fault point's nth passage; tells whether it got that far."""
    child = os.fork()
    if child == 0:  # pragma: no cover - dies or leaves without cleaning up
        faults._name, faults._left = point, passage
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False
