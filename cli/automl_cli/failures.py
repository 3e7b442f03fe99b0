"""What becomes of errors: one clear line on standard error, and the exit code.

0 done, 1 the work failed, 2 the request was wrong, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TextIO

import click

from automl_cli.settings import Settings
from automl_core.errors import AutomlError, RequestError

DONE = 0
FAILED = 1
WRONG_REQUEST = 2
INTERRUPTED = 130

_FULL_DISK = ("no space left on device", "disk is full", "disk quota exceeded")


def guarded(work: Callable[[], object], settings: Settings) -> int:
    """Runs a command and gives the exit code; whatever it raises is reported in one line.

    Args:
        work: Gives an exit code, or anything else when it is done.
        settings: Read after ``work``, since parsing the command line fills it.
    """
    try:
        code = work()
        return code if isinstance(code, int) else DONE
    except (click.Abort, KeyboardInterrupt):
        _line("interrupted", "yellow")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort of the program: a line and an exit code, not a traceback
        return _report(error, settings)


def _report(error: Exception, settings: Settings) -> int:
    if isinstance(error, BrokenPipeError):
        _silence_output()
        return FAILED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return WRONG_REQUEST
    if settings.verbose and not isinstance(error, click.ClickException):
        _write("".join(traceback.format_exception(error)))
    message, code = explain(error)
    _line(f"error: {message}", "red")
    if _is_full_disk(error):
        _silence_output()
    return code


def explain(error: Exception) -> tuple[str, int]:
    """Gives the line that says what went wrong, and the exit code."""
    if isinstance(error, click.UsageError):
        way_out = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        return _one_line(error.format_message()).rstrip(".") + way_out, error.exit_code
    if isinstance(error, click.ClickException):
        return _one_line(error.format_message()), error.exit_code
    is_ours, message = isinstance(error, AutomlError), _one_line(str(error))
    if _is_full_disk(error) and not (is_ours and _says_full_disk(message)):
        return f"the disk is full ({message}); free some space before going on", FAILED
    if is_ours:
        return message, WRONG_REQUEST if isinstance(error, RequestError) else FAILED
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}; --verbose shows where it happened", FAILED
    reason = _one_line(f"{type(error).__name__}: {error}").rstrip(": ")
    return f"unexpected {reason}; --verbose shows where it happened", FAILED


def _is_full_disk(error: BaseException) -> bool:
    """Whether a full disk is behind an error; SQLite, torch and safetensors each say so in their own way."""
    return any(
        (isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT))
        or (not isinstance(one, RequestError) and _says_full_disk(str(one)))
        for one in _causes(error)
    )


def _says_full_disk(message: str) -> bool:
    return any(words in message.lower() for words in _FULL_DISK)


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _line(text: str, colour: str) -> None:
    head, colon, rest = text.partition(":")
    _write(click.style(head, fg=colour, bold=True) + colon + rest + "\n")


def _write(text: str) -> None:
    try:
        click.echo(text, err=True, nl=False)
    except OSError:
        _silence(sys.stderr)  # nobody reads it; the exit code still tells


def _silence_output() -> None:
    """Keeps Python from complaining at its exit about text that nobody takes any more."""
    _silence(sys.stdout)
    _silence(sys.stderr)


def _silence(stream: TextIO | None) -> None:
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
