"""Searches that rank by feature histories: training is left alone, nothing is lost, and the command line has it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kill_feature_history import SETTINGS, journal
from killing import told_by

from automl_cli.application import application
from automl_core import RequestError, Study

PASSAGES = (5,)
"""Batches after which the process is killed."""


def outcomes(events: list[Any]) -> list[dict[str, Any]]:
    """Gives the outcomes of candidates, with the number of their trial."""
    return [
        {"trial": payload["trial"], **payload["outcome"]}
        for kind, payload in events
        if kind == "tell" and payload["outcome"]["estimates"]
    ]


def curves(events: list[Any]) -> dict[tuple[int, int], dict[str, float]]:
    """Gives every measured point, by trial and epoch."""
    told = [payload for kind, payload in events if kind == "tell"]
    return {(one["trial"], unit): metrics for one in told for unit, metrics in one["outcome"]["curve"]}


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The journal of a search that ranks by the estimator, in this process."""
    workspace = tmp_path_factory.mktemp("estimated")
    Study(workspace=workspace, **SETTINGS).run()
    return journal(workspace)


def test_estimates_rank(estimated: list[Any]) -> None:
    found = outcomes(estimated)
    assert {one["budget"] for one in found} >= {1, 2, 4}
    for one in found:
        estimate = one["estimates"]["feature-history"]
        assert one["values"] == [estimate["accuracy"]]
        assert set(estimate) == {"accuracy", "loss"}
        assert 0.0 <= estimate["accuracy"] <= 1.0
    measured = [one["curve"][-1][1]["accuracy"] for one in found]
    assert measured != [one["values"][0] for one in found], "an estimate is not what was measured"


def test_trials_that_paused_and_came_back_were_among_them(estimated: list[Any]) -> None:
    """Only one evaluation stays live here, so these went through a checkpoint."""
    jobs = Counter(one["trial"] for one in outcomes(estimated))
    assert jobs.most_common(1)[0][1] >= 2
    order = [one["trial"] for one in outcomes(estimated)]
    assert order != sorted(order)


def test_training_is_the_same_to_the_last_bit_without_it(estimated: list[Any], tmp_path: Path) -> None:
    options = {part: given for part, given in SETTINGS["options"].items() if part != "estimator"}
    Study(workspace=tmp_path, **{**SETTINGS, "estimator": (), "options": options}).run()
    left, right = curves(estimated), curves(journal(tmp_path))
    common = left.keys() & right.keys()
    assert len(common) >= 0.6 * len(left)
    assert any(unit == 4 for _, unit in common)
    for point in common:
        assert left[point] == right[point], point


def test_killed_in_mid_epoch_then_resumed_equals_uninterrupted(estimated: list[Any], tmp_path: Path) -> None:
    killed = told_by("kill_feature_history.py", tmp_path, PASSAGES)
    assert [one["passage"] for one in killed] == list(PASSAGES)
    for one in killed:
        assert one["kills"] >= 2
        assert one["journal"] == estimated, f"killed after {one['passage']} batches"


def test_from_the_command_line(tmp_path: Path) -> None:
    options = (
        "dataset.limit=60",
        "trainer.batch=20",
        "space.nodes=2",
        "space.target=resnet8",
        "space.models=[resnet8]",
    )
    arguments: list[object] = ["run", "--space", "ktg", "--searcher", "hyperband", "--estimator", "feature-history"]
    arguments += ["--set", "searcher.eta=2", "--max-budget", "2", "--trials", "3", "--threads", "1", "--name", "graphs"]
    arguments += ["--workspace", tmp_path, *(word for one in options for word in ("--set", one))]
    result = CliRunner().invoke(application, [str(one) for one in arguments], prog_name="automl")
    assert result.exit_code == 0, result.stderr
    assert all("feature-history" in one["estimates"] for one in outcomes(journal(tmp_path)))


def test_what_the_user_should_know_is_told_before_the_study_runs(tmp_path: Path) -> None:
    study = Study(workspace=tmp_path, **SETTINGS)
    (note,) = study.notes
    assert note == (
        "estimator feature-history: the window holds 3 epochs, but trials are first compared at 1: estimates use the "
        "epochs there are"
    )


def test_a_bound_too_small_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    arguments = ["run", "--space", "ktg", "--estimator", "feature-history", "--set", "estimator.memory=1kB"]
    arguments += ["--set", "dataset.limit=60", "--workspace", str(tmp_path / "none")]
    result = CliRunner().invoke(application, [str(one) for one in arguments], prog_name="automl")
    assert result.exit_code == 2
    assert "memory of feature-history must hold the features of one epoch" in result.stderr
    assert "bytes for the space's default configuration, but is 1000 bytes" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("searcher", ["random", "grid", "asha", "hyperband", "bohb", "smac", "optuna"])
def test_every_searcher_ranks_by_it(searcher: str, tmp_path: Path) -> None:
    found = Study(
        space="nas-bench-201",
        evaluator="supervised",
        searcher=searcher,
        estimator=["feature-history", "last"],
        dataset="digits",
        max_budget=2,
        trials=3,
        threads=1,
        options={
            "space": {"cells": 1, "channels": 2},
            "dataset": {"limit": 60},
            "trainer": {"batch": 20, "pad": 1},
            "searcher": {"eta": 2} if searcher in ("asha", "hyperband", "bohb") else {},
        },
        workspace=tmp_path,
    ).run()
    told = outcomes(journal(tmp_path))
    assert len(told) >= 3
    for one in told:
        assert set(one["estimates"]) == {"feature-history", "last"}
        assert one["values"] == [one["estimates"]["feature-history"]["accuracy"]]
        assert one["estimates"]["last"]["accuracy"] == one["curve"][-1][1]["accuracy"]
    assert found.best.value == max(one["values"][0] for one in told if one["budget"] == found.best.budget)


def test_nothing_is_said_of_short_windows_where_trials_are_compared_once_complete(tmp_path: Path) -> None:
    options = {part: given for part, given in SETTINGS["options"].items() if part != "searcher"}
    assert Study(workspace=tmp_path, **{**SETTINGS, "searcher": "random", "options": options}).notes == []


def test_an_estimator_object_is_refused_with_the_way_out(tmp_path: Path) -> None:
    for given in (object(), [object(), "last"]):
        with pytest.raises(RequestError, match=r"given by its name.*register it in a plugin"):
            Study(workspace=tmp_path, **{**SETTINGS, "estimator": given})


@pytest.mark.parametrize("searcher", ["hyperband", "asha"])
def test_lcnet_ranks_where_trials_are_compared_after_one_epoch(searcher: str, tmp_path: Path) -> None:
    found = Study(
        space="counting-ones",
        searcher=searcher,
        estimator="lcnet",
        min_budget=1,
        max_budget=9,
        trials=14,
        options={"evaluator": {"curve": True}, "searcher": {"eta": 3}},
        workspace=tmp_path,
    ).run()
    assert found.record.failures() == []
    assert found.best.value is not None
