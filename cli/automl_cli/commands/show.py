"""``automl show``: everything about one study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_cli.settings import Settings
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_core.auditing import RungAudit
    from automl_core.drawings import Drawings
    from automl_core.records import StudyRecord, TrialRow
    from automl_core.spec import Part

RESTRICT = "restrict"
"""The option of every space that says what is left of it."""

MANY_TRIALS = 60
SHOWN_OF_MANY = 20


@click.command("show")
@click.argument("study")
@click.option("--all", "everything", is_flag=True, help=f"List every trial, not the best {SHOWN_OF_MANY} of very many.")
@click.option(
    "--pictures",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the drawings as SVG files, too.",
)
@click.option("--times/--no-times", default=True, help="Leave out all that differs between equal runs.")
@click.pass_obj
def command(settings: Settings, study: str, everything: bool, pictures: Path | None, times: bool) -> None:
    """Show STUDY: what it is made of, its trials with roles and budgets, its rungs, failures and broken constraints.

    Where there are several rungs, also how well early estimates agree with what was measured of the same trials later.
    Where they can be drawn, also the best candidate, and what the searcher has trained of its own (a supernet).

    With --verbose, failures come with their tracebacks.
    """
    from automl_cli.output import facts, heading, print_json
    from automl_core.auditing import audit, furthest
    from automl_core.drawings import Drawings
    from automl_core.records import Workspace

    record = Workspace(settings.workspace).record(study)
    drawings = Drawings(record)
    if pictures is not None:
        for path in _write_pictures(drawings, pictures):
            click.echo(f"written: {path}", err=True)
    if settings.json:
        print_json(record.to_json(times=times))
        return
    click.echo(heading(f"study {study}, {record.status}"))
    click.echo(facts(_facts(record, times)))
    trials = record.trials()
    if trials:
        click.echo("\n" + _trials(drawings, trials, everything, times))
        if not record.retrains:
            click.echo("\n" + _rungs(record))
    audits = [one for one in furthest(audit(record)) if one.trials > 1]
    if audits:
        click.echo("\n" + _agreement(audits, record))
    failures = record.failures()
    if failures:
        click.echo("\n" + _failures(failures, settings.verbose))
    infeasible = record.infeasible()
    if infeasible:
        click.echo("\n" + _infeasible(infeasible, everything))
    for title, drawing in _drawn(drawings):
        click.echo(f"\n{heading(title)}\n" + drawing.rstrip("\n"))


def _facts(record: StudyRecord, times: bool) -> list[tuple[str, str]]:
    from automl_cli.output import budgets_text, seconds, size

    spec = record.spec
    simulated = record.simulated_seconds
    budgets = budgets_text(spec.min_budget, spec.max_budget, spec.unit)
    rungs = f", rungs at {', '.join(map(str, spec.rungs))}" if len(spec.rungs) > 1 else ""
    begun = datetime.fromtimestamp(record.summary.created).strftime("%Y-%m-%d %H:%M") if times else ""
    return [
        ("space", _part(spec.space)),
        ("restricted to", _restriction(spec.space)),
        ("searcher", "none, this is a retraining" if record.retrains else _part(spec.searcher)),
        ("evaluator", _part(spec.evaluator)),
        ("estimators", ", ".join(_part(part) for part in spec.estimators)),
        ("data", _part(spec.dataset) if spec.dataset else ""),
        ("trainer", _options(spec.trainer)),
        ("objectives", ", ".join(spec.objectives)),
        ("constraints", ", ".join(spec.constraints)),
        ("budgets", budgets + rungs),
        ("seed", f"{spec.seed}, preset {spec.preset}"),
        ("executor", _part(spec.executor) + (f", workers {spec.workers}" if spec.workers is not None else "")),
        ("disk budget", "" if spec.disk_budget is None else size(spec.disk_budget)),
        ("store", spec.store or ""),
        ("time", "" if simulated is None or not times else f"{seconds(simulated)} of simulated time"),
        ("cost", _cost(record) if times else ""),
        ("begun", begun),
    ]


def _cost(record: StudyRecord) -> str:
    """Writes the seconds that candidates took, and those of what they share, such as teachers."""
    from automl_cli.output import counted, seconds

    trials = record.trials()
    support = [row for row in trials if row.role == "support"]
    if not support:
        return ""
    own, shared = (sum(row.cost for row in trials if row.role == role) for role in ("candidate", "support"))
    return f"{seconds(own)} of candidates, {seconds(shared)} of {counted(len(support), 'support trial')}"


def _part(part: Part) -> str:
    options = _options({name: value for name, value in part.options.items() if name != RESTRICT})
    name = f"{part.name} (a Python object)" if part.given else part.name
    return f"{name}: {options}" if options else name


def _restriction(space: Part) -> str:
    """Writes what is left of a space; nothing for a whole one."""
    from automl_core.restricting import Restriction

    found = Restriction.from_json(space.options.get(RESTRICT) or {})
    return str(found) if found else ""


def _options(options: Any) -> str:
    return ", ".join(f"{name} {_option(value)}" for name, value in options.items())


def _option(value: Any) -> str:
    """Writes an option's value; JSON as text, such as a recipe, is for programs."""
    from automl_cli.output import value_text

    return "{...}" if isinstance(value, str) and value.startswith("{") else value_text(value)


