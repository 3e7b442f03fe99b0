"""One workspace's SQLite file: opened, migrated, and written in short immediate transactions."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from automl_core import faults
from automl_core.errors import AutomlError, RequestError
from automl_core.journal.migrations import MIGRATIONS

log = logging.getLogger(__name__)

BUSY_SECONDS = 30.0
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "gpfs", "beegfs", "ceph", "fuse.glusterfs", "9p"}
)


class JournalError(AutomlError, OSError):
    """The journal cannot be read or written now: a full disk, a lock held too long, a damaged file (exit code 1)."""


class Database:
    """The journal's file.

    Write-ahead logging with ``synchronous=NORMAL``: a killed process loses nothing; a power cut may lose the last
    transactions and never corrupts. On a network file system, where write-ahead logging is unsafe, the rollback
    journal is used instead, and that is logged once.

    Args:
        path: The file.
        create: Make it when it is missing.

    Raises:
        RequestError: When the file is missing, no journal, or written by a newer version.
        JournalError: When it cannot be opened or written.
    """

    def __init__(self, path: Path, create: bool) -> None:
        self.path = path
        if not create and not path.exists():
            raise RequestError(f"a workspace holds a journal, but there is none at {path}; pass --workspace DIR")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(
                f"a workspace must be a directory that can be made, but {path.parent}: {error.strerror}; "
                "pass --workspace DIR"
            ) from error
        self.read_only = not create and not os.access(path.parent, os.W_OK)
        try:
            if self.read_only:
                # Without a write-ahead log beside it nothing can be missing, and none can be made.
                rest = "?mode=ro" if path.with_name(path.name + "-wal").exists() else "?mode=ro&immutable=1"
                uri = path.resolve().as_uri() + rest
                self.connection = sqlite3.connect(uri, timeout=BUSY_SECONDS, isolation_level=None, uri=True)
            else:
                self.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from error
        try:
            self._prepare()
        except BaseException as error:
            self.connection.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise self._explained(error) from error
            raise

    def _prepare(self) -> None:
        version = self._version()
        if version > len(MIGRATIONS):
            raise RequestError(
                f"a workspace must not be newer than this version of automl, but {self.path} has schema {version} and "
                f"this version knows {len(MIGRATIONS)}; upgrade automl-graph or choose another --workspace"
            )
        if self.read_only:
            return
        if version == len(MIGRATIONS):
            self._configure()
            return
        # SQLite does not wait where two connections switch to write-ahead logging at once: one at a time, here.
        with FileLock(self.path.with_suffix(".lock"), timeout=BUSY_SECONDS):
            self._configure()
            self._migrate()

    def _configure(self) -> None:
        mode = "WAL"
        if file_system(self.path) in NETWORK_FILE_SYSTEMS:
            mode = "TRUNCATE"
            log.warning("%s lies on a network file system: the journal uses a rollback log, which is slower", self.path)
        self.connection.execute(f"PRAGMA journal_mode={mode}")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute("PRAGMA foreign_keys=ON")

    def _version(self) -> int:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _migrate(self) -> None:
        # executescript would commit by itself, so that two processes could migrate at once: statements one by one.
        with self.transaction():
            for number in range(self._version(), len(MIGRATIONS)):
                for statement in MIGRATIONS[number].split(";\n"):
                    if statement.strip():
                        self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version={number + 1}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is written, or nothing; begun immediately, so that a second writer waits outside."""
        self.require_writable()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            faults.point("journal.written")
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
                raise self._explained(error) from error
            raise
        faults.point("journal.committed")

    def require_writable(self) -> None:
        """Refuses to write where only reading is possible.

        Raises:
            RequestError: When the workspace is read-only.
        """
        if self.read_only:
            raise RequestError(
                f"a workspace must be writable for this, but {self.path.parent} can only be read; copy it, or mend its "
                "permissions"
            )

    def _explained(self, error: sqlite3.DatabaseError) -> AutomlError:
        """Says what a failure of SQLite means for the user."""
        if isinstance(error, sqlite3.OperationalError):
            return JournalError(
                f"the journal {self.path} must be readable and writable, but: {error}; free disk space or mend the "
                "permissions, then go on with 'automl resume'"
            )
        return RequestError(
            f"{self.path} must be a whole journal, but is none of this project's or is damaged: {error}; put back a "
            "copy of it, or choose another --workspace"
        )

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Gives all rows of a query.

        Raises:
            JournalError: When the file cannot be read now.
            RequestError: When it is damaged.
        """
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from error

    def close(self) -> None:
        self.connection.close()


def file_system(path: Path, mounts: Callable[[], str] | None = None) -> str:
    """Names the type of the file system that ``path`` is on; empty where that cannot be told.

    Args:
        path: Any path.
        mounts: Gives a table in the form of ``/proc/mounts``.
    """
    try:
        table = mounts() if mounts else Path("/proc/mounts").read_text()
    except OSError:
        return ""
    absolute = str(path.resolve())
    best, kind = "", ""
    for line in table.splitlines():
        _, mount, its_kind, *_ = line.split()
        inside = absolute == mount or absolute.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, its_kind
    return kind
