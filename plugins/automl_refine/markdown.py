"""A refinement as Markdown: the table of areas, the spaces, and what the files beside it are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from automl_refine.areas import PERCENT
from automl_refine.pictures import number
from automl_refine.searcher import RefineSearcher
from automl_refine.searching import search_command

if TYPE_CHECKING:
    from automl_core.interfaces import SearchSpace
    from automl_refine.areas import Row
    from automl_refine.refining import Refinement
    from automl_refine.rounds import Step


def sampled(refinement: Refinement) -> list[tuple[str, Step]]:
    """Gives the steps whose sample is complete, each with its space's letter; one that waits for a choice is last."""
    steps = [*refinement.steps, *([] if refinement.waiting is None else [refinement.waiting])]
    return list(zip(refinement.letters, steps, strict=False))


def areas_page(refinement: Refinement) -> str:
    """Writes the table of areas as Iwata et al. do (table II): a row for each category, a column for each space.

    After it come the spaces with their sizes (table III) and samples, and why each choice was made.
    """
    steps = sampled(refinement)
    parts = [f"# Areas of {refinement.study}"]
    if steps:
        parts += [
            _legend(refinement, steps[0][1]),
            _table(["condition", "category", *(one for one, _ in steps)], _areas(steps)),
        ]
    else:
        parts.append("No sample is complete yet.")
    parts += ["## Design spaces", _spaces(refinement), "## Choices", _choices(refinement)]
    return "\n\n".join(parts) + "\n"


def readme(refinement: Refinement, files: Mapping[str, str], notes: Sequence[str]) -> str:
    """Writes what each file is, and how to go on.

    Args:
        refinement: What was written.
        files: Name to what the file is.
        notes: What is not there, and why; a sentence each.
    """
    lines = [f"# Refinement {refinement.study}", "", _status(refinement)]
    if refinement.best is not None:
        lines += ["", f"Best trial: {refinement.best}."]
    lines += ["", "## Files", "", *(f"- `{name}`: {what}" for name, what in files.items())]
    lines += [f"\n{note}" for note in notes]
    lines += ["", "## Going on", "", "```bash", *_commands(refinement, files), "```"]
    return "\n".join(lines) + "\n"


def _legend(refinement: Refinement, step: Step) -> str:
    low, high = step.table.span
    metric, _, direction = refinement.source.spec.objectives[0].partition(":")
    mean = f", which is the mean {metric} in percent" if (low, high) == PERCENT and direction == "max" else ""
    searcher = refinement.source.assembly.searcher()
    assert isinstance(searcher, RefineSearcher), "a refinement is a study of this searcher"
    floor = step.table.floor
    dead = "" if floor is None else f" Trials whose {metric} is below {floor:.4g} are left out as dead."
    return (
        f"Areas under the distribution of errors from {low:g} to {high:g}{mean}. In brackets their "
        f"{100 * step.table.level:g} % intervals, by bootstrap over different trainings, and the number of trials, "
        "with that of different trainings where some are alike. **Bold** was fixed; `-` had been fixed before. "
        f"Categories of fewer than {searcher.min_group} trials are not chosen from.{dead}"
    )


def _areas(steps: Sequence[tuple[str, Step]]) -> Iterator[list[str]]:
    names: dict[tuple[str, str], None] = {}
    for condition in dict.fromkeys(condition.label for _, step in steps for condition, _ in step.table.conditions):
        for _, step in steps:
            names |= {(one.label, row.category.label): None for one, row in step.table.rows() if one.label == condition}
    cells = [{(one.label, row.category.label): _cell(row, step) for one, row in step.table.rows()} for _, step in steps]
    for condition, category in names:
        yield [condition, category, *(found.get((condition, category), "-") for found in cells)]


def _cell(row: Row, step: Step) -> str:
    if row.area is None:
        return "no trials"
    area = number(row.area)
    told = "" if row.interval is None else f"{number(row.interval[0])} to {number(row.interval[1])}; "
    trials = f"{row.trials:,}" + (f", {row.distinct:,} different" if row.distinct < row.trials else "")
    return f"{f'**{area}**' if row.category == step.chosen else area} ({told}{trials})"


def _spaces(refinement: Refinement) -> str:
    alike = 1 + max(len(space.symmetries()) for space in refinement.spaces)
    titles = ["space", "restriction", "configurations"]
    titles += ["up to symmetries", f"configurations / {alike}"] if alike > 1 else []
    titles += ["sample", "trained before", "further ones", "left out", "area"]
    steps = dict(sampled(refinement))
    rows = []
    for letter, space in zip(refinement.letters, refinement.spaces, strict=True):
        step = steps.get(letter)
        sizes = [str(space.restriction), _count(space.size())]
        sizes += [_count(space.orbits()), _share(space, alike)] if alike > 1 else []
        rows.append([letter, *sizes, *(["-"] * 5 if step is None else _sample(step))])
    return _table(titles, rows)


def _sample(step: Step) -> list[str]:
    out = ", ".join(f"{count:,} {reason}" for reason, count in step.table.left_out.items())
    area = "-" if step.table.overall is None else number(step.table.overall)
    sample = f"{len(step.members):,}{', all' if step.exhaustive else ''}"
    return [sample, f"{step.migrated:,}", f"{step.extra:,}", out or "none", area]


def _share(space: SearchSpace, alike: int) -> str:
    """Gives the size as the paper counts: divided by the symmetries, what is its own mirror image, too."""
    size = space.size()
    return "-" if size is None else f"{size / alike:,.1f}".removesuffix(".0")


def _choices(refinement: Refinement) -> str:
    lines, steps = [], sampled(refinement)
    for letter, step in steps:
        fixed = "nothing" if step.chosen is None else f"{step.chosen.condition.label} = {step.chosen.label}"
        lines.append(f"- {letter}: {fixed} was fixed" + (f"; {step.reason}" if step.reason else "") + ".")
    told = bool(steps) and steps[-1][1].reason == refinement.reason
    return "\n".join(lines if told else [*lines, f"- {_status(refinement)}"])


def _commands(refinement: Refinement, files: Mapping[str, str]) -> Iterator[str]:
    study = shlex.quote(refinement.study)
    last = f"{refinement.letters[-1]}.yaml"
    if refinement.status in ("sampling", "searching all", "waiting"):
        yield "# go on where it stopped"
        yield f"automl refine --resume {study}" + (" --interactive" if refinement.status == "waiting" else "")
    if last in files:
        told = f"wherever this file is; 'automl show {study}' tells the other settings"
        yield f"# search {'all of ' if last == 'X.yaml' else ''}the last space, {told}"
        yield shlex.join(["automl", *search_command(refinement)])
    if refinement.best is not None:
        yield "# the best configuration"
        yield f"automl best {study}"
        if refinement.source.assembly.evaluator.trains:
            yield "# train it on all training data and test it; write its weights and a recipe for other data"
            yield from (f"automl retrain {study}", f"automl export {study} exported")


def _table(titles: Sequence[str], rows: Iterator[list[str]] | Sequence[list[str]]) -> str:
    lines = [list(titles), ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _count(value: int | None) -> str:
    return "infinitely many" if value is None else f"{value:,}"


def _status(refinement: Refinement) -> str:
    return f"Status: {refinement.status}" + (f"; {refinement.reason}." if refinement.reason else ".")
