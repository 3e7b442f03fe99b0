"""Distillation around pruning, from the command to the exported network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from automl_core import RequestError, Study
from automl_spaces.trainings import Training
from automl_vision import load_exported

SMALL: dict[str, Any] = {
    "evaluator": {"epochs": 1, "latency": False},
    "dataset": {"limit": 60},
    "trainer": {"batch": 20, "pad": 1},
}


def study(workspace: Path, space: dict[str, Any], **rest: Any) -> Study:
    settings = {"searcher": "grid", "max_budget": 1, "threads": 1, "seed": 4, "name": "one"} | rest
    settings["options"] = SMALL | {"space": space}
    return Study(settings.pop("kind", "kd-pruning"), workspace=workspace, **settings)


def test_networks_before_pruning_are_trained_once_for_all_that_go_on_from_them(tmp_path: Path) -> None:
    one = study(
        tmp_path,
        {
            "models": ["resnet8"],
            "methods": ["l1-norm", "magnitude"],
            "types": ["none", "label"],
            "ratios": ["0.5/0.5/0.5"],
            "remaining": [0.5],
            "alphas": [0.9],
            "temperatures": [4.0],
        },
    )
    plan = one.plan()
    assert (plan["expected_units"], plan["shared_units"], plan["shared_trainings"]) == (10, 2, 2)
    assert plan["estimated_seconds"] == pytest.approx(12 * plan["seconds_per_unit"])
    one.run()
    rows = one.record.trials()
    candidates = [row for row in rows if row.role == "candidate"]
    assert len(candidates) == 2 * (1 + 4)
    assert sorted(row.label for row in rows if row.role == "support" and "without" not in row.label) == [
        "label-distilled resnet8",
        "scratch resnet8",
    ]
    assert {row.status for row in rows} == {"completed"}
    for row in candidates:
        assert {"size", "size_before"} <= set(row.metrics)
        assert ("flops" in row.metrics) == (row.configuration["method"] == "l1-norm")


def test_repeats_have_teachers_of_their_own(tmp_path: Path) -> None:
    space = {"models": ["resnet8"], "methods": ["l1-norm"], "types": ["none"], "ratios": ["0.5/0.5/0.5"], "repeats": 2}
    one = study(tmp_path, space)
    one.run()
    scratch = [row for row in one.record.trials() if row.label == "scratch resnet8"]
    assert len(scratch) == 2
    assert len({row.metrics["loss"] for row in scratch}) == 2


@pytest.mark.parametrize("method", ["l1-norm", "slimming", "magnitude"])
def test_the_best_is_retrained_and_exported_with_its_description(method: str, tmp_path: Path) -> None:
    space = {"models": ["resnet8"], "methods": [method], "types": ["feature"], "phases": ["self"]}
    one = study(tmp_path / "workspace", space, searcher="random", trials=1)
    one.run()
    report = one.retrain(repeats=1)
    assert [result["label"] for result in report["results"]] == ["retraining", "without distillation"]
    one.export(tmp_path / "network")
    described = json.loads((tmp_path / "network" / "description.json").read_text())["description"]
    training = Training.from_json(described)
    assert training.pruning is not None
    assert training.pruning.method == method
    model = load_exported(tmp_path / "network")
    assert model(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 10)
    assert not list((tmp_path / "network").glob("*.pt")), "never a pickled model"


def test_repetitions_of_a_retraining_build_on_networks_of_their_own(tmp_path: Path) -> None:
    space = {"models": ["resnet8"], "methods": ["l1-norm"], "types": ["label"], "phases": ["post"]}
    one = study(tmp_path, space, searcher="random", trials=1)
    one.run()
    searched = len(one.record.trials())
    report = one.retrain(repeats=2)
    rows = one.record.trials()[searched:]
    assert [row.label for row in rows].count("scratch resnet8") == 2, "shared with the control, not with each other"
    assert len({row.metrics["loss"] for row in rows if row.label == "scratch resnet8"}) == 2
    assert [len(result["values"]) for result in report["results"]] == [2, 2]


def test_a_pareto_front_of_accuracy_and_flops_respects_a_bound_known_before_training(tmp_path: Path) -> None:
    space = {"models": ["resnet8"], "methods": ["l1-norm"], "types": ["none", "label"]}
    one = study(
        tmp_path,
        space,
        searcher="asha",
        trials=6,
        objective=["accuracy", "flops:min"],
        constraint="flops<=600000",
        max_budget=2,
    )
    one.run()
    front = one.front
    assert front
    assert all(best.metrics["flops"] <= 600_000 for best in front)
    assert not [row for row in one.record.trials() if row.status == "infeasible"], "refused before any training"
    flops = [best.objectives["flops"] for best in front]
    assert sorted(set(flops), reverse=True) == flops, "the more accurate, the dearer"


def test_a_model_without_layers_to_prune_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="densenet22 has no inner layers of its own"):
        study(tmp_path, {"models": ["densenet22"], "methods": ["l1-norm"]}).run()
    assert not (tmp_path / "journal.sqlite").exists()


def test_augmentation_is_switched_for_teacher_and_student_apart(tmp_path: Path) -> None:
    one = study(
        tmp_path, {"models": ["resnet8"], "augmentations": ["cutmix"], "types": ["label", "feature"]}, kind="kd-augment"
    )
    one.run()
    rows = one.record.trials()
    assert len([row for row in rows if row.role == "candidate"]) == 8
    teachers = [row.label for row in rows if row.role == "support" and "without" not in row.label]
    assert len(teachers) == len(set(teachers)) == 2


def test_the_published_scale_is_a_preset(tmp_path: Path) -> None:
    published = Study("kd-pruning", preset="paper", dataset="digits", workspace=tmp_path).spec
    assert published.evaluator.options == {"epochs": 160, "lr": 0.001, "schedule": "constant"}
    assert (published.max_budget, published.trainer["milestones"]) == (40, [0.5, 0.75])
    fewer = {"evaluator": {"epochs": 3}}
    own = Study("kd-pruning", preset="paper", dataset="digits", workspace=tmp_path, options=fewer)
    assert own.spec.evaluator.options["epochs"] == 3
