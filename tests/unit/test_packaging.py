"""One distribution, several import packages. hatchling drops an unlisted one silently, so the lists are checked."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

if TYPE_CHECKING:
    from tests.conftest import ScratchEnvironment

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ("", "spaces", "plugins", "cli")
DIRECTORIES = sorted(
    path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).glob("automl_*/__init__.py")
)
PACKAGES = sorted(directory.name for directory in DIRECTORIES)


def files_of_the_packages() -> set[str]:
    """Paths as a wheel has them, of every file of every package."""
    return {
        path.relative_to((ROOT / directory).parent).as_posix()
        for directory in DIRECTORIES
        for path in (ROOT / directory).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_room_has_its_packages() -> None:
    assert {"automl_core", "automl_spaces", "automl_vision", "automl_ktg", "automl_searchers", "automl_cli"} <= set(
        PACKAGES
    )
    strays = [path for path in ROOT.glob("*/automl_*") if path.is_dir() and not (path / "__init__.py").exists()]
    assert strays == []


def test_every_package_is_in_the_wheel_list() -> None:
    listed = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(listed) == sorted(directory.as_posix() for directory in DIRECTORIES)


def test_every_package_is_type_checked() -> None:
    assert sorted(PYPROJECT["tool"]["mypy"]["packages"]) == PACKAGES


def test_every_package_has_its_layer() -> None:
    linter = PYPROJECT["tool"]["importlinter"]
    assert sorted(linter["root_packages"]) == PACKAGES
    (layers,) = (contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers")
    assert sorted(name.strip() for layer in layers for name in layer.split("|")) == PACKAGES


def test_every_plugin_has_its_entry_point() -> None:
    plugins = {directory.name for directory in DIRECTORIES if directory.parts[0] == "plugins"}
    assert plugins <= set(PYPROJECT["project"]["entry-points"]["automl"].values())


def test_the_version_is_said_once_over() -> None:
    import automl_core

    assert automl_core.__version__ == PYPROJECT["project"]["version"]
    assert f"## [{automl_core.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_import_is_a_declared_dependency() -> None:
    distributions = packages_distributions()
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = [*PYPROJECT["project"]["dependencies"], *extras["optuna"], *extras["benchmarks"], *extras["plots"]]
    declared = {canonical(re.split(r"[<>=!~ \[]", one)[0]) for one in wanted}
    files = [file for directory in DIRECTORIES for file in (ROOT / directory).rglob("*.py")]
    found = {name: file for file in files for name in imported(file)}
    missing = {
        name: file.relative_to(ROOT).as_posix()
        for name, file in found.items()
        if not declared & {canonical(one) for one in distributions[name]}
    }
    assert set(missing) <= {"pytest"}, missing  # contract tests are run by whoever has pytest


def imported(file: Path) -> set[str]:
    """Top-level names of the third-party packages that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return {name for name in names - sys.stdlib_module_names if not name.startswith("automl_")}


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_the_wheel_holds_every_file_of_every_package_and_nothing_else(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    information = {name for name in names if ".dist-info/" in name}
    assert names - information == files_of_the_packages()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert any(name.endswith("licenses/LICENSE") for name in information)


def test_the_license_is_the_whole_apache_license() -> None:
    text = (ROOT / "LICENSE").read_text()
    for part in ("Apache License", "Version 2.0, January 2004", "9. Accepting Warranty", "END OF TERMS AND CONDITIONS"):
        assert part in text


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_imported_from_the_installed_wheel(scratch: ScratchEnvironment, package: str) -> None:
    done = scratch.run("-c", f"import {package}; print({package}.__file__)")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(scratch.packages)


def test_the_installed_wheel_lists_its_plugins(scratch: ScratchEnvironment) -> None:
    done = scratch.automl("plugins", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    listed = json.loads(done.stdout)
    expected = PYPROJECT["project"]["entry-points"]["automl"]
    assert {plugin["name"]: plugin["status"] for plugin in listed["plugins"]} == dict.fromkeys(expected, "ok")
