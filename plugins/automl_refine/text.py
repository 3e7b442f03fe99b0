"""A refinement in words and tables, for a terminal: what each step sampled, what it showed, and what was fixed."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from automl_core.layout import note, table
from automl_refine.choosing import MIN_GROUP
from automl_refine.searching import search_command

if TYPE_CHECKING:
    from automl_core.interfaces import SearchSpace
    from automl_refine.areas import AreaTable, Row
    from automl_refine.refining import Refinement
    from automl_refine.rounds import Step

MANY_ROWS = 40
"""With more categories than that, only the best of the first conditions are listed."""

SHOWN_CONDITIONS = 8
SHOWN_CATEGORIES = 2

LABEL = 32
"""Columns that labels are wrapped to."""

STATUS = {
    "sampling": "is under way",
    "waiting": "waits for a choice",
    "searching all": "is taking all of its last space",
    "done": "is finished",
    "stopped": "has stopped",
}


def text(refinement: Refinement, everything: bool = False) -> str:
    """Writes a refinement, finished or under way: its steps, its best trial, and the commands to go on with.

    Args:
        refinement: The refinement.
        everything: Whether all categories are listed, also where they are very many.
    """
    steps = [*refinement.steps, *([] if refinement.waiting is None else [refinement.waiting])]
    parts = [
        _space_text(letter, space) if step is None else step_text(refinement, letter, step, everything=everything)
        for letter, space, step in zip_longest(refinement.letters, refinement.spaces, steps)
    ]
    return "\n\n".join([*parts, _result(refinement), _next(refinement)])


def step_text(refinement: Refinement, letter: str, step: Step, numbered: bool = False, everything: bool = False) -> str:
    """Writes one step.

    Args:
        refinement: What it is a step of.
        letter: Its space's letter.
        step: The step.
        numbered: Whether categories are numbered as in ``step.table.rows()``, from 1, for a person to choose one.
        everything: As for :func:`text`.
    """
    lines = [_space_text(letter, step.space), note(_sample(step)), note(_counted(refinement, step.table))]
    if step.table.conditions:
        lines += ["", _areas_text(refinement, step, numbered, everything)]
    if step.chosen is not None:
        lines += ["", note(f"{step.chosen.condition.label} = {step.chosen.label} is fixed: {step.reason}")]
    return "\n".join(lines)


def is_long(areas: AreaTable) -> bool:
    """Whether a table is shortened."""
    return sum(len(rows) for _, rows in areas.conditions) > MANY_ROWS


def _areas_text(refinement: Refinement, step: Step, numbered: bool, everything: bool) -> str:
    """Lays out areas, a condition's categories below its label; what was fixed is marked, and what has few trials."""
    areas = step.table
    places = {id(row): str(place) for place, (_, row) in enumerate(areas.rows(), 1)}
    short = is_long(areas) and not everything
    conditions = areas.conditions[:SHOWN_CONDITIONS] if short else areas.conditions
    if step.chosen is not None:
        conditions += tuple(
            one for one in areas.conditions if one[0] == step.chosen.condition and one not in conditions
        )
    wide = LABEL - (8 if numbered else 0)
    lines: list[tuple[str, ...]] = []
    for condition, own in conditions:
        shown = _best(own, min_group(refinement)) if short else own
        part = f", {len(shown)} of {len(own)}" if len(shown) < len(own) else ""
        lines += [(line, *[""] * 5) for line in textwrap.wrap(condition.label + part, wide)]
        for row in shown:
            *above, last = textwrap.wrap(row.category.label, wide, initial_indent="  ", subsequent_indent="  ")
            lines += [(line, *[""] * 5) for line in above]
            lines.append((last, places[id(row)], *_cells(refinement, row, step)))
    titles = (
        "",
        "number",
        "trials",
        "area, %" if _is_percent(refinement) else "area",
        f"{areas.level:.0%} interval",
        "",
    )
    kept = [place for place in range(len(titles)) if numbered or place != 1]
    laid = table(
        [titles[place] for place in kept], [[line[place] for place in kept] for line in lines], (0, len(kept) - 1)
    )
    left = len(areas.conditions) - len(conditions)
    more = f"\n{note(f'  and {left} more conditions, which --all lists')}" if left and not numbered else ""
    return laid + more


def _best(rows: Sequence[Row], fewest: int) -> list[Row]:
    """Gives the rows with the largest areas, those with enough trials before others, in the table's order."""
    ranked = sorted(
        (row for row in rows if row.area is not None), key=lambda row: (row.trials < fewest, -(row.area or 0.0))
    )
    kept = {id(row) for row in ranked[:SHOWN_CATEGORIES]}
    return [row for row in rows if id(row) in kept]


def _cells(refinement: Refinement, row: Row, step: Step) -> tuple[str, str, str, str]:
    """Writes a row's numbers, and what is to be said of it."""
    area = "-" if row.area is None else _number(refinement, row.area)
    interval = "-" if row.interval is None else " to ".join(_number(refinement, end) for end in row.interval)
    mark = "fixed" if step.chosen == row.category else "too few" if row.trials < min_group(refinement) else ""
    return f"{row.trials:,}", area, interval, mark


