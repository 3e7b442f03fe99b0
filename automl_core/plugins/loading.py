"""Finds and loads plugin modules, with pluggy's two loading traps closed.

pluggy's own loader lets one broken plugin end the command, and lets a second distribution with the same entry-point
name silently take the place of the first. So the group is scanned by distribution here, doubled names are refused
naming both, and plugins are loaded one by one.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from automl_core.errors import RequestError

GROUP = "automl"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plugin:
    """One plugin as found: its entry-point name, its distribution, and how loading it went.

    Args:
        name: The entry point's name.
        distribution: Distribution and version that bring it, "automl-graph 0.1.0".
        module: The loaded module, or None.
        error: Why it could not be loaded; empty when it was.
        disabled: Whether the user switched it off.
    """

    name: str
    distribution: str
    module: ModuleType | None = None
    error: str = ""
    disabled: bool = False

    @property
    def status(self) -> str:
        return "disabled" if self.disabled else "broken" if self.error else "ok"


def entry_points_by_distribution() -> list[tuple[str, EntryPoint]]:
    """Gives (distribution and version, entry point) of the group.

    A distribution that is installed twice counts once, as importing does: the first on ``sys.path``.
    """
    return [
        (f"{entry_point.dist.name} {entry_point.dist.version}" if entry_point.dist else "?", entry_point)
        for entry_point in entry_points(group=GROUP)
    ]


def load_plugins(found: Iterable[tuple[str, EntryPoint]], disabled: Collection[str] = ()) -> list[Plugin]:
    """Loads plugins one by one; a broken one is logged in one line and listed as broken.

    Raises:
        RequestError: When two distributions claim one plugin name.
    """
    claims: dict[str, list[tuple[str, EntryPoint]]] = defaultdict(list)
    for distribution, entry_point in found:
        claims[entry_point.name].append((distribution, entry_point))
    plugins = []
    for name in sorted(claims):
        distribution, entry_point = claims[name][0]
        if name in disabled:
            plugins.append(Plugin(name, distribution, disabled=True))
            continue
        if len(claims[name]) > 1:
            both = " and ".join(distribution for distribution, _ in claims[name])
            raise RequestError(
                f"a plugin name must be claimed by one distribution, but {name!r} is claimed by {both}; "
                f"uninstall one of them or switch both off with --disable-plugin {name}"
            )
        plugins.append(_load(name, distribution, entry_point))
    return plugins


def broken(name: str, distribution: str, error: BaseException) -> Plugin:
    """Warns about a plugin that failed, in one line, and gives the entry that lists it as broken."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    log.warning("plugin %r of %s is broken and was left out: %s", name, distribution, reason)
    return Plugin(name, distribution, error=reason)


def _load(name: str, distribution: str, entry_point: EntryPoint) -> Plugin:
    try:
        return Plugin(name, distribution, module=entry_point.load())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a stranger's module raises must not end the command
        return broken(name, distribution, error)
