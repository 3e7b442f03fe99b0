"""The registry of parts: what every plugin registered, by kind and name."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pluggy

from automl_core import builtin, hookspecs
from automl_core.errors import RequestError, unknown
from automl_core.plugins.loading import Plugin, broken, entry_points_by_distribution, load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: Mapping[str, str] = {
    "space": "automl_search_spaces",
    "searcher": "automl_searchers",
    "evaluator": "automl_evaluators",
    "estimator": "automl_estimators",
    "dataset": "automl_datasets",
    "model": "automl_models",
    "gate": "automl_gates",
    "loss": "automl_losses",
    "executor": "automl_executors",
    "stage": "automl_stages",
    "command": "automl_commands",
}
"""Kind of part, as users call it, to the hook that registers it."""

DISABLE_VARIABLE = "AUTOML_DISABLE_PLUGINS"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One registered part; ``path`` is ``package.module:attribute`` and is imported at first use."""

    kind: str
    name: str
    path: str
    summary: str
    plugin: str

    def load(self) -> Any:
        """Imports the part.

        Raises:
            RequestError: When it cannot be imported, naming the plugin and the path.
        """
        module, _, attribute = self.path.partition(":")
        try:
            loaded: Any = importlib.import_module(module)
            for name in attribute.split("."):
                loaded = getattr(loaded, name)
        except Exception as error:
            raise RequestError(
                f"{self.kind} {self.name!r} cannot be loaded from {self.path!r}: {type(error).__name__}: {error}; "
                f"mend or update plugin {self.plugin!r}, or switch it off with --disable-plugin {self.plugin}"
            ) from error
        return loaded


