"""Directories for results: whatever they are called, they get everything or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_core import RequestError
from automl_core.new_directories import check_new, new_directory


def write(directory: str) -> None:
    check_new(Path(directory), "a result")
    with new_directory(Path(directory), "a result") as temporary:
        (temporary / "within").mkdir()
        (temporary / "within" / "file").write_text("all")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here" / "empty").mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "here" / "empty")
    (tmp_path / "here" / "dangling").symlink_to(tmp_path / "here" / "nowhere")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize(
    "directory", ["new", "new/below", "empty", "empty/.", "empty/../new", "link", "dangling", "../other", "n" * 250]
)
def test_a_directory_gets_everything_and_nothing_else_is_left(directory: str, here: Path) -> None:
    before = {path.name for path in here.iterdir()}
    write(directory)
    assert [path.relative_to(directory).as_posix() for path in Path(directory).rglob("*")] == ["within", "within/file"]
    assert not [path.name for path in here.parent.rglob(".*")]
    assert before <= {path.name for path in here.iterdir()}


@pytest.mark.parametrize("directory", [".", "../here/empty"])
def test_an_empty_directory_stays_where_somebody_works(
    directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "here" / "empty")
    if directory != ".":
        directory = f"../{directory}"
    before = Path.cwd().stat().st_ino
    write(directory)
    assert Path.cwd().stat().st_ino == before
    assert [path.name for path in Path.cwd().iterdir()] == ["within"]


@pytest.mark.parametrize("directory", ["used", "used/file", "used/file/below", "/proc/below", "loop", "n" * 300])
def test_what_cannot_be_written_is_refused_before_anything_is_done(directory: str, here: Path) -> None:
    (here / "used").mkdir()
    (here / "used" / "file").touch()
    (here / "loop").symlink_to("loop")
    before = sorted(here.rglob("*"))
    with pytest.raises(RequestError, match=f"a result needs a .*directory.*{directory}.*; choose another"):
        check_new(Path(directory), "a result")
    with (
        pytest.raises(RequestError, match="choose another"),
        new_directory(Path(directory), "a result"),
    ):
        pytest.fail("nothing may be written")
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("directory", ["new", "empty", "."])
def test_a_failure_leaves_nothing(directory: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here / "empty")
    before = sorted(here.rglob("*"))
    with pytest.raises(OSError, match="full"), new_directory(Path(directory), "a result") as temporary:
        (temporary / "file").touch()
        raise OSError("the disk is full")
    assert sorted(here.rglob("*")) == before
