"""The benchmarks' harness, at a scale at which nothing is measured: it runs, counts right and takes up where it was."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from automl_core import Job, Observation, Outcome
from automl_core.plugins import get_registry

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


def test_the_table_of_cycles_is_scaled_as_published() -> None:
    evidence = module("evidence_pr_darts_epochs")
    assert evidence.scaled(100) == (evidence.EPOCHS, evidence.GRACE)
    before: tuple[int, ...] = (0,) * 9
    for total in range(9, 130):
        epochs, grace = evidence.scaled(total)
        assert sum(epochs) == total
        assert all(0 <= first < all_of_it for first, all_of_it in zip(grace, epochs, strict=True))
        assert all(later >= earlier for later, earlier in zip(epochs, before, strict=True))
        before = epochs


def measured(arm: str) -> dict[str, Any]:
    """What a calibration gives on a machine where a full epoch takes 4 s, a grace epoch 2, a cycle's beginning 1."""
    cycles = [(0, 1, 2.0), (0, 2, 4.0), (1, 3, 3.0), (1, 4, 4.0), *((cycle, cycle + 3, 5.0) for cycle in range(2, 9))]
    return {"supernet epochs": cycles if arm == "pr-darts" else [(0, 1, 9.0), (0, 2, 8.0)], "rest": 11.0}


def test_epochs_are_as_many_as_the_seconds_allow() -> None:
    evidence = module("evidence_pr_darts_epochs")

    def seconds(total: int) -> float:
        epochs, grace = evidence.scaled(total)
        return 11.0 + sum(1.0 + 4.0 * (one - first) + 2.0 * first for one, first in zip(epochs, grace, strict=True))

    for limit in (60.0, 100.0, 270.0):
        epochs, grace = evidence.cycles_within(limit, measured("pr-darts"))
        assert (epochs, grace) == evidence.scaled(sum(epochs))
        assert seconds(sum(epochs)) <= limit < seconds(sum(epochs) + 1)
    assert evidence.cycles_within(1.0, measured("pr-darts"))[0] == (1,) * 9
    assert evidence.epochs_within(60.0, measured("darts")) == 6
    assert evidence.epochs_within(1.0, measured("darts")) == 1


def test_what_a_search_does_is_watched() -> None:
    evidence = module("evidence_pr_darts")
    clock = iter((0.0, 1.0, 3.0, 10.0, 10.5, 20.0, 21.0, 23.0, 30.0, 31.0))
    watch = evidence.Watch(lambda: next(clock))
    cycle = Job(0, {}, 0, 2, role="support", instruction={"cycle": {"number": 0}})
    watch.job_started(cycle, "supernet 0")
    for unit in range(3):
        watch.observed(cycle, Observation(unit, {}))
    watch.job_finished(cycle, Outcome("done", 2, report={"images": 7}), "supernet 0")
    assert watch.epochs == [(0, 1, 7.0), (0, 2, 0.5)]
    assert watch.reports == [{"images": 7}]
    candidate = Job(1, {"a": 1}, 0, 3)
    watch.job_started(candidate, "")
    for unit in range(3):  # cut before its last epoch, which was paid for all the same
        watch.observed(candidate, Observation(unit, {}))
    assert watch.trained == {1: ({"a": 1}, 2)}


def found_by(arm: str, seed: int, test: float) -> dict[str, Any]:
    space = get_registry().create("space", "cells-dl", {})
    configuration = dict(space.config_space.get_default_configuration())
    configuration |= {"normal_2_first": "skip_connect", "reduction_5_second": "conv_3x3"}
    supernet = 0 if arm == "random" else 3_000_000
    point = {"accuracy": 0.2, "train_accuracy": 0.3, "batch": 32.0, "cycle": 0.0}
    return {
        "seconds": 5.0,
        "final seconds": 1.0,
        "configuration": configuration,
        "validation accuracy": test - 0.1,
        "test accuracy": test,
        "candidates": 3,
        "supernet multiply-accumulates": supernet,
        "candidate multiply-accumulates": 1_000_000,
        "supernet images": supernet,
        "candidate images": 10,
        "flops": 5e6,
        "params": 1e4,
        "curves": [[[unit, point] for unit in range(1, 4)]] if arm == "pr-darts" else [],
    }


