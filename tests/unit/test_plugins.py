"""Plugins: found by distribution, loaded one by one, listed without importing what they bring."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pluggy
import pytest

from automl_core import RequestError, hookimpl
from automl_core.hookspecs import Register
from automl_core.plugins import KINDS, Registry, get_registry, use_registry
from automl_core.plugins.loading import entry_points_by_distribution, load_plugins

GOOD = """
from automl_core import hookimpl

@hookimpl
def automl_searchers(register):
    register("{part}", "{module}_parts:Part", summary="a part of {module}")
"""
PART = """
class Part:
    name = ""
    def __init__(self, eta: int = 3, helper: object = None) -> None:
        self.eta, self.helper = eta, helper
"""


class Installer:
    """Puts distributions with plugins on ``sys.path``, as pip would."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.monkeypatch = monkeypatch

    def __call__(self, distribution: str, plugins: dict[str, str], version: str = "1.0", place: str = "site") -> None:
        """Installs a distribution; ``plugins`` maps entry-point names to the source of the module of that name."""
        site = self.root / place
        information = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        modules = {name: f"{distribution.replace('-', '_')}_{name}" for name in plugins}
        lines = [f"{name} = {module}" for name, module in modules.items()]
        (information / "entry_points.txt").write_text("\n".join(["[automl]", *lines, ""]))
        for name, source in plugins.items():
            (site / f"{modules[name]}.py").write_text(source.replace("{module}", modules[name]))
            (site / f"{modules[name]}_parts.py").write_text(PART)
        if str(site) not in sys.path:
            self.monkeypatch.syspath_prepend(str(site))

    def registry(self, *distributions: str, disabled: tuple[str, ...] = ()) -> Registry:
        """Makes a registry of these distributions alone."""
        found = [(name, point) for name, point in entry_points_by_distribution() if name.split()[0] in distributions]
        return Registry(found, disabled)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    before = set(sys.modules)
    yield Installer(tmp_path, monkeypatch)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def good(part: str) -> str:
    return GOOD.replace("{part}", part)


def test_every_distribution_of_the_environment_is_scanned(install: Installer) -> None:
    install("one-plugin", {"first": good("a")})
    install("two-plugins", {"second": good("b"), "third": good("c")}, version="2.5")
    found = {point.name: distribution for distribution, point in entry_points_by_distribution()}
    assert found["first"] == "one-plugin 1.0"
    assert found["second"] == found["third"] == "two-plugins 2.5"
    assert found["searchers"].startswith("automl-graph ")


def test_a_distribution_that_is_installed_twice_counts_once_and_the_first_wins(install: Installer) -> None:
    install("one-plugin", {"first": good("a"), "gone": good("b")}, version="1.0", place="behind")
    install("One_Plugin", {"first": good("a")}, version="2.0", place="before")
    mine = [(name, point.name) for name, point in entry_points_by_distribution() if name.lower().startswith("one")]
    assert mine == [("One_Plugin 2.0", "first")]


def test_parts_are_listed_without_importing_them(install: Installer) -> None:
    install("lazy", {"lazy": good("mine")})
    registry = install.registry("lazy")
    (entry,) = registry.entries("searcher")
    assert (entry.name, entry.plugin, entry.summary) == ("mine", "lazy", "a part of lazy_lazy")
    assert "lazy_lazy_parts" not in sys.modules
    assert registry.load("searcher", "mine").__name__ == "Part"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line second line"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError: "),
        (good("x").replace("(register):", "(registrar):"), "PluginValidationError: "),
        (good("x").replace("automl_searchers", "automl_searcher"), "unknown hook 'automl_searcher'; did you mean"),
        (good("x").replace(", summary=", ", sumary="), "TypeError: "),
        (good("x").replace(":Part", ".Part"), "must be named by 'package.module:attribute', but got '"),
        (good("x").replace("    register(", "    1 / 0\n    register("), "ZeroDivisionError: "),
    ],
    ids=["import", "raise", "exit", "syntax", "arguments", "misspelled", "keyword", "path", "hook raises"],
)
def test_a_broken_plugin_warns_in_one_line_is_listed_as_broken_and_stops_nothing(
    install: Installer, caplog: pytest.LogCaptureFixture, source: str, reason: str
) -> None:
    install("stranger", {"bad": source, "fine": good("mine")})
    with caplog.at_level(logging.WARNING):
        registry = install.registry("stranger")
    (record,) = caplog.records
    assert "plugin 'bad' of stranger 1.0 is broken and was left out: " in record.getMessage()
    assert reason in record.getMessage()
    assert "\n" not in record.getMessage()
    by_name = {plugin.name: plugin for plugin in registry.plugins}
    assert by_name["bad"].status == "broken"
    assert reason in by_name["bad"].error
    assert by_name["fine"].status == "ok"
    assert registry.names("searcher") == ["mine"]


