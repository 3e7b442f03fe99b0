"""Real training of knowledge-transfer graphs, killed in mid-epoch, ends with the same study and the same weights."""

from __future__ import annotations

from pathlib import Path

from killing import told_by

PASSAGES = (10_000, 1, 4, 8, 11, 14, 20)
"""Batches after which the process is killed; the first is never reached."""


def test_killed_in_mid_epoch_then_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, *killed = told_by("kill_training.py", tmp_path, PASSAGES)
    assert whole["kills"] == 0
    assert any(trial["label"].startswith("teacher") for trial in whole["shown"]["trials"]), "a frozen node is in it"
    assert [one["passage"] for one in killed] == list(PASSAGES[1:])
    assert sum(one["kills"] for one in killed) >= 15
    for one in killed:
        assert one["kills"] > 0
        assert one["shown"] == whole["shown"], f"killed after {one['passage']} batches"
        assert one["weights"] == whole["weights"], f"killed after {one['passage']} batches"
