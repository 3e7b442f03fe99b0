"""``automl resume``: go on with a study."""

from __future__ import annotations

import click

from automl_cli.requests import duration
from automl_cli.settings import Settings


@click.command("resume")
@click.argument("study")
@click.option("--trials", type=int, help="Allow this many trials in all; extends a finished study.")
@click.option("--time-limit", callback=duration, metavar="TIME", help="Stop after 90s, 10m, 1h30m; can be resumed.")
@click.option("--device", metavar="auto|cpu|cuda:N", help="Where networks are trained.  [default: as before]")
@click.option("--threads", type=int, help="Threads for each worker.  [default: as before]")
@click.pass_obj
def command(
    settings: Settings,
    study: str,
    trials: int | None,
    time_limit: float | None,
    device: str | None,
    threads: int | None,
) -> None:
    """Go on with STUDY from where it was interrupted, or extend it with --trials.

    The maximum budget cannot change, since the schedules of all its trainings depend on it.
    """
    from automl_cli.conclusion import perform
    from automl_core import Study

    perform(
        settings,
        lambda progress: Study.resume(
            study,
            workspace=settings.workspace,
            trials=trials,
            device=device,
            threads=threads,
            time_limit=time_limit,
            progress=progress,
        ),
        asked=trials,
    )
