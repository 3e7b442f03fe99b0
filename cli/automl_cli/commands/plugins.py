"""``automl plugins``: what is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from automl_cli.failures import FAILED
from automl_cli.output import heading, print_json, table
from automl_cli.settings import Settings
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_core.plugins import Entry, Registry


@click.command("plugins", short_help="List plugins and the parts that they bring.")
@click.option("--check", is_flag=True, help="Import every part; exit code 1 if one is broken.")
@click.pass_obj
def command(settings: Settings, check: bool) -> None:
    """List plugins and the parts that they bring, without importing the parts."""
    from automl_core.plugins import KINDS, get_registry

    registry = get_registry()
    parts = [entry for kind in KINDS for entry in registry.entries(kind)]
    broken = _broken(parts) if check else {}
    if settings.json:
        print_json(_document(registry, parts, broken))
    else:
        _print(registry, parts, broken)
        if check and not broken and not any(plugin.error for plugin in registry.plugins):
            click.echo(f"\nAll {len(parts)} parts can be imported.")
    if broken or (check and any(plugin.error for plugin in registry.plugins)):
        click.get_current_context().exit(FAILED)


def _broken(parts: list[Entry]) -> dict[tuple[str, str], str]:
    """Imports every part; gives the reason for each one that cannot be."""
    reasons = {}
    for entry in parts:
        try:
            entry.load()
        except RequestError as error:
            reasons[entry.kind, entry.name] = str(error)
    return reasons


def _document(registry: Registry, parts: list[Entry], broken: dict[tuple[str, str], str]) -> dict[str, Any]:
    return {
        "plugins": [
            {"name": one.name, "distribution": one.distribution, "status": one.status, "error": one.error}
            for one in registry.plugins
        ],
        "parts": [
            {
                "kind": one.kind,
                "name": one.name,
                "summary": one.summary,
                "plugin": one.plugin,
                "path": one.path,
                "error": broken.get((one.kind, one.name), ""),
            }
            for one in parts
        ],
    }


def _print(registry: Registry, parts: list[Entry], broken: dict[tuple[str, str], str]) -> None:
    click.echo(heading("plugins"))
    rows = [
        (one.name, one.distribution, one.status + (f": {one.error}" if one.error else "")) for one in registry.plugins
    ]
    click.echo(table(("plugin", "distribution", "status"), rows))
    click.echo("\n" + heading("parts"))
    shown = [
        (one.kind, one.name, one.plugin, "broken" if (one.kind, one.name) in broken else one.summary) for one in parts
    ]
    click.echo(table(("kind", "name", "plugin", "what it is"), shown))
    for reason in broken.values():
        click.echo(f"\n{click.style('broken', fg='red')}: {reason}")
    click.echo("\nMore about one: automl describe KIND NAME")
