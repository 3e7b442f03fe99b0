"""The library logs; here its warnings become one line each on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from automl_cli.settings import Settings


class _OneLine(logging.Handler):
    """Writes ``warning: message``; to whatever standard error is then, since a live view may stand in for it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        text = record.getMessage() if self.settings.verbose else " ".join(record.getMessage().split())
        if record.exc_info and self.settings.verbose:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        try:
            colour = "yellow" if record.levelno >= logging.WARNING else None
            click.echo(f"{click.style(level, fg=colour)}: {text}", file=sys.stderr)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nobody reads standard error: nothing to be done about it."""


@contextmanager
def logging_to_terminal(settings: Settings) -> Iterator[None]:
    """Shows log records for as long as a command runs."""
    root = logging.getLogger()
    before = root.level
    handler = _OneLine(settings)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
