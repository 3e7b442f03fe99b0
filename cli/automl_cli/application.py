"""The ``automl`` command: finds subcommands when they are asked for, and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from automl_cli.failures import guarded
from automl_cli.logs import logging_to_terminal
from automl_cli.settings import Settings, attach, disable_plugin_option
from automl_core import __version__
from automl_core.errors import RequestError, unknown

COMMANDS = {
    "run": "Start a study: automl run --space ktg --searcher asha.",
    "resume": "Go on with a study, or extend a finished one.",
    "studies": "List the studies of the workspace.",
    "show": "Show a study: trials, rungs, failures.",
    "best": "Show the best configuration found, or the Pareto front.",
    "retrain": "Train a found configuration for good and test it.",
    "export": "Write a trained network to a directory.",
    "refine": "Narrow a search space step by step, then search all that is left.",
    "replay": "Rank a study by another estimator: what would have changed?",
    "delete": "Remove a study with its checkpoints.",
    "plugins": "List plugins and the parts that they bring.",
    "describe": "Describe a part: its options and what they mean.",
}
"""The built-in commands in the order of a user's way, each with its line in ``automl --help``.

Each is ``automl_cli.commands.NAME:command``; the lines stand here so that listing them imports none.
"""


class Application(click.Group):
    """A group whose commands are imported at first use, those of plugins included."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(name for name, _ in _plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = import_module(f"automl_cli.commands.{cmd_name}").command
            return attach(command)
        from automl_core.plugins import get_registry

        registry = get_registry()
        if cmd_name not in registry.names("command"):
            return None
        command = registry.load("command", cmd_name)
        if not isinstance(command, click.Command):
            raise RequestError(
                f"a command must be a click command, but {cmd_name!r} is {type(command).__name__}; mend or update "
                f"plugin {registry.entry('command', cmd_name).plugin!r}"
            )
        return attach(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise unknown("command", name, self.list_commands(ctx), "'automl --help' lists all")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands by their summaries, so that none of them is imported."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        try:
            added = _plugin_commands()
        except RequestError as error:
            added = []
            click.echo(f"warning: {error}", err=True)
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(added)

    def invoke(self, ctx: click.Context) -> None:
        """Drops what a command returns: an exit code is given by ``ctx.exit`` or an error alone."""
        super().invoke(ctx)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line; in standalone mode it ends the process with the exit code."""
        settings = extra.setdefault("obj", Settings())
        if os.environ.get("NO_COLOR"):
            extra.setdefault("color", False)
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        _never_fail_on_encoding()
        with logging_to_terminal(settings):
            code = guarded(run, settings)
        sys.exit(code)


def _plugin_commands() -> list[tuple[str, str]]:
    """Gives name and summary of the commands that plugins add; a built-in command's name cannot be taken."""
    from automl_core.plugins import get_registry

    return [(entry.name, entry.summary) for entry in get_registry().entries("command") if entry.name not in COMMANDS]


def _never_fail_on_encoding() -> None:
    """Makes characters that the terminal's encoding lacks into question marks rather than errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


@click.group(
    cls=Application,
    params=[disable_plugin_option()],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted.",
)
@click.version_option(__version__, prog_name="automl", message="%(prog)s %(version)s")
def application() -> None:
    """Searches for neural networks, and for how networks teach one another.

    Begin with: automl run --space ktg --searcher asha
    """
