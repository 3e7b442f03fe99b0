"""A refinement as files: design spaces that can be searched on, tables, and pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from automl_core.new_directories import new_directory
from automl_core.records import TrialRow, plain
from automl_refine.areas import BELOW, Member
from automl_refine.curves import REPEATS, disjoint_parts, minimum_curves
from automl_refine.markdown import areas_page, readme, sampled
from automl_refine.pictures import Line, Minimum, Panel, choice_picture, edf_picture, minimum_picture
from automl_refine.raster import to_png

if TYPE_CHECKING:
    from automl_core.restricting import Condition
    from automl_core.study import Study
    from automl_refine.areas import Row
    from automl_refine.refining import Refinement
    from automl_refine.rounds import Step

log = logging.getLogger(__name__)

DRAWN = 3
"""How many of the best configurations are drawn."""

MOST_PANELS = 4
"""How many conditions of a space in which nothing is fixed are drawn."""


def write(refinement: Refinement, study: Study, directory: Path) -> list[str]:
    """Writes design spaces, tables and pictures into a new directory, whole or not at all.

    A refinement under way is written as far as it is. Without the packages that draw, all but pictures is written,
    which is logged and said in ``README.md``.

    Args:
        refinement: What to write.
        study: Its study.
        directory: Where to; must not exist, or be empty.

    Returns:
        The names of the files.

    Raises:
        RequestError: When the directory is in use or cannot be made.
    """
    with new_directory(directory, "a refinement") as temporary:
        files, notes = _designs(refinement, temporary)
        (temporary / "areas.md").write_text(areas_page(refinement), encoding="utf-8")
        text = json.dumps(plain(refinement.to_json()), indent=2) + "\n"
        (temporary / "areas.json").write_text(text, encoding="utf-8")
        files |= {"areas.md": "areas of all choices, sizes of the spaces, and why each choice was made"}
        files |= {"areas.json": "the same, for programs"}
        missing = _missing_package()
        if missing:
            notes.append(f"Pictures are left out: {missing}. `pip install 'automl-graph[plots]'` brings it.")
        pictures = {} if missing else _pictures(refinement, study)
        for name, (svg, what) in {**pictures, **_graphs(refinement, study)}.items():
            (temporary / f"{name}.svg").write_text(svg, encoding="utf-8")
            files[f"{name}.svg"] = what
            if not missing:
                (temporary / f"{name}.png").write_bytes(to_png(svg))
                files[f"{name}.png"] = "the same picture"
        for note in notes:
            log.warning("%s", note)
        (temporary / "README.md").write_text(readme(refinement, files, notes), encoding="utf-8")
    return sorted([*files, "README.md"])


def _designs(refinement: Refinement, directory: Path) -> tuple[dict[str, str], list[str]]:
    """Writes the design spaces; gives their files with what they are, and why there are none."""
    if refinement.source.spec.space.given:
        return {}, ["Design spaces are left out: their search space was given as an object, which no file can name."]
    files = {}
    for place, (letter, design) in enumerate(refinement.designs()):
        design.write(directory / f"{letter}.yaml")
        what = "the design space that all began with" if place == 0 else f"design space {letter}"
        files[f"{letter}.yaml"] = f"{what}: {design.restriction}" if design.restriction else what
    return files, []


def _missing_package() -> str:
    """Says which package that draws cannot be imported; empty when all can."""
    try:
        import matplotlib  # noqa: F401 - whether it is there
        import resvg_py  # noqa: F401 - whether it is there
    except ImportError as error:
        return str(error)
    return ""


def _pictures(refinement: Refinement, study: Study) -> dict[str, tuple[str, str]]:
    """Draws what there is to draw: name to SVG and what it shows."""
    axis = _axis(study)
    steps = [(letter, step) for letter, step in sampled(refinement) if step.table.overall is not None]
    if not steps:
        return {}
    lines = [Line(letter, _errors(step), step.table.overall) for letter, step in steps]
    found = {
        "edf": (
            edf_picture(lines, f"{refinement.study}: errors in each design space", axis),
            "share of configurations with a smaller error, for each design space; n without what was left out",
        )
    }
    panels = [panel for letter, step in steps for panel in _panels(letter, step)]
    if panels:
        what = "the same for each choice: of what was fixed (bold), and of what is left to choose in the last space"
        found["choices"] = (choice_picture(panels, axis), what)
    curves = _minima(steps, {row.number: row for row in study.record.trials()})
    if curves:
        parts = f"mean and standard deviation over {REPEATS} disjoint parts of each sample"
        what = (
            f"the smallest error so far over the number of searches: {parts}. A sample is uniform and without "
            "replacement, so each of its parts, in the order of the trials, is a shorter random search; dead ones "
            "count with their error, failed ones as no improvement"
        )
        found["minimum"] = (minimum_picture(curves, f"{refinement.study}: {parts}", axis), what)
    return found


def _axis(study: Study) -> str:
    objective = study.record.objectives[0]
    if objective.direction == "min":
        return objective.metric
    return "error, %" if objective.metric == "accuracy" else f"100 % less {objective.metric}"


def _errors(step: Step) -> list[float]:
    return [member.error for member in step.members if member.error is not None]


def _panels(letter: str, step: Step) -> Iterator[Panel]:
    """Gives the EDFs of a step's categories."""
    for condition, rows in _drawn_conditions(step):
        lines = [_line(row, step) for row in rows if row.area is not None]
        if lines:
            yield Panel(f"{letter}: {condition.label}", lines)