def test_a_plugin_that_fails_halfway_through_its_hooks_leaves_nothing_behind(install: Installer) -> None:
    gates = "\n@hookimpl\ndef automl_gates(register):\n    raise RuntimeError('too late')\n"
    observer = "\n@hookimpl\ndef automl_study_started(study):\n    raise AssertionError('must not be called')\n"
    install("stranger", {"half": good("mine") + gates + observer})
    registry = install.registry("stranger")
    assert registry.names("searcher") == []
    registry.manager.hook.automl_study_started(study=None)


def test_a_hook_of_a_newer_version_may_be_marked_optional() -> None:
    class Ahead:
        @hookimpl(optionalhook=True)
        def automl_of_tomorrow(self, register: Register) -> None:
            raise AssertionError("nothing calls it")

        @hookimpl
        def automl_gates(self, register: Register) -> None:
            register("mine", "package.module:Gate", summary="")

    registry = Registry(found=())
    registry.add("ahead", Ahead())
    assert registry.names("gate") == ["mine"]


def test_two_distributions_with_one_plugin_name_are_refused_naming_both(install: Installer) -> None:
    install("alpha", {"shared": good("a")})
    install("beta", {"shared": good("b")}, version="3.1")
    with pytest.raises(RequestError) as refusal:
        install.registry("alpha", "beta")
    for expected in ("'shared'", "alpha 1.0", "beta 3.1", "--disable-plugin shared"):
        assert expected in str(refusal.value)


def test_the_way_out_of_a_doubled_plugin_name_works(install: Installer) -> None:
    install("alpha", {"shared": good("a"), "own": good("c")})
    install("beta", {"shared": good("b")})
    registry = install.registry("alpha", "beta", disabled=("shared",))
    assert [(plugin.name, plugin.status) for plugin in registry.plugins] == [("own", "ok"), ("shared", "disabled")]


def test_two_plugins_with_one_part_name_are_refused_naming_both(install: Installer) -> None:
    install("alpha", {"one": good("mine")})
    install("beta", {"two": good("mine")})
    with pytest.raises(RequestError) as refusal:
        install.registry("alpha", "beta")
    for expected in ("searcher", "'mine'", "'one'", "alpha_one_parts:Part", "'two'", "--disable-plugin two"):
        assert expected in str(refusal.value)
    assert install.registry("alpha", "beta", disabled=("two",)).entry("searcher", "mine").plugin == "one"


def test_one_name_may_be_used_for_parts_of_different_kinds() -> None:
    class Both:
        @hookimpl
        def automl_searchers(self, register: Register) -> None:
            register("mine", "a.b:C", summary="")

        @hookimpl
        def automl_search_spaces(self, register: Register) -> None:
            register("mine", "a.b:D", summary="")

    registry = Registry(found=())
    registry.add("both", Both())
    assert registry.entry("space", "mine").path == "a.b:D"
    assert registry.entry("searcher", "mine").path == "a.b:C"


