"""What is said when a study has run: the best configuration, beside the baselines, and how to go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, TypeVar

import click

from automl_cli.failures import INTERRUPTED
from automl_cli.fronts import front_table
from automl_cli.going_on import REFINE, command_line, steps
from automl_cli.output import budget_text, counted, heading, number, print_json, seconds, size, table, value_text
from automl_cli.progress import Watcher, watch
from automl_cli.settings import Settings
from automl_core.errors import RequestError, StudyFailed, reason
from automl_core.sampling import RandomSampler

if TYPE_CHECKING:
    from automl_core import Study
    from automl_core.records import Best, TrialRow

FRONT_SHOWN = 20

LOOKED_THROUGH = 100_000
"""Size of the largest space that is looked through for configurations that are left."""

Result = TypeVar("Result")


def perform(settings: Settings, run: Callable[[Watcher], Study], asked: int | None = None) -> None:
    """Runs or resumes a study and prints what came of it.

    Args:
        settings: The shared options.
        run: Builds the study and runs it, showing its progress.
        asked: How many trials there are to be in all, where that differs from what the study records.
    """
    study, watcher = performed(settings, run, asked)
    if settings.json:
        print_json(_document(study))
    else:
        _print(settings, study, watcher)
    if study.status == "interrupted":
        click.get_current_context().exit(INTERRUPTED)


def performed(settings: Settings, run: Callable[[Watcher], Study], asked: int | None = None) -> tuple[Study, Watcher]:
    """Runs or resumes a study with its progress shown; one that fails is said to be kept. See :func:`perform`."""
    watcher = watch(settings, asked)
    try:
        return watched(watcher, run), watcher
    except (Exception, KeyboardInterrupt) as error:  # whatever ended it, a full disk for example
        if watcher.name and not settings.quiet:
            word = "show" if isinstance(error, StudyFailed) else "resume"
            click.echo(f"study {watcher.name} is kept: {command_line(settings, word, watcher.name)}", err=True)
        raise


def watched(watcher: Watcher, run: Callable[[Watcher], Result]) -> Result:
    """Runs something with its progress shown; what strangers' code prints meanwhile goes to standard error."""
    with watcher, redirect_stdout(sys.stderr):
        return run(watcher)


def _document(study: Study) -> dict[str, Any]:
    front = study.record.front()
    document = {
        "study": study.name,
        "status": study.status,
        "best": front[0].to_json() if front else None,
        "baselines": [dict(one) for one in study.baselines] if front else [],
    }
    return document | ({"front": [one.to_json() for one in front]} if len(study.spec.objectives) > 1 else {})


def _print(settings: Settings, study: Study, watcher: Watcher) -> None:
    record = study.record
    front = record.front()
    if front and len(study.spec.objectives) > 1:
        click.echo(_front(settings, front, study) + "\n")
    elif front:
        drawing = study.draw_best()
        click.echo(drawing.rstrip("\n") + "\n" if drawing else configuration_text(front[0].configuration) + "\n")
        click.echo(_comparison(front[0], study) + "\n")
    for trials, one, many in (
        (record.failures(), "1 trial failed, trial", "trials failed, the first was trial"),
        (
            record.infeasible(),
            "1 trial violates a constraint, trial",
            "trials violate a constraint, the first is trial",
        ),
    ):
        if trials:
            click.echo(_first_of(trials, one, many) + "\n")
    for why, count in watcher.drops.items():
        room = f"{counted(count, 'checkpoint')}, {size(watcher.dropped_bytes[why])}"
        click.echo(f"Dropped to keep the disk budget: {room}; {why}\n")
    click.echo(_ending(settings, study, bool(front), watcher.elapsed))
    if study.status == "finished":
        leader = front[0].trial if front and len(study.spec.objectives) > 1 else None
        click.echo("\n" + _next(settings, study, leader, watcher.asked))


def _first_of(trials: Sequence[TrialRow], one: str, many: str) -> str:
    first = trials[0]
    return f"{one if len(trials) == 1 else f'{len(trials)} {many}'} {first.number}: {reason(first.error)}"


