"""``automl landscape``: a picture of the loss around a trained network."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_kd_pruning.landscape import Landscape


@click.command("landscape")
@click.argument("study")
@click.option("--trial", type=int, help="Which trial, candidate or support.  [default: the best]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The picture: a .png, .svg or .pdf file.")
@click.option("--points", type=int, default=21, show_default=True, help="Steps along each direction; odd.")
@click.option("--range", "reach", type=float, default=1.0, show_default=True, help="Largest step, in filters' norms.")
@click.option("--images", type=int, default=256, show_default=True, help="Validation images at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the two directions.")
@click.pass_obj
def command(
    settings: Any,
    study: str,
    trial: int | None,
    output: Path | None,
    points: int,
    reach: float,
    images: int,
    seed: int,
) -> None:
    """Draw loss and accuracy around a trained network of STUDY, along two random directions.

    With --json the numbers are printed, and -o may be left out.
    """
    from automl_core import Study
    from automl_kd_pruning.landscape import Grid, measure
    from automl_kd_pruning.landscape_picture import check_target, draw

    grid = Grid(points, reach, images, seed)
    if output is None and not settings.json:
        raise RequestError(
            "a landscape is drawn or printed, but got neither -o nor --json; pass -o landscape.png, for example"
        )
    if output is not None:
        check_target(output)
    loaded = Study.load(study, workspace=settings.workspace)
    hidden = settings.quiet or not sys.stderr.isatty()
    with click.progressbar(length=points, label="measuring", file=sys.stderr, hidden=hidden) as bar:
        found = measure(loaded, trial, grid, lambda: bar.update(1))
    if output is not None:
        draw(found, output)
    if settings.json:
        click.echo(json.dumps(_plain(found, output), indent=2))
        return
    centre = points // 2
    click.echo(
        f"Loss and accuracy around trial {found.trial} ({found.label}), on {found.images} validation images of "
        f"{found.dataset}, are in {output}"
    )
    accuracy = 100 * found.accuracy[centre][centre]
    click.echo(f"As trained: loss {found.loss[centre][centre]:.4g}, accuracy {accuracy:.1f} %")


def _plain(found: Landscape, output: Path | None) -> dict[str, Any]:
    """Gives the grid as strict JSON: losses that are not finite are null."""
    losses = [[loss if math.isfinite(loss) else None for loss in row] for row in found.loss]
    return {**found.to_json(), "loss": losses, "picture": None if output is None else str(output)}
