"""What a study is asked for with: the flags that ``run`` and ``refine`` share, and what they and a study file give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from automl_cli.executors import chosen_executor, executor_flags
from automl_cli.requests import (
    NAMED_PARTS,
    Options,
    StudyFile,
    constraints,
    duration,
    merged,
    parse_settings,
    read_study_file,
)
from automl_cli.settings import Settings
from automl_core.errors import RequestError

_FILE = "automl_cli.study_file"

Command = TypeVar("Command", bound=Callable[..., Any])


def _read_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Makes a study file's values the defaults of the flags, so that flags win."""
    found = read_study_file(path) if path is not None else StudyFile()
    context.meta[_FILE] = found
    context.default_map = found.values
    return path


def study_flags(*how: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Declares the argument STUDY_FILE and the flags of a study.

    Args:
        how: The flags that say how to search.
    """
    options = (
        click.argument(
            "study_file", type=click.Path(path_type=Path), required=False, is_eager=True, callback=_read_file
        ),
        click.option("--space", metavar="NAME|FILE", help="Search space, or a design space's YAML file."),
        *how,
        click.option("--evaluator", metavar="NAME", help="What trains.  [default: the space's own]"),
        click.option(
            "--estimator", metavar="NAME", multiple=True, help="Predicts final performance; the first one ranks."
        ),
        click.option("--dataset", metavar="NAME", help="Data to train on.  [default: the evaluator's own]"),
        click.option(
            "--objective", metavar="METRIC[:max|min]", multiple=True, help="What ranks; several give a Pareto front."
        ),
        click.option(
            "--constraint",
            metavar="'METRIC<=NUMBER'",
            multiple=True,
            callback=constraints,
            help="What every trial must keep, '<=' or '>='; in quotes, since a shell takes < and > for itself.",
        ),
        click.option("--min-budget", type=int, help="Smallest budget at which trials are compared."),
        click.option("--max-budget", type=int, help="Budget of a complete trial."),
        click.option("--trials", type=int, help="How many trials to start."),
        click.option("--seed", type=int, help="All random numbers follow from it.  [default: 0]"),
        click.option(
            "--preset",
            metavar="NAME",
            help="quick (minutes on two cores) or paper (as published).  [default: quick]",
        ),
        click.option(
            "--set", "settings_given", metavar="PART.OPTION=VALUE", multiple=True, help="An option of a part."
        ),
        click.option(
            "--time-limit", callback=duration, metavar="TIME", help="Stop after 90s, 10m, 1h30m; can be resumed."
        ),
        executor_flags(executor="serial", workers="as many as the executor has"),
        click.option("--device", metavar="auto|cpu|cuda:N", help="Where networks are trained.  [default: auto]"),
        click.option("--threads", type=int, help="Threads for each worker.  [default: cores / workers]"),
        click.option("--checkpoint", metavar="needed|all", help="Which checkpoints stay.  [default: needed]"),
        click.option("--disk-budget", metavar="SIZE", help="What checkpoints and artefacts may take, such as 5GB."),
        click.option(
            "--store",
            metavar="DIR|URL",
            help="Where those are kept; all workers must reach it.  [default: workspace]",
        ),
        click.option("--name", metavar="STUDY", help="The study's name.  [default: made up]"),
        click.option("--dry-run", is_flag=True, help="Say what would run and how long it would take; start nothing."),
    )

    def declared(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return declared


def study_file(context: click.Context) -> StudyFile:
    """Gives what the study file says; nothing where there is none."""
    found: StudyFile = context.meta[_FILE]
    return found


def study_keywords(context: click.Context, flags: Mapping[str, Any], extra: Options | None = None) -> dict[str, Any]:
    """Gives the keywords of the :class:`automl_core.Study` that is asked for.

    Args:
        context: The command's.
        flags: What :func:`study_flags` declared, without ``study_file``, ``time_limit`` and ``dry_run``.
        extra: Options by part that a command has flags of its own for; they win.

    Raises:
        RequestError: When there is no search space, or flags contradict one another.
    """
    settings: Settings = context.obj
    flags = dict(flags)
    texts, dask = flags.pop("settings_given"), flags.pop("dask")
    flags["executor"], address = chosen_executor(context, flags["executor"], dask)
    options = merged(merged(_file_options(context, flags), address), parse_settings(texts))
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if "space" not in given:
        raise RequestError("a study needs a search space; pass --space NAME ('automl plugins' lists them)")
    return {**given, "options": merged(options, extra or {}), "workspace": settings.workspace}


def _file_options(context: click.Context, flags: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Gives the study file's options, but those of a part that a flag replaces by another one."""
    found = study_file(context)
    kept = dict(found.options)
    for part in NAMED_PARTS:
        in_file, chosen = found.values.get(part), flags.get(part, found.values.get(part))
        if in_file is not None and in_file != (list(chosen) if isinstance(chosen, tuple) else chosen):
            kept.pop(part, None)
    return kept
