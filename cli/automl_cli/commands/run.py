"""``automl run``: start a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from automl_cli.settings import Settings
from automl_cli.study_flags import study_flags, study_keywords


@click.command("run", no_args_is_help=True)
@study_flags(
    click.option(
        "--searcher",
        metavar="NAME",
        help="What decides which trial advances next.  [default: asha; random without a range of budgets]",
    )
)
@click.pass_context
def command(
    context: click.Context, /, study_file: Path | None, time_limit: float | None, dry_run: bool, **flags: Any
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
    keywords = study_keywords(context, flags)
    if dry_run:
        print_plan(settings, watched(watch(settings), lambda _: Study(**keywords).plan()))
    else:
        perform(settings, lambda progress: Study(**keywords).run(time_limit=time_limit, progress=progress))
