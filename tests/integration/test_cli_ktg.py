"""The main job through all layers: knowledge-transfer graphs on real data, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from automl_cli.application import application

OPTIONS = ("dataset.limit=60", "space.target=resnet8", "space.models=[resnet8]", "space.nodes=2")
TINY = ("--trials", "2", "--max-budget", "2", "--threads", "1", *(word for one in OPTIONS for word in ("--set", one)))


def automl(*arguments: object) -> Result:
    result = CliRunner().invoke(application, [str(one) for one in arguments], prog_name="automl")
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ktg") / "w"


@pytest.fixture(scope="module")
def ended(workspace: Path) -> subprocess.CompletedProcess[str]:
    command = "import sys; sys.argv[0] = 'automl'; from automl_cli import main; main()"
    arguments = [
        "run",
        "--space",
        "ktg",
        "--searcher",
        "asha",
        *TINY,
        "--workspace",
        str(workspace),
        "--name",
        "graphs",
    ]
    done = subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_the_best_graph_is_drawn_beside_the_target_alone(ended: subprocess.CompletedProcess[str]) -> None:
    drawing, _, rest = ended.stdout.partition("  validation")
    assert "resnet8" in drawing
    assert "target" in drawing
    assert "best of the search, trial" in rest
    assert ", one seed" in rest
    assert "automl retrain graphs" in rest
    assert all(len(line) <= 80 or "--workspace" in line for line in ended.stdout.splitlines())
    assert "Warning" not in ended.stderr


def test_what_is_shown_is_what_was_trained(ended: subprocess.CompletedProcess[str], workspace: Path) -> None:
    best = json.loads(automl("best", "graphs", "--workspace", workspace, "--json").stdout)
    assert best["budget"] == 2
    assert best["value"] == best["metrics"]["accuracy"]
    assert 0 <= best["value"] <= 1
    assert "gate_label_1" in best["configuration"]
    shown = automl("best", "graphs", "--workspace", workspace).stdout
    assert "target" in shown
    assert f"{100 * best['value']:.1f} %" in shown
    assert f"{100 * best['value']:.1f} %" in ended.stdout


def test_retraining_and_export_go_on_from_there(
    ended: subprocess.CompletedProcess[str], workspace: Path, tmp_path: Path
) -> None:
    from automl_vision import load_exported

    shown = automl("retrain", "graphs", "--workspace", workspace, "--epochs", "1", "--repeats", "2", "--quiet").stdout
    assert "all gates through" in shown
    assert "for 1 epoch, 2 times" in shown
    automl("export", "graphs", tmp_path / "model", "--workspace", workspace)
    model = load_exported(tmp_path / "model")
    assert model is not None


def test_a_dry_run_estimates_the_time(workspace: Path) -> None:
    arguments = ("run", "--space", "ktg", *TINY, "--workspace", workspace / "none", "--dry-run")
    plan = json.loads(automl(*arguments, "--json").stdout)
    assert plan["estimated_seconds"] > 0
    assert plan["size"] == 4**4
    assert "about" in automl(*arguments).stdout
    assert not (workspace / "none").exists()
