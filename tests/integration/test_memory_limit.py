"""Batches that grow under a real limit of memory end before it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("train_in_little_memory.py")


def test_batches_grow_into_the_memory_there_is_and_no_further() -> None:
    """With 0.6 of the memory taken and the rest full at 128 images, 48 grow to 88: 0.6 + 0.4 * 88 / 128 is 0.875.

    The next multiple of 8, 96, would need 0.95 * 88 / 0.875 to be more than 95.5.
    """
    ran = subprocess.run(
        [sys.executable, str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    untrained, *sizes = told["sizes"]
    assert untrained == 0
    assert 72 <= sizes[0] <= sizes[-1] <= 96, told
    assert "memory" in told["error"], told  # a fixed batch of 256 images does not fit
