"""Distillation around pruning: what a configuration stands for, what the published settings are, what is refused."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from automl_core import RequestError
from automl_core.options import validate
from automl_core.plugins import get_registry
from automl_kd_pruning.layers import Structure
from automl_spaces.graph import Edge, Node
from automl_spaces.kd_pruning import GROUPS, KDPruningSpace, groups_of
from automl_spaces.published_kd import PAPER_PRUNING, PRUNINGS, beta_of, written
from automl_spaces.trainings import Pruning, Training, kind_of, phase_of
from automl_vision import TrainerSettings
from automl_vision.costs import Sizes, build_empty

FREE = {"method": "l1-norm", "model": "resnet8", "ratio_1": 0.3, "ratio_2": 0.5, "ratio_3": 0.9}


def published() -> KDPruningSpace:
    options = {name: tuple(one) if isinstance(one, list) else one for name, one in PAPER_PRUNING["space"].items()}
    return KDPruningSpace(**options)


def test_label_distillation_after_l1_pruning_is_a_training_that_goes_on_from_the_scratch_network() -> None:
    space = KDPruningSpace(models=("resnet8",))
    training = space.decode({**FREE, "type": "label", "phase": "post", "alpha": 0.9, "temperature": 4.0})
    assert training.pruning == Pruning("l1-norm", (0.3, 0.5, 0.9))
    assert training.origin is not None
    assert training.origin == training.teachers[0]
    assert training.origin.recipe.trainer == {}
    assert training.graph.edges == (
        Edge(0, 1, weight=1 - 0.9),
        Edge(2, 1, weight=0.9, options={"temperature": 4.0}),
    )
    assert Training.from_json(training.to_json()) == training


@pytest.mark.parametrize("phase", ["pre", "post", "pre-post", "self"])
@pytest.mark.parametrize("kind", ["label", "feature"])
def test_kind_and_phase_are_those_that_were_chosen(kind: str, phase: str) -> None:
    numbers = {"alpha": 0.9, "temperature": 4.0} if kind == "label" else {"beta": 0.0}
    training = KDPruningSpace(models=("resnet8",)).decode({**FREE, "type": kind, "phase": phase, **numbers})
    assert phase_of(training) == phase
    assert training.origin is not None
    taught = training.origin.graph if phase == "pre" else training.graph
    assert kind_of(taught) == kind


def test_networks_that_are_slimmed_begin_with_half_scales_and_a_penalty_before_pruning_alone() -> None:
    space = KDPruningSpace(models=("preresnet11", "vgg11"))
    chosen = {"method": "slimming", "remaining": 0.5, "type": "feature", "phase": "self", "beta": 0.0}
    for model, penalty, beta in (("preresnet11", 1e-5, 500.0), ("vgg11", 1e-4, 1500.0)):
        training = space.decode({**chosen, "model": model})
        assert training.origin is not None
        assert training.model == Node(model)
        assert training.origin.recipe.trainer == {"sparsity": penalty, "norm_scale": 0.5}
        assert training.origin.teachers[0].recipe.trainer == {"sparsity": penalty, "norm_scale": 0.5}
        assert training.recipe.trainer == {}
        assert training.graph.edges[1] == Edge(2, 1, loss="feature", weight=beta)
        assert TrainerSettings(**training.origin.recipe.trainer).sparsity == penalty
    own = KDPruningSpace(sparsity=1e-3).decode({**chosen, "model": "preresnet11"})
    assert own.origin is not None
    assert own.origin.recipe.trainer == {"sparsity": 1e-3, "norm_scale": 0.5}


def test_without_distillation_there_is_no_phase_and_no_teacher() -> None:
    training = KDPruningSpace().decode(
        {"method": "magnitude", "model": "preresnet11", "remaining": 0.5, "type": "none"}
    )
    assert phase_of(training) == "none"
    assert training.teachers == ()
    assert training.pruning == Pruning("magnitude", (0.5,))


def test_repeats_are_different_trainings_down_to_the_teachers() -> None:
    space = KDPruningSpace(models=("resnet8",), repeats=3)
    chosen = {**FREE, "type": "label", "phase": "self", "alpha": 0.9, "temperature": 4.0}
    training = space.decode({**chosen, "repeat": 2})
    assert training.origin is not None
    assert {training.repeat, training.origin.repeat, training.origin.teachers[0].repeat} == {2}
    assert space.canonical({**chosen, "repeat": 1}) != space.canonical({**chosen, "repeat": 2})
    assert "repeat" not in KDPruningSpace().config_space


def test_the_published_tables_are_the_grid_of_preset_paper() -> None:
    space = published()
    trainings = [space.decode(configuration) for configuration in space.enumerate()]
    assert len(trainings) == PAPER_PRUNING["trials"] == 72
    pruned = Counter((one.pruning.method, one.model.model, one.pruning.remaining) for one in trainings if one.pruning)
    assert pruned == {(one.method, one.model, one.remaining): 9 for one in PRUNINGS}
    kinds = Counter((kind_of(one.origin.graph) if one.origin else "", phase_of(one)) for one in trainings)
    assert kinds == {
        ("none", "none"): 8,
        ("none", "post"): 16,
        **{(kind, phase): 8 for kind in ("label", "feature") for phase in ("pre", "pre-post", "self")},
    }


@pytest.mark.parametrize(
    ("model", "ratios", "spared"),
    [
        ("resnet56", "0.4/0.7/0.9", (8, 9, 10, 17, 19, 27)),
        ("resnet56", "0.5/0.6/0.7", (8, 9, 10, 17, 19, 27)),
        ("resnet110", "0.8/0.8/0.8", (18, 19, 37)),
        ("resnet110", "0.5/0.6/0.7", (18, 19, 37)),
    ],
)
def test_published_filter_pruning_spares_its_layers(model: str, ratios: str, spared: tuple[int, ...]) -> None:
    training = published().decode({"method": "l1-norm", "model": model, "ratios": ratios, "type": "none"})
    assert training.pruning == Pruning("l1-norm", tuple(map(float, ratios.split("/"))), spared)
    assert written(training.pruning.remaining) == ratios


def test_published_settings_are_told_as_the_trainer_and_the_evaluator_take_them() -> None:
    settings = TrainerSettings(**{**PAPER_PRUNING["trainer"], "milestones": (0.5, 0.75)})
    rates = [round(settings.learning_rate(epoch, 160), 6) for epoch in (0, 79, 80, 119, 120, 159)]
    assert rates == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert (settings.batch, settings.weight_decay, settings.nesterov) == (64, 1e-4, False)
    assert PAPER_PRUNING["evaluator"] == {"epochs": 160, "lr": 0.001, "schedule": "constant"}
    assert PAPER_PRUNING["max_budget"] == 40
    models = ("resnet110", "preresnet56", "vgg19", "densenet40", "pyramidnet-110-64", "pyramidnet-200-240")
    assert [beta_of(model) for model in models] == [500, 500, 1500, 1000, 1000, 2000]
    assert KDPruningSpace().presets("supervised") == {}
    assert set(KDPruningSpace().presets("kd-pruning")) == {"quick", "paper"}


def test_equal_trainings_have_equal_keys() -> None:
    space = KDPruningSpace(models=("resnet56",), ratios=("0.5", "0.5/0.5/0.5", "0.5/0.5/0.7"), betas=(0.0, 500.0))
    chosen = {"method": "l1-norm", "model": "resnet56", "type": "feature", "phase": "pre"}
    keys = {
        (ratios, beta): space.canonical({**chosen, "ratios": ratios, "beta": beta})
        for ratios in ("0.5", "0.5/0.5/0.5", "0.5/0.5/0.7")
        for beta in (0.0, 500.0)
    }
    assert keys["0.5", 0.0] == keys["0.5/0.5/0.5", 500.0]
    assert keys["0.5", 0.0] != keys["0.5/0.5/0.7", 0.0]
    assert len(set(keys.values())) == 2


def test_shares_of_groups_are_independent_unless_they_are_given_together() -> None:
    count = sum(1 for _ in KDPruningSpace(methods=("l1-norm",), types=("none",), remaining=(0.5, 0.9)).enumerate())
    assert count == 2**3
    several = KDPruningSpace(ratios=("0.4/0.7/0.9", "0.8"), remaining=(0.5, 0.9), repeats=2)
    # Two settings of each method, without distillation or with either kind in four phases, twice.
    assert sum(1 for _ in several.enumerate()) == 3 * 2 * (1 + 2 * 4) * 2


def test_what_makes_no_sense_together_is_never_drawn() -> None:
    space = KDPruningSpace(models=("densenet10", "vgg11", "resnet8"), types=("none",))
    pairs = {(one["method"], one["model"]) for one in space.enumerate()}
    assert {("l1-norm", "resnet8"), ("l1-norm", "vgg11"), ("slimming", "densenet10")} <= pairs
    assert ("l1-norm", "densenet10") not in pairs
    with pytest.raises(RequestError, match="method=l1-norm and model=densenet10 must not come together"):
        space.decode({"method": "l1-norm", "model": "densenet10", "ratio_1": 0.3, "type": "none"})
    several = KDPruningSpace(methods=("l1-norm",), models=("vgg11", "resnet8"), ratios=("0.5", "0.4/0.7/0.9"))
    pairs = {(one["model"], one["ratios"]) for one in several.enumerate()}
    assert pairs == {("vgg11", "0.5"), ("resnet8", "0.5"), ("resnet8", "0.4/0.7/0.9")}


def test_models_whose_groups_are_not_known_to_be_three_have_one_share_for_all_layers() -> None:
    space = KDPruningSpace(models=("resnet8", "vgg11", "resnetmine", "mobilenetv2"), remaining=(0.5, 0.9))
    chosen = {"method": "l1-norm", "type": "none", "ratio_1": 0.5}
    for model in ("vgg11", "resnetmine", "mobilenetv2"):
        training = space.decode({**chosen, "model": model})
        assert training.pruning == Pruning("l1-norm", (0.5,))
        with pytest.raises(RequestError, match=r"ratio_2 .* with method in l1-norm and model in resnet8 alone"):
            space.decode({**chosen, "model": model, "ratio_2": 0.5, "ratio_3": 0.5})
    with pytest.raises(RequestError, match="must give ratio_2"):
        space.canonical({**chosen, "model": "resnet8"})
    assert Counter(
        one["model"] for one in space.enumerate() if one["type"] == "none" and one["method"] == "l1-norm"
    ) == {
        "resnet8": 2**3,
        "vgg11": 2,
        "resnetmine": 2,
        "mobilenetv2": 2,
    }
    mine = KDPruningSpace(models=("resnetmine",))
    assert "ratio_2" not in mine.config_space
    given = KDPruningSpace(models=("resnetmine",), methods=("l1-norm",), ratios=("0.5/0.9",), types=("none",))
    (only,) = map(given.decode, given.enumerate())
    assert only.pruning == Pruning("l1-norm", (0.5, 0.9)), "the network itself says whether they fit"


def test_ratios_are_numbers_or_text() -> None:
    space = KDPruningSpace(models=("resnet8",), methods=("l1-norm",), types=("none",), ratios=(0.5, "0.4/0.7/0.9", 1.0))
    found = {one["ratios"]: space.decode(one).pruning for one in space.enumerate()}
    assert found == {
        "0.5": Pruning("l1-norm", (0.5,)),
        "0.4/0.7/0.9": Pruning("l1-norm", (0.4, 0.7, 0.9)),
        "1.0": Pruning("l1-norm", (1.0,)),
    }
    given = validate(KDPruningSpace, {"ratios": [0.5, "0.4/0.7/0.9"]}, "space kd-pruning")
    assert given == {"ratios": (0.5, "0.4/0.7/0.9")}
    with pytest.raises(RequestError, match=r"must be list of str \| float"):
        validate(KDPruningSpace, {"ratios": [True]}, "space kd-pruning")


def test_all_registered_models_of_these_families_are_in_the_table() -> None:
    families = re.compile(r"(pre)?resnet|vgg|densenet")
    registered = {name for name in get_registry().names("model") if families.match(name)}
    assert registered == set(GROUPS)


@pytest.mark.parametrize("model", ["resnet8", "resnet18", "resnet34", "preresnet11", "vgg11", "vgg16", "densenet10"])
def test_groups_are_those_that_the_networks_have(model: str) -> None:
    sizes = Sizes(channels=1, classes=10, image_size=(32, 32))
    widths = {layer.width for layer in Structure(build_empty(Node(model), sizes), 1, model).inner}
    assert groups_of(model) == len(widths)
    assert [groups_of(other) for other in ("wrn-10-1", "resnet50", "resnet8x", "resnetfoo")] == [None] * 4


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"models": ()}, "models .* at least one choice"),
        ({"types": ("label", "label")}, "holds label more than once"),
        ({"remaining": (0.5, 0.0)}, "remaining .* above 0 and at most 1"),
        ({"ratios": ("0.4-0.7",)}, "such as 0.4/0.7/0.9, but got 0.4-0.7"),
        ({"ratios": (1.5,)}, "above 0 and at most 1, .* but got 1.5; mend --set space.ratios"),
        ({"ratios": (0.5, "0.5")}, "holds 0.5 more than once"),
        (
            {"ratios": (0.5,), "methods": ("slimming",)},
            "ratios .* with the method l1-norm, .* methods are slimming; leave",
        ),
        ({"ratios": ("0.4/1.7/0.9",)}, "above 0 and at most 1"),
        ({"alphas": (0.0,)}, "alphas .* above 0 and at most 1"),
        ({"temperatures": (0.0,)}, "temperatures .* above 0"),
        ({"betas": (-1.0,)}, "betas .* at least 0"),
        ({"sparsity": -1e-4}, "sparsity must be"),
        ({"repeats": 0}, "repeats must be at least 1"),
        (
            {"methods": ("l1-norm",), "models": ("densenet40",)},
            "allows none: densenet40 has no inner layers of its own, .* by slimming or magnitude.; mend --set space.m",
        ),
        (
            {"methods": ("l1-norm",), "models": ("resnet8", "densenet10")},
            r"no configuration has densenet10 .space.models.: densenet10 has .* --set 'space.models=\[resnet8\]'$",
        ),
        (
            {"models": ("densenet10",)},
            r"no configuration has l1-norm .space.methods.: .* --set 'space.methods=\[slimming, magnitude\]'$",
        ),
        (
            {"methods": ("l1-norm",), "ratios": ("0.4/0.7",)},
            "allows none: preresnet11 has 3 groups .* 0.4/0.7 are 2 ratios .give 3, or one for all.; .*space.ratios",
        ),
        (
            {"models": ("resnet8", "vgg11"), "ratios": (0.5, "0.4/0.7", "0.4/0.7/0.9")},
            "no configuration has 0.4/0.7 .space.ratios.: resnet8 has 3 .*; vgg11 has 4 .*=.0.5, 0.4/0.7/0.9.'$",
        ),
        (
            {"methods": ("l1-norm",), "models": ("vgg11",), "ratios": ("0.4/0.7/0.9",)},
            "allows none: vgg11 has 4 groups .* are 3 ratios .give 4, or one",
        ),
        (
            {"published": True},
            "slimming of vgg19, preresnet56, densenet40, not of preresnet11; .* mend --set space.meth",
        ),
        (
            {"published": True, "methods": ("l1-norm",), "models": ("resnet56",)},
            r"l1-norm of resnet56 with space.ratios=\[0.4/0.7/0.9, 0.5/0.6/0.7\], not with independent shares",
        ),
        (
            {**PAPER_PRUNING["space"], "models": ("resnet56",)},
            r"magnitude .space.methods. and 0.8/0.8/0.8 .space.ratios.: .* 'space.methods=\[l1-norm\]' --set 'space.r",
        ),
    ],
)
def test_options_that_give_no_space_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        KDPruningSpace(**options)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ratio_2": None}, "must give ratio_2, but it is missing"),
        ({"remaining": 0.5}, "remaining .* with method in slimming, magnitude alone"),
        ({"beta": 0.0}, "beta .* with type in feature alone"),
        ({"phase": "before"}, "phase .* must be one of pre, post, pre-post, self, but got 'before'"),
        ({"ratio_1": 0.35}, "ratio_1 .* but got 0.35"),
        ({"phases": "pre"}, "did you mean 'phase'"),
    ],
)
def test_what_is_no_configuration_is_refused(change: dict[str, Any], reason: str) -> None:
    whole = {**FREE, "type": "label", "phase": "pre", "alpha": 0.9, "temperature": 4.0, **change}
    with pytest.raises(RequestError, match=reason):
        KDPruningSpace(models=("resnet8",)).decode({name: one for name, one in whole.items() if one is not None})
