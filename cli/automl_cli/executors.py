"""Where jobs run: the flags that ``run``, ``resume`` and ``retrain`` share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from automl_cli.requests import Options
from automl_core.errors import RequestError

DASK = "dask"
_ADDRESS = re.compile(r"[a-z]+://(?:\[[0-9a-f:.%]+\]|[^\s:/\[\]]+):(?P<port>\d+)/?", re.IGNORECASE)

Command = TypeVar("Command", bound=Callable[..., Any])


def executor_flags(executor: str, workers: str) -> Callable[[Command], Command]:
    """Declares ``--executor``, ``--workers`` and ``--dask``.

    Args:
        executor: What holds without ``--executor``, for the help.
        workers: What holds without ``--workers``, for the help.
    """
    options = (
        click.option(
            "--executor", metavar="NAME", help=f"Where jobs run: serial, dask or simulated.  [default: {executor}]"
        ),
        click.option(
            "--workers",
            type=int,
            help=f"How many jobs run at once; more than 1 by dask, or in simulated time.  [default: {workers}]",
        ),
        click.option(
            "--dask",
            metavar="ADDRESS",
            callback=_address,
            help="A running Dask scheduler, tcp://host:port, whose workers run the jobs.",
        ),
    )

    def declared(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return declared


def _address(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Reads a scheduler's address.

    Raises:
        RequestError: When it has another form.
    """
    if text is None:
        return None
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) < 2**16:
        raise RequestError(
            f"--dask takes the address of a running scheduler, such as tcp://127.0.0.1:8786, but got {text!r}; "
            "'dask scheduler' prints its own when it starts"
        )
    return text.strip()


def chosen_executor(context: click.Context, executor: str | None, dask: str | None) -> tuple[str | None, Options]:
    """Gives the executor's name and options; ``--dask`` implies the executor of that name.

    Where a study file and the command line differ, the command line wins.

    Raises:
        RequestError: When both name different executors in the same place.
    """
    if dask is None:
        return executor, {}
    if executor not in (None, DASK):
        on_command_line = [
            name for name in ("executor", "dask") if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ]
        if on_command_line == ["executor"]:
            return executor, {}
        if on_command_line != ["dask"]:
            raise RequestError(
                f"--dask runs jobs on a Dask scheduler, but the executor {executor!r} was asked for as well; leave one "
                "of --dask and --executor out"
            )
    return DASK, {"executor": {"address": dask}}
