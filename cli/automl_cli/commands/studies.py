"""``automl studies``: list a workspace."""

from __future__ import annotations

from dataclasses import asdict

import click

from automl_cli.going_on import command_line
from automl_cli.output import number, print_json, table
from automl_cli.settings import Settings


@click.command("studies")
@click.pass_obj
def command(settings: Settings) -> None:
    """List the studies of the workspace, oldest first."""
    from automl_core.records import Workspace

    workspace = Workspace(settings.workspace)
    found = workspace.studies()
    if settings.json:
        print_json({"studies": [asdict(one) for one in found]})
        return
    if not found:
        begin = command_line(settings, "run", "--space", "ktg", "--searcher", "asha")
        missing = "" if workspace.path.exists() else ", which does not exist"
        click.echo(f"No studies in {str(workspace.path)!r}{missing}. Begin with: {begin}")
        return
    rows = [
        (
            one.name,
            one.space,
            one.searcher,
            one.dataset or "-",
            one.status,
            str(one.trials),
            number(one.objective.partition(":")[0], one.best_value)
            + (f", front of {one.front}" if "," in one.objective and one.front else ""),
        )
        for one in found
    ]
    titles = ("study", "space", "searcher", "data", "status", "trials", "best")
    click.echo(table(titles, rows, right=("trials", "best")))
