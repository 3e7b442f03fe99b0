"""``automl refinement``: what a refinement has come to, and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command("refinement")
@click.argument("study")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="List every choice, not the best few of very many.")
@click.pass_obj
def command(settings: Any, study: str, directory: Path | None, everything: bool) -> None:
    """Show the refinement STUDY, finished or under way: each step's areas, what was fixed, and the best trial.

    With DIRECTORY, which must not be there yet, its design spaces, tables and pictures are written, too.
    """
    from automl_core import Study
    from automl_refine.refining import Refinement
    from automl_refine.text import text

    found = Refinement.of(Study.load(study, workspace=settings.workspace))
    if directory is not None:
        for name in found.write(directory):
            click.echo(f"written: {directory / name}", err=True)
    if settings.json:
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
    else:
        click.echo(text(found, everything))