def test_evidence_on_pr_darts_goes_on_with_the_same_numbers(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = module("evidence_pr_darts")
    asked = []

    def perform(piece: Any) -> dict[str, Any]:
        asked.append(piece)
        if piece.part == "calibration":
            line = measured(piece.arm) | {"final epoch": 0.4, "seconds": 50.0}
        elif (piece.arm, piece.seed) == ("darts", 1) and len(asked) < 12:
            raise RuntimeError("killed")
        else:
            line = found_by(piece.arm, piece.seed, {"pr-darts": 0.5, "darts": 0.4, "random": 0.45}[piece.arm])
        return asdict(piece) | line

    monkeypatch.setattr(evidence, "perform", perform)
    once_more = ["--processes", "1", "--results", str(results)]
    assert evidence.main(once_more) == 1
    assert len(asked) == 2 + 9
    assert json.loads((results / "results" / "evidence-pr-darts.json").read_text())["searches"]["done"] == 8
    assert evidence.main(once_more) == 0
    assert [(piece.arm, piece.seed) for piece in asked[11:]] == [("darts", 1)]
    searches = [piece for piece in asked if piece.part == "search"]
    assert len({(piece.arm, piece.epochs, piece.grace, piece.final_epochs) for piece in searches}) == 3
    document = json.loads((results / "results" / "evidence-pr-darts.json").read_text())
    assert document["means"]["darts"]["multiply-accumulates spent"] == [4_000_000, 0.0]
    assert document["means"]["random"]["multiply-accumulates spent"] == [1_000_000, 0.0]
    assert document["runs"][0]["skips"] == {"normal": 1 / 8, "reduction": 0.0}
    (difference,) = (
        one
        for one in document["paired differences"]
        if (one["of"], one["to"], one["metric"]) == ("pr-darts", "darts", "test accuracy")
    )
    assert difference["values"] == pytest.approx([0.1, 0.1, 0.1])
    text = (results / "README.md").read_text()
    assert "| PR-DARTS less DARTS | test after retraining, points | +10.0, +10.0, +10.0 | +10.0 ± 0.0 |" in text
    pictures = {path.name for path in (results / "results").glob("*.svg")}
    assert len(pictures) == 10
    assert all(f"(results/{name})" in text for name in pictures)


def test_evidence_on_pr_darts_tells_of_data_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module("evidence_pr_darts").main(["--data", "nowhere.npz"])
    assert "--data must be an .npz file" in capsys.readouterr().err


def test_evidence_on_distillation_around_pruning_goes_on_with_its_studies(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = module("evidence_kd_pruning")
    few = {"models": ["resnet8"], "ratios": ["0.5"], "types": ["none", "label"]}
    monkeypatch.setattr(evidence, "SETTINGS", {"l1-norm": few})
    monkeypatch.setattr(evidence, "BATCHES", (1,))
    monkeypatch.setattr(evidence, "ROUNDS", 1)
    small = ["--small", "--processes", "1", "--results", str(results)]
    record = results / "evidence" / "kd-pruning-small.jsonl"
    assert evidence.main([*small, "--minutes", "0.001"]) == 1  # its study is cut short
    assert record.read_text() == ""
    assert evidence.main(small) == 0
    study, pair = map(json.loads, record.read_text().splitlines())
    assert len(study["cells"]) == 5
    assert json.loads(pair["pruned"])[1]["widths"]
    document = json.loads((results / "results" / "evidence-kd-pruning.json").read_text())
    assert [row["type"] for row in document["tables"]] == ["none", "label"]
    assert len(document["cells"]["l1-norm"]) == 5
    assert all(cell["params"][0] < 1.0 and cell["latency"]["1"] for cell in document["cells"]["l1-norm"])
    (shared,) = document["sharing"]
    assert (shared["trainings before pruning"], shared["without sharing"]) == (2, 8)
    assert "| label, self |" in (results / "README.md").read_text()


def test_what_pruning_gains_is_measured_in_turns(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pruning = module("pruning")
    monkeypatch.setattr(pruning, "CASES", {"small": ("preresnet11", pruning.HALF)})
    pruning.main(["--turns", "1", "--cases", "small", "--results", str(results)])
    (row,) = json.loads((results / "results" / "pruning.json").read_text())["rows"]
    assert 0.0 < row["params"] < 1.0
    assert 0.0 < row["flops"] < 1.0
    assert row["latency, batch 64"] > 0.0
    assert "| small |" in (results / "README.md").read_text()


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
