"""A search of DARTS' cells on a few small images."""

from __future__ import annotations

from pathlib import Path

from automl_core import Study

OPTIONS = {
    "searcher": {"eta": 2},
    "space": {"none": True, "cells": 3, "channels": 2, "path_dropout": 0.2},
    "trainer": {"batch": 20, "pad": 1, "cutout": 4},
    "dataset": {"limit": 60},
}


def test_cells_are_searched_by_training(tmp_path: Path) -> None:
    study = Study(
        "darts", "hyperband", dataset="digits", max_budget=2, trials=3, threads=1, options=OPTIONS, workspace=tmp_path
    )
    study.run()
    assert set(study.trials["status"]) <= {"completed", "stopped"} and len(study.trials) == 3
    assert all(0 <= accuracy <= 1 for accuracy in study.trials["value"])
    assert study.spec.evaluator.name == "supervised"


def test_presets_set_the_size_of_the_network(tmp_path: Path) -> None:
    quick = Study("darts", "random", dataset="digits", workspace=tmp_path).spec
    assert (quick.space.options["cells"], quick.space.options["channels"]) == (3, 8)
    small = {"validation": 0.2, "resize": 16}
    paper = Study("darts", "random", dataset="digits", preset="paper", options={"dataset": small}, workspace=tmp_path)
    assert (paper.spec.space.options["cells"], paper.spec.max_budget, paper.spec.trainer["batch"]) == (12, 128, 96)
