"""Searches for cells by supernets as people run them: what is refused, what runs side by side, what is shown later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import automl_vision.trainer.loop  # noqa: F401 - takes its own names before any test replaces them elsewhere
from automl_cli.application import application
from automl_core import RequestError, Study
from automl_vision import costs

SMALL: dict[str, Any] = {
    "space": "cells-dl",
    "searcher": "pr-darts",
    "max_budget": 1,
    "threads": 1,
    "name": "cells",
    "options": {
        "space": {"cells": 3, "channels": 2},
        "searcher": {
            "cells": 3,
            "channels": 2,
            "cycle_epochs": [1, 1],
            "cycle_candidates": [3, 1],
            "cycle_morphisms": [1, 0],
            "architecture_lr": 0.05,
        },
        "dataset": {"limit": 60},
    },
}


def small(workspace: Path, **changed: Any) -> Study:
    return Study(workspace=workspace, **SMALL | changed)


def only(searcher: str) -> dict[str, Any]:
    """Options for a searcher that has none of the supernet's."""
    return {"searcher": searcher, "options": {**SMALL["options"], "searcher": {}}}


@pytest.mark.parametrize(("changed", "message"), [
    ({"constraint": "params<=10"}, "at most 10 and the nearest that can be reached is"),
    ({"constraint": ["flops>=1e12"]}, "at least 1,000,000,000,000 and the nearest"),
    ({"evaluator": "supernet"}, "trains what searchers ask for of their own; leave --evaluator out"),
    ({"evaluator": "supernet", **only("random")}, "leave --evaluator out"),
    ({"options": {**SMALL["options"], "dataset": {"limit": 10}}}, "both sides"),
])  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_trained(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        small(tmp_path, **changed)
    assert not list(tmp_path.iterdir())


def test_bounds_are_told_apart_without_building_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object) -> None:
        raise AssertionError("a network was built to count its costs")

    monkeypatch.setattr(costs, "count_costs", build)
    most = 3_500
    for searcher in ("pr-darts", "random"):
        changed = {} if searcher == "pr-darts" else only(searcher)
        plan = small(tmp_path, constraint=f"params<={most}", trials=2, **changed).plan()
        assert plan["trials"] == 2
        assert plan["seconds_per_unit"] > 0
        assert (plan["estimated_seconds"] is None) == (searcher == "pr-darts"), "a supernet's time is not known"


def test_what_is_found_keeps_its_bounds(tmp_path: Path) -> None:
    study = small(tmp_path, constraint="params<=3500").run()
    assert study.assembly.evaluator.foresee(study.assembly.space.decode(study.best.configuration))["params"] <= 3_500


def test_processes_on_several_workers_find_what_they_find_alone(tmp_path: Path) -> None:
    alone = small(tmp_path / "alone", trials=2).run()
    beside = small(tmp_path / "beside", trials=2, executor="dask", workers=2).run()

    def found(study: Study) -> dict[str, Any]:
        rows = study.record.trials()
        supernets = {row.label: row.metrics for row in rows if row.role == "support"}
        candidates = sorted((sorted(row.configuration.items()), row.value) for row in rows if row.role == "candidate")
        return {"supernets": supernets, "candidates": candidates}

    assert found(beside) == found(alone)
    assert set(found(alone)["supernets"]) == {"supernet 0", "supernet 1"}


def test_other_searchers_search_the_same_cells(tmp_path: Path) -> None:
    halving = {**only("hyperband"), "max_budget": 2, "min_budget": 1, "trials": 3}
    halving["options"] = {**halving["options"], "searcher": {"eta": 2}}
    study = small(tmp_path, estimator="feature-history", **halving).run()
    by_supernet = small(tmp_path, name="by-supernet").run()
    assert study.best.configuration.keys() == by_supernet.best.configuration.keys()
    assert study.assembly.space.violation(by_supernet.best.configuration) is None


def test_a_study_is_shown_without_the_plugin_that_ran_it(tmp_path: Path) -> None:
    small(tmp_path).run()
    arguments = ["show", "cells", "--workspace", str(tmp_path)]
    drawn = CliRunner().invoke(application, arguments)
    assert drawn.exit_code == 0
    assert "accuracy, training" in drawn.stdout and "reduction cell" in drawn.stdout
    without = CliRunner().invoke(application, [*arguments, "--disable-plugin", "prdarts"])
    assert without.exit_code == 0
    assert "supernet 0" in without.stdout and "accuracy, training" not in without.stdout


def test_a_found_cell_is_retrained_as_published_but_smaller(tmp_path: Path) -> None:
    study = small(tmp_path).run()
    sizes = {"space": {"cells": 3, "channels": 2}, "trainer": {"cutout": 2, "pad": 1, "largest_batch": 0}}
    report = study.retrain(preset="paper", epochs=2, options=sizes)
    assert (report["repeats"], report["average"], report["epochs"]) == (3, 2, 2)
    trial = next(row for row in study.record.journal.trials() if row.label == "retraining")
    assert trial.instruction["setting"]["trainer"]["clip"] == 5.0
    assert trial.instruction["setting"]["space"] == {"cells": 3, "channels": 2, "auxiliary": 0.4, "path_dropout": 0.3}
