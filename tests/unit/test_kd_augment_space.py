"""Distillation with augmentation: who is trained with what, what the published settings are, what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from automl_core import RequestError
from automl_spaces.graph import Edge, alone
from automl_spaces.kd_augment import KDAugmentSpace
from automl_spaces.published_kd import AUGMENTATIONS, PAPER_AUGMENTATION
from automl_spaces.recipe import Recipe
from automl_spaces.trainings import Training, kind_of
from automl_vision import TrainerSettings

LABEL = {"model": "resnet8", "type": "label", "alpha": 0.9, "temperature": 4.0}


@pytest.mark.parametrize("teacher", [False, True])
@pytest.mark.parametrize("student", [False, True])
def test_each_switch_is_its_own_trainings(teacher: bool, student: bool) -> None:
    space = KDAugmentSpace()
    training = space.decode({**LABEL, "augmentation": "cutmix", "teacher": teacher, "student": student})
    on, off = {"auto_augment": "", "cutmix": 0.5}, {"auto_augment": "", "cutmix": 0.0}
    assert training.recipe.trainer == (on if student else off)
    assert training.teachers == (Training(Recipe(alone("resnet8"), on if teacher else off)),)
    assert training.graph.edges[1] == Edge(2, 1, weight=0.9, options={"temperature": 4.0})
    assert training.origin is None
    assert Training.from_json(training.to_json()) == training


@pytest.mark.parametrize(
    ("augmentation", "trainer"),
    [
        ("autoaugment", {"auto_augment": "svhn"}),
        ("randaugment", {"augmentations": 3, "magnitude": 7}),
        ("cutout", {"cutout": 4}),
        ("cutmix", {"cutmix": 0.25}),
    ],
)
def test_augmentations_are_options_of_the_trainer(augmentation: str, trainer: dict[str, Any]) -> None:
    space = KDAugmentSpace(
        ("autoaugment", "randaugment", "cutout", "cutmix"),
        policy="svhn",
        operations=3,
        magnitude=7,
        cutout=4,
        cutmix=0.25,
    )
    chosen = {"augmentation": augmentation, "model": "resnet8", "type": "none", "student": True}
    off = {"auto_augment": "", "augmentations": 0, "cutout": 0, "cutmix": 0.0}
    assert space.decode(chosen) == Training(Recipe(alone("resnet8"), off | trainer))
    assert space.decode({**chosen, "student": False}) == Training(Recipe(alone("resnet8"), off))


def test_what_is_switched_off_is_off_whatever_the_studys_trainer_has() -> None:
    own = TrainerSettings(auto_augment="svhn", augmentations=1, cutout=4, cutmix=1.0)
    space = KDAugmentSpace(("autoaugment", "randaugment", "cutout", "cutmix"))
    off = [
        space.decode({**LABEL, "augmentation": one, "teacher": False, "student": False})
        for one in ("autoaugment", "randaugment", "cutout", "cutmix")
    ]
    assert off == [off[0]] * 4, "one training, whatever is not switched on"
    for training in (off[0], off[0].teachers[0]):
        assert own.replaced(training.recipe.trainer) == TrainerSettings()


def test_a_random_policy_is_that_of_a_repetition() -> None:
    chosen = {**LABEL, "augmentation": "autoaugment", "teacher": True, "student": True}
    training = KDAugmentSpace(repeats=2).decode({**chosen, "repeat": 1})
    on = {"auto_augment": "random", "cutmix": 0.0, "policy_seed": 1}
    assert training.recipe.trainer == training.teachers[0].recipe.trainer == on
    assert TrainerSettings().replaced(on).policy_seed == 1
    learned = KDAugmentSpace(repeats=2, policy="svhn").decode({**chosen, "repeat": 1})
    once = KDAugmentSpace().decode(chosen)
    off = KDAugmentSpace(repeats=2).decode({**chosen, "student": False, "repeat": 1})
    for one in (learned, once, off):
        assert "policy_seed" not in one.recipe.trainer


def test_feature_distillation_takes_the_models_weight() -> None:
    space = KDAugmentSpace(models=("pyramidnet-200-240",), repeats=2)
    chosen = {"augmentation": "cutmix", "model": "pyramidnet-200-240", "type": "feature", "beta": 0.0}
    training = space.decode({**chosen, "teacher": True, "student": False, "repeat": 1})
    assert training.graph.edges[1] == Edge(2, 1, loss="feature", weight=2000.0)
    assert (training.repeat, training.teachers[0].repeat) == (1, 1)


def test_an_augmentation_that_is_off_is_none() -> None:
    space = KDAugmentSpace()
    off = {**LABEL, "teacher": False, "student": False}
    on = {**LABEL, "teacher": False, "student": True}
    assert space.canonical({**off, "augmentation": "cutmix"}) == space.canonical({**off, "augmentation": "autoaugment"})
    assert space.canonical({**on, "augmentation": "cutmix"}) != space.canonical({**on, "augmentation": "autoaugment"})
    weights = KDAugmentSpace(betas=(0.0, 500.0))
    feature = {"augmentation": "cutmix", "model": "resnet8", "type": "feature", "teacher": True, "student": True}
    assert weights.canonical({**feature, "beta": 0.0}) == weights.canonical({**feature, "beta": 500.0})
    # Three without any augmentation, and each augmentation on one side of two kinds (3 pairs) and alone.
    assert sum(1 for _ in space.enumerate()) == 3 + 2 * (2 * 3 + 1)


def test_the_published_tables_are_the_grid_of_preset_paper() -> None:
    options = {name: tuple(one) if isinstance(one, list) else one for name, one in PAPER_AUGMENTATION["space"].items()}
    space = KDAugmentSpace(**options)
    trainings = list(map(space.decode, space.enumerate()))
    assert len(trainings) == PAPER_AUGMENTATION["trials"] == 30
    assert Counter(one.model.model for one in trainings) == {model: 10 for _, model in AUGMENTATIONS}
    assert Counter(kind_of(one.graph) for one in trainings) == {"none": 6, "label": 12, "feature": 12}
    used = {
        (name, one.model.model)
        for one in trainings
        for training in (one, *one.teachers)
        for name, value in training.recipe.trainer.items()
        if value
    }
    assert used == {(name.replace("auto", "auto_"), model) for name, model in AUGMENTATIONS}
    assert PAPER_AUGMENTATION["max_budget"] == 300
    assert PAPER_AUGMENTATION["trainer"]["lr"] == 0.25


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"augmentations": ()}, "augmentations .* at least one choice"),
        (
            {"published": True},
            "it allows none: .*cutmix of pyramidnet-110-64, .*, not of resnet8; mend --set space.aug",
        ),
        (
            {"published": True, "models": ("pyramidnet-200-240", "pyramidnet-200-300", "resnet8")},
            r"no configuration has resnet8 .space.models.: .*models=\[pyramidnet-200-240, pyramidnet-200-300\]'",
        ),
        ({"augmentations": ("cutout",), "cutout": 0}, "cutout .* at least 1 pixel where cutout .* but got 0; mend"),
        ({"cutmix": 0.0}, "cutmix .* above 0 and at most 1 .* but got 0.0; mend --set space.cutmix"),
        ({"cutmix": 1.5}, "but got 1.5"),
        ({"augmentations": ("randaugment",), "magnitude": 31}, "magnitude .* 0 to 30 .* but got 31"),
        ({"augmentations": ("randaugment",), "magnitude": -1}, "magnitude .* but got -1"),
        ({"augmentations": ("randaugment",), "operations": 0}, "operations .* at least 1"),
        ({"alphas": (1.5,)}, "alphas .* at most 1"),
        ({"repeats": -1}, "repeats must be at least 1"),
    ],
)
def test_options_that_give_no_space_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        KDAugmentSpace(**options)


def test_what_is_not_listed_may_be_anything() -> None:
    space = KDAugmentSpace(("autoaugment",), cutout=0, cutmix=0.0, magnitude=99, operations=0)
    assert set(
        space.decode({**LABEL, "augmentation": "autoaugment", "teacher": False, "student": True}).recipe.trainer
    ) == {"auto_augment"}


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({**LABEL, "augmentation": "cutmix", "teacher": True}, "must give student, but it is missing"),
        ({**LABEL, "augmentation": "cutmix", "teacher": 1, "student": True}, "teacher .* but got 1"),
        ({**LABEL, "augmentation": "mixup", "teacher": True, "student": True}, "augmentation .* but got 'mixup'"),
        (
            {"augmentation": "cutmix", "model": "resnet8", "type": "none", "student": True, "teacher": True},
            "teacher .* with type in label, feature alone",
        ),
    ],
)
def test_what_is_no_configuration_is_refused(chosen: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        KDAugmentSpace().decode(chosen)
