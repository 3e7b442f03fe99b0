"""The tables of distillation with other techniques, as text of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import click

from automl_core.types import Json
from automl_kd_pruning.measured import NOTHING, Cell
from automl_kd_pruning.orthogonality import AugmentationRow, Gain, Orthogonality, PruningRow
from automl_kd_pruning.surplus import LEVEL
from automl_spaces.trainings import Pruning

NONE = "-"


def text(found: Orthogonality) -> str:
    """Lays out everything that was found."""
    return "\n".join(_lines(found))


def _lines(found: Orthogonality) -> Iterator[str]:
    studies = ", ".join(found.studies)
    yield _bold(f"distillation with other techniques, {studies}")
    yield "Accuracy in percent after the last epoch, on validation data as in the search;"
    yield "mean ± sample standard deviation over seeds."
    yield f"Data set: {found.dataset}; budget of candidates: {found.budget} {found.unit}."
    if found.trainer:
        yield f"Augmentation of all trainings, by the studies' own trainer: {_options(found.trainer)}."
    for title, rows in groupby(found.pruning, _title):
        yield from ("", _bold(title), _pruning(list(rows)))
    if found.pruning:
        yield from ("", "tuned/pre: of none fine-tuned, otherwise taught before pruning alone")
    compared = [row for row in found.pruning if row.surplus is not None]
    if compared:
        yield from ("", _bold("surplus, in percentage points"), _surplus(compared))
        yield "(self - tuned of none) - (unpruned - unpruned of none), by seed;"
        yield f"interval: {LEVEL:.0%}, bootstrap over seeds; too narrow for few seeds, none for one"
    for title, augmented in groupby(found.augmentation, lambda row: _switches(row, found.trainer)):
        yield from ("", _bold(title), _augmentation(list(augmented)))
    if found.augmentation:
        yield from ("", "teacher/student: whether its training is augmented; none has no teacher")
    if found.gains:
        yield from ("", _bold("what pruning makes of the networks"), _gains(found.gains))
    for study, numbers in found.left_out.items():
        trials = ", ".join(map(str, numbers[:10])) + (" ..." if len(numbers) > 10 else "")
        yield from ("", f"Left out of {study}: {len(numbers)} without a complete budget (trial {trials})")


def _pruning(rows: Sequence[PruningRow]) -> str:
    titles = ("type", "unpruned", "tuned/pre", "post", "pre-post", "self", "surplus")
    names = _kinds(rows)
    return table(
        titles,
        [
            (
                name,
                *map(cell_text, row.cells),
                NONE if row.surplus is None else points(row.surplus.mean),
            )
            for name, row in zip(names, rows, strict=True)
        ],
    )


def _surplus(rows: Sequence[PruningRow]) -> str:
    cells = []
    for row, name in zip(rows, _kinds(rows), strict=True):
        assert row.surplus is not None, "only rows that have one are compared"
        low, high = row.surplus.interval or (None, None)
        interval = NONE if low is None or high is None else f"{points(low)} to {points(high)}"
        setting = _block(row.network, row.pruning)
        cells.append((setting, name, points(row.surplus.mean), interval, str(len(row.surplus.values))))
    return table(("network", "type", "surplus", "interval", "seeds"), cells, left=2)


def _augmentation(rows: Sequence[AugmentationRow]) -> str:
    switches = [(teacher, student) for teacher in (False, True) for student in (False, True)]
    titles = ("type", *(f"{_word(teacher)}/{_word(student)}" for teacher, student in switches))
    cells = [
        (name, *(cell_text(row.cells.get(switch, NOTHING)) for switch in switches))
        for name, row in zip(_kinds(rows), rows, strict=True)
    ]
    return table(titles, cells)


def _gains(gains: Sequence[Gain]) -> str:
    cells = [
        (
            _block(gain.network, gain.pruning),
            gain.metric,
            _number(gain.metric, gain.before),
            _number(gain.metric, gain.after),
            NONE if not gain.before else f"{100 * gain.after / gain.before:.0f} %",
        )
        for gain in gains
    ]
    return table(("network", "of which", "before", "after", "left"), cells, left=2)


def _kinds(rows: Sequence[PruningRow] | Sequence[AugmentationRow]) -> list[str]:
    """Names types of distillation, with their numbers where one type has several."""
    numbers: dict[str, set[tuple[float, ...]]] = {}
    for row in rows:
        numbers.setdefault(row.kind, set()).add(tuple(row.numbers.values()))
    return [
        " ".join([row.kind, *(f"{one:g}" for one in row.numbers.values())]) if len(numbers[row.kind]) > 1 else row.kind
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


def cell_text(cell: Cell) -> str:
    """Writes accuracies in percent: 71.23±0.30, 71.23 for one seed, - for none."""
    if cell.mean is None:
        return NONE
    return f"{100 * cell.mean:.2f}" + ("" if cell.deviation is None else f"±{100 * cell.deviation:.2f}")


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


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Lays out columns, the first ones aligned to the left and the others to the right.

    Args:
        titles: One per column.
        rows: Cells as text.
        left: Number of columns that hold words.
    """
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [
        "".join(
            f"  {cell.ljust(wide) if index < left else cell.rjust(wide)}"
            for index, (cell, wide) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in (titles, *rows)
    ]
    return "\n".join([click.style(lines[0], dim=True), *lines[1:]])


def _bold(title: str) -> str:
    return click.style(title, bold=True)