def test_plugins_are_switched_off_by_argument_and_by_environment(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("many", {"one": "raise RuntimeError('never imported')", "two": good("b"), "three": good("c")})
    monkeypatch.setenv("AUTOML_DISABLE_PLUGINS", " one, two ,")
    registry = install.registry("many", disabled=("three",))
    assert {plugin.name: plugin.status for plugin in registry.plugins} == dict.fromkeys(
        ("one", "two", "three"), "disabled"
    )
    assert registry.names("searcher") == []
    assert "many_two" not in sys.modules


def test_switching_off_an_unknown_plugin_is_refused_with_the_nearest_name(install: Installer) -> None:
    install("many", {"vision-extra": good("a")})
    with pytest.raises(RequestError, match="unknown plugin 'vision-extr'; did you mean 'vision-extra'"):
        install.registry("many", disabled=("vision-extr",))


def test_an_unknown_plugin_in_the_environment_only_warns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AUTOML_DISABLE_PLUGINS", "uninstalled-since")
    with caplog.at_level(logging.WARNING):
        Registry(found=())
    assert "uninstalled-since" in caplog.text


def test_a_plugin_is_registered_once() -> None:
    registry = Registry(found=())
    plugin = SimpleNamespace()
    registry.add("mine", plugin)
    with pytest.raises(ValueError, match="registered once, but 'mine'"):
        registry.add("mine", SimpleNamespace())
    with pytest.raises(ValueError, match="registered once, but 'again'"):
        registry.add("again", plugin)


def test_two_names_for_one_module_in_a_distribution_do_not_end_the_command(
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = ModuleType("twice")
    points = [("twice 1.0", SimpleNamespace(name=name, load=lambda: module)) for name in ("a", "b")]
    with caplog.at_level(logging.WARNING):
        registry = Registry(points)  # type: ignore[arg-type]
    assert [(plugin.name, plugin.status) for plugin in registry.plugins] == [("a", "ok"), ("b", "broken")]


def test_add_gives_a_developer_the_whole_error() -> None:
    class Wrong:
        @hookimpl
        def automl_searchers(self, registrar: Register) -> None: ...

    with pytest.raises(pluggy.PluginValidationError):
        Registry(found=()).add("wrong", Wrong())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no_such_package.module:Thing", "ModuleNotFoundError"),
        ("automl_core.errors:NoSuchError", "AttributeError"),
    ],
)
def test_a_part_whose_import_path_is_broken_is_refused_when_used(path: str, reason: str) -> None:
    class Plugin:
        @hookimpl
        def automl_models(self, register: Register) -> None:
            register("mine", path, summary="")

    registry = Registry(found=())
    registry.add("careless", Plugin())
    with pytest.raises(RequestError) as refusal:
        registry.load("model", "mine")
    for expected in ("model 'mine'", path, reason, "--disable-plugin careless"):
        assert expected in str(refusal.value)


def test_an_unknown_part_is_refused_with_the_nearest_names(install: Installer) -> None:
    install("lazy", {"lazy": good("hyperband")})
    with pytest.raises(RequestError, match=r"unknown searcher 'hyperbnd'; did you mean 'hyperband'.*automl plugins"):
        install.registry("lazy").load("searcher", "hyperbnd")


def test_create_validates_options_passes_extras_and_names_the_part(install: Installer) -> None:
    install("lazy", {"lazy": good("mine")})
    registry = install.registry("lazy")
    helper = object()
    part = registry.create("searcher", "mine", {"eta": 2}, helper=helper)
    assert (part.eta, part.helper, part.name) == (2, helper, "mine")
    with pytest.raises(RequestError, match="'eta' of searcher mine must be int"):
        registry.create("searcher", "mine", {"eta": "two"})
    with pytest.raises(RequestError, match="unknown option of searcher mine 'helper'"):
        registry.create("searcher", "mine", {"helper": 1}, helper=helper)


def test_use_registry_holds_within_its_block_and_through_an_exception() -> None:
    before = get_registry()
    mine = Registry(found=())
    with pytest.raises(ZeroDivisionError), use_registry(mine):
        assert get_registry() is mine
        1 / 0  # noqa: B018
    assert get_registry() is before


def test_loading_goes_by_name_whatever_the_order_found(install: Installer) -> None:
    install("many", {"b": good("b"), "a": good("a")})
    found = [one for one in entry_points_by_distribution() if one[0] == "many 1.0"]
    assert load_plugins(found) == load_plugins(reversed(found))


def test_our_own_plugins_load_and_every_part_they_name_can_be_imported() -> None:
    registry = Registry()
    assert {plugin.name for plugin in registry.plugins if plugin.status == "ok"} >= {"ktg", "searchers", "vision"}
    for kind in KINDS:
        for entry in registry.entries(kind):
            entry.load()
            assert entry.summary.strip()
            assert "\n" not in entry.summary
