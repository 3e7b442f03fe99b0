"""``automl orthogonality``: the published tables of distillation with pruning and with augmentation, from studies."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command("orthogonality")
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True)
@click.pass_obj
def command(settings: Any, studies: tuple[str, ...]) -> None:
    """Lay out accuracies of STUDY... by what was distilled, and when: does one gain add to the other?

    The studies are of space kd-pruning or kd-augment and have been trained alike; several are taken together, a seed
    being a study's seed and the number of the repetition. Accuracies are those on validation data after the last epoch
    of candidates that completed the full budget. Nothing is trained.
    """
    from automl_core.records import Workspace
    from automl_kd_pruning.orthogonality import orthogonality
    from automl_kd_pruning.tables import text

    workspace = Workspace(settings.workspace)
    found = orthogonality([workspace.record(study) for study in dict.fromkeys(studies)])
    click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False) if settings.json else text(found))
