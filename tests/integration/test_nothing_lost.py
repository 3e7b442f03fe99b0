"""Killed at every fault point, a resumed study ends exactly as one that was never interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killing import killed
from toys import toy_registry

from automl_core import Study
from automl_core.plugins import use_registry
from automl_core.records import Workspace

POINTS = ("journal.written", "journal.committed", "store.filled", "store.manifest", "store.renamed")
SETTINGS: dict[str, Any] = {
    "space": "toy",
    "evaluator": "taught",
    "trials": 4,
    "max_budget": 4,
    "name": "study",
    "options": {"space": {"digits": 4}, "evaluator": {"fail": [2]}},
}


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry()):
        yield


def run(workspace: Path, kind: str) -> None:
    Study(workspace=workspace, **SETTINGS | {"options": {**SETTINGS["options"], "searcher": {"kind": kind}}}).run()


def ended(workspace: Path) -> Any:
    return Workspace(workspace).record("study").to_json(times=False)


def resume_or_begin(workspace: Path, kind: str) -> None:
    known = Workspace(workspace)
    if known.exists() and known.studies():
        Study.resume("study", workspace=workspace)
    else:  # killed before the study's row was there: nothing had been promised yet
        run(workspace, kind)


@pytest.mark.parametrize("kind", ["stop", "promote"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_then_resumed_equals_uninterrupted(point: str, kind: str, tmp_path: Path) -> None:
    run(tmp_path / "whole", kind)
    expected = ended(tmp_path / "whole")
    assert {trial["role"] for trial in expected["trials"]} == {"candidate", "support"}
    passage = 1
    while True:
        workspace = tmp_path / f"{point}-{passage}"
        if not killed(lambda: run(workspace, kind), point, passage):  # noqa: B023 - called at once
            break
        resume_or_begin(workspace, kind)
        assert ended(workspace) == expected, f"killed at passage {passage} of {point}"
        passage += 1
    assert passage > 5, "the point was hardly passed: this test shows nothing"


def test_killed_again_and_again_while_resuming(tmp_path: Path) -> None:
    run(tmp_path / "whole", "promote")
    workspace = tmp_path / "often"
    kills = 0
    while killed(lambda: resume_or_begin(workspace, "promote"), "journal.committed", 3):
        kills += 1
    assert kills > 3
    assert ended(workspace) == ended(tmp_path / "whole")


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    assert killed(lambda: run(tmp_path, "stop"), "store.manifest", 2)
    assert list(tmp_path.rglob(".tmp-*"))
    Study.resume("study", workspace=tmp_path)
    assert not list((tmp_path / "checkpoints").rglob(".tmp-*"))
