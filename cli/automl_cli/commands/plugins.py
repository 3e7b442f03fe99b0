"""``automl plugins``: what is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from automl_cli.failures import FAILED
from automl_cli.output import columns, heading, print_json, widths_of
from automl_cli.settings import Settings
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_core.plugins import Entry, Registry


@click.command("plugins")
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
            click.echo(f"All {len(parts)} parts can be imported.")
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
    """Prints each plugin with its parts below it; the core's own parts come first."""
    rows = {
        (one.kind, one.name): (one.kind, one.name, "broken" if (one.kind, one.name) in broken else one.summary)
        for one in parts
    }
    widths = widths_of(rows.values()) if rows else []
    listed = {plugin.name for plugin in registry.plugins}
    for name in sorted({one.plugin for one in parts} - listed):
        _print_plugin(name, "built in", [rows[one.kind, one.name] for one in parts if one.plugin == name], widths)
    for plugin in registry.plugins:
        about = (
            plugin.distribution
            + {"ok": "", "disabled": ", disabled", "broken": f", broken: {plugin.error}"}[plugin.status]
        )
        _print_plugin(
            plugin.name, about, [rows[one.kind, one.name] for one in parts if one.plugin == plugin.name], widths
        )
    for reason in broken.values():
        click.echo(f"{click.style('broken', fg='red')}: {reason}\n")
    click.echo("More about one: automl describe KIND NAME")


def _print_plugin(name: str, about: str, rows: list[tuple[str, str, str]], widths: list[int]) -> None:
    click.echo(f"{heading(name)}, {about}")
    if rows:
        click.echo(columns(rows, widths))
    click.echo()
