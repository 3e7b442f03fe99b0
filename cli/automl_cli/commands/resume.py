"""``automl resume``: go on with a study."""

from __future__ import annotations

from typing import Any

import click

from automl_cli.executors import chosen_executor, executor_flags
from automl_cli.requests import duration
from automl_cli.settings import Settings


@click.command("resume")
@click.argument("study")
@click.option("--trials", type=int, help="Allow this many trials in all; extends a finished study.")
@click.option("--time-limit", callback=duration, metavar="TIME", help="Stop after 90s, 10m, 1h30m; can be resumed.")
@executor_flags(executor="as before", workers="as before")
@click.option("--device", metavar="auto|cpu|cuda:N", help="Where networks are trained.  [default: as before]")
@click.option("--threads", type=int, help="Threads for each worker.  [default: as before]")
@click.option("--disk-budget", metavar="SIZE", help="What checkpoints and artefacts may take.  [default: as before]")
@click.pass_context
def command(
    context: click.Context, /, study: str, trials: int | None, executor: str | None, dask: str | None, **flags: Any
) -> None:
    """Go on with STUDY from where it was interrupted, or extend it with --trials.

    The maximum budget cannot change, since the schedules of all its trainings depend on it.
    """
    from automl_cli.conclusion import perform
    from automl_core import Study

    settings: Settings = context.obj
    executor, options = chosen_executor(context, executor, dask)
    perform(
        settings,
        lambda progress: Study.resume(
            study,
            workspace=settings.workspace,
            trials=trials,
            executor=executor,
            options=options,
            **flags,
            progress=progress,
        ),
        asked=trials,
    )
