"""The evidence on refinement, at a scale at which nothing is measured: it counts right and takes up where it was."""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
CELLS = ["--part", "cells", "--datasets", "cifar10", "--repeats", "1", "--processes", "1"]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Imports benchmarks as scripts do, and leaves nothing of it: their names are common ones."""
    environment = dict(os.environ)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)
    for name in set(os.environ) - set(environment):
        del os.environ[name]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A directory like benchmarks/, with the README's markers alone."""
    (tmp_path / "README.md").write_text("<!-- evidence-refine: begin -->\n<!-- evidence-refine: end -->\n")
    return tmp_path


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_searches_of_cells_are_told_once_and_go_on(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evidence = module("evidence_refine")
    given = [*CELLS, "--contenders", "refine, auc", "random", "--results", str(results)]
    assert evidence.main([*given, "--minutes", "0"]) == 1
    assert evidence.main(given) == 0
    record = results / "evidence" / "refine.jsonl"
    lines = record.read_text().splitlines()
    assert len(lines) == 2
    record.write_text(lines[0] + "\n" + lines[1][:40])  # killed while it wrote the last line
    capsys.readouterr()
    assert evidence.main(given) == 0
    assert "2 searches of cells, 1 of them done before" in capsys.readouterr().out
    first, again = json.loads(lines[1]), json.loads(record.read_text().splitlines()[2])
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    document = json.loads((results / "results" / "evidence-refine.json").read_text())
    found = document["cells"]["cifar10"]["refine, auc"]
    assert found["status"] == {"done": 1, "stopped": 0} and found["size"] == [125]
    assert document["cells"]["cifar10"]["random"]["most"] == 500
    assert "| refine, auc | 1 |" in (results / "README.md").read_text()


def test_what_is_true_of_a_space_is_the_tables_mean() -> None:
    cells = module("evidence_refine_cells")
    line = cells.search(cells.Search("cifar10", "refine, auc", 3))
    whole, last = line["spaces"][0], line["spaces"][-1]
    values = [value for _, value in cells.all_cells("cifar10")]
    alive = [value for value in values if value >= 0.2]
    assert len(values) == 15_625 and len(alive) == 15_625 - 341
    assert whole["true"] == pytest.approx(100 * sum(alive) / len(alive))
    assert (whole["size"], whole["lacks"]) == (15_625, 0.0)
    assert last["size"] == 125
    assert last["fresh"] == pytest.approx(last["true"])  # there are fewer cells than a fresh sample takes
    counts = [count for count, _ in line["trace"]]
    assert counts == sorted(counts) and counts[-1] <= line["paid"] <= 525
    assert line["until"][0] == next((count for count, regret in line["trace"] if regret <= 0.005), None)


def test_a_search_ends_when_it_is_there_or_has_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = module("evidence_refine_cells")
    few = {"random": cells.Contender("random", 5)}
    monkeypatch.setattr(cells, "CONTENDERS", few)
    line = cells.search(cells.Search("cifar100", "random", 0))
    assert line["paid"] == 5 and line["until"] == [None, None]
    monkeypatch.setattr(cells, "NEAR", (0.9, 0.5))
    line = cells.search(cells.Search("cifar100", "random", 0))
    assert line["until"][0] == 1 and line["paid"] <= 2


def test_a_search_has_another_key_when_what_decides_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = module("evidence_refine_cells")
    piece = cells.Search("cifar10", "refine, auc", 0)
    before = piece.key
    assert before != cells.Search("cifar10", "refine, auc", 1).key
    changed = cells.Contender("refine", None, {**cells.CONTENDERS["refine, auc"].options, "per_step": 100})
    monkeypatch.setattr(cells, "CONTENDERS", {"refine, auc": changed})
    assert piece.key != before


def test_searches_that_never_arrive_are_the_slowest_of_a_median() -> None:
    report = module("evidence_refine_report")
    lines = [{"paid": 9, "until": [count, None]} for count in (30, None, 10, None)]
    found = report.summary(lines, 100)
    assert found["until within 0.5"] == [10, 30, None, None]
    (row,) = [line for line in report._speed("table", {"one": found}) if line.startswith("| one")]
    assert "| never | 10 to never | 50 % | - |" in row


def step(rows: list[dict[str, Any]], chosen: str) -> dict[str, Any]:
    return {
        "space": "A",
        "chosen": {"condition": "gate", "category": chosen},
        "areas": {"conditions": [{"condition": "gate", "categories": rows}]},
    }


def row(category: str, area: float, low: float, high: float, trials: int = 30) -> dict[str, Any]:
    return {"category": category, "area": area, "interval": [low, high], "trials": trials}


def test_what_overlaps_with_a_choice_is_named() -> None:
    report = module("evidence_refine_report")
    rows = [row("a", 70, 69, 71), row("b", 69, 68, 70), row("c", 60, 59, 61), row("d", 99, 0, 100, trials=2)]
    (told,) = report.overlaps({"steps": [step(rows, "a")]}, 20)
    assert "overlaps with: b (69.00)." in told
    assert "Next in the table: b of gate, 69.00" in told
    assert math.isinf(report._count(None))


def test_graphs_are_another_study_when_their_scale_changes() -> None:
    evidence = module("evidence_refine")
    one = evidence.Graphs("", evidence.Scale(), "here", 1.0, 2)
    moved = evidence.Graphs("", evidence.Scale(), "there", 2.0, 1)
    assert one.study == moved.study
    assert one.study != evidence.Graphs("", evidence.Scale(epochs=5), "here", 1.0, 2).study


def test_graphs_are_another_study_on_other_images_and_the_same_wherever_these_lie(tmp_path: Path) -> None:
    evidence = module("evidence_refine")

    def study(directory: str, content: bytes) -> str:
        path = tmp_path / directory / "images.npz"
        path.parent.mkdir()
        path.write_bytes(content)
        return evidence.Graphs(str(path), evidence.Scale(), "here", 1.0, 2).study

    first = study("first", b"images")
    assert study("moved", b"images") == first
    assert study("other", b"others") != first
    assert evidence.Graphs("", evidence.Scale(), "here", 1.0, 2).study != first
