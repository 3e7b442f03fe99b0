"""Real training of knowledge-transfer graphs, killed in mid-epoch, ends with the same study and the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PASSAGES = (10_000, 1, 4, 8, 11, 14, 20)
"""Batches after which the process is killed; the first is never reached."""


def test_killed_in_mid_epoch_then_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_training.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), *map(str, PASSAGES)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    whole, *killed = [json.loads(line) for line in done.stdout.splitlines()]
    assert whole["kills"] == 0
    assert any(trial["label"].startswith("teacher") for trial in whole["shown"]["trials"]), "a frozen node is in it"
    assert [one["passage"] for one in killed] == list(PASSAGES[1:])
    assert sum(one["kills"] for one in killed) >= 15
    for one in killed:
        assert one["kills"] > 0
        assert one["shown"] == whole["shown"], f"killed after {one['passage']} batches"
        assert one["weights"] == whole["weights"], f"killed after {one['passage']} batches"
