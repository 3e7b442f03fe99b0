"""``automl show``: everything about one study."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from automl_cli.settings import Settings

if TYPE_CHECKING:
    from automl_core.records import StudyRecord, TrialRow
    from automl_core.spec import Part

MANY_TRIALS = 60
SHOWN_OF_MANY = 20


@click.command("show")
@click.argument("study")
@click.option("--all", "everything", is_flag=True, help=f"List every trial, not the best {SHOWN_OF_MANY} of very many.")
@click.option("--times/--no-times", default=True, help="Leave out all that differs between equal runs.")
@click.pass_obj
def command(settings: Settings, study: str, everything: bool, times: bool) -> None:
    """Show STUDY: what it is made of, its trials with roles and budgets, its rungs and failures.

    With --verbose, failures come with their tracebacks.
    """
    from automl_cli.output import facts, heading, print_json
    from automl_core.records import Workspace

    record = Workspace(settings.workspace).record(study)
    if settings.json:
        print_json(record.to_json(times=times))
        return
    click.echo(heading(f"study {study}, {record.status}"))
    click.echo(facts(_facts(record, times)))
    trials = record.trials()
    if trials:
        click.echo("\n" + _trials(record, trials, everything, times))
        click.echo("\n" + _rungs(record))
    failures = record.failures()
    if failures:
        click.echo("\n" + _failures(failures, settings.verbose))


def _facts(record: StudyRecord, times: bool) -> list[tuple[str, str]]:
    spec = record.spec
    budgets = f"{spec.min_budget} to {spec.max_budget} {spec.unit}, rungs at {', '.join(map(str, spec.rungs))}"
    begun = datetime.fromtimestamp(record.summary.created).strftime("%Y-%m-%d %H:%M") if times else ""
    return [
        ("space", _part(spec.space)),
        ("searcher", _part(spec.searcher)),
        ("evaluator", _part(spec.evaluator)),
        ("estimators", ", ".join(_part(part) for part in spec.estimators)),
        ("data", _part(spec.dataset) if spec.dataset else ""),
        ("trainer", _options(spec.trainer)),
        ("objectives", ", ".join(spec.objectives)),
        ("budgets", budgets),
        ("seed", f"{spec.seed}, preset {spec.preset}"),
        ("begun", begun),
    ]


def _part(part: Part) -> str:
    options = _options(part.options)
    name = f"{part.name} (a Python object)" if part.given else part.name
    return f"{name}: {options}" if options else name


def _options(options: Any) -> str:
    from automl_cli.output import value_text

    return ", ".join(f"{name} {value_text(value)}" for name, value in options.items())


def _trials(record: StudyRecord, trials: Sequence[TrialRow], everything: bool, times: bool) -> str:
    from automl_cli.output import heading, number, seconds, table

    best = record.best()
    metric = record.spec.objectives[0].partition(":")[0]
    shown = trials if everything else _most_telling(trials, record)
    rows = [
        (
            str(row.number),
            row.role,
            row.status,
            str(row.budget),
            str(row.rung) if row.role == "candidate" else "",
            number(metric, row.value),
            *((seconds(row.cost),) if times else ()),
            row.label or ("best" if best and best.trial == row.number else ""),
        )
        for row in shown
    ]
    titles = ("trial", "role", "status", record.spec.unit, "rung", metric, *(("cost",) if times else ()), "what")
    right = ("trial", record.spec.unit, "rung", metric, "cost")
    left_out = len(trials) - len(shown)
    more = f"\n  and {left_out} more; --all lists them" if left_out else ""
    return heading("trials") + "\n" + table(titles, rows, right) + more


def _most_telling(trials: Sequence[TrialRow], record: StudyRecord) -> Sequence[TrialRow]:
    """Gives all trials, or of very many the support trials and the best candidates."""
    if len(trials) <= MANY_TRIALS:
        return trials
    sign = -1 if record.spec.objectives[0].endswith(":max") else 1
    ranked = sorted(
        (row for row in trials if row.role == "candidate" and row.value is not None),
        key=lambda row: (-row.budget, sign * (row.value or 0.0)),
    )
    kept = {row.number for row in ranked[:SHOWN_OF_MANY]}
    return [row for row in trials if row.number in kept or row.role == "support"]


def _rungs(record: StudyRecord) -> str:
    from automl_cli.output import heading, table

    rows = [(str(rung["budget"]), str(rung["reached"])) for rung in record.rungs()]
    right = (record.spec.unit, "reached by")
    return heading("rungs") + "\n" + table((record.spec.unit, "reached by"), rows, right)


def _failures(failures: Sequence[TrialRow], verbose: bool) -> str:
    from automl_cli.output import heading, table
    from automl_core.errors import reason

    if verbose:
        texts = [f"{heading(f'trial {row.number}, {row.status}')}\n{row.error.rstrip()}" for row in failures]
        return heading("failures") + "\n" + "\n\n".join(texts)
    rows = [(str(row.number), row.status, str(row.attempts), reason(row.error)) for row in failures]
    shown = table(("trial", "status", "attempts", "reason"), rows, right=("trial", "attempts"))
    return heading("failures") + "\n" + shown + "\n  --verbose shows their tracebacks"
