"""The command itself: what it lists, what it imports, which options every command has, what plugins add."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from automl_cli.application import COMMANDS, application
from automl_cli.settings import Settings
from automl_core import __version__, hookimpl
from automl_core.plugins import Registry, use_registry

HEAVY = (
    "torch",
    "torchvision",
    "smac",
    "dask",
    "scipy",
    "sklearn",
    "ConfigSpace",
    "pandas",
    "numpy",
    "pydantic",
    "rich",
    "yaml",
)
SHARED = ("--workspace", "--json", "--quiet", "--verbose", "--disable-plugin", "--help")
HERE = "cli_plugin_of_this_test"


@click.command()
@click.option("--times", type=int, default=1)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def greet(settings: Settings, times: int, as_json: bool) -> int:
    click.echo(f"hello {times} {settings.workspace} {settings.quiet} {as_json}")
    return 7  # no exit code: those are given by ctx.exit or an error


class Plugin:
    @hookimpl
    def automl_commands(self, register: Any) -> None:
        register("greet", f"{HERE}:greet", summary="says hello")
        register("broken", f"{HERE}:missing", summary="cannot be imported")
        register("number", f"{HERE}:number", summary="is no command")
        register("show", f"{HERE}:greet", summary="a built-in command's name")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    module = ModuleType(HERE)
    vars(module).update(greet=greet, number=3)
    monkeypatch.setitem(sys.modules, HERE, module)
    registry = Registry(found=[])
    registry.add("greeter", Plugin())
    with use_registry(registry):
        yield registry


def automl(*arguments: str, **extra: Any) -> Result:
    return CliRunner().invoke(application, arguments, **extra)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plugins"], ["run", "--help"], ["--version"], ["describe", "space"]]
)
def test_starting_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('LOADED', *sorted({HEAVY!r} & sys.modules.keys())))\n"
        "sys.argv[0] = 'automl'\n"
        "from automl_cli import main\n"
        "main()\n"
    ).replace(repr(HEAVY), repr(set(HEAVY)))
    done = python(code, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_the_check_of_imports_can_fail() -> None:
    code = f"import sys, yaml; sys.exit(bool({set(HEAVY)!r} & sys.modules.keys()))"
    assert python(code).returncode == 1


def test_help_lists_every_command() -> None:
    result = automl("--help")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.split("Commands:\n")[1].splitlines()[: len(COMMANDS)]] == list(
        COMMANDS
    )


def test_no_arguments_show_help_and_are_a_wrong_request() -> None:
    result = automl()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_version() -> None:
    assert automl("--version").stdout == f"automl {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_shared_options_and_help_in_80_columns(name: str) -> None:
    result = automl(name, "--help")
    assert result.exit_code == 0
    assert all(option in result.stdout for option in SHARED)
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rum"], "unknown command 'rum'; did you mean 'run'"),
        (["--nothing"], "No such option '--nothing'"),
        (["studies", "--jsn"], "'automl studies --help'"),
        (["show"], "Missing argument 'STUDY'"),
        (["studies", "--quiet", "--verbose"], "--quiet and --verbose exclude each other"),
        (["run", "--searcher", "asha"], "a study needs a search space"),
        (["run", "--trials", "many", "--space", "x"], "'many' is not a valid integer"),
        (["plugins", "--disable-plugin", "vison"], "unknown plugin 'vison'; did you mean 'vision'"),
        (["describe", "sercher", "asha"], "unknown kind of part 'sercher'; did you mean 'searcher'"),
        (["describe", "searcher", "ahsa"], "unknown searcher 'ahsa'; did you mean 'asha'"),
        (["describe", "searcher", "asha", "--set", "space.nodes=3"], "--set must set an option of what is described"),
        (["describe", "searcher", "asha", "--load"], "--load reads a data set"),
    ],
)
def test_wrong_requests_are_one_line_and_exit_code_2(arguments: list[str], words: str) -> None:
    result = automl(*arguments, prog_name="automl")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr


def test_plugins_commands_are_listed_without_importing_them(plugin: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, HERE)
    shown = automl("--help").stdout.split("Commands of plugins:\n")[1]
    assert shown.splitlines()[:3] == ["  broken  cannot be imported", "  greet   says hello", "  number  is no command"]


def test_plugins_commands_run_with_the_shared_options(plugin: Registry, tmp_path: Any) -> None:
    result = automl("greet", "--times", "3", "--workspace", str(tmp_path), "--quiet", "--json")
    assert (result.exit_code, result.stdout) == (0, f"hello 3 {tmp_path} True True\n")
    assert "STUDY" in automl("show", "--help").stdout, "a built-in command's name cannot be taken"


@pytest.mark.parametrize(
    ("name", "words"), [("broken", "cannot be loaded from"), ("number", "must be a click command, but 'number' is int")]
)
def test_plugins_commands_that_are_none_are_refused(plugin: Registry, name: str, words: str) -> None:
    result = automl(name)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "greeter" in result.stderr


def entry(name: str, module: str) -> tuple[str, EntryPoint]:
    return f"{module} 1.0", EntryPoint(name, module, "automl")


def test_a_broken_plugin_warns_in_one_line_and_the_rest_works(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [entry("good", "automl_searchers"), entry("bad", "no_such_module_anywhere")]
    monkeypatch.setattr("automl_core.plugins.registry.entry_points_by_distribution", lambda: found)
    monkeypatch.setattr("automl_core.plugins.registry._registry", None)
    result = automl("plugins")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: plugin 'bad'")
    assert len(result.stderr.splitlines()) == 1
    assert "asha" in result.stdout
    monkeypatch.setattr("automl_core.plugins.registry._registry", None)
    assert automl("plugins", "--check").exit_code == 1
    monkeypatch.setattr("automl_core.plugins.registry._registry", None)
    result = automl("plugins", "--disable-plugin", "bad", "--check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "disabled" in result.stdout


def test_two_plugins_of_one_name_are_refused_until_one_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [entry("twice", "automl_searchers"), entry("twice", "automl_ktg")]
    monkeypatch.setattr("automl_core.plugins.registry.entry_points_by_distribution", lambda: found)
    monkeypatch.setattr("automl_core.plugins.registry._registry", None)
    result = automl("plugins")
    assert result.exit_code == 2
    assert "automl_searchers 1.0 and automl_ktg 1.0" in result.stderr
    result = automl("--help")
    assert result.exit_code == 0
    assert "automl_searchers 1.0 and automl_ktg 1.0" in result.stderr
    assert automl("plugins", "--disable-plugin", "twice").exit_code == 0
    assert automl("--disable-plugin", "twice", "--help").stderr == ""


def test_check_names_parts_that_cannot_be_imported(plugin: Registry) -> None:
    result = automl("plugins", "--check")
    assert result.exit_code == 1
    assert "broken: command 'broken' cannot be loaded" in result.stdout
    found = {one["name"]: one["error"] for one in _json(automl("plugins", "--check", "--json"))["parts"]}
    assert found["greet"] == ""
    assert "cannot be loaded" in found["broken"]


def _json(result: Result) -> Any:
    import json

    return json.loads(result.stdout)


def test_describing_a_searcher_prints_its_options() -> None:
    shown = automl("describe", "searcher", "asha").stdout
    assert "stop | promote, default stop." in shown
    document = _json(automl("describe", "searcher", "asha", "--json"))
    eta = next(one for one in document["options"] if one["name"] == "eta")
    assert (eta["type"], eta["default"], eta["required"]) == ("int", 2, False)
    assert eta["meaning"]


def test_describing_a_space_counts_it_with_the_options_given() -> None:
    shown = automl("describe", "space", "ktg").stdout
    assert "2,359,296 configurations" in shown
    assert "gate_label_1" in shown
    smaller = _json(automl("describe", "space", "ktg", "--set", "space.nodes=2", "--json"))
    assert smaller["size"] == 768
    assert [one["name"] for one in smaller["hyperparameters"]] == [
        "gate_1_2",
        "gate_2_1",
        "gate_label_1",
        "gate_label_2",
        "model_2",
    ]
    assert automl("describe", "space", "ktg", "--set", "space.nodes=9").exit_code == 2


def test_describing_a_data_set_reads_it_only_when_asked() -> None:
    assert "contents" not in _json(automl("describe", "dataset", "digits", "--json"))
    loaded = _json(automl("describe", "dataset", "digits", "--json", "--load", "--set", "dataset.limit=20"))
    assert loaded["contents"]["train"] == 20


def test_describing_a_trainer_goes_by_its_evaluator() -> None:
    document = _json(automl("describe", "trainer", "supervised", "--json"))
    assert {"batch", "schedule"} <= {one["name"] for one in document["options"]}
    assert "automl describe trainer supervised" in automl("describe", "evaluator", "supervised").stdout


@pytest.mark.parametrize(
    ("flag", "level"), [(None, logging.WARNING), ("--quiet", logging.ERROR), ("--verbose", logging.INFO)]
)
def test_logging_follows_the_flags_and_is_put_back(flag: str | None, level: int, plugin: Registry) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    seen: list[int] = []

    @click.command()
    def look() -> None:
        seen.append(root.level)
        logging.getLogger("automl_core").warning("two\nlines")

    vars(sys.modules[HERE])["greet"] = look
    result = automl("greet", *([flag] if flag else []))
    assert result.exit_code == 0
    assert seen == [level]
    assert result.stderr == {None: "warning: two lines\n", "--quiet": "", "--verbose": "warning: two\nlines\n"}[flag]
    assert (root.level, root.handlers) == before
