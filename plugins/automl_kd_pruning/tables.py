"""The tables of distillation with other techniques, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import click
from click import unstyle

from automl_core.layout import note, table, width
from automl_core.types import Json
from automl_kd_pruning.measured import NOTHING, Cell
from automl_kd_pruning.orthogonality import AugmentationRow, Gain, Orthogonality, PruningRow
from automl_kd_pruning.surplus import LEVEL
from automl_spaces.trainings import Pruning

NONE = "-"
DISTILLATION = "distilled"

TUNED = (
    "tuned/pre: without distillation, fine-tuned after pruning; with it, taught before pruning alone and fine-tuned "
    "after it without a teacher."
)
SURPLUS = (
    "surplus = (self - fine-tuned without distillation) - (unpruned with distillation - unpruned without), seed by "
    f"seed. interval: {100 * LEVEL:.0f} %, bootstrap over seeds; of few seeds it is too narrow, of one seed there is "
    "none."
)
SWITCHES = "teacher/student: whether its training is augmented; without distillation there is no teacher."
LATENCY = (
    "latency is that of a single image, which is noisy for small networks and falls less than their multiply-"
    "accumulates do."
)


def text(found: Orthogonality) -> str:
    """Lays out everything that was found."""
    return "\n".join(_lines(found))


def _lines(found: Orthogonality) -> Iterator[str]:
    yield _bold(note(f"distillation with other techniques, {', '.join(found.studies)}"))
    yield note(
        "Accuracy in percent after the last epoch, on validation data as in the search; mean ± sample standard "
        "deviation over seeds, n of them."
    )
    unit = found.unit.removesuffix("s") if found.budget == 1 else found.unit
    yield note(f"Data set: {found.dataset}; budget of candidates: {found.budget} {unit}.")
    if found.trainer:
        yield note(f"Augmentation of all trainings, by the studies' own trainer: {_options(found.trainer)}.")
    for title, rows in groupby(found.pruning, _title):
        yield from ("", _bold(note(title)), _pruning(list(rows)))
    if found.pruning:
        yield from ("", note(TUNED))
    compared = [row for row in found.pruning if row.surplus is not None]
    if compared:
        yield from ("", _bold("surplus, in percentage points"))
        for title, rows in groupby(compared, _title):
            yield from (note(title), _surplus(list(rows)))
        yield note(SURPLUS)
    for title, augmented in groupby(found.augmentation, lambda row: _switches(row, found.trainer)):
        yield from ("", _bold(note(title)), _augmentation(list(augmented)))
    if found.augmentation:
        yield from ("", note(SWITCHES))
    if found.gains:
        yield from ("", _bold("what pruning makes of the networks, mean over n candidates"))
        for block, gains in groupby(found.gains, lambda gain: _block(gain.network, gain.pruning)):
            yield from (note(block), _gains(list(gains)))
        if any(gain.metric == "latency" for gain in found.gains):
            yield note(LATENCY)
    for study, numbers in found.left_out.items():
        trials = ", ".join(map(str, numbers[:10])) + (" ..." if len(numbers) > 10 else "")
        yield from ("", note(f"Left out of {study}: {len(numbers)} without a complete budget (trial {trials})"))


def _pruning(rows: Sequence[PruningRow]) -> str:
    return _accuracies(("unpruned", "tuned/pre", "post", "pre-post", "self"), rows, [row.cells for row in rows])


def _augmentation(rows: Sequence[AugmentationRow]) -> str:
    switches = [(teacher, student) for teacher in (False, True) for student in (False, True)]
    titles = [f"{_word(teacher)}/{_word(student)}" for teacher, student in switches]
    return _accuracies(titles, rows, [[row.cells.get(switch, NOTHING) for switch in switches] for row in rows])


def _accuracies(
    titles: Sequence[str],
    rows: Sequence[PruningRow] | Sequence[AugmentationRow],
    cells: Sequence[Sequence[Cell]],
) -> str:
    """Lays out accuracies with two digits after the point, or with fewer where there is no room for them."""
    shown = ""
    for digits in (2, 1, 0):
        lines = [
            (name, _seeds(row), *(cell_text(cell, digits) for cell in row))
            for name, row in zip(_kinds(rows), cells, strict=True)
        ]
        shown = table((DISTILLATION, "n", *titles), lines)
        if max(map(len, unstyle(shown).splitlines())) <= width():
            break
    return shown


def _seeds(cells: Sequence[Cell]) -> str:
    """Writes how many seeds the cells of a row have: 3, or 1-3 where they differ."""
    counts = [len(cell.values) for cell in cells if cell.values]
    return f"{min(counts)}-{max(counts)}" if len(set(counts)) > 1 else str(max(counts, default=0))


def _surplus(rows: Sequence[PruningRow]) -> str:
    cells = []
    for row, name in zip(rows, _kinds(rows), strict=True):
        assert row.surplus is not None, "only rows that have one are compared"
        interval = "one seed" if row.surplus.interval is None else " to ".join(map(points, row.surplus.interval))
        cells.append((name, str(len(row.surplus.values)), points(row.surplus.mean), interval))
    return table((DISTILLATION, "n", "surplus", "interval"), cells)


def _gains(gains: Sequence[Gain]) -> str:
    cells = [
        (
            gain.metric,
            str(gain.trials),
            _number(gain.metric, gain.before),
            _number(gain.metric, gain.after),
            NONE if not gain.before else f"{100 * gain.after / gain.before:.0f} %",
        )
        for gain in gains
    ]
    return table(("of which", "n", "before", "after", "left"), cells)


def _kinds(rows: Sequence[PruningRow] | Sequence[AugmentationRow]) -> list[str]:
    """Names types of distillation, with their numbers where one type has several."""
    numbers: dict[str, set[tuple[float, ...]]] = {}
    for row in rows:
        numbers.setdefault(row.kind, set()).add(tuple(row.numbers.values()))
    return [
        " ".join(
            [
                "without" if row.kind == "none" else row.kind,
                *(f"{one:g}" for one in row.numbers.values() if len(numbers[row.kind]) > 1),
            ]
        )
        for row in rows
    ]


def _block(network: str, pruning: Pruning) -> str:
    shares = "/".join(f"{100 * share:g}" for share in pruning.remaining)
    return f"{network}, {pruning.method}, {shares} % remain"


def _title(row: PruningRow) -> str:
    return _written(_block(row.network, row.pruning), row.before)


def _written(name: str, options: Mapping[str, Json]) -> str:
    """Writes a name, and options of the trainer after it."""
    return f"{name}, {_options(options)}" if options else name


def _switches(row: AugmentationRow, everywhere: Mapping[str, Json]) -> str:
    """Names a network and what is switched; and what all of its cells have, where other tables do not have it."""
    beside = {option: value for option, value in row.beside.items() if option not in everywhere}
    return _written(row.network, row.augmentation) + (f" (all with {_options(beside)})" if beside else "")


def _options(options: Mapping[str, Json]) -> str:
    return ", ".join(f"{option} {_value(value)}" for option, value in options.items())


def _value(value: Json) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _word(switch: bool) -> str:
    return "yes" if switch else "no"


def cell_text(cell: Cell, digits: int = 2) -> str:
    """Writes accuracies in percent: 71.23±0.30, 71.23 for one seed, - for none."""
    if cell.mean is None:
        return NONE
    deviation = "" if cell.deviation is None else f"±{100 * cell.deviation:.{digits}f}"
    return f"{100 * cell.mean:.{digits}f}{deviation}"


def points(fraction: float) -> str:
    """Writes a difference in percentage points: 0.71, -0.20."""
    return f"{round(100 * fraction, 2) + 0.0:.2f}"  # no "-0.00"


def _number(metric: str, value: float) -> str:
    if metric == "latency":
        return f"{1000 * value:.3g} ms"
    if metric == "sparsity":
        return f"{100 * value:.1f} %"
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g} {prefix}" + ("B" if metric == "size" else "")
    return f"{value:.4g}" + (" bytes" if metric == "size" else "")


def _bold(title: str) -> str:
    return click.style(title, bold=True)
