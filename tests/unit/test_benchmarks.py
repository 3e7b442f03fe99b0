"""The benchmarks' harness, at a scale at which nothing is measured: it runs, counts right and takes up where it was."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))


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
    markers = [line for line in (BENCHMARKS / "README.md").read_text().splitlines() if line.startswith("<!--")]
    (tmp_path / "README.md").write_text("\n".join(["before", *markers, "after"]) + "\n")
    return tmp_path


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_simulated_time_is_told_in_figures_a_plot_and_a_table(results: Path) -> None:
    module("simulated").main(["--trials", "30", "--workers", "1", "4", "--results", str(results)])
    one, four = json.loads((results / "results" / "simulated.json").read_text())["runs"]
    assert (one["trials"], four["trials"]) == (30, 30)
    assert one["utilisation of the whole run"] == pytest.approx(1.0)
    assert four["utilisation while trials begin"] == pytest.approx(1.0)
    assert 0.0 < four["utilisation of the whole run"] < 1.0
    assert four["virtual seconds"] < one["virtual seconds"]
    assert one["final regret"] >= 0.0
    assert (results / "results" / "simulated.png").stat().st_size > 1_000
    text = (results / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| 4 |" in text


def test_utilisation_counts_what_lies_before_the_moment() -> None:
    utilisation = module("simulated").utilisation
    assert utilisation([(0.0, 2.0), (0.0, 1.0)], workers=2, until=2.0) == 0.75
    assert utilisation([(0.0, 2.0), (0.0, 1.0), (1.5, 9.0)], workers=2, until=1.0) == 1.0


def test_searchers_are_asked_and_told_without_an_engine(results: Path) -> None:
    few = ["random", "grid", "asha, promote", "hyperband", "bohb", "optuna (TPE)"]
    module("searchers").main(["--repeats", "1", "--trials", "100", "--results", str(results), "--searchers", *few])
    rows = json.loads((results / "results" / "searchers.json").read_text())["rows"]
    assert [row["label"] for row in rows] == few
    assert all("ask at 100, ms" in row and "ask at 1000, ms" not in row for row in rows)


def test_the_time_in_smac_leaves_out_what_it_calls_back() -> None:
    searchers = module("searchers")

    class Facade:
        def __init__(self, searcher: Searcher) -> None:
            self.searcher = searcher

        def ask(self) -> None:
            clock.now += 5.0
            self.searcher._admit()

        def tell(self) -> None:
            clock.now += 1.0

    class Searcher:
        def start(self, problem: object) -> None:
            self.facade = Facade(self)

        def _admit(self) -> None:
            clock.now += 30.0

        def _draw(self) -> None:
            raise AssertionError("nothing is drawn here")

    class Clock:
        now = 0.0

        def process_time(self) -> float:
            return self.now

    clock = searchers.time = Clock()
    searcher = Searcher()
    inside = searchers.own_time(searcher)
    searcher.start(None)
    clock.now += 100.0
    searcher.facade.ask()
    searcher.facade.tell()
    assert inside() == 6.0


CHEAP = ["random", "hyperband", "Optuna itself, TPE + halving"]
SMALL = ["--processes", "1", "--repeats", "1", "--searchers", *CHEAP, "--truths", "hartmann-6"]


def test_evidence_goes_on_where_it_was_killed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evidence = module("evidence_searchers")
    record = results / "evidence" / "searchers.jsonl"
    stopped = evidence.main([*SMALL, "--minutes", "0", "--results", str(results)])
    assert stopped == 1
    assert record.read_text() == ""
    assert evidence.main([*SMALL, "--results", str(results)]) == 0
    lines = record.read_text().splitlines()
    assert len(lines) == 3
    record.write_text("\n".join(lines[:2]) + "\n" + lines[2][:40])  # killed while it wrote the last line
    capsys.readouterr()
    assert evidence.main([*SMALL, "--results", str(results)]) == 0
    assert "3 searches, 2 of them done before" in capsys.readouterr().out
    again = [json.loads(line) for line in (record.read_text().splitlines()[place] for place in (0, 1, 3))]
    first = [json.loads(line) for line in lines]
    assert [(one["key"], one["regret"]) for one in again] == [(one["key"], one["regret"]) for one in first]
    assert "hartmann-6 (value)" in (results / "README.md").read_text()
    assert (results / "results" / "evidence-searchers.png").stat().st_size > 1_000


def test_no_search_spends_more_than_its_budget() -> None:
    evidence = module("evidence_searchers")
    for truth, contender in (("hartmann-6", "asha, stop"), ("hpobench, car", "Optuna itself, random")):
        found = evidence.perform(evidence.Run(truth, contender, 0))
        budget = evidence.TRUTHS[truth].budget
        assert 0.5 * budget < found["spent"] <= budget
        assert all(regret >= 0.0 and at <= budget for at, regret in found["regret"])


def test_a_failed_search_is_named_and_takes_no_other_along(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = module("evidence_searchers")
    perform = evidence.perform

    def break_one(run: object) -> object:
        if run.contender == "hyperband":  # type: ignore[attr-defined]
            raise ValueError("broken")
        return perform(run)

    monkeypatch.setattr(evidence, "perform", break_one)
    assert evidence.main([*SMALL, "--results", str(results)]) == 1
    told = capsys.readouterr().err
    assert "hyperband" in told
    assert "broken" in told
    assert len((results / "evidence" / "searchers.jsonl").read_text().splitlines()) == 2


def test_regret_is_measured_from_the_best_of_the_table() -> None:
    virtual = module("virtual")
    for name in ("cifar10", "imagenet16-120"):
        truth = virtual.Truth("nas-bench-201", name)
        regrets = [truth.regret(one) for one in truth.instance.enumerate(0)]
        assert min(regrets) == pytest.approx(0.0, abs=1e-12)
    loss = virtual.Truth("hpolib", "naval_propulsion")
    assert loss.objective.direction == "min"
    assert loss.optimum > 0.0


def test_intervals_cover_the_median_or_have_no_bounds() -> None:
    intervals = module("evidence_report").intervals
    low, high = intervals(np.arange(1.0, 21.0)[:, None])
    assert (low[0], high[0]) == (6.0, 15.0)
    low, high = intervals(np.arange(1.0, 7.0)[:, None])
    assert (low[0], high[0]) == (1.0, 6.0)
    low, high = intervals(np.arange(1.0, 6.0)[:, None])
    assert (low[0], high[0]) == (-np.inf, np.inf)


def test_a_document_without_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here\n")
    with pytest.raises(ValueError, match="simulated: begin"):
        module("reporting").publish(tmp_path / "README.md", "simulated", ["figures"])


def test_evidence_on_feature_histories_covers_every_part(results: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    data = tmp_path / "images.npz"
    arrays = {
        f"{split}_{what}": generator.integers(0, 255, (count, 8, 8, 3), dtype=np.uint8)
        if what == "images"
        else np.arange(count)[:, None] % 2
        for split, count in (("train", 400), ("val", 200), ("test", 200))
        for what in ("images", "labels")
    }
    np.savez(data, **arrays)
    evidence = module("evidence_feature_history")
    small = ["--small", "--processes", "1", "--data", str(data), "--results", str(results)]
    assert evidence.main([*small, "--parts", "epochs", "cells", "search", "overhead"]) == 0
    document = json.loads((results / "results" / "evidence-feature-history.json").read_text())
    assert {one["head"] for one in document["epochs"]} == {"original", "refitted", "vote"}
    assert len(document["cells"]) == 6
    assert {one["subject"] for one in document["search"]} == {"", "feature-history"}
    assert all(turn["bytes after"] < turn["bytes"] for one in document["overhead"] for turn in one["turns"])
    text = (results / "README.md").read_text()
    for picture in ("epochs", "cells"):
        assert (results / "results" / f"evidence-feature-history-{picture}.png").stat().st_size > 1_000
        assert f"results/evidence-feature-history-{picture}.png" in text


def test_evidence_on_feature_histories_needs_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module("evidence_feature_history").main(["--small"])
    assert "--data must be an .npz file" in capsys.readouterr().err


def test_the_first_epoch_close_to_the_end_is_found() -> None:
    report = module("evidence_feature_history_report")
    accuracies = [{"original": one, "vote": one + 0.05} for one in (0.5, 0.55, 0.598, 0.61, 0.6)]
    assert report._first_close(accuracies, "original") == 3
    assert report._first_close(accuracies, "vote") == 2
    assert report._first_close([{"original": 0.5, "vote": 0.6}], "vote") is None


def test_rank_correlations_have_intervals_that_hold_them() -> None:
    tau, low, high = module("evidence_feature_history_report")._tau([1, 2, 3, 5, 4, None], [2, 3, 4, 5, 6, 1])
    assert low <= tau <= high <= 1.0
    assert tau == pytest.approx(1 - 2 / 15)
