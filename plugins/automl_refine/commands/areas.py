"""``automl areas``: which choices go with small errors, from any studies over one space."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from automl_core.errors import RequestError
from automl_core.layout import NARROWEST, note, table, width

if TYPE_CHECKING:
    from automl_core.interfaces import SearchSpace
    from automl_core.records import StudyRecord
    from automl_core.spec import StudySpec
    from automl_core.types import Json, Objective
    from automl_refine.areas import AreaTable, Row
    from automl_refine.choosing import Verdict

UNIFORM = ("random", "grid")
"""Searchers that complete what they draw, and draw uniformly."""

MANY_ROWS = 60
"""With more categories than that, only the best of the first conditions are listed, unless all are asked for."""

HALF = "half of what the space's reference came to"
NO_REFERENCE = "since no complete trial is the space's reference"

SHOWN_CONDITIONS = 20
SHOWN_CATEGORIES = 3


@dataclass(frozen=True)
class _Found:
    """What is printed.

    Args:
        records: The studies.
        table: Their areas.
        verdict: The best category of all.
        min_group: Trials below which a category is not compared.
        floor: Where the floor comes from.
    """

    records: Sequence[StudyRecord]
    table: AreaTable
    verdict: Verdict
    min_group: int
    floor: str

    @property
    def objective(self) -> Objective:
        return self.records[0].objectives[0]


@click.command("areas")
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True)
@click.option("--condition", "conditions", metavar="TEXT", multiple=True, help="What to compare: a condition of the "
    "space, a hyperparameter, or several as a+b. May be given again.  [default: all of the space's]")  # fmt: skip
@click.option("--range", "span", type=float, nargs=2, metavar="LOW HIGH", help="Errors to look at, in percent for "
    "metrics that are to be large.  [default: 0 to 100, or to the largest]")  # fmt: skip
@click.option("--floor", type=float, help="Leave out trials below this fraction.  [default: half of the reference]")
@click.option("--min-group", type=int, default=30, show_default=True, help="Trials that a category is compared with.")
@click.option("--all", "everything", is_flag=True, help="List every category, not the best few of very many.")
@click.pass_obj
def command(
    settings: Any,
    studies: tuple[str, ...],
    conditions: tuple[str, ...],
    span: tuple[float, float] | None,
    floor: float | None,
    min_group: int,
    everything: bool,
) -> None:
    """Show which choices of STUDY... go with small errors: the area under the distribution of errors of each.

    Over 0 to 100 % that is the mean accuracy. The studies must be over one space and have been trained alike; several
    are taken together. Only complete trials count. Nothing is trained.
    """
    from automl_core.records import Workspace

    workspace = Workspace(settings.workspace)
    records = [workspace.record(study) for study in dict.fromkeys(studies)]
    found = _find(records, conditions, span, floor, min_group)
    click.echo(json.dumps(_to_json(found), indent=2, allow_nan=False) if settings.json else _text(found, everything))


def _find(
    records: Sequence[StudyRecord],
    texts: Sequence[str],
    span: tuple[float, float] | None,
    floor: float | None,
    min_group: int,
) -> _Found:
    from automl_refine.areas import area_table, floor_of, members_of, span_of
    from automl_refine.categories import parse_conditions
    from automl_refine.choosing import choose

    space = _common_space(records)
    conditions = parse_conditions(space, texts)
    if not conditions:
        raise RequestError(
            f"a space must have a choice to compare, but each hyperparameter of {space.name!r} has one value"
        )
    source = "as given"
    if floor is None:
        floors = [one for record in records if (one := floor_of(record, space)) is not None]
        floor, source = (floors[0], HALF) if floors else (None, NO_REFERENCE)
        if records[0].objectives[0].direction == "min":
            source = "since the metric is to be small"
    members = [member for record in records for member in members_of(record, floor, space)]
    if all(member.error is None for member in members):
        names = ", ".join(record.spec.name for record in records)
        raise RequestError(
            f"areas must have a complete trial with a value, but {names} has none ({len(members)} came to nothing); "
            "go on with it ('automl resume'), or name another study"
        )
    areas = area_table(space, members, conditions, span or span_of(records[0].objectives[0], members), floor)
    return _Found(records, areas, choose(areas, "auc", min_group), min_group, source)


def _common_space(records: Sequence[StudyRecord]) -> SearchSpace:
    """Gives the space of all studies: the same design space if they share it, else the whole.

    Raises:
        RequestError: When they have different wholes, or were not trained alike.
    """
    from automl_refine.areas import space_of

    first, *others = (record.spec for record in records)
    for other in others:
        for what, mine, theirs in zip(_ALIKE, _alike(first), _alike(other), strict=True):
            if mine != theirs:
                raise RequestError(
                    f"studies that are taken together must have the same {what}, but {first.name!r} has {mine} and "
                    f"{other.name!r} has {theirs}; look at each by itself"
                )
    spaces = [space_of(record) for record in records]
    shared = all(one.restriction.says_the_same(spaces[0].restriction) for one in spaces)
    return spaces[0] if shared else spaces[0].whole


_ALIKE = ("space", "options of the space", "objective", "maximum budget", "evaluator", "data set")


def _alike(spec: StudySpec) -> tuple[Json, ...]:
    from automl_core.building import RESTRICT
    from automl_core.options import describe
    from automl_core.plugins import get_registry

    part = spec.space
    defaults = (
        {} if part.given else {one.name: one.default for one in describe(get_registry().load("space", part.name))}
    )
    options = {**defaults, **{name: value for name, value in part.options.items() if name != RESTRICT}}
    written = json.dumps(options, sort_keys=True, default=str)  # what tuples and lists have in common
    dataset = "none" if spec.dataset is None else spec.dataset.name
    return part.name, written, spec.objectives[0], spec.max_budget, spec.evaluator.name, dataset


def _to_json(found: _Found) -> Json:
    best = found.verdict
    return {
        "studies": [record.spec.name for record in found.records],
        "objective": str(found.objective),
        **found.table.to_json(),
        "min_group": found.min_group,
        "best": None
        if best.row is None or best.condition is None
        else {"condition": best.condition.label, "category": best.row.category.label},
        "reason": best.reason,
    }


def _text(found: _Found, everything: bool) -> str:
    conditions = found.table.conditions
    short = sum(len(rows) for _, rows in conditions) > MANY_ROWS and not everything
    blocks = []
    for condition, rows in conditions[:SHOWN_CONDITIONS] if short else conditions:
        shown = _best(rows, found.min_group) if short else rows
        part = f", the best {len(shown)} of {len(rows)}" if len(shown) < len(rows) else ""
        blocks.append(f"{click.style(note(condition.label + part), bold=True)}\n{_rows(found, shown)}")
    if short:
        left = len(conditions[SHOWN_CONDITIONS:])
        also = f" and {left} more conditions" if left else ""
        blocks.append(note(f"--all lists every category{also}; --condition chooses."))
    return "\n\n".join([*blocks, note(" ".join(_notes(found)))])


def _best(rows: Sequence[Row], min_group: int) -> list[Row]:
    """Gives the rows with the largest areas, those with enough trials before others, in the table's order."""
    ranked = sorted((row for row in rows if row.area is not None), key=lambda row: (row.trials < min_group, -row.area))  # type: ignore[operator]
    kept = {id(row) for row in ranked[:SHOWN_CATEGORIES]}
    return [row for row in rows if id(row) in kept]


