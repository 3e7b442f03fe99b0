"""``automl replay``: which decisions of a study another estimator would have changed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from automl_cli.requests import parse_settings
from automl_cli.settings import Settings
from automl_core.auditing import MEASURED

if TYPE_CHECKING:
    from automl_core.replaying import Replay, RungReplay, Standing

SHOWN = 20
"""How many lines about changed decisions are printed; --json has all of them."""


@click.command("replay")
@click.argument("study")
@click.option(
    "--estimator", "estimators", multiple=True, metavar="NAME", help="A recorded one, or one of curves alone."
)
@click.option(
    "--set", "settings_given", metavar="estimator.OPTION=VALUE", multiple=True, help="An option of the estimator."
)
@click.pass_obj
def command(settings: Settings, study: str, estimators: tuple[str, ...], settings_given: tuple[str, ...]) -> None:
    """Rank STUDY by another estimator, and say which decisions would have changed.

    Every rung is decided anew for the trials that came there. Nothing is trained and nothing is written.
    """
    from automl_cli.output import print_json
    from automl_core import RequestError, Study
    from automl_core.records import Workspace

    if len(estimators) > 1:
        raise RequestError(
            f"a replay takes one estimator, but got {' and '.join(estimators)}; replay the study once for each"
        )
    estimator = next(iter(estimators), "")
    given = Workspace(settings.workspace).record(study).spec.objects
    if given:
        arguments = ", ".join(f"{kind}=..." for kind in given)
        raise RequestError(
            f"study {study!r} holds Python objects ({', '.join(given)}), which no journal can hold; replay it from "
            f"Python: Study.load({study!r}, {arguments}).replay({estimator!r})"
        )
    loaded = Study.load(study, workspace=settings.workspace)
    found = loaded.replay(estimator, parse_settings(settings_given))
    if settings.json:
        print_json(found.to_json())
    else:
        _print(found, loaded.spec.unit)


def _print(found: Replay, unit: str) -> None:
    from automl_cli.output import heading

    how = "from the curves" if found.computed else "as recorded"
    click.echo(heading(f"study {found.study}, ranked by {found.ranking}, replayed with {found.estimator} {how}"))
    if found.rungs:
        click.echo(_rungs(found, unit))
        lines = [line for rung in found.rungs for line in _changes(found, rung, unit)]
        if lines:
            click.echo("\n" + "\n".join(f"  {line}" for line in lines[:SHOWN]))
        if len(lines) > SHOWN:
            click.echo(f"  and {len(lines) - SHOWN} more; --json has all of them")
    click.echo("\n" + _summary(found))
    click.echo(_best(found, unit))
    for note in found.notes:
        click.echo(f"note: {note}")


def _rungs(found: Replay, unit: str) -> str:
    from automl_cli.output import agreement, budget_text, table
    from automl_core.auditing import furthest

    audits = {one.budget: one for one in furthest(found.audit)}
    titles = (unit, "came", "went on", "same", "instead", "tau", f"tau of {found.estimator}")
    rows = []
    for rung in found.rungs:
        would = ("-", "-") if rung.error else (str(rung.same), str(len(rung.instead)))
        taus = tuple(agreement(audits[rung.budget].tau[which]) for which in ("recorded", "replayed"))
        rows.append((str(rung.budget), str(rung.came), str(rung.went_on), *would, *taus))
    told = "  same, instead: would have gone on; tau: agreement of either with later values"
    lines = [f"  not replayed at {budget_text(one.budget, unit)}: {one.error}" for one in found.rungs if one.error]
    return "\n".join([table(titles, rows, right=titles), told, *lines])


def _changes(found: Replay, rung: RungReplay, unit: str) -> Iterator[str]:
    """Pairs those that would have gone on with those that would not, best first."""
    from automl_cli.output import budget_text

    def placed(one: Standing) -> str:
        where = f"rank {one.replayed_rank} of {rung.came} at {budget_text(rung.budget, unit)}"
        return f"trial {one.trial} ({_values(found, one.replayed)}, {where})"

    for comes, goes in zip_longest(rung.instead, rung.no_more):
        if comes is None:
            yield f"{placed(goes)} would not have gone on"
        else:
            yield f"{placed(comes)} would have gone on" + (f", trial {goes.trial} not" if goes else "")


def _summary(found: Replay) -> str:
    from automl_cli.output import counted

    if not found.rungs:
        return "Trials are compared once complete alone, so that no decision depends on estimates but the final choice."
    if found.changed:
        return f"{found.changed:,} of {counted(found.decisions, 'decision')} would have changed."
    return f"No decision would have changed, of {found.decisions:,}."


def _best(found: Replay, unit: str) -> str:
    from automl_cli.output import budget_text

    if not found.best:
        return "No trial has a value yet, so that there is none to choose."
    trials, others = ([one.trial for one in best] for best in (found.best, found.best_instead))
    alone = len(found.objectives) == 1
    sentence = f"{'The best trial' if alone else 'The front'} at {budget_text(found.budget, unit)} would have been"
    if trials == others:
        sentence = f"{sentence} the same, {_numbers(trials, alone)}."
    else:
        sentence = f"{sentence} {_numbers(others, alone) or 'none'} instead of {_numbers(trials, alone)}."
    return f"{sentence}\n{_what_was_made_of(found)}" if alone else sentence


def _numbers(trials: list[int], alone: bool) -> str:
    return ", ".join(f"trial {number}" if alone else str(number) for number in trials)


def _what_was_made_of(found: Replay) -> str:
    """Sets side by side what ranked the best trials, what would have, and what was measured."""
    from automl_cli.output import table

    names = list(dict.fromkeys((found.ranking, found.estimator, MEASURED)))
    rows = []
    for one in dict.fromkeys((*found.best_instead, *found.best)):
        told = {MEASURED: one.measured, found.ranking: one.recorded, found.estimator: one.replayed}
        rows.append((str(one.trial), *(_values(found, told[name]) for name in names)))
    return table(("trial", *names), rows, right=("trial", *names))


def _values(found: Replay, values: tuple[float, ...]) -> str:
    from automl_cli.output import number

    if not all(map(math.isfinite, values)):
        return "no estimate"
    return ", ".join(number(one.metric, value) for one, value in zip(found.objectives, values, strict=True))
