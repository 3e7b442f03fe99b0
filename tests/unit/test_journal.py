"""The journal's file, and directories that are there whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from pathlib import Path

import pytest

from automl_core import RequestError
from automl_core.journal import Database, StudyJournal
from automl_core.journal import database as database_module
from automl_core.journal.database import JournalError, file_system
from automl_core.journal.study import rows
from automl_core.storage import MANIFEST, DamagedError, Store

MOUNTS = """
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/local xfs rw 0 0
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"), [("/etc", "ext4"), ("/home/me", "nfs4"), ("/home/local/me", "xfs"), ("/homely", "ext4")]
)
def test_file_system_of_a_path(path: str, kind: str) -> None:
    assert file_system(Path(path), lambda: MOUNTS) == kind


def test_write_ahead_log_on_disk_and_a_rollback_log_on_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mode(name: str) -> str:
        (found,) = Database(tmp_path / name, create=True).connection.execute("PRAGMA journal_mode").fetchone()
        return str(found)

    assert mode("local.sqlite") == "wal"
    monkeypatch.setattr(database_module, "file_system", lambda path: "nfs4")
    with caplog.at_level(logging.WARNING):
        assert mode("remote.sqlite") == "truncate"
    assert [record.message.count("network file system") for record in caplog.records] == [1]


def test_many_processes_make_one_workspace(tmp_path: Path) -> None:
    def make(name: str) -> int:
        child = os.fork()
        if child == 0:  # pragma: no cover - the child leaves without cleaning up
            try:
                StudyJournal.create(Database(path, create=True), name, {})
                os._exit(0)
            except BaseException:
                os._exit(70)
        return child

    for attempt in range(5):
        path = tmp_path / str(attempt) / "journal.sqlite"
        children = [make(f"study {number}") for number in range(8)]
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
        assert len(rows(Database(path, create=False))) == 8


def test_a_transaction_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    journal = StudyJournal.create(Database(tmp_path / "journal.sqlite", create=True), "study", {})
    with pytest.raises(ZeroDivisionError), journal.transaction():
        journal.append("extend", {"trials": 1})
        raise ZeroDivisionError
    with journal.transaction():
        journal.append("extend", {"trials": 2})
        journal.append("extend", {"trials": 3})
    assert list(journal.events()) == [("extend", {"trials": 2}), ("extend", {"trials": 3})]
    again = StudyJournal.open(Database(tmp_path / "journal.sqlite", create=False), "study")
    with again.transaction():
        again.append("extend", {"trials": 4})
    assert [payload["trials"] for _, payload in journal.events()] == [2, 3, 4]


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    journal = StudyJournal.create(Database(tmp_path / "journal.sqlite", create=True), "study", {})
    journal.database.connection.execute("PRAGMA query_only=ON")
    with pytest.raises(JournalError, match="free disk space or mend the permissions, then go on with 'automl resume'"):
        journal.set_status("finished")


def test_a_full_journal_loses_nothing_that_was_there(tmp_path: Path) -> None:
    journal = StudyJournal.create(Database(tmp_path / "journal.sqlite", create=True), "study", {})
    (pages,) = journal.database.connection.execute("PRAGMA page_count").fetchone()
    journal.database.connection.execute(f"PRAGMA max_page_count={pages}")
    with journal.transaction():
        journal.append("extend", {"trials": 1})
    with pytest.raises(JournalError, match="full"), journal.transaction():
        for _ in range(100):
            journal.append("extend", {"trials": 2, "padding": "x" * 4096})
    assert list(journal.events()) == [("extend", {"trials": 1})]


def test_a_missing_journal_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is none at"):
        Database(tmp_path / "nowhere" / "journal.sqlite", create=False)
    assert not list(tmp_path.iterdir())


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing("a/one") as directory:
        (directory / "deep").mkdir()
        (directory / "deep" / "file").write_text("content")
        assert not store.has("a/one") and store.keys("a") == []
    assert store.keys("a") == ["a/one"]
    assert (store.directory("a/one") / "deep" / "file").read_text() == "content"
    with pytest.raises(ZeroDivisionError), store.writing("a/two"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["one"]
    with store.writing("a/one") as directory:
        (directory / "other").touch()
    assert not (tmp_path / "a" / "one" / "other").exists(), "the first one stays"
    store.remove("a/one")
    store.remove("a/one")
    assert store.keys("a") == []


@pytest.mark.parametrize("damage", ["changed", "missing", "more", "no manifest", "bad manifest"])
def test_damage_is_noticed(damage: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing("key") as directory:
        (directory / "file").write_text("content")
    kept = tmp_path / "key"
    {
        "changed": lambda: (kept / "file").write_text("CONTENT"),
        "missing": lambda: (kept / "file").unlink(),
        "more": lambda: (kept / "more").touch(),
        "no manifest": lambda: (kept / MANIFEST).unlink(),
        "bad manifest": lambda: (kept / MANIFEST).write_text("{"),
    }[damage]()
    with pytest.raises(DamagedError, match="must hold what its manifest lists"):
        store.directory("key")


def test_a_study_row_holds_its_spec(tmp_path: Path) -> None:
    spec = {"space": {"name": "ktg"}, "numbers": [1, 2.5, None, True]}
    StudyJournal.create(Database(tmp_path / "journal.sqlite", create=True), "study", spec)
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        (text,) = connection.execute("SELECT spec FROM studies").fetchone()
    assert json.loads(text) == spec
