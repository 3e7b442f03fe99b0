"""Stores: whole or not at all, on this machine and at URLs, also when writers die, meet, or lose the connection."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from automl_core.errors import RequestError
from automl_core.storage import DamagedError, Store, open_store, remote
from automl_core.storage.remote import StoreError, UrlStore


class FlakyFileSystem(MemoryFileSystem):
    """Raises what it was given, one a call, and says how often it was called."""

    protocol = "flaky"
    raises: list[Exception] = []  # noqa: RUF012 - shared on purpose
    calls = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("flaky://")))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        FlakyFileSystem.calls += 1
        if self.raises:
            raise self.raises.pop(0)
        super().pipe_file(path, value, mode, **kwargs)


@pytest.fixture(params=["directory", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    places = {"directory": tmp_path / "store", "file": f"file://{tmp_path}/store", "memory": f"memory:/{tmp_path}"}
    return open_store(places[request.param])


@pytest.fixture(autouse=True)
def _no_memory_left() -> Iterator[None]:
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    FlakyFileSystem.raises, FlakyFileSystem.calls = [], 0


def write(store: Store, key: str, **files: str) -> None:
    with store.writing(key) as directory:
        for name, content in files.items():
            (directory / name).write_text(content)


def everything(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text() if path.is_file() else "directory"
        for path in directory.rglob("*")
        if path != directory / "manifest.json"
    }


def test_a_directory_appears_whole(store: Store) -> None:
    with store.writing("a/one") as directory:
        (directory / "deep").mkdir()
        (directory / "deep" / "manifest.json").write_text("a file like any other")
        (directory / "empty").mkdir()
        assert not store.has("a/one") and store.keys("a") == []
    assert store.has("a/one") and store.keys("a") == ["a/one"]
    found = everything(store.directory("a/one"))
    assert found == {"deep": "directory", "deep/manifest.json": "a file like any other", "empty": "directory"}


def test_what_raises_leaves_nothing(store: Store) -> None:
    write(store, "a/one", file="content")
    with pytest.raises(ZeroDivisionError), store.writing("a/two") as directory:
        (directory / "file").touch()
        raise ZeroDivisionError
    assert store.children("a") == ["one"] and not store.has("a/two")


def test_the_first_of_two_stays(store: Store) -> None:
    with store.writing("a") as directory:
        (directory / "file").write_text("second")
        write(store, "a", file="first")
    assert everything(store.directory("a")) == {"file": "first"}


def test_an_empty_directory_can_be_kept(store: Store) -> None:
    write(store, "a")
    assert store.has("a") and everything(store.directory("a")) == {} and store.size("a") == 0


def test_keys_children_and_sizes(store: Store) -> None:
    assert store.children("c") == [] and store.keys("c") == [] and store.size("c/7/unit-1") == 0
    write(store, "c/7/unit-1", file="12345", other="67")
    write(store, "c/10/unit-2", file="ü")
    assert store.children("c") == ["10", "7"]
    assert store.keys("c") == [] and store.keys("c/7") == ["c/7/unit-1"]
    assert store.size("c/7/unit-1") == 7 and store.size("c/10/unit-2") == 2 and store.size("c/7") == 0


def test_removing_keys_and_prefixes(store: Store) -> None:
    for key in ("c/7/unit-1", "c/7/unit-2", "c/8/unit-1", "d"):
        write(store, key, file=key)
    store.remove("c/7/unit-1")
    assert store.keys("c/7") == ["c/7/unit-2"]
    store.directory("c/7/unit-2")
    store.remove("c/7")
    store.remove("c/7")
    assert not store.has("c/7/unit-2") and store.children("c") == ["8"]
    with pytest.raises(DamagedError):
        store.directory("c/7/unit-2")
    assert everything(store.directory("c/8/unit-1")) == {"file": "c/8/unit-1"} and store.has("d")


def test_what_was_made_again_is_read_again(store: Store) -> None:
    write(store, "a", file="old")
    store.directory("a")
    store.remove("a")
    write(store, "a", file="new")
    assert everything(store.directory("a")) == {"file": "new"}


def test_it_arrives_in_another_process(store: Store) -> None:
    write(store, "a", file="content")
    arrived = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    assert arrived.location == store.location and everything(arrived.directory("a")) == {"file": "content"}


def test_a_relative_directory_stays_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(open_store("here"))
    monkeypatch.chdir("/")
    assert pickle.loads(sent).location == str(tmp_path / "here")  # noqa: S301 - our own


@pytest.mark.parametrize("damage", ["changed", "missing", "no manifest", "bad manifest", "manifest that leads out"])
def test_damage_is_noticed(damage: str, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    write(store, "key", file="content")
    (file,) = (tmp_path / "key").rglob("file")
    manifest = tmp_path / "key" / "manifest.json"
    leads_out = json.loads(manifest.read_text())
    leads_out["files"] = {"../../outside": leads_out["files"]["file"]}
    {
        "changed": lambda: file.write_text("CONTENT"),
        "missing": file.unlink,
        "no manifest": manifest.unlink,
        "bad manifest": lambda: manifest.write_text("{"),
        "manifest that leads out": lambda: manifest.write_text(json.dumps(leads_out)),
    }[damage]()
    with pytest.raises(DamagedError, match=f"file://{tmp_path}/key must hold what its manifest lists"):
        store.directory("key")
    assert store.has("key") == (damage in ("changed", "missing"))


def test_downloads_are_read_once_and_end_with_the_process(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    write(store, "key", file="content")
    there = store.directory("key")
    (file,) = (tmp_path / "key").rglob("file")
    file.unlink()
    assert store.directory("key") == there, "what fits the manifest is not downloaded again"
    (there / "file").write_text("changed")
    with pytest.raises(DamagedError):
        store.directory("key")
    del store
    assert not there.exists()


WRITING = """
import sys
from automl_core.storage import open_store
with open_store(sys.argv[1]).writing("c/7/unit-1") as directory:
    (directory / "file").write_text(sys.argv[2])
