"""Directories for results: new or empty ones, that get everything or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from automl_core.errors import RequestError


def check_new(directory: Path, what: str) -> None:
    """Refuses a directory that is in use, or cannot be made and written; nothing is left behind.

    Args:
        directory: The directory, which need not be there.
        what: What needs it, for errors: "an export".

    Raises:
        RequestError: When it is none to write into.
    """
    with _writable(directory, what):
        place = _absolute(directory)
        if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
            raise RequestError(f"{what} needs a new or empty directory, but {directory} is not; choose another")
        with TemporaryDirectory(prefix=".", dir=next(one for one in (place, *place.parents) if one.exists())):
            """It can be written."""


@contextmanager
def new_directory(directory: Path, what: str) -> Iterator[Path]:
    """Gives a temporary directory, whose content is that of another one when the block has ended well.

    An empty directory that is there stays the same one: it may be where somebody works, or where a disk is mounted.

    Args:
        directory: Where the content is to be.
        what: What needs it, for errors.

    Raises:
        RequestError: As for :func:`check_new`.
    """
    check_new(directory, what)
    place = _absolute(directory)
    name = f".{place.name[:40]}.{os.getpid()}.partial"  # no longer than names can be
    temporary = place / name if place.exists() else place.with_name(name)
    try:
        with _writable(directory, what):
            temporary.mkdir(parents=True)
        yield temporary
        if temporary.parent == place:
            for one in list(temporary.iterdir()):
                one.rename(place / one.name)
        else:
            temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _absolute(directory: Path) -> Path:
    """Gives the path that says what the last directory is called, which "." does not."""
    return Path(os.path.realpath(directory))


@contextmanager
def _writable(directory: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RequestError(
            f"{what} needs a directory that can be written, but {directory}: {error.strerror}; choose another"
        ) from error
