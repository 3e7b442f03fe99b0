"""``automl export``: write a trained network to a directory."""

from __future__ import annotations

from pathlib import Path

import click

from automl_cli.settings import Settings


@click.command("export")
@click.argument("study")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--trial", type=int, help="Which trial, candidate or support.  [default: the best]")
@click.pass_obj
def command(settings: Settings, study: str, directory: Path, trial: int | None) -> None:
    """Write weights, description, recipe and model card of STUDY's best trial to DIRECTORY.

    Weights of a retraining are taken where there are any. Its recipe.yaml, which people can read and change, trains the
    same anew, also elsewhere and on other data: automl retrain DIRECTORY/recipe.yaml --dataset NAME
    """
    from automl_cli.going_on import command_line
    from automl_cli.output import print_json
    from automl_core import Study

    report = Study.load(study, workspace=settings.workspace).export(directory, trial=trial)
    if settings.json:
        print_json(report)
        return
    kind = report["label"] or ("retrained" if report["retrained"] else "as the search left it")
    click.echo(f"Trial {report['trial']} of {study}, {kind}, is in {report['directory']}:")
    for name in report["files"]:
        click.echo(f"  {name}")
    if not report["retrained"] and not report["label"]:
        which = () if trial is None else ("--trial", str(trial))
        click.echo(f"Weights trained for good come from: {command_line(settings, 'retrain', study, *which)}")
