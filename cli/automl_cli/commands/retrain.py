"""``automl retrain``: train a found configuration, or an exported recipe, for good and test it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_cli.executors import chosen_executor, executor_flags
from automl_cli.requests import Options, duration, parse_settings
from automl_cli.settings import Settings
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from automl_cli.progress import Watcher
    from automl_core import Study
    from automl_core.spec import StudySpec

RECIPES = (".yaml", ".yml")
"""How the paths of recipes end."""


@click.command("retrain")
@click.argument("study", metavar="STUDY|RECIPE")
@click.option("--trial", type=int, help="Which trial's configuration.  [default: the best]")
@click.option("--epochs", type=int, help="How long.  [default: the maximum budget of study or recipe]")
@click.option("--repeats", type=int, help="How many times, with a seed each.  [default: the preset's, or else 5]")
@click.option("--average", type=int, help="Report the mean of the last so many epochs.  [default: the preset's, or 1]")
@click.option("--dataset", metavar="NAME", help="Train on other data.  [default: those of study or recipe]")
@click.option("--preset", metavar="NAME", help="Train as another preset does.  [default: as study or recipe say]")
@click.option("--set", "settings_given", metavar="PART.OPTION=VALUE", multiple=True, help="An option of a part.")
@click.option("--seed", type=int, help="All random numbers of a recipe's trainings follow from it.  [default: 0]")
@click.option("--time-limit", callback=duration, metavar="TIME", help="Stop after 90s, 10m, 1h30m; repeat to go on.")
@executor_flags(executor="the study's", workers="the study's")
@click.option("--device", metavar="auto|cpu|cuda:N", help="Where networks are trained.  [default: the study's]")
@click.option("--threads", type=int, help="Threads for each worker.  [default: the study's]")
@click.pass_context
def command(
    context: click.Context,
    /,
    study: str,
    settings_given: tuple[str, ...],
    executor: str | None,
    dask: str | None,
    **flags: Any,
) -> None:
    """Train a configuration of STUDY on training and validation data together, and test it.

    Reports the test accuracy's mean and standard deviation over repeats, beside controls trained alike.

    RECIPE is a file that 'automl export' wrote, recipe.yaml. It is trained in a study of its own, which the same
    command finds again.
    """
    from automl_cli.conclusion import watched
    from automl_cli.failures import INTERRUPTED
    from automl_cli.going_on import command_line
    from automl_cli.output import print_json
    from automl_cli.progress import watch

    settings: Settings = context.obj
    options = parse_settings(settings_given)
    executor, its_options = chosen_executor(context, executor, dask)
    where = {name: flags.pop(name) for name in ("workers", "device", "threads")} | {"executor": executor}
    seed = flags.pop("seed")

    def work(progress: Watcher) -> tuple[dict[str, Any], StudySpec]:
        if study.endswith(RECIPES):
            loaded = _of_recipe(settings, Path(study), seed, flags, options, its_options, where)
        else:
            loaded = _recorded(settings, study, seed, its_options, where)
        return loaded.retrain(**flags, options=options, progress=progress), loaded.spec

    report, spec = watched(watch(settings, trainings=True), work)
    if settings.json:
        print_json(report)
    else:
        _print(report, spec)
    if report["status"] != "finished":
        why = "interrupted" if report["status"] == "interrupted" else "the time limit is reached"
        click.echo(f"{why}; nothing is lost, the same command goes on from here", err=True)
    elif not settings.json:
        which = () if flags["trial"] is None else ("--trial", str(flags["trial"]))
        words = ("export", spec.name, f"{spec.name}-model", *which)
        click.echo(f"\nKeep the weights: {command_line(settings, *words)}")
    if report["status"] == "interrupted":
        context.exit(INTERRUPTED)


def _recorded(settings: Settings, name: str, seed: int | None, its_options: Options, where: Mapping[str, Any]) -> Study:
    """Loads a study."""
    from automl_core import Study

    if seed is not None:
        raise RequestError(
            f"a study keeps the seed that it began with, but --seed {seed} was asked for; leave it out, or export the "
            "trial and retrain its recipe"
        )
    return Study.load(name, workspace=settings.workspace, options=its_options, **where)


def _of_recipe(
    settings: Settings,
    path: Path,
    seed: int | None,
    flags: dict[str, Any],
    options: Options,
    its_options: Options,
    where: Mapping[str, Any],
) -> Study:
    """Builds or finds the study of a recipe, and takes out of the request what it was built from: the data set."""
    from automl_core.recipe_space import recipe_study

    if flags["trial"] is not None:
        raise RequestError(f"a recipe is one training, but --trial {flags['trial']} was asked for; leave it out")
    if options.get("space"):
        raise RequestError(
            f"a recipe is retrained with options of dataset and trainer, but got space.{next(iter(options['space']))}; "
            f"change the description in {path}"
        )
    data = {"dataset": options.pop("dataset", {}), **its_options}
    return recipe_study(path, flags.pop("dataset"), seed, data, settings.workspace, **where)


def _print(report: dict[str, Any], spec: StudySpec) -> None:
    from automl_cli.output import budget_text, table

    metric, budget = report["metric"], budget_text(report["epochs"], spec.unit)
    what, source = ("The recipe", "recipe") if report["trial"] is None else (f"Trial {report['trial']}", "search")
    click.echo(
        f"{what}, trained on training and validation data for {budget}, "
        + ("once" if report["repeats"] == 1 else f"{report['repeats']} times")
        + (f"; values are means of the last {report['average']} epochs" if report["average"] > 1 else "")
    )
    if report["epochs"] < spec.max_budget:
        longer = budget_text(spec.max_budget, spec.unit)
        click.echo(f"The result is one of {budget}; the {source}'s budget was {longer}.")
    rows = [(one["label"], _spread(metric, one), str(len(one["values"]))) for one in report["results"]]
    click.echo(table(("test", f"{metric}, mean ± deviation", "repeats"), rows, right=("repeats",)))


def _spread(metric: str, result: dict[str, Any]) -> str:
    """Writes mean and standard deviation with their unit once: "93.1 ± 0.4 %"."""
    from automl_cli.output import number

    mean = number(metric, result["mean"])
    if result["deviation"] is None:
        return mean
    unit = " %" if mean.endswith(" %") else ""
    return f"{mean.removesuffix(unit)} ± {number(metric, result['deviation']).removesuffix(unit)}{unit}"
