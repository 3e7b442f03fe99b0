"""``automl diversity``: how differently trained networks respond to different images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from automl_kd_pruning.diversity import Diversity


@click.command("diversity")
@click.argument("study")
@click.option("--trial", "trials", type=int, multiple=True, help="Which trial; may be repeated.  [default: all]")
@click.option("--batch", type=int, default=128, show_default=True, help="Validation images to compare.")
@click.pass_obj
def command(settings: Any, study: str, trials: tuple[int, ...], batch: int) -> None:
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
    _print(found)


def _print(found: Diversity) -> None:
    click.echo(click.style(f"diversity in {found.study}, {found.batch} validation images", bold=True))
    rows = [(str(one.trial), one.role, _number(one.score), one.label) for one in found.networks]
    click.echo(_table(("trial", "role", "score", "what"), rows, right=(0, 2)))
    if found.groups:
        click.echo(click.style("\nseveral of a kind", bold=True))
        groups = [
            (one.role, str(one.count), _number(one.mean), _number(one.deviation), one.label) for one in found.groups
        ]
        click.echo(_table(("role", "trials", "mean", "deviation", "what"), groups, right=(1, 2, 3)))
    if any(one.score is None for one in found.networks):
        click.echo("\n-: not defined, for an output there does not depend on the image, or is not finite")
    if found.left_out:
        numbers = ", ".join(map(str, found.left_out))
        click.echo(f"\nLeft out, since their weights were not kept: {numbers}; studies with --checkpoint all keep them")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3f}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [
        "".join(
            f"  {cell.rjust(wide) if index in right else cell.ljust(wide)}"
            for index, (cell, wide) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in (titles, *rows)
    ]
    return "\n".join([click.style(lines[0], dim=True), *lines[1:]])