def _trials(drawings: Drawings, trials: Sequence[TrialRow], everything: bool, times: bool) -> str:
    from automl_cli.output import heading, number, seconds, table

    record = drawings.record
    metrics = [objective.metric for objective in record.objectives]
    front = {one.trial for one in record.front()}
    alone = len(metrics) == 1
    leads = "best" if alone else "front"
    estimated = alone and record.ranking is not None  # what was measured then has a column beside what ranked
    with_rung = alone and not estimated  # else there is no room for the rung, which the budget tells as well
    shown = trials if everything else _most_telling(trials, record, front)
    rows = [
        (
            str(row.number),
            row.role,
            row.status,
            str(row.budget),
            *((str(row.rung) if row.role == "candidate" else "",) if with_rung else ()),
            *((number(metrics[0], row.metrics.get(metrics[0])),) if estimated else ()),
            *(_ranked(row, metric, estimated) for metric in metrics),
            *((seconds(row.cost),) if times else ()),
            row.label
            or ": ".join(filter(None, (leads if row.number in front else "", drawings.title(row.configuration)))),
        )
        for row in shown
    ]
    rung, cost = ("rung",) if with_rung else (), ("cost",) if times else ()
    ranked = [*metrics, "estimate"] if estimated else metrics
    titles = ("trial", "role", "status", record.spec.unit, *rung, *ranked, *cost, "what")
    right = ("trial", record.spec.unit, "rung", *ranked, "cost")
    left_out = len(trials) - len(shown)
    more = f"\n  and {left_out} more; --all lists them" if left_out else ""
    return heading("trials") + "\n" + table(titles, rows, right) + more


def _ranked(row: TrialRow, metric: str, estimated: bool) -> str:
    """Writes what ranks a trial; what is not ranked is not estimated either."""
    from automl_cli.output import number

    return "" if estimated and row.role == "support" else number(metric, row.objectives.get(metric))


def _most_telling(trials: Sequence[TrialRow], record: StudyRecord, front: Set[int]) -> Sequence[TrialRow]:
    """Gives all trials, or of very many the support trials, the front and the best candidates."""
    if len(trials) <= MANY_TRIALS:
        return trials
    sign = -1 if record.spec.objectives[0].endswith(":max") else 1
    ranked = sorted(
        (row for row in trials if row.role == "candidate" and row.value is not None),
        key=lambda row: (-row.budget, sign * (row.value or 0.0)),
    )
    kept = {row.number for row in ranked[:SHOWN_OF_MANY]} | front
    return [row for row in trials if row.number in kept or row.role == "support"]


