"""What ``automl run --dry-run`` prints."""

from __future__ import annotations

from typing import Any

import click

from automl_cli.output import budgets_text, counted, facts, heading, print_json, seconds, value_text
from automl_cli.settings import Settings


def print_plan(settings: Settings, plan: dict[str, Any]) -> None:
    """Prints what a study would do."""
    if settings.json:
        print_json(plan)
        return
    unit = plan["unit"]
    cost, estimated = plan["seconds_per_unit"], plan["estimated_seconds"]
    simulated = " of simulated time" if plan["executor"] == "simulated" else ""
    click.echo(heading(f"study {plan['name']} would run; nothing was started"))
    click.echo(
        facts(
            [
                ("space", f"{plan['space']}, {_size(plan)}"),
                ("searcher", plan["searcher"]),
                ("objective" if len(plan["objectives"]) == 1 else "objectives", ", ".join(plan["objectives"])),
                ("constraints", ", ".join(plan["constraints"])),
                ("trials", "as many as the searcher asks for" if plan["trials"] is None else f"{plan['trials']:,}"),
                ("budgets", budgets_text(plan["min_budget"], plan["max_budget"], unit)),
                ("rungs", ", ".join(map(str, plan["rungs"])) + f" {unit}" if len(plan["rungs"]) > 1 else ""),
                ("data", _data(plan.get("dataset") or {})),
                ("preset", plan["preset"]),
                ("executor", f"{plan['executor']}, {counted(plan['workers'], 'worker')}"),
                ("device", f"{plan['device']}, threads {plan['threads']}"),
                ("cost", "" if cost is None else f"about {seconds(cost)} for one of the {unit} of a typical trial"),
                ("shared", _shared(plan)),
                ("time", "unknown" if estimated is None else f"about {seconds(estimated)}{simulated}"),
            ]
        )
    )
    for note in plan["notes"]:
        click.echo(f"  {note}")


def _shared(plan: dict[str, Any]) -> str:
    """Writes what trials build on; nothing where they build on nothing."""
    trainings = plan["shared_trainings"]
    if not trainings:
        return ""
    return f"{plan['shared_units']:,} {plan['unit']} of {counted(trainings, 'network')} that trials build on"


def _size(plan: dict[str, Any]) -> str:
    """Writes how large the space is; how much of it keeps constraints is known only once all of it was looked at."""
    many = "infinitely many" if plan["size"] is None else f"{plan['size']:,}"
    return f"{many} configurations" + (" before constraints" if plan["constraints"] else "")


def _data(described: dict[str, Any]) -> str:
    """Writes a data set's description in one line; long lists, such as class names, are left out."""
    shown = {name: value for name, value in described.items() if not isinstance(value, list) or len(value) < 4}
    name = shown.pop("name", "")
    rest = ", ".join(f"{key} {value_text(value)}" for key, value in shown.items())
    return f"{name}: {rest}" if name and rest else str(name or rest)
