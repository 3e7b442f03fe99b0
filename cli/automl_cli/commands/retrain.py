"""``automl retrain``: train a found configuration for good and test it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from automl_cli.executors import chosen_executor, executor_flags
from automl_cli.requests import duration, parse_settings
from automl_cli.settings import Settings

if TYPE_CHECKING:
    from automl_cli.progress import Watcher
    from automl_core.spec import StudySpec


@click.command("retrain")
@click.argument("study")
@click.option("--trial", type=int, help="Which trial's configuration.  [default: the best]")
@click.option("--epochs", type=int, help="How long.  [default: the study's maximum budget]")
@click.option("--repeats", type=int, help="How many times, with a seed each.  [default: the preset's, or else 5]")
@click.option("--average", type=int, help="Report the mean of the last so many epochs.  [default: the preset's, or 1]")
@click.option("--dataset", metavar="NAME", help="Train on other data.  [default: the study's]")
@click.option("--preset", metavar="NAME", help="Train by another preset's recipe.  [default: the study's]")
@click.option("--set", "settings_given", metavar="PART.OPTION=VALUE", multiple=True, help="An option of a part.")
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
    """
    from automl_cli.conclusion import watched
    from automl_cli.failures import INTERRUPTED
    from automl_cli.going_on import command_line
    from automl_cli.output import print_json
    from automl_cli.progress import watch
    from automl_core import Study

    settings: Settings = context.obj
    options = parse_settings(settings_given)
    executor, its_options = chosen_executor(context, executor, dask)
    where = {name: flags.pop(name) for name in ("workers", "device", "threads")}

    def work(progress: Watcher) -> tuple[dict[str, Any], StudySpec]:
        loaded = Study.load(study, workspace=settings.workspace, executor=executor, options=its_options, **where)
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
        click.echo(f"\nKeep the weights: {command_line(settings, 'export', study, f'{study}-model', *which)}")
    if report["status"] == "interrupted":
        context.exit(INTERRUPTED)


def _print(report: dict[str, Any], spec: StudySpec) -> None:
    from automl_cli.output import budget_text, table

    metric, budget = report["metric"], budget_text(report["epochs"], spec.unit)
    click.echo(
        f"Trial {report['trial']}, trained on training and validation data for {budget}, "
        + ("once" if report["repeats"] == 1 else f"{report['repeats']} times")
        + (f"; values are means of the last {report['average']} epochs" if report["average"] > 1 else "")
    )
    if report["epochs"] < spec.max_budget:
        click.echo(f"The result is one of {budget}; the search's budget was {budget_text(spec.max_budget, spec.unit)}.")
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