def _rungs(record: StudyRecord) -> str:
    from automl_cli.output import heading, table

    rows = [(str(rung["budget"]), str(rung["reached"])) for rung in record.rungs()]
    right = (record.spec.unit, "reached by")
    return heading("rungs") + "\n" + table((record.spec.unit, "reached by"), rows, right)


def _agreement(audits: Sequence[RungAudit], record: StudyRecord) -> str:
    from automl_cli.output import agreement, heading, table

    names = list(audits[0].tau)
    rows = [
        (str(one.budget), str(one.later), str(one.trials), *(agreement(one.tau[name]) for name in names))
        for one in audits
    ]
    titles = (record.spec.unit, "later", "trials", *names)
    told = "  Kendall's tau of the trials that went on; 1: the same order"
    return heading("estimates against later values") + "\n" + table(titles, rows, right=titles) + "\n" + told


def _failures(failures: Sequence[TrialRow], verbose: bool) -> str:
    from automl_cli.output import heading, table
    from automl_core.errors import reason

    if verbose:
        texts = [f"{heading(f'trial {row.number}, {row.status}')}\n{row.error.rstrip()}" for row in failures]
        return heading("failures") + "\n" + "\n\n".join(texts)
    rows = [(str(row.number), row.status, str(row.attempts), reason(row.error)) for row in failures]
    shown = table(("trial", "status", "attempts", "reason"), rows, right=("trial", "attempts"))
    return heading("failures") + "\n" + shown + "\n  --verbose shows their tracebacks"


def _infeasible(infeasible: Sequence[TrialRow], everything: bool) -> str:
    from automl_cli.output import counted, heading, table
    from automl_core.errors import reason

    shown = infeasible if everything else infeasible[:SHOWN_OF_MANY]
    rows = [(str(row.number), reason(row.error)) for row in shown]
    left_out = len(infeasible) - len(shown)
    more = f"\n  and {left_out} more; --all lists them" if left_out else ""
    title = f"{counted(len(infeasible), 'trial')} violate{'s' if len(infeasible) == 1 else ''} a constraint"
    return heading(title) + "\n" + table(("trial", "which"), rows, right=("trial",)) + more


def _drawn(drawings: Drawings) -> Iterator[tuple[str, str]]:
    """Yields what can be drawn for a terminal, each with a title."""
    record = drawings.record
    labels = {row.number: row.label for row in record.trials()}
    for number in drawings.curves:
        text = drawings.curve_text(number)
        if text:
            yield f"{labels[number] or 'support'}, trial {number}", text
    best = record.best()
    text = drawings.text(best) if best is not None else drawings.only_text()
    if text:
        yield f"best, trial {best.trial}" if best is not None else "the only configuration", text


def _write_pictures(drawings: Drawings, directory: Path) -> Iterator[Path]:
    """Writes what can be drawn as SVG, and yields the files.

    Raises:
        RequestError: When nothing can be drawn, or not be written.
    """
    record = drawings.record
    best = record.best()
    pictures = {f"trial-{number}.svg": drawings.curve_plot(number) for number in drawings.curves}
    if best is not None:
        pictures["best.svg"] = drawings.picture(best)
    drawn = {name: picture for name, picture in pictures.items() if picture}
    if not drawn:
        only_text = best is not None and drawings.text(best) is not None
        why = (
            f"evaluator {drawings.evaluator!r} draws text alone"
            if only_text
            else "nothing can be drawn, or nothing yet"
        )
        raise RequestError(
            f"there must be something to draw as a picture, but of study {record.journal.row.name!r} {why}; leave "
            "--pictures out"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, picture in drawn.items():
            (directory / name).write_text(picture, encoding="utf-8")
            yield directory / name
    except OSError as error:
        raise RequestError(
            f"pictures need a directory that can be written, but {directory}: {error.strerror}; choose another"
        ) from error
