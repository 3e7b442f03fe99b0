"""``automl delete``: remove a study."""

from __future__ import annotations

import sys

import click

from automl_cli.settings import Settings
from automl_core.errors import RequestError


@click.command("delete")
@click.argument("study")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(settings: Settings, study: str, yes: bool) -> None:
    """Remove STUDY: its journal and its checkpoints. This cannot be undone."""
    from automl_cli.output import is_terminal, print_json
    from automl_core.records import Workspace

    workspace = Workspace(settings.workspace)
    workspace.record(study)  # asked about only if it exists
    if not yes:
        if not is_terminal(sys.stdin):
            raise RequestError(
                f"deleting must be confirmed, and nobody can be asked here; pass --yes to delete {study!r}"
            )
        if not click.confirm(f"Delete study {study} and all its trials for good?", err=True):
            click.echo("Nothing was deleted.", err=True)
            return
    workspace.delete(study)
    if settings.json:
        print_json({"deleted": study})
    else:
        click.echo(f"Study {study} is deleted.")