def _number(refinement: Refinement, area: float) -> str:
    return f"{area:.2f}" if _is_percent(refinement) else f"{area:.4g}"


def _space_text(letter: str, space: SearchSpace) -> str:
    head = click.style(letter, bold=True) + note(f"{letter}: {size_text(space)}").removeprefix(letter)
    return f"{head}\n{note(f'restricted to {space.restriction}')}" if space.restriction else head


def size_text(space: SearchSpace) -> str:
    """Writes how many configurations a space holds.

    Where two of its parts can change places also half of them, which is how Iwata et al. count: it halves those that
    are their own mirror image, too.
    """
    size, symmetries = space.size(), len(space.symmetries())
    if size is None:
        return "infinitely many configurations"
    half = f" (half of all are {size / 2:,.{size % 2}f})" if symmetries == 1 else ""
    alike = f", {space.orbits():,} up to symmetries{half}" if symmetries else ""
    return f"{size:,} configurations{alike}"


def _sample(step: Step) -> str:
    """Writes where a sample comes from."""
    before = f", {step.migrated:,} trained in a wider space" if step.migrated else ""
    further = f"; {step.extra:,} were added to tell intervals apart" if step.extra else ""
    what = "all taken" if step.exhaustive else "sampled"
    return f"{what}: {len(step.members):,}, of which {step.drawn:,} new{before}{further}"


def _counted(refinement: Refinement, areas: AreaTable) -> str:
    low, high = areas.span
    unit = " %" if _is_percent(refinement) else ""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in areas.left_out.items())
    left = f", left out {reasons}" if reasons else ""
    floor = "" if areas.floor is None else f"; the floor is a value of {areas.floor:.4g}"
    overall = "" if areas.overall is None else f"; area of all {_number(refinement, areas.overall)}"
    return f"errors from {low:g} to {high:g}{unit} of {areas.trials:,} trials{left}{floor}{overall}"


def _result(refinement: Refinement) -> str:
    """Writes how it ended, and the best trial with the space that it was taken in."""
    why = f": {refinement.reason}" if refinement.reason else ""
    lines = [note(f"Refinement {refinement.study} {STATUS[refinement.status]}{why}.")]
    best = refinement.source.record.best()
    if best is None:
        return "\n".join([*lines, "No trial has a value yet."])
    places = [
        letter
        for letter, step in zip(refinement.letters, refinement.steps, strict=False)
        if any(one.trial == best.trial for one in step.members)
    ]
    where = f", in {places[-1]}" if places else ""
    metric = refinement.source.spec.objectives[0].partition(":")[0]
    fraction = _is_percent(refinement) and 0 <= best.value <= 1
    value = f"{100 * best.value:.2f} %" if fraction else f"{best.value:.6g}"
    return "\n".join([*lines, note(f"Best: trial {best.trial}, {metric} {value}{where}.")])


def _next(refinement: Refinement) -> str:
    """Writes the commands to go on with, each below what it does: commands are never wrapped."""
    return "Go on with\n" + "\n".join(
        f"  {click.style(f'# {what}', dim=True)}\n  {shlex.join(('automl', *words, *_workspace(refinement)))}"
        for what, words in _steps(refinement)
    )


def _steps(refinement: Refinement) -> Iterator[tuple[str, tuple[str, ...]]]:
    name, files = refinement.study, f"{refinement.study}-refinement"
    if refinement.status == "waiting":
        yield "choose what to fix, and go on", ("refine", "--resume", name, "--interactive")
    elif refinement.status in ("sampling", "searching all"):
        asks = refinement.source.spec.searcher.options.get("choose") == "ask"
        yield "go on from here", ("refine", "--resume", name, *(("--interactive",) if asks else ()))
    yield "its design spaces, tables and pictures as files", ("refinement", name, files)
    if refinement.status == "stopped":
        yield "with these, search the last space in another way", tuple(search_command(refinement, files))
    if refinement.best is not None:
        yield "the best configuration", ("best", name)
        if refinement.source.assembly.evaluator.trains:
            yield "train it on all training data, test it", ("retrain", name)


def _workspace(refinement: Refinement) -> tuple[str, ...]:
    """Gives the flag that names the workspace; none for the one that commands take by themselves."""
    from automl_core.records import Workspace

    own = refinement.source.workspace.path
    return () if own == Workspace().path else ("--workspace", os.fspath(own))


def min_group(refinement: Refinement) -> int:
    """Gives the fewest trials with which a choice is compared."""
    given = refinement.source.spec.searcher.options.get("min_group", MIN_GROUP)
    assert isinstance(given, int), "options are checked before a study begins"
    return given


def _is_percent(refinement: Refinement) -> bool:
    """Whether errors are in percent, as they are of what is better when larger."""
    return refinement.source.spec.objectives[0].endswith(":max")
