"""``automl best``: the best configuration of a study."""

from __future__ import annotations

import click

from automl_cli.settings import Settings
from automl_core.errors import RequestError


@click.command("best")
@click.argument("study")
@click.pass_obj
def command(settings: Settings, study: str) -> None:
    """Show the best configuration that STUDY has found so far."""
    from automl_cli.conclusion import configuration_text
    from automl_cli.output import budget_text, facts, heading, measured, number, print_json
    from automl_core.records import Workspace

    record = Workspace(settings.workspace).record(study)
    best = record.best()
    if best is None:
        raise RequestError(
            f"the best is known once a trial is done, but study {study!r} has none; 'automl show {study}'"
        )
    if settings.json:
        print_json(best.to_json())
        return
    metric = record.summary.objective.partition(":")[0]
    click.echo(heading(f"trial {best.trial} of {study}, {metric} {number(metric, best.value)}"))
    click.echo(
        facts([("budget", budget_text(best.budget, record.spec.unit)), ("metrics", measured(best.metrics))]) + "\n"
    )
    click.echo(configuration_text(best.configuration))
    drawing = record.draw_best()
    if drawing:
        click.echo("\n" + drawing.rstrip("\n"))
