"""``automl run``: start a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from automl_cli.executors import chosen_executor, executor_flags
from automl_cli.requests import (
    NAMED_PARTS,
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


def _read_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Makes a study file's values the defaults of the flags, so that flags win."""
    found = read_study_file(path) if path is not None else StudyFile()
    context.meta[_FILE] = found
    context.default_map = found.values
    return path


@click.command("run", no_args_is_help=True)
@click.argument("study_file", type=click.Path(path_type=Path), required=False, is_eager=True, callback=_read_file)
@click.option("--space", metavar="NAME", help="Search space.")
@click.option(
    "--searcher",
    metavar="NAME",
    help="What decides which trial advances next.  [default: asha; random without a range of budgets]",
)
@click.option("--evaluator", metavar="NAME", help="What trains.  [default: the space's own]")
@click.option("--estimator", metavar="NAME", multiple=True, help="Predicts final performance; the first one ranks.")
@click.option("--dataset", metavar="NAME", help="Data to train on.  [default: the evaluator's own]")
@click.option("--objective", metavar="METRIC[:max|min]", multiple=True, help="What ranks; several give a Pareto front.")
@click.option(
    "--constraint",
    metavar="'METRIC<=NUMBER'",
    multiple=True,
    callback=constraints,
    help="What every trial must keep, '<=' or '>='; in quotes, since a shell takes < and > for itself.",
)
@click.option("--min-budget", type=int, help="Smallest budget at which trials are compared.")
@click.option("--max-budget", type=int, help="Budget of a complete trial.")
@click.option("--trials", type=int, help="How many trials to start.")
@click.option("--seed", type=int, help="All random numbers follow from it.  [default: 0]")
@click.option(
    "--preset", metavar="NAME", help="quick (minutes on two cores) or paper (as published).  [default: quick]"
)
@click.option("--set", "settings_given", metavar="PART.OPTION=VALUE", multiple=True, help="An option of a part.")
@click.option("--time-limit", callback=duration, metavar="TIME", help="Stop after 90s, 10m, 1h30m; can be resumed.")
@executor_flags(executor="serial", workers="as many as the executor has")
@click.option("--device", metavar="auto|cpu|cuda:N", help="Where networks are trained.  [default: auto]")
@click.option("--threads", type=int, help="Threads for each worker.  [default: cores / workers]")
@click.option("--checkpoint", metavar="needed|all", help="Which checkpoints stay.  [default: needed]")
@click.option("--disk-budget", metavar="SIZE", help="What checkpoints and artefacts may take, such as 5GB.")
@click.option(
    "--store", metavar="DIR|URL", help="Where those are kept; all workers must reach it.  [default: workspace]"
)
@click.option("--name", metavar="STUDY", help="The study's name.  [default: made up]")
@click.option("--dry-run", is_flag=True, help="Say what would run and how long it would take; start nothing.")
@click.pass_context
def command(
    context: click.Context,
    /,
    study_file: Path | None,
    settings_given: tuple[str, ...],
    time_limit: float | None,
    dry_run: bool,
    dask: str | None,
    **flags: Any,
) -> None:
    """Start a study: automl run --space ktg --searcher asha.

    STUDY_FILE is YAML with the same keys; flags win. A part is a name or a mapping:

    \b
      space: {name: ktg, nodes: 3}
      searcher: {name: asha, eta: 3}
      dataset: digits
      trials: 20
    """  # noqa: D301 - click takes the backspace as: do not wrap this
    from automl_cli.conclusion import perform, watched
    from automl_cli.plan import print_plan
    from automl_cli.progress import watch
    from automl_core import Study

    settings: Settings = context.obj
    flags["executor"], address = chosen_executor(context, flags["executor"], dask)
    options = merged(merged(_file_options(context, flags), address), parse_settings(settings_given))
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if "space" not in given:
        raise RequestError("a study needs a search space; pass --space NAME ('automl plugins' lists them)")

    def study() -> Study:
        return Study(**given, options=options, workspace=settings.workspace)

    if dry_run:
        print_plan(settings, watched(watch(settings), lambda _: study().plan()))
    else:
        perform(settings, lambda progress: study().run(time_limit=time_limit, progress=progress))


def _file_options(context: click.Context, flags: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Gives the study file's options, but those of a part that a flag replaces by another one."""
    found: StudyFile = context.meta[_FILE]
    kept = dict(found.options)
    for part in NAMED_PARTS:
        in_file, chosen = found.values.get(part), flags[part]
        if in_file is not None and in_file != (list(chosen) if isinstance(chosen, tuple) else chosen):
            kept.pop(part, None)
    return kept