class Registry:
    """Everything that plugins registered.

    Args:
        found: Entry points to load; those of the environment when None.
        disabled: Names of plugins to leave out, beside those in ``AUTOML_DISABLE_PLUGINS``.
    """

    def __init__(self, found: Iterable[tuple[str, EntryPoint]] | None = None, disabled: Collection[str] = ()) -> None:
        from_environment = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()}
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self._entries: dict[tuple[str, str], Entry] = {}
        self.plugins: list[Plugin] = []
        self.add("core", builtin)
        for plugin in load_plugins(
            entry_points_by_distribution() if found is None else found, from_environment | set(disabled)
        ):
            self.plugins.append(self._take(plugin))
        known = {plugin.name for plugin in self.plugins}
        for name in sorted(set(disabled) - known):
            raise unknown("plugin", name, known, "'automl plugins' lists all")
        if from_environment - known:
            log.warning("%s names unknown plugins: %s", DISABLE_VARIABLE, ", ".join(sorted(from_environment - known)))

    def _take(self, plugin: Plugin) -> Plugin:
        """Lets a loaded plugin register its parts; one that fails at it is as broken as one that fails to load."""
        if plugin.module is None:
            return plugin
        try:
            entries = self._collect(plugin.name, plugin.module)
        except Exception as error:  # noqa: BLE001 - a stranger's hooks must not end the command
            return broken(plugin.name, plugin.distribution, error)
        self._claim(entries)
        return plugin

    def add(self, plugin: str, implementation: object) -> None:
        """Registers a plugin: a module, or any object with ``hookimpl`` methods.

        Raises:
            RequestError: When it claims a part's name that another plugin has, naming both; or when it implements a
                hook that does not exist.
            ValueError: When it is registered already, or names a part by something that is no import path.
            pluggy.PluginValidationError: When a hook takes arguments that it is not given.
        """
        self._claim(self._collect(plugin, implementation))

    def _collect(self, plugin: str, implementation: object) -> list[Entry]:
        """Calls an implementation's registering hooks; leaves nothing behind when one fails."""
        if self.manager.get_name(implementation) is not None or self.manager.has_plugin(plugin):
            raise ValueError(f"a plugin must be registered once, but {plugin!r} ({implementation}) is known already")
        entries: list[Entry] = []
        try:
            self.manager.register(implementation, plugin)
            self._refuse_unknown_hooks(implementation)
            for kind, hook_name in KINDS.items():
                for implemented in getattr(self.manager.hook, hook_name).get_hookimpls():
                    if implemented.plugin is implementation:
                        implemented.function(register=_registrar(kind, plugin, entries))
        except Exception:
            self.manager.unregister(name=plugin)  # older pluggy leaves a plugin with a wrong hook half registered
            raise
        return entries

    def _refuse_unknown_hooks(self, implementation: object) -> None:
        """Refuses a misspelled hook, which would never be called, unless it is ``optionalhook``; and wrappers."""
        callers = self.manager.get_hookcallers(implementation) or []
        known = [name for name in vars(hookspecs) if name.startswith("automl_")]
        for caller in callers:
            if not caller.has_spec() and not all(one.optionalhook for one in caller.get_hookimpls()):
                raise unknown("hook", caller.name, known)
            if any(one.wrapper or one.hookwrapper for one in caller.get_hookimpls()):
                raise RequestError(
                    f"a hook must be implemented as a plain function, but {caller.name} is a wrapper, and each "
                    "implementation is called alone here; leave wrapper=True out"
                )

    def _claim(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            known = self._entries.get((entry.kind, entry.name))
            if known is not None:
                raise RequestError(
                    f"a {entry.kind}'s name must be registered once, but {entry.name!r} is registered by plugin "
                    f"{known.plugin!r} ({known.path}) and by plugin {entry.plugin!r} ({entry.path}); "
                    f"switch one off with --disable-plugin {entry.plugin}"
                )
            self._entries[entry.kind, entry.name] = entry

    def entries(self, kind: str) -> list[Entry]:
        """Lists the parts of one kind by name."""
        return [entry for (its_kind, _), entry in sorted(self._entries.items()) if its_kind == kind]

    def names(self, kind: str) -> list[str]:
        return [entry.name for entry in self.entries(kind)]

    def entry(self, kind: str, name: str) -> Entry:
        """Finds a part.

        Raises:
            RequestError: When there is none of that name, with the nearest names.
        """
        try:
            return self._entries[kind, name]
        except KeyError:
            raise unknown(kind, name, self.names(kind), "'automl plugins' lists all") from None

    def load(self, kind: str, name: str) -> Any:
        """Imports and gives the class (or function) that is registered."""
        return self.entry(kind, name).load()

    def create(self, kind: str, name: str, options: Mapping[str, Any] | None = None, **extra: Any) -> Any:
        """Builds a part from its options, which are validated against its constructor's signature.

        Args:
            kind: One of :data:`KINDS`.
            name: The part's name.
            options: What a user may set.
            extra: Keyword arguments that are not a user's, passed as they are.

        Raises:
            RequestError: For an unknown name or option, or a value of the wrong type.
        """
        from automl_core.options import validate

        factory = self.load(kind, name)
        part = factory(**validate(factory, options or {}, f"{kind} {name}", given=frozenset(extra)), **extra)
        if getattr(part, "name", None) == "":
            part.name = name
        return part


def _registrar(kind: str, plugin: str, entries: list[Entry]) -> hookspecs.Register:
    def register(name: str, path: str, *, summary: str) -> None:
        if not re.fullmatch(r"[\w.]+:[\w.]+", path):
            raise ValueError(f"{kind} {name!r} must be named by 'package.module:attribute', but got {path!r}")
        entries.append(Entry(kind, name, path, summary, plugin))

    return register


_registry: Registry | None = None


def get_registry() -> Registry:
    """Gives this process's registry, made at first use."""
    global _registry
    if _registry is None:
        _registry = Registry()
    return _registry


@contextmanager
def use_registry(registry: Registry) -> Iterator[Registry]:
    """Makes ``registry`` the process's registry within a ``with`` block."""
    global _registry
    before, _registry = _registry, registry
    try:
        yield registry
    finally:
        _registry = before
