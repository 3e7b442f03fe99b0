"""What ``automl refine`` does beside running a study: asking which choice to fix, and saying what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_cli.conclusion import performed
from automl_cli.failures import INTERRUPTED
from automl_cli.going_on import command_line
from automl_cli.output import print_json
from automl_cli.progress import Watcher
from automl_cli.settings import Settings
from automl_core.errors import RequestError
from automl_core.new_directories import check_new
from automl_core.records import Workspace
from automl_core.types import Json

if TYPE_CHECKING:
    from automl_core import Study
    from automl_core.restricting import Condition
    from automl_refine.areas import Row
    from automl_refine.refining import Refinement
    from automl_refine.rounds import Step

STOP: Json = {"stop": True}


@dataclass(frozen=True)
class Wishes:
    """What is wanted beside the study itself.

    Args:
        interactive: Whether a person decides what is fixed.
        time_limit: Seconds for all that is run; what a person takes to decide does not count.
        output: Where its files are written.
    """

    interactive: bool
    time_limit: float | None
    output: Path | None


def check_output(output: Path, settings: Settings) -> None:
    """Refuses a directory for results before anything starts.

    Raises:
        RequestError: When it is in use, or will be by the workspace, or cannot be written.
    """
    check_new(output, "--output")
    workspace = Workspace(settings.workspace).path
    if workspace.resolve().is_relative_to(output.resolve()):
        raise RequestError(
            f"--output needs a directory of its own, but the workspace {workspace} lies in {output}; choose another"
        )


def perform(settings: Settings, run: Callable[[Watcher], Study], wishes: Wishes) -> None:
    """Runs a refinement, asks a person for decisions if that is wanted, and prints what came of it.

    Args:
        settings: The shared options.
        run: Builds the study and runs it, showing its progress.
        wishes: What is wanted beside that.
    """
    study, watcher = performed(settings, run)
    left = wishes.time_limit
    from automl_refine.refining import (  # where its plugin is switched off, the study is refused before
        SHORTEST,
        Refinement,
    )

    found, gone = Refinement.of(study), None
    while wishes.interactive and found.waiting is not None and study.status == "finished":
        if left is not None:
            left = max(left - watcher.elapsed, SHORTEST)
        try:
            decision = _asked(found.letters[len(found.steps)], found.waiting, found)
        except (EOFError, KeyboardInterrupt) as error:
            gone = error
            break
        study, watcher = performed(settings, partial(_decided, study, decision, left))
        found = Refinement.of(study)
    _print(settings, study, found, asked=gone is not None)
    if found.status in ("done", "stopped") and wishes.output is not None:
        for name in found.write(wishes.output):
            click.echo(f"written: {wishes.output / name}", err=True)
    if study.status == "interrupted" or isinstance(gone, KeyboardInterrupt):
        click.get_current_context().exit(INTERRUPTED)


def _decided(study: Study, decision: Json, time_limit: float | None, progress: Watcher) -> Study:
    return study.run(time_limit, progress, instruction=decision)


def _print(settings: Settings, study: Study, found: Refinement, asked: bool) -> None:
    """Prints the refinement; a person who has just left at a question has seen it, and is told how to go on."""
    from automl_refine.text import text

    if settings.json:
        print_json(found.to_json())
    elif not asked:
        click.echo(text(found))
    if asked:
        line = command_line(settings, "refine", "--resume", study.name, "--interactive")
        click.echo(f"\nStudy {study.name} waits for a choice; nothing is lost. Go on with:\n  {line}", err=True)
    elif study.status in ("interrupted", "time-limit"):
        why = "was interrupted" if study.status == "interrupted" else "reached its time limit"
        click.echo(f"Study {study.name} {why}; nothing is lost.", err=True)


def _asked(letter: str, step: Step, found: Refinement) -> Json:
    """Asks which category to fix, by its number in the table, until the answer is one.

    Raises:
        EOFError: When nobody answers any more.
    """
    from automl_refine.choosing import choose
    from automl_refine.text import is_long, min_group, step_text

    rows = list(step.table.rows())
    best = choose(step.table, "auc", min_group(found)).row
    usual = next((number for number, (_, row) in enumerate(rows, 1) if row is best), None)
    more = ", a to list all" if is_long(step.table) else ""
    enter = "" if usual is None else f", Enter for {usual}"
    question = f"Fix which of 1 to {len(rows)}{enter}{more}, s to stop?"
    click.echo(step_text(found, letter, step, numbered=True), err=True)
    while True:
        click.echo(f"\n{question} ", err=True, nl=False)
        _forget_typed()
        answer = input().strip().lower()
        if answer == "s":
            return STOP
        if answer == "a":
            click.echo(step_text(found, letter, step, numbered=True, everything=True), err=True)
        elif answer == "" and usual is not None:
            return _decision(rows, usual)
        elif answer.isdecimal() and 1 <= int(answer) <= len(rows):
            return _decision(rows, int(answer))
        else:
            click.echo(f"{answer!r} is none of these.", err=True)


def _forget_typed() -> None:
    """Drops what was typed before the question was there: a step may take hours, and a decision stays."""
    if sys.stdin.isatty():
        try:
            import termios
        except ImportError:  # no such terminals here
            return
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _decision(rows: list[tuple[Condition, Row]], number: int) -> Json:
    condition, row = rows[number - 1]
    click.echo(f"{condition.label} = {row.category.label} is fixed.", err=True)
    return {"condition": condition.label, "category": row.category.label}