def _rows(found: _Found, rows: Sequence[Row]) -> str:
    """Lays out the categories of a condition; labels that are too long go over several lines."""
    percent = found.objective.direction == "max"
    titles = ("category", "trials", "area, %" if percent else "area", f"{found.table.level:.0%} interval", "")
    numbers = [_numbers(row, found, percent) for row in rows]
    taken = sum(2 + max(map(len, column)) for column in zip(titles[1:], *numbers, strict=True))
    lines: list[tuple[str, ...]] = []
    for row, cells in zip(rows, numbers, strict=True):
        *above, last = textwrap.wrap(row.category.label, max(width() - taken - 2, NARROWEST)) or [""]
        lines += [(line, "", "", "", "") for line in above]
        lines.append((last, *cells))
    return table(titles, lines, words=(0, 4))


def _numbers(row: Row, found: _Found, percent: bool) -> tuple[str, str, str, str]:
    def written(value: float) -> str:
        return f"{value:.2f}" if percent else f"{value:.4g}"

    area = "-" if row.area is None else written(row.area)
    interval = "-" if row.interval is None else f"{written(row.interval[0])} to {written(row.interval[1])}"
    mark = "best" if row is found.verdict.row else "too few" if row.trials < found.min_group else ""
    return f"{row.trials:,}", area, interval, mark


def _notes(found: _Found) -> list[str]:
    """Says what the numbers rest on, a sentence each."""
    from automl_refine.areas import PERCENT
    from automl_refine.edf import FEWEST, RESAMPLES

    areas, unit = found.table, " %" if found.objective.direction == "max" else ""
    low, high = areas.span
    mean = f", which is the mean {found.objective.metric} in percent" if unit and areas.span == PERCENT else ""
    left = ", ".join(f"{count:,} {reason}" for reason, count in areas.left_out.items()) or "none"
    floor = "no floor" if areas.floor is None else f"floor {100 * areas.floor:.4g} %"
    notes = [
        f"area: under the distribution of errors from {low:g} to {high:g}{unit}{mean}.",
        f"{areas.trials:,} trials count; left out: {left} ({floor}, {found.floor}).",
        f"Intervals: {areas.level:.0%}, from {RESAMPLES:,} bootstrap samples.",
        f"best: {found.verdict.reason}." if found.verdict.row is not None else f"No best one: {found.verdict.reason}.",
    ]
    if any(row.trials < found.min_group for _, row in areas.rows()):
        notes.append(f"too few: below {found.min_group} trials, see --min-group.")
    single = sum(row.distinct == 1 for _, row in areas.rows())
    if single:
        notes.append(f"An interval takes at least {FEWEST} different trainings, but {single} categories have 1.")
    searchers = sorted({record.spec.searcher.name for record in found.records} - set(UNIFORM))
    if searchers:
        notes.append(f"Searcher {' and '.join(searchers)} chose what to complete, so this is no uniform sample.")
    return [*notes, "Nothing was trained."]
