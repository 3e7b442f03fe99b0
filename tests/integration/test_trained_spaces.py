"""Spaces whose networks are trained for real: a search of each on a few small images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from automl_core import Context, RequestError, Study
from automl_core.types import Job
from automl_spaces.nas_bench_201 import Cell, NASBench201Space
from automl_vision import GraphEvaluator, TrainerSettings
from automl_vision.data.digits import Digits

TRAINER = {"batch": 20, "pad": 1}
DATA = {"limit": 60}
POOL, SKIP, CONV = "avg_pool_3x3", "skip_connect", "nor_conv_1x1"


@pytest.mark.parametrize(
    ("space", "options"),
    [
        ("nas-bench-201", {"cells": 1, "channels": 4}),
        ("resnet-scaling", {"width": 8, "size": 8, "channels": 1, "classes": 10}),
    ],
)
def test_a_space_is_searched_by_training(space: str, options: dict[str, Any], tmp_path: Path) -> None:
    study = Study(
        space,
        "random",
        evaluator="supervised",
        dataset="digits",
        max_budget=1,
        trials=2,
        threads=1,
        options={"space": options, "trainer": TRAINER, "dataset": DATA},
        workspace=tmp_path / "workspace",
    ).run()
    assert list(study.trials["status"]) == ["completed", "completed"]
    assert all(0 <= accuracy <= 1 for accuracy in study.trials["value"])


def last(description: Any) -> dict[str, float]:
    dataset = Digits(**DATA)
    dataset.load()
    evaluator = GraphEvaluator(TrainerSettings(**TRAINER))
    evaluation = evaluator.start(description, Context(seed=3, max_budget=1, dataset=dataset))
    return dict(list(evaluation.advance(Job(0, {}, 0, 1)))[-1].metrics)


def test_equal_cells_are_trained_to_equal_results() -> None:
    space = NASBench201Space(cells=1, channels=4)
    base = dict.fromkeys(space.config_space, "none")
    one = space.decode({**base, "edge_0_1": SKIP, "edge_0_3": CONV, "edge_1_3": POOL})
    # The skip connection stands for its source, and the order of a sum does not count.
    same = space.decode({**base, "edge_0_1": SKIP, "edge_0_3": POOL, "edge_1_3": CONV})
    assert isinstance(one, Cell) and one != same and one.unique == same.unique
    found = last(one)
    assert found == last(same)
    assert found != last(space.decode({**base, "edge_0_3": POOL}))


def test_a_cells_recipe_is_read_back() -> None:
    evaluator = GraphEvaluator()
    cell = NASBench201Space(cells=2).decode(dict.fromkeys(NASBench201Space().config_space, CONV))
    translated = evaluator.translated(cell)
    assert evaluator.parse(translated.to_json()) == translated == cell.recipe().graph


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("space", ["nas-bench-201", "resnet-scaling"])
def test_presets_fit_the_trainer(space: str, preset: str, tmp_path: Path) -> None:
    study = Study(
        space,
        "random",
        evaluator="supervised",
        dataset="digits",
        preset=preset,
        workspace=tmp_path / "w",
        options={"dataset": {"validation": 0.2, "resize": 16}},
    )
    spec = study.spec
    assert spec.trainer["schedule"] == "linear"
    assert spec.max_budget == {"quick": 8, "paper": 128}[preset]
    assert (
        spec.space.options
        == {
            ("nas-bench-201", "quick"): {"cells": 1, "channels": 8},
            ("nas-bench-201", "paper"): {"cells": 5, "channels": 16},
            ("resnet-scaling", "quick"): {"width": 8},
            ("resnet-scaling", "paper"): {"limit": 2.0, "width": 64},
        }[space, preset]
    )


def test_a_bound_that_nothing_meets_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="limit must be at least 1"):
        Study("resnet-scaling", "random", options={"space": {"limit": 0.5}}, workspace=tmp_path / "w")
    assert not (tmp_path / "w").exists()
