"""The registry of parts: what every plugin registered, by kind and name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pluggy

from automl_core import hookspecs
from automl_core.errors import RequestError, unknown
from automl_core.plugins.loading import Plugin, entry_points_by_distribution, load_plugins

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

    def __init__(
        self, found: Iterable[tuple[str, EntryPoint]] | None = None, disabled: Collection[str] = ()
    ) -> None:
        from_environment = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()}
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self._entries: dict[tuple[str, str], Entry] = {}
        self.plugins: list[Plugin] = []
        for plugin in load_plugins(
            entry_points_by_distribution() if found is None else found, from_environment | set(disabled)
        ):
            self.plugins.append(plugin)
            if plugin.module is not None:
                self.add(plugin.name, plugin.module)

    def add(self, plugin: str, implementation: object) -> None:
        """Registers a plugin: a module, or any object with ``hookimpl`` methods.

        Raises:
            RequestError: When it claims a part's name that another plugin has, naming both.
        """
        self.manager.register(implementation, plugin)
        for kind, hook_name in KINDS.items():
            hook = getattr(self.manager.hook, hook_name)
            for implemented in hook.get_hookimpls():
                if implemented.plugin is implementation:
                    implemented.function(register=self._registrar(kind, plugin))

    def _registrar(self, kind: str, plugin: str) -> hookspecs.Register:
        def register(name: str, path: str, *, summary: str) -> None:
            known = self._entries.get((kind, name))
            if known is not None:
                raise RequestError(
                    f"a {kind}'s name must be registered once, but {name!r} is registered by plugin "
                    f"{known.plugin!r} ({known.path}) and by plugin {plugin!r} ({path}); "
                    f"switch one off with --disable-plugin {plugin}"
                )
            self._entries[kind, name] = Entry(kind, name, path, summary, plugin)

        return register

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
