"""A stranger's plugin beside the project's wheel, in an environment of its own, and what can go wrong there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import ScratchEnvironment

FIXTURE = Path(__file__).resolve().parents[1] / "plugin_fixture"

ADDING = """
from automl_core import hookimpl

@hookimpl
def automl_search_spaces(register):
    register("{part}", "{path}", summary="a search space")
"""


@pytest.fixture(scope="module")
def fixture_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture plugin's sources, away from this repository's settings and helpers."""
    copied = tmp_path_factory.mktemp("stranger") / "plugin"
    return Path(shutil.copytree(FIXTURE, copied, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture(scope="module")
def environment(scratch: ScratchEnvironment, fixture_sources: Path) -> ScratchEnvironment:
    scratch.install(fixture_sources)
    return scratch


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A directory of further distributions; ``PYTHONPATH`` shows it to the scratch environment."""
    directory = tmp_path / "beside"
    directory.mkdir()
    return directory


def put(directory: Path, distribution: str, name: str, source: str) -> None:
    """Installs a distribution with one plugin into a directory."""
    module = distribution.replace("-", "_")
    information = directory / f"{module}-9.9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 9.9\n")
    (information / "entry_points.txt").write_text(f"[automl]\n{name} = {module}\n")
    (directory / f"{module}.py").write_text(source)


def parsed(done: CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done: CompletedProcess[str]) -> str:
    """Checks that a command was refused in one line with exit code 2, and gives the line."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_it_is_listed_with_its_distribution_and_parts(environment: ScratchEnvironment) -> None:
    listed = parsed(environment.automl("plugins", "--json", "--check"))
    plugins = {plugin["name"]: plugin for plugin in listed["plugins"]}
    assert plugins["fixture"]["distribution"] == "automl-fixture 0.3.0"
    assert {plugin["status"] for plugin in plugins.values()} == {"ok"}
    parts = {(part["kind"], part["name"]) for part in listed["parts"] if part["plugin"] == "fixture"}
    assert parts == {(kind, "fixture") for kind in ("space", "searcher", "evaluator", "gate")}


def test_it_is_imported_from_where_it_was_installed(environment: ScratchEnvironment) -> None:
    done = environment.run("-c", "import automl_fixture.gate, automl_core; print(automl_fixture.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(environment.packages), done.stderr


def test_its_own_tests_pass_there_the_contracts_among_them(
    environment: ScratchEnvironment, fixture_sources: Path
) -> None:
    done = environment.run("-m", "pytest", "-p", "no:cacheprovider", "-q", fixture_sources / "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= 25
    assert "skipped" not in done.stdout


def test_it_runs_by_name(environment: ScratchEnvironment, tmp_path: Path) -> None:
    arguments = ("--space", "fixture", "--searcher", "fixture", "--name", "descent", "--trials", 4, "--max-budget", 3)
    done = environment.automl("run", *arguments, "--workspace", tmp_path, "--quiet")
    assert done.returncode == 0, done.stderr
    best = parsed(environment.automl("best", "descent", "--workspace", tmp_path, "--json"))
    assert set(best["configuration"]) == {"rate", "momentum", "nesterov"}
    assert best["budget"] == 3
    assert best["value"] == best["metrics"]["loss"]


def test_its_options_are_described_and_set(environment: ScratchEnvironment, tmp_path: Path) -> None:
    described = environment.automl("describe", "space", "fixture")
    assert described.returncode == 0, described.stderr
    assert "Largest effective step size" in described.stdout
    line = refused(
        environment.automl(
            "run", "--space", "fixture", "--set", "space.largset=2", "--workspace", tmp_path / "never-made"
        )
    )
    assert "'largset'" in line
    assert "did you mean 'largest'" in line
    assert not (tmp_path / "never-made").exists()


def test_its_gate_trains_a_graph_of_ours(environment: ScratchEnvironment, tmp_path: Path) -> None:
    options = ("nodes=2", "target=resnet8", "models=[resnet8]", "gates=[fixture]")
    flags = [flag for option in options for flag in ("--set", f"space.{option}")]
    arguments = ("--trials", 1, "--max-budget", 1, "--set", "dataset.limit=100", "--threads", 1, "--name", "mine")
    done = environment.automl("run", "--space", "ktg", *flags, *arguments, "--workspace", tmp_path, "--quiet")
    assert done.returncode == 0, done.stderr
    best = parsed(environment.automl("best", "mine", "--workspace", tmp_path, "--json"))
    assert {best["configuration"][f"gate_{edge}"] for edge in ("label_1", "2_1")} == {"fixture"}


def test_a_broken_plugin_warns_in_one_line_and_the_rest_works(
    environment: ScratchEnvironment, beside: Path, tmp_path: Path
) -> None:
    put(beside, "automl-broken", "broken", "raise RuntimeError('no\\nluck')")
    done = environment.automl("plugins", PYTHONPATH=str(beside))
    assert done.returncode == 0
    (warning,) = done.stderr.splitlines()
    assert "'broken' of automl-broken 9.9" in warning
    assert "RuntimeError: no luck" in warning
    assert "broken: RuntimeError: no luck" in done.stdout
    arguments = (
        "--space",
        "fixture",
        "--searcher",
        "fixture",
        "--trials",
        2,
        "--max-budget",
        2,
        "--workspace",
        tmp_path,
    )
    assert environment.automl("run", *arguments, PYTHONPATH=str(beside)).returncode == 0


def test_check_imports_every_part(environment: ScratchEnvironment, beside: Path) -> None:
    put(beside, "automl-empty", "empty", ADDING.format(part="nowhere", path="no_such_package:Space"))
    assert environment.automl("plugins", PYTHONPATH=str(beside)).returncode == 0
    done = environment.automl("plugins", "--check", PYTHONPATH=str(beside))
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'no_such_package'" in done.stdout
    line = refused(environment.automl("run", "--space", "nowhere", PYTHONPATH=str(beside)))
    assert "--disable-plugin empty" in line


def test_two_distributions_with_one_plugin_name_are_refused_naming_both(
    environment: ScratchEnvironment, beside: Path
) -> None:
    put(beside, "automl-impostor", "fixture", ADDING.format(part="other", path="automl_fixture.space:DescentSpace"))
    line = refused(environment.automl("plugins", PYTHONPATH=str(beside)))
    for expected in ("'fixture'", "automl-fixture 0.3.0", "automl-impostor 9.9", "--disable-plugin fixture"):
        assert expected in line
    done = environment.automl("plugins", "--json", "--disable-plugin", "fixture", PYTHONPATH=str(beside))
    assert {one["name"]: one["status"] for one in parsed(done)["plugins"]}["fixture"] == "disabled"


def test_two_plugins_with_one_part_name_are_refused_naming_both(environment: ScratchEnvironment, beside: Path) -> None:
    put(beside, "automl-twin", "twin", ADDING.format(part="fixture", path="automl_fixture.space:DescentSpace"))
    line = refused(environment.automl("plugins", PYTHONPATH=str(beside)))
    for expected in ("space", "'fixture'", "plugin 'twin'", "--disable-plugin twin"):
        assert expected in line
    done = environment.automl("plugins", "--json", PYTHONPATH=str(beside), AUTOML_DISABLE_PLUGINS="twin")
    assert {one["name"]: one["status"] for one in parsed(done)["plugins"]}["twin"] == "disabled"


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_plugin_that_is_switched_off_brings_nothing(environment: ScratchEnvironment, by: str) -> None:
    flags = ("--disable-plugin", "fixture") if by == "flag" else ()
    variables = {"AUTOML_DISABLE_PLUGINS": "fixture"} if by == "variable" else {}
    line = refused(environment.automl("run", "--space", "fixture", *flags, **variables))
    assert "unknown space 'fixture'" in line
    assert parsed(environment.automl("plugins", "--json", *flags, **variables))["parts"] != []


def test_the_example_that_needs_no_installation_runs() -> None:
    example = FIXTURE.parents[1] / "examples" / "plugins" / "late_gate.py"
    command = [sys.executable, str(example), "--trials", "2", "--epochs", "1", "--limit", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is the best so far: " in done.stdout