def _drawn_conditions(step: Step) -> list[tuple[Condition, tuple[Row, ...]]]:
    """Gives the condition that was fixed; where nothing was, the first ones that show more than single trainings."""
    conditions = list(step.table.conditions)
    if step.chosen is not None:
        return [one for one in conditions if one[0] == step.chosen.condition]
    return [one for one in conditions if any(row.distinct > 1 for row in one[1])][:MOST_PANELS]


def _line(row: Row, step: Step) -> Line:
    mine = [one.error for one in step.members if one.error is not None and row.category.holds(one.configuration)]
    return Line(row.category.label, mine, row.area, row.category == step.chosen)


def _minima(steps: list[tuple[str, Step]], rows: dict[int, TrialRow]) -> list[Minimum]:
    """Gives the curves of the first and of the last space, where the samples are large enough to be split."""

    def error(member: Member) -> float | None:
        value = rows[member.trial].value
        return 100 * (1 - value) if member.reason == BELOW and value is not None else member.error

    found = []
    for letter, step in dict([steps[0], steps[-1]]).items():
        if len(step.members) >= REPEATS:
            errors = [error(member) for member in sorted(step.members, key=lambda one: one.trial)]
            found.append(Minimum(letter, *minimum_curves(disjoint_parts(errors))))
    return found


def _graphs(refinement: Refinement, study: Study) -> dict[str, tuple[str, str]]:
    """Draws the best configuration and the next best of other trainings; nothing where the evaluator draws nothing."""
    space, evaluator = study.assembly.space, study.assembly.evaluator
    rows = {row.number: row for row in study.record.trials()}
    found = {}
    for rank, trial in enumerate(_best(refinement, study), start=1):
        svg = evaluator.picture(space.decode(rows[trial].configuration), rows[trial].metrics)
        if svg is not None:
            what = "the best configuration" if rank == 1 else f"number {rank} among different trainings"
            found["best" if rank == 1 else f"best-{rank}"] = (svg, f"{what}, trial {trial}")
    return found


def _best(refinement: Refinement, study: Study) -> list[int]:
    """Gives the numbers of the best trials, one for each training, the best first."""
    if refinement.best is None:
        return []
    members = {member.trial: member for _, step in sampled(refinement) for member in step.members}
    ranked = sorted((one.error, one.trial) for one in members.values() if one.error is not None)
    first = members.get(refinement.best)
    keys = {first.key} if first is not None else set()
    trials = [refinement.best]
    for _, trial in ranked:
        if trial != refinement.best and members[trial].key not in keys:
            keys.add(members[trial].key)
            trials.append(trial)
    return trials[:DRAWN]
