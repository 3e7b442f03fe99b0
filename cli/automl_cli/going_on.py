"""The exact commands to go on with, as they can be pasted into a shell."""

from __future__ import annotations

import shlex

from automl_cli.settings import Settings

REFINE = "refine"
"""The searcher of refinements, which have commands of their own."""


def command_line(settings: Settings, *words: str) -> str:
    """Writes a command line of ``automl``, with the workspace if one was given."""
    where = ("--workspace", str(settings.workspace)) if settings.workspace is not None else ()
    return shlex.join(("automl", *words, *where))


def steps(
    settings: Settings, name: str, more: int | None, leader: int | None = None, trains: bool = True
) -> list[tuple[str, str]]:
    """Gives the commands that follow a study, each with what it does.

    Args:
        settings: The shared options.
        name: The study's name.
        more: How many trials it can be extended to; None when there are no more.
        leader: Where there are several objectives, the first trial of the front.
        trains: Whether there are networks to retrain and to export.
    """
    which = "the best" if leader is None else "the front's first (--trial N: another)"
    one = [] if leader is None else [(command_line(settings, "best", name, "--trial", str(leader)), "one of the front")]
    networks = [
        (command_line(settings, "retrain", name), f"train {which} on all training data, test it"),
        (command_line(settings, "export", name, f"{name}-model"), "its weights, description and model card"),
    ]
    return [
        *one,
        (command_line(settings, "show", name), "all trials, rungs and failures"),
        *(networks if trains else []),
        *([] if more is None else [(command_line(settings, "resume", name, "--trials", str(more)), "search on")]),
    ]