"""


@pytest.mark.parametrize("point", ["store.filled", "store.manifest", "store.renamed"])
@pytest.mark.parametrize("protocol", ["", "file://"])
def test_a_writer_killed_anywhere_leaves_all_or_nothing(protocol: str, point: str, tmp_path: Path) -> None:
    location = f"{protocol}{tmp_path}/store"
    environment = os.environ | {"AUTOML_FAULT": point, "TMPDIR": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", WRITING, location, "first"], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    store = open_store(location)
    committed = point == "store.renamed"
    assert store.has("c/7/unit-1") == committed
    write(store, "c/7/unit-1", file="second")
    assert everything(store.directory("c/7/unit-1")) == {"file": "first" if committed else "second"}
    store.sweep("c")
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) == 2, "a file and its manifest; what the killed one left half-written is gone"
    assert len(everything(store.directory("c/7/unit-1"))) == 1


def test_sweeping_keeps_all_that_is_whole(store: Store) -> None:
    store.sweep("c")
    write(store, "c/7/unit-1", file="content")
    store.sweep("c")
    assert everything(store.directory("c/7/unit-1")) == {"file": "content"}


def test_a_short_breakdown_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    FlakyFileSystem.raises = [ConnectionResetError("gone"), TimeoutError()]
    store = open_store("flaky://bucket")
    write(store, "key", file="content")
    assert FlakyFileSystem.calls == 3 and everything(store.directory("key")) == {"file": "content"}


@pytest.mark.parametrize(
    ("error", "calls"), [(ConnectionResetError("gone"), 3), (PermissionError("denied"), 1), (ValueError("token"), 1)]
)
def test_a_long_breakdown_ends_the_run_but_fails_no_trial(
    error: Exception, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_core.engine.worker import NOT_THE_TRIALS_FAULT

    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    FlakyFileSystem.raises = [error] * 9
    with pytest.raises(StoreError, match=r"^the store must be reachable, but flaky://bucket \(key\)") as raised:
        write(open_store("flaky://bucket"), "key", file="content")
    assert FlakyFileSystem.calls == calls
    assert raised.value.errno == errno.EIO in NOT_THE_TRIALS_FAULT
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # noqa: S301 - our own
    assert not open_store("flaky://bucket").has("key")


def test_unknown_and_missing_protocols_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="unknown protocol of a store 's4'; did you mean"):
        open_store("s4://bucket")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(RequestError, match=r"s3fs.*; install it, on every worker too"):
        open_store("s3://bucket/study")


def test_locations(tmp_path: Path) -> None:
    assert open_store(tmp_path).location == open_store(str(tmp_path)).location == str(tmp_path)
    assert isinstance(open_store("memory://a/"), UrlStore) and open_store("memory://a/").location == "memory://a"
