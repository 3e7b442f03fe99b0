"""RandAugment's search space: what a configuration means, what is refused, and a search that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from automl_core import Context, RequestError, Study
from automl_core.types import Job
from automl_spaces.graph import alone
from automl_spaces.randaugment import RandAugmentSpace
from automl_spaces.recipe import Recipe
from automl_vision import GraphEvaluator, TrainerSettings
from automl_vision.data.digits import Digits


def test_a_configuration_is_what_the_trainer_is_told() -> None:
    space = RandAugmentSpace(model="mobilenetv2")
    recipe = space.decode({"magnitude": 7, "augmentations": 2})
    assert recipe == Recipe(alone("mobilenetv2"), {"augmentations": 2, "magnitude": 7})
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert space.size() == 3 * 31
    assert RandAugmentSpace(max_augmentations=1).size() == 31
    bounds = [one.trainer for one in map(space.decode, space.enumerate())]
    assert {one["augmentations"] for one in bounds} == {1, 2, 3}
    assert {one["magnitude"] for one in bounds} == set(range(31))
    assert all(TrainerSettings(**one) for one in bounds)


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ({"augmentations": 4, "magnitude": 7}, "augmentations .* from 1 to 3, but got 4"),
        ({"augmentations": 0, "magnitude": 7}, "augmentations .* from 1 to 3, but got 0"),
        ({"augmentations": 2, "magnitude": 31}, "magnitude .* from 0 to 30, but got 31"),
        ({"augmentations": 2, "magnitude": 7.5}, r"magnitude .* but got 7\.5"),
        ({"augmentations": True, "magnitude": 7}, "augmentations .* but got True"),
        ({"augmentations": 2}, "magnitude .* but got 'nothing'"),
        ({"augmentations": 2, "magnitudes": 7}, "did you mean 'magnitude'"),
    ],
)
def test_what_is_no_configuration_is_refused(configuration: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        RandAugmentSpace().decode(configuration)


def test_options_that_give_no_space_are_refused() -> None:
    with pytest.raises(RequestError, match="max_augmentations must be at least 1, but got 0"):
        RandAugmentSpace(max_augmentations=0)


def test_the_published_search_has_cutout_and_vgg_its_own_learning_rate() -> None:
    paper = RandAugmentSpace().presets("supervised")["paper"]
    assert paper["space"] == {"model": "resnet18"}
    assert paper["dataset"] == {"name": "cifar10", "limit": 8000, "validation": 2000}
    assert (paper["max_budget"], paper["trainer"]["lr"], paper["trainer"]["cutout"]) == (128, 0.1, 16)
    settings = TrainerSettings(**RandAugmentSpace("vgg16").presets("supervised")["paper"]["trainer"])
    assert (settings.lr, settings.batch, settings.schedule, settings.nesterov) == (0.01, 256, "linear", False)
    assert RandAugmentSpace().presets("tabular") == {}


def test_the_configuration_decides_and_the_study_the_rest() -> None:
    dataset = Digits(limit=60)
    dataset.load()

    def last(chosen: tuple[int, int], **settings: Any) -> dict[str, float]:
        evaluator = GraphEvaluator(TrainerSettings(batch=20, pad=1, **settings))
        recipe = RandAugmentSpace().decode(dict(zip(("augmentations", "magnitude"), chosen, strict=True)))
        evaluation = evaluator.start(recipe, Context(seed=3, max_budget=1, dataset=dataset))
        return dict(list(evaluation.advance(Job(0, {}, 0, 1)))[-1].metrics)

    results = [last((1, 9)), last((2, 9)), last((1, 20)), last((1, 9), cutout=4)]
    assert len({result["train_loss"] for result in results}) == 4
    assert last((1, 9), augmentations=3, magnitude=1) == results[0]


def test_it_is_searched_by_training(tmp_path: Path) -> None:
    study = Study(
        "randaugment",
        "random",
        dataset="digits",
        max_budget=1,
        trials=2,
        threads=1,
        options={"trainer": {"batch": 20, "cutout": 4}, "dataset": {"limit": 60}},
        workspace=tmp_path / "workspace",
    ).run()
    assert list(study.trials["status"]) == ["completed", "completed"]
    assert all(0 <= accuracy <= 1 for accuracy in study.trials["value"])


def test_an_unknown_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="did you mean 'resnet8'"):
        Study(
            "randaugment",
            "random",
            dataset="digits",
            options={"space": {"model": "resnet-8"}},
            workspace=tmp_path / "w",
        ).run()
