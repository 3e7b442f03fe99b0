"""``automl resume``: go on with a study."""

from __future__ import annotations

from typing import Any

import click

from automl_cli.executors import chosen_executor, executor_flags
from automl_cli.requests import duration
from automl_cli.settings import Settings
from automl_core.errors import RequestError

BUDGETS = ("--min-budget", "--max-budget")
"""Flags of ``automl run`` that cannot change, since the schedules of all trainings follow from them."""

FIXED = (
    "--space",
    "--searcher",
    "--evaluator",
    "--estimator",
    "--dataset",
    "--objective",
    "--constraint",
    "--seed",
    "--preset",
    "--set",
    "--checkpoint",
    "--store",
    "--name",
)
"""Flags of ``automl run`` that say what a study is."""


class _Resume(click.Command):
    """Says why a study cannot be given another budget or searcher, rather than suggest a flag that looks alike."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            if name in BUDGETS:
                reason = "a study's budgets cannot change, since the schedules of all its trainings depend on them"
            elif name in FIXED:
                reason = "what a study is made of is fixed when it starts, since its decisions follow from it"
            else:
                raise
            raise RequestError(f"{reason}, but got {name}; leave it out, or start a new study: automl run") from None


@click.command("resume", cls=_Resume)
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

    Its budgets cannot change, since the schedules of all its trainings depend on them.
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