def _front(settings: Settings, front: Sequence[Best], study: Study) -> str:
    """Lists the front of several objectives, and the baselines; which of them to draw is for ``automl best`` to say."""
    shown = front_table(study.record, front[:FRONT_SHOWN], "trial of the front", study.baselines)
    more = len(front) - FRONT_SHOWN
    return shown if more <= 0 else f"{shown}\n  and {more} more: {command_line(settings, 'best', study.name)}"


def configuration_text(configuration: Mapping[str, Any]) -> str:
    """Writes a configuration as a table."""
    rows = [(name, value_text(value)) for name, value in configuration.items()]
    return table(("hyperparameter", "value"), rows)


def _comparison(best: Best, study: Study) -> str:
    metric, unit = study.spec.objectives[0].partition(":")[0], study.spec.unit
    told: list[tuple[str, float | None, float | None, int]]
    told = [(f"best of the search, trial {best.trial}", best.metrics.get(metric), best.value, best.budget)]
    told += [(f"{one['label']}, one seed", one["value"], None, one["budget"]) for one in study.baselines]
    title = "validation" if study.assembly.evaluator.trains else "result"
    ranking = study.record.ranking
    if ranking is None:
        rows = [(name, number(metric, value), budget_text(budget, unit)) for name, value, _, budget in told]
        return table((title, metric, "budget"), rows, right=(metric,))
    estimated = [  # what was estimated must not be read as what was measured
        (name, number(metric, value), "" if estimate is None else number(metric, estimate), budget_text(budget, unit))
        for name, value, estimate, budget in told
    ]
    return table((title, metric, ranking, "budget"), estimated, right=(metric, ranking))


def _ending(settings: Settings, study: Study, any_done: bool, elapsed: float) -> str:
    name = heading(study.name)
    if study.status == "finished":
        trials = study.record.summary.trials
        simulated = study.record.simulated_seconds
        virtual = "" if simulated is None else f" in {seconds(simulated)} of simulated time"
        return f"Study {name} is finished: {counted(trials, 'trial')}{virtual}; this run took {seconds(elapsed)}."
    why = "was interrupted" if study.status == "interrupted" else "reached its time limit"
    so_far = "" if any_done else " before a trial was finished"
    return f"Study {name} {why}{so_far}; nothing is lost. Go on with:\n  {command_line(settings, 'resume', study.name)}"


def _next(settings: Settings, study: Study, leader: int | None, allowed: int | None) -> str:
    """Writes the commands to go on with, each below what it does: commands are never wrapped."""
    more, trains = _more(study, allowed), study.assembly.evaluator.trains
    following = steps(settings, study.name, more, leader, trains)
    if study.spec.searcher.name == REFINE:
        following = [(command_line(settings, "refinement", study.name), "its steps, and what they showed"), *following]
    return "Go on with\n" + "\n".join(
        f"  {click.style(f'# {what}', dim=True)}\n  {command}" for command, what in following
    )


def _more(study: Study, allowed: int | None) -> int | None:
    """Gives a number of trials to extend a study to; None when it cannot be given more, or its space is used up.

    Args:
        study: A finished study.
        allowed: How many trials it might have begun; one that ended with fewer has found no others.
    """
    trials, size = study.record.summary.trials, study.assembly.space.size()
    if (allowed is not None and trials < allowed) or _used_up(study):
        return None
    more = 2 * trials if size is None else min(2 * trials, size)
    try:
        study.assembly.searcher().extend(more)
    except RequestError:  # so would "automl resume" be refused
        return None
    return more


def _used_up(study: Study) -> bool:
    """Whether a space has no configuration left that differs from all that were tried; one too large to see has."""
    space = study.assembly.problem.space
    size = space.size()
    if size is None or size > LOOKED_THROUGH:
        return False
    sampler = RandomSampler(space, study.spec.seed)
    for row in study.record.trials():
        if row.role == "candidate":
            sampler.add(row.configuration)
    return sampler.draw() is None
