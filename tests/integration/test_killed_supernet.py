"""A search by a supernet, killed in the middle of its cycles, ends with the same cells and the same weights."""

from __future__ import annotations

from pathlib import Path

from killing import told_by

PASSAGES = (10_000, 3)
"""Batches after which the process is killed, each time anew; the first is never reached. An epoch has two."""

MIDDLES = {1, 3}
"""Epochs of the supernet after which its cycles go on."""


def test_killed_in_mid_cycle_then_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, killed = told_by("kill_supernet.py", tmp_path, PASSAGES)
    assert whole["killed_at"] == []
    supernet, cells = whole["shown"]["trials"]
    assert supernet["label"] == "supernet 0"
    assert cells["configuration"]
    assert set(killed["killed_at"]) > MIDDLES, "killed in the middle of each cycle, and elsewhere"
    assert killed["shown"] == whole["shown"], f"killed after epochs {killed['killed_at']}"
    assert killed["weights"] == whole["weights"]
