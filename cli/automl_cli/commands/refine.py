"""``automl refine``: narrow a search space step by step, then search all of what is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from automl_cli.executors import chosen_executor
from automl_cli.going_on import REFINE
from automl_cli.settings import Settings
from automl_cli.study_flags import study_file, study_flags, study_keywords
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_core import Study

OWN = ("per_step", "lower_limit", "conditions", "choose", "max_extra", "min_group", "floor")
"""Flags that are options of the searcher."""

ELSEWHERE = ("executor", "workers", "dask", "device", "threads", "disk_budget")
"""Flags that say where a study goes on."""

WITH_RESUME = ("resume", "interactive", "time_limit", "output", *ELSEWHERE)


@click.command("refine", no_args_is_help=True)
@study_flags(
    click.option(
        "--per-step", type=int, help="Configurations to sample of each space.  [default: the preset's, or 2500]"
    ),
    click.option(
        "--lower-limit", type=int, help="Take all of a space of so many at most.  [default: the preset's, or 500]"
    ),
    click.option(
        "--conditions",
        metavar="TEXT",
        multiple=True,
        help="What to compare: a condition of the space, a hyperparameter, or a+b; may be repeated.  "
        "[default: all of the space's own]",
    ),
    click.option(
        "--choose",
        type=click.Choice(["separated", "auc"]),
        help="Fix the best choice only when its interval is apart, or in any case.  [default: separated]",
    ),
    click.option(
        "--max-extra", type=int, help="Sample so many more to tell intervals apart.  [default: as many as a step]"
    ),
    click.option(
        "--min-group", type=int, help="Fewest trials of a choice to be compared.  [default: the preset's, or 30]"
    ),
    click.option(
        "--floor", type=float, help="Leave out accuracies below this fraction.  [default: half the reference's]"
    ),
    click.option(
        "--range", "span", type=(float, float), metavar="LOW HIGH", help="Errors to look at.  [default: 0 100]"
    ),
    click.option("--interactive", is_flag=True, help="Ask after each step which choice to fix."),
    click.option("--resume", metavar="STUDY", help="Go on with a refinement."),
    click.option(
        "--output",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Write its design spaces, tables and pictures there at the end.",
    ),
)
@click.pass_context
def command(
    context: click.Context,
    /,
    study_file: Path | None,
    resume: str | None,
    interactive: bool,
    output: Path | None,
    time_limit: float | None,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Refine a search space: automl refine --space ktg --per-step 2500.

    Samples the space, compares the choices by the area under the distribution of errors that go with each, fixes the
    best one, and samples what is left, until that is small enough to be searched exhaustively. STUDY_FILE is that of
    "automl run".
    """
    from automl_cli.conclusion import watched
    from automl_cli.plan import print_plan
    from automl_cli.progress import watch
    from automl_cli.refining import Wishes, check_output, perform
    from automl_core import Study

    settings: Settings = context.obj
    wishes = Wishes(interactive, time_limit, output)
    if output is not None:
        check_output(output, settings)
    if resume is not None:
        _check_resumed(context)
        where = {name: flags[name] for name in ELSEWHERE}
        where["executor"], where["options"] = chosen_executor(context, where["executor"], where.pop("dask"))

        def resumed() -> Study:
            return _checked(Study.load(resume, workspace=settings.workspace, **where), interactive)

        perform(settings, lambda progress: resumed().run(time_limit, progress), wishes)
        return
    options = _options(context, flags, interactive)
    keywords = study_keywords(context, flags, {"searcher": options})
    if dry_run:
        print_plan(settings, watched(watch(settings), lambda _: Study(**keywords, searcher=REFINE).plan()))
    else:
        perform(settings, lambda progress: Study(**keywords, searcher=REFINE).run(time_limit, progress), wishes)


def _options(context: click.Context, flags: dict[str, Any], interactive: bool) -> dict[str, Any]:
    """Takes the searcher's options from the flags: those that were given.

    Raises:
        RequestError: When a person and a rule are both to choose, or a study file has another searcher.
    """
    searcher = study_file(context).values.get("searcher", REFINE)
    if searcher != REFINE:
        raise RequestError(
            f"a refinement is a study of searcher {REFINE}, but the study file names {searcher!r}; leave that out, "
            "or use 'automl run'"
        )
    if interactive and flags["choose"] is not None:
        raise RequestError(
            f"--interactive asks a person, but --choose {flags['choose']} decides by itself; leave one of them out"
        )
    options = {name: flags.pop(name) for name in OWN}
    low, high = flags.pop("span") or (None, None)
    options |= {"low": low, "high": high}
    if interactive:
        options["choose"] = "ask"
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value not in (None, ())
    }


def _check_resumed(context: click.Context) -> None:
    """Refuses flags that say what a study is, which is fixed when it starts."""
    for parameter in context.command.params:
        name = parameter.name or ""
        given = parameter.expose_value and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in WITH_RESUME:
            raise RequestError(
                f"--resume goes on with a study as it was begun, but got {_flag(parameter)}; leave it out, or start a "
                "new refinement"
            )


def _flag(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else str(parameter.name).upper()


def _checked(study: Study, interactive: bool) -> Study:
    """Refuses a study that is no refinement, and one that asks nobody."""
    searcher = study.spec.searcher
    if searcher.name != REFINE:
        raise RequestError(
            f"--resume goes on with a refinement, but study {study.name!r} is one of searcher {searcher.name}; use "
            f"'automl resume {study.name}'"
        )
    chooses = searcher.options.get("choose", "separated")
    if interactive and chooses != "ask":
        raise RequestError(
            f"--interactive goes on with a refinement that asks, but {study.name!r} chooses by itself ({chooses}); "
            "leave --interactive out"
        )
    return study
