"""Errors become one line and an exit code."""

from __future__ import annotations

import errno
import sqlite3

import click
import pytest

from automl_cli.failures import explain, guarded
from automl_cli.settings import Settings
from automl_core import ReplayError, RequestError, StudyFailed
from automl_core.journal.database import JournalError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RequestError("eta must be 2;\n raise it"), 2, "eta must be 2; raise it"),
        (click.UsageError("no such option."), 2, "no such option"),
        (StudyFailed("all 3 failed"), 1, "all 3 failed"),
        (ReplayError("other decisions"), 1, "other decisions"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (sqlite3.OperationalError("database or disk is full"), 1, "the disk is full"),
        (caused(RuntimeError("writer failed"), OSError(errno.EDQUOT, "quota")), 1, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "Permission denied: /x"),
        (KeyError("a"), 1, "unexpected KeyError: 'a'; --verbose shows"),
        (AssertionError(), 1, "unexpected AssertionError; --verbose shows"),
    ],
)
def test_every_error_has_a_line_and_a_code(error: Exception, code: int, words: str) -> None:
    line, its_code = explain(error)
    assert its_code == code
    assert words in line
    assert "\n" not in line


def test_a_full_disk_is_said_once() -> None:
    way_out = "free disk space or mend the permissions, then go on with 'automl resume'"
    full = "database or disk is full"
    told = f"the journal w/journal.sqlite must be readable and writable, but: {full}; {way_out}"
    assert explain(caused(JournalError(told), sqlite3.OperationalError(full))) == (told, 1)
    line, _ = explain(caused(StudyFailed("nothing could be kept"), sqlite3.OperationalError(full)))
    assert line == "the disk is full (nothing could be kept); free some space before going on"


def fail(error: BaseException) -> None:
    raise error


def test_no_traceback_unless_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: fail(RequestError("wrong")), Settings()) == 2
    assert capsys.readouterr().err == "error: wrong\n"
    assert guarded(lambda: fail(RequestError("wrong")), Settings(verbose=True)) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("error: wrong\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupts_are_130(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: fail(error), Settings()) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(("given", "code"), [(None, 0), (0, 0), (130, 130), ("text", 0)])
def test_exit_codes_pass_through(given: object, code: int) -> None:
    assert guarded(lambda: given, Settings()) == code


def test_a_closed_pipe_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: fail(BrokenPipeError(errno.EPIPE, "Broken pipe")), Settings()) == 1
    assert capsys.readouterr() == ("", "")
