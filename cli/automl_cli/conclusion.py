"""What is said when a study has run: the best configuration, beside the baselines, and how to go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, TypeVar

import click

from automl_cli.failures import INTERRUPTED
from automl_cli.going_on import command_line, steps
from automl_cli.output import budget_text, heading, number, print_json, seconds, table, value_text
from automl_cli.progress import Watcher, watch
from automl_cli.settings import Settings
from automl_core.errors import StudyFailed, reason

if TYPE_CHECKING:
    from automl_core import Study
    from automl_core.records import Best


Result = TypeVar("Result")


def perform(settings: Settings, run: Callable[[Watcher], Study], asked: int | None = None) -> None:
    """Runs or resumes a study and prints what came of it.

    Args:
        settings: The shared options.
        run: Builds the study and runs it, showing its progress.
        asked: How many trials there are to be in all, where that differs from what the study records.
    """
    watcher = watch(settings, asked)
    try:
        study = watched(watcher, run)
    except (StudyFailed, KeyboardInterrupt) as error:
        if watcher.name and not settings.quiet:
            word = "show" if isinstance(error, StudyFailed) else "resume"
            click.echo(f"study {watcher.name} is kept: {command_line(settings, word, watcher.name)}", err=True)
        raise
    if settings.json:
        print_json(_document(study))
    else:
        _print(settings, study, watcher.elapsed)
    if study.status == "interrupted":
        click.get_current_context().exit(INTERRUPTED)


def watched(watcher: Watcher, run: Callable[[Watcher], Result]) -> Result:
    """Runs something with its progress shown; what strangers' code prints meanwhile goes to standard error."""
    with watcher, redirect_stdout(sys.stderr):
        return run(watcher)


def _document(study: Study) -> dict[str, Any]:
    best = study.record.best()
    return {
        "study": study.name,
        "status": study.status,
        "best": None if best is None else best.to_json(),
        "baselines": [dict(one) for one in study.baselines] if best is not None else [],
    }


def _print(settings: Settings, study: Study, elapsed: float) -> None:
    record = study.record
    best = record.best()
    if best is not None:
        drawing = study.draw_best()
        click.echo(drawing.rstrip("\n") + "\n" if drawing else configuration_text(best.configuration) + "\n")
        click.echo(_comparison(best, study) + "\n")
    failures = record.failures()
    if failures:
        first = failures[0]
        many = "1 trial failed, trial" if len(failures) == 1 else f"{len(failures)} trials failed, the first was trial"
        click.echo(f"{many} {first.number}: {reason(first.error)}\n")
    click.echo(_ending(settings, study, best, elapsed))
    if study.status == "finished":
        click.echo("\n" + _next(settings, study.name, record.summary.trials))


def configuration_text(configuration: Mapping[str, Any]) -> str:
    """Writes a configuration as a table."""
    rows = [(name, value_text(value)) for name, value in configuration.items()]
    return table(("hyperparameter", "value"), rows)


def _comparison(best: Best, study: Study) -> str:
    metric, unit = study.spec.objectives[0].partition(":")[0], study.spec.unit
    rows = [(f"best of the search, trial {best.trial}", number(metric, best.value), budget_text(best.budget, unit))]
    rows += [
        (f"{one['label']}, one seed", number(metric, one["value"]), budget_text(one["budget"], unit))
        for one in study.baselines
    ]
    return table(("validation", metric, "trained for"), rows, right=(metric,))


def _ending(settings: Settings, study: Study, best: Best | None, elapsed: float) -> str:
    name = heading(study.name)
    if study.status == "finished":
        trials = study.record.summary.trials
        return f"Study {name} is finished: {trials} trials; this run took {seconds(elapsed)}."
    why = "was interrupted" if study.status == "interrupted" else "reached its time limit"
    so_far = "" if best is not None else " before a trial was finished"
    return f"Study {name} {why}{so_far}; nothing is lost. Go on with:\n  {command_line(settings, 'resume', study.name)}"


def _next(settings: Settings, name: str, trials: int) -> str:
    """Writes the commands to go on with, each below what it does: commands are never wrapped."""
    return "Go on with\n" + "\n".join(
        f"  {click.style(f'# {what}', dim=True)}\n  {command}" for command, what in steps(settings, name, trials)
    )
