"""``automl best``: the best configuration of a study, or the front of several objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from automl_cli.settings import Settings
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_core.records import Best, StudyRecord


@click.command("best")
@click.argument("study")
@click.option("--trial", type=int, help="Show this candidate instead, one of the front or any other.")
@click.pass_obj
def command(settings: Settings, study: str, trial: int | None) -> None:
    """Show the best configuration that STUDY has found so far.

    With several objectives, show the Pareto front: the trials that no other one beats in all objectives. --trial shows
    any candidate that ended with a value: its configuration, its metrics and, where it can be drawn, its drawing.
    """
    from automl_cli.output import print_json
    from automl_core.records import Workspace

    record = Workspace(settings.workspace).record(study)
    front = record.front()
    if not front:
        raise RequestError(
            f"the best is known once a trial is done, but study {study!r} has none; 'automl show {study}'"
        )
    several = len(record.objectives) > 1
    chosen = _chosen(settings, record, trial) if trial is not None else None if several else front[0]
    if settings.json:
        found = {"front": [one.to_json() for one in front]} if chosen is None else chosen.to_json()
        print_json(found | ({} if record.ranking is None else {"ranked_by": record.ranking}))
    elif chosen is None:
        _print_front(settings, record, front)
    else:
        _print(record, chosen)


def _chosen(settings: Settings, record: StudyRecord, trial: int) -> Best:
    from automl_cli.going_on import command_line

    found = record.ended(trial)
    if found is None:
        kinds = {row.number: f"{trial}, a {row.role} that is {row.status}" for row in record.trials()}
        raise RequestError(
            f"--trial must name a candidate that ended with a value, but got {kinds.get(trial, trial)}; "
            f"'{command_line(settings, 'show', record.journal.row.name)}' lists them"
        )
    return found


def _print_front(settings: Settings, record: StudyRecord, front: list[Best]) -> None:
    from automl_cli.fronts import front_table
    from automl_cli.going_on import command_line
    from automl_cli.output import heading

    name = record.journal.row.name
    click.echo(heading(f"front of {name}, {', '.join(record.spec.objectives)}"))
    click.echo(front_table(record, front))
    click.echo(f"\nOne of them: {command_line(settings, 'best', name, '--trial', str(front[0].trial))}")


def _print(record: StudyRecord, best: Best) -> None:
    from automl_cli.conclusion import configuration_text
    from automl_cli.output import budget_text, facts, heading, measured, number
    from automl_core.drawings import Drawings

    values = ", ".join(f"{metric} {number(metric, value)}" for metric, value in best.objectives.items())
    values += f" by {record.ranking}" if record.ranking is not None else ""
    click.echo(heading(f"trial {best.trial} of {record.journal.row.name}, {values}"))
    click.echo(
        facts([("budget", budget_text(best.budget, record.spec.unit)), ("metrics", measured(best.metrics))]) + "\n"
    )
    click.echo(configuration_text(best.configuration))
    drawing = Drawings(record).text(best)
    if drawing:
        click.echo("\n" + drawing.rstrip("\n"))
