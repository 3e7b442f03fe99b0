"""Every example runs as a user runs it, on fewer images and epochs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def test_the_three_methods_are_there() -> None:
    assert {path.stem for path in EXAMPLES} >= {"supervised_training", "hinton_distillation", "mutual_learning"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_its_network_learns(path: Path) -> None:
    command = [sys.executable, str(path), "--epochs", "3", "--limit", "320"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    last = done.stdout.splitlines()[-1]
    assert last.startswith("epoch 3: ")
    accuracies = [float(number) for number in re.findall(r"([\d.]+) %", last)]
    # Guessing gives 10.
    assert accuracies[0] > 20
