"""Distillation around pruning, killed in mid-epoch of any of its trainings, ends with the same study and weights."""

from __future__ import annotations

from pathlib import Path

from killing import told_by

PASSAGES = (10_000, 2, 7)
"""Batches after which the process is killed, each time anew; the first is never reached. An epoch has three."""


def test_killed_in_mid_epoch_then_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, *killed = told_by("kill_pruning.py", tmp_path, PASSAGES)
    assert whole["kills"] == 0
    trials = whole["shown"]["trials"]
    support = [trial["label"] for trial in trials if trial["role"] == "support"]
    assert any("-distilled" in label for label in support)
    assert len(whole["shown"]["front"]) >= 1
    for one in killed:
        assert one["kills"] >= 4
        assert one["shown"] == whole["shown"], f"killed after {one['passage']} batches"
        assert one["weights"] == whole["weights"], f"killed after {one['passage']} batches"
