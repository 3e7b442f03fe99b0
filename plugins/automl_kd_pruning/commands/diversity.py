"""``automl diversity``: how differently trained networks respond to different images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from automl_kd_pruning.diversity import Diversity

SEEN = " *"
"""Marks networks that were trained on the images, too."""


@click.command("diversity")
@click.argument("study")
@click.option("--trial", "trials", type=int, multiple=True, help="Which trial; may be repeated.  [default: all]")
@click.option(
    "--batch",
    type=int,
    help="Validation images to compare.  [default: 128, or half as many as an image has numbers]",
)
@click.pass_obj
def command(settings: Any, study: str, trials: tuple[int, ...], batch: int | None) -> None:
    """Score trained networks of STUDY by how differently they respond to different images.

    Candidates and support trials whose weights are there are scored, on the same validation images. The score of B
    images is -B at most; the higher, the more diverse.
    """
    from automl_core import Study
    from automl_kd_pruning.diversity import measure

    found = measure(Study.load(study, workspace=settings.workspace), trials, batch)
    if settings.json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    _print(found, fitted=batch is None)


def _print(found: Diversity, fitted: bool) -> None:
    from automl_core.layout import note, table
    from automl_kd_pruning.diversity import BATCH

    click.echo(click.style(f"diversity in {found.study}, {found.batch} validation images", bold=True))
    rows = [
        (str(one.trial), one.role, _number(one.score), one.label + (SEEN if one.seen else "")) for one in found.networks
    ]
    click.echo(table(("trial", "role", "score", "what"), rows, words=(1, 3)))
    if found.groups:
        click.echo(click.style("\ntrained alike, on the same data, with other seeds", bold=True))
        groups = [
            (one.role, str(one.count), _number(one.mean), _number(one.deviation), one.label) for one in found.groups
        ]
        click.echo(table(("role", "trials", "mean", "deviation", "what"), groups, words=(0, 4)))
    notes = []
    if fitted and found.batch < BATCH:
        notes.append(
            f"Here {found.batch} images are compared, not {BATCH}: at most half as many as an image has numbers, and "
            "as there are. Scores of different numbers of images do not compare."
        )
    if any(one.seen for one in found.networks):
        notes.append(f"{SEEN.strip()}: trained on these images, too; compare such networks with one another alone.")
    if any(one.score is None for one in found.networks):
        notes.append("-: not defined, for an output there does not depend on the image, or is not finite.")
    if found.left_out:
        numbers = ", ".join(map(str, found.left_out))
        notes.append(
            f"Left out, since their weights were not kept: {numbers}; studies with --checkpoint all keep them."
        )
    for one in notes:
        click.echo("\n" + note(one))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3f}"
