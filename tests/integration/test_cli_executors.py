"""Where jobs run, as the command line asks for it: ``--executor``, ``--workers``, ``--dask``, and the same in files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from toys import toy_registry

from automl_cli.application import application
from automl_core import RequestError, hookimpl
from automl_core.engine.simulated import SimulatedExecutor
from automl_core.hookspecs import Register
from automl_core.plugins import use_registry

TOY = ("--space", "toy", "--set", "space.digits=3", "--trials", "4", "--max-budget", "2", "--name", "one")
ADDRESS = "tcp://127.0.0.1:8786"
NOBODY = "tcp://127.0.0.1:1"

Started = list[tuple[int | None, str]]
built: Started = []


class StubExecutor(SimulatedExecutor):
    """Stands in for the executor on Dask: it takes the same options, and notes which it was started with.

    Args:
        workers: How many workers.
        address: The scheduler's address.
    """

    def __init__(self, workers: int | None = None, address: str = "") -> None:
        super().__init__(workers or 3)
        self.asked = (workers, address)

    def start(self, worker: Any, since: float = 0.0) -> None:
        if self.asked[1] == NOBODY:
            raise RequestError(f"a scheduler must answer, but none does at {NOBODY}; start one")
        built.append(self.asked)
        super().start(worker)


class Stub:
    @hookimpl
    def automl_executors(self, register: Register) -> None:
        register("dask", "test_cli_executors:StubExecutor", summary="a stub")


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry(Stub())):
        yield


@pytest.fixture
def started() -> Started:
    """What the stub was started with: workers and address, in order."""
    found: Started = import_module("test_cli_executors").built  # the module by the name that is registered
    found.clear()
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "w"


def automl(*arguments: object) -> Result:
    return CliRunner().invoke(application, [str(one) for one in arguments], prog_name="automl")


def ran(*arguments: object) -> Result:
    result = automl(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def executor(workspace: Path) -> Any:
    spec = json.loads(ran("show", "one", "--workspace", workspace, "--json").stdout)["spec"]
    return spec["executor"]["name"], spec["executor"]["options"], spec["workers"]


@pytest.mark.parametrize(
    ("arguments", "name", "options", "workers", "began"),
    [
        ([], "serial", {}, None, []),
        (["--workers", "1"], "serial", {}, 1, []),
        (["--workers", "2"], "dask", {}, 2, [(2, "")]),
        (["--executor", "dask"], "dask", {}, None, [(None, "")]),
        (["--dask", ADDRESS], "dask", {"address": ADDRESS}, None, [(None, ADDRESS)]),
        (["--dask", ADDRESS, "--executor", "dask", "--workers", "2"], "dask", {"address": ADDRESS}, 2, [(2, ADDRESS)]),
        (["--dask", ADDRESS, "--set", "executor.address=tcp://x:1"], "dask", None, None, [(None, "tcp://x:1")]),
        (["--dask", "tls://[::1]:8786"], "dask", None, None, [(None, "tls://[::1]:8786")]),
        (["--executor", "simulated", "--workers", "2"], "simulated", {}, 2, []),
    ],
)
def test_flags_choose_the_executor(
    workspace: Path, started: Started, arguments: list[str], name: str, options: Any, workers: int | None, began: Any
) -> None:
    ran("run", *TOY, *arguments, "--quiet", "--workspace", workspace)
    found = executor(workspace)
    assert found[0] == name
    assert options is None or found[1] == options
    assert found[2] == workers
    assert started == began


@pytest.mark.parametrize(
    ("file", "arguments", "name", "began"),
    [
        (f"dask: {ADDRESS}", [], "dask", [(None, ADDRESS)]),
        (f"executor: {{name: dask, address: '{ADDRESS}'}}\nworkers: 2", [], "dask", [(2, ADDRESS)]),
        ("executor: simulated", ["--dask", ADDRESS], "dask", [(None, ADDRESS)]),
        ("executor: {name: simulated, workers: 3}", ["--dask", ADDRESS], "dask", [(None, ADDRESS)]),
        (f"dask: {ADDRESS}", ["--executor", "serial"], "serial", []),
        (f"dask: {ADDRESS}", ["--dask", "tcp://other:1"], "dask", [(None, "tcp://other:1")]),
        ("workers: 3", ["--workers", "2"], "dask", [(2, "")]),
    ],
)
def test_study_files_choose_it_too_and_flags_win(
    workspace: Path, tmp_path: Path, started: Started, file: str, arguments: list[str], name: str, began: Any
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(file + "\n")
    ran("run", path, *TOY, *arguments, "--quiet", "--workspace", workspace)
    assert executor(workspace)[0] == name
    assert started == began


def test_a_study_can_go_on_elsewhere(workspace: Path, started: Started) -> None:
    ran("run", *TOY, "--dask", ADDRESS, "--quiet", "--workspace", workspace)
    resume = ("resume", "one", "--quiet", "--workspace", workspace)
    ran(*resume, "--trials", "5")
    ran(*resume, "--trials", "6", "--dask", "tcp://other:8786", "--workers", "2")
    ran(*resume, "--trials", "7", "--executor", "serial")
    assert started == [(None, ADDRESS), (None, ADDRESS), (2, "tcp://other:8786")]


def test_a_retraining_can_run_elsewhere(workspace: Path, started: Started) -> None:
    ran("run", *TOY, "--quiet", "--workspace", workspace)
    retrain = ("retrain", "one", "--quiet", "--workspace", workspace)
    ran(*retrain, "--repeats", "1", "--epochs", "1")
    ran(*retrain, "--repeats", "2", "--epochs", "1", "--workers", "2")
    ran(*retrain, "--repeats", "3", "--epochs", "1", "--dask", ADDRESS)
    assert started == [(2, ""), (None, ADDRESS)]


@pytest.mark.parametrize(
    "address", ["localhost:8786", "tcp://localhost", "tcp://:8786", "tcp://a:b", "tcp://a:99999", ""]
)
@pytest.mark.parametrize("command", [["run", *TOY], ["resume", "one"], ["retrain", "one"]])
def test_an_address_of_another_form_is_refused(workspace: Path, command: list[str], address: str) -> None:
    result = automl(*command, "--dask", address, "--workspace", workspace)
    assert result.exit_code == 2
    assert "--dask takes the address of a running scheduler" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not workspace.exists()


def test_dask_and_another_executor_are_refused_together(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"dask: {ADDRESS}\nexecutor: serial\n")
    both = ("--dask", ADDRESS, "--executor", "serial")
    for command in (["run", *TOY, *both], ["run", path, *TOY], ["resume", "one", *both], ["retrain", "one", *both]):
        result = automl(*command, "--workspace", workspace)
        assert result.exit_code == 2
        assert "leave one of --dask and --executor out" in result.stderr
    assert not workspace.exists()


def test_a_scheduler_that_does_not_answer_leaves_a_study_that_can_go_on(workspace: Path, started: Started) -> None:
    ran("run", *TOY, "--quiet", "--workspace", workspace)
    result = automl("resume", "one", "--trials", "6", "--dask", NOBODY, "--workspace", workspace)
    assert result.exit_code == 2
    assert result.stderr == f"error: a scheduler must answer, but none does at {NOBODY}; start one\n"
    ran("resume", "one", "--trials", "6", "--quiet", "--dask", ADDRESS, "--workspace", workspace)
    assert started == [(None, ADDRESS)]


def test_two_workers_of_this_machine_run_a_study_that_another_executor_goes_on_with(workspace: Path) -> None:
    command = [sys.executable, "-c", "from automl_cli import main; main()"]
    arguments = ["--workspace", str(workspace), "--threads", "1"]
    new = ["run", "--space", "counting-ones", "--searcher", "asha", "--trials", "6", "--workers", "2", "--name", "one"]
    done = subprocess.run([*command, *new, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Study one is finished: 6 trials; this run took" in done.stdout
    assert "\n  result " in done.stdout, "nothing is trained, so nothing is validated"
    assert "validation" not in done.stdout
    assert "starting on 2 workers, where everything is loaded first" in done.stderr.splitlines()[1]
    more = ["resume", "one", "--trials", "8", "--executor", "serial", "--workers", "1"]
    done = subprocess.run([*command, *more, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Study one is finished: 8 trials" in done.stdout
    assert executor(workspace) == ("dask", {}, 2)
