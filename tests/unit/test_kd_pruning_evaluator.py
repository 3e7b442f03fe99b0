"""Trainings that build on trainings: what they require, what they begin from, what stays removed, what is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from automl_core import Context, RequestError
from automl_core.testing import EvaluatorContract
from automl_core.types import Job
from automl_kd_pruning.evaluation import Sequel
from automl_kd_pruning.evaluator import KDPruningEvaluator
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_spaces.kd_pruning import KDPruningSpace
from automl_spaces.recipe import Recipe
from automl_spaces.trainings import (
    KINDS,
    METHODS,
    PHASES,
    Distillation,
    Kind,
    Phase,
    Pruning,
    Training,
    kind_of,
    named,
    phase_of,
    pruned,
    undistilled,
)
from automl_vision import TrainerSettings, load_exported
from automl_vision.data.digits import Digits
from automl_vision.exporting import load_network

SMALL = Node("resnet8", {"width": 4})
L1, SLIM, MAGNITUDE = Pruning("l1-norm", (0.5,)), Pruning("slimming", (0.5,)), Pruning("magnitude", (0.4,))
SETTINGS = TrainerSettings(batch=20, pad=1, lr=0.05, schedule="cosine")


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def evaluator(**options: Any) -> KDPruningEvaluator:
    return KDPruningEvaluator(**{"epochs": 1, "latency": False, "trainer": SETTINGS} | options)


def made(one: KDPruningEvaluator, training: Training, dataset: Digits, into: Path, **rest: Any) -> Sequel:
    """Builds a training's evaluation, with all that it requires trained into a directory."""
    artefacts = []
    for number, request in enumerate(one.requires(training, 2, "search")):
        directory = into / str(number)
        directory.mkdir(parents=True)
        needed: Any = request.description
        before = made(one, needed, dataset, directory / "before")
        run(before, request.budget)
        before.export(directory)
        artefacts.append(directory)
    context = Context(**{"seed": 3, "max_budget": 2, "dataset": dataset, "artefacts": tuple(artefacts)} | rest)
    evaluation = one.start(training, context)
    assert isinstance(evaluation, Sequel)
    return evaluation


def run(evaluation: Sequel, budget: int) -> list[dict[str, float]]:
    return [dict(one.metrics) for one in evaluation.advance(Job(0, {}, evaluation.epoch, budget))]


class TestKDPruningEvaluator(EvaluatorContract):
    max_budget = 2

    def make_evaluator(self) -> KDPruningEvaluator:
        return evaluator()

    def make_space(self) -> KDPruningSpace:
        return KDPruningSpace(models=("resnet8",))

    def make_dataset(self) -> Digits:
        return Digits(limit=60)

    def make_description(self, split: Any = "search") -> Training:
        return pruned(SMALL, L1, Distillation("feature"), "self")


class TestWithMasks(TestKDPruningEvaluator):
    def make_description(self, split: Any = "search") -> Training:
        return pruned(SMALL, MAGNITUDE, Distillation("label"), "post")


class TestWithSlimming(TestKDPruningEvaluator):
    def make_description(self, split: Any = "search") -> Training:
        return pruned(SMALL, SLIM, Distillation("label"), "pre", {"sparsity": 1e-3})


class TestWithAGraph(TestKDPruningEvaluator):
    """A graph of its own is a training that builds on nothing."""

    def make_description(self, split: Any = "search") -> Any:
        return Distillation("label").graph(SMALL)


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_is_told_by_the_training_that_it_gives(phase: Phase, kind: Kind) -> None:
    training = pruned(SMALL, L1, Distillation(kind), phase, {"sparsity": 0.1}, repeat=2)
    assert phase_of(training) == phase
    assert Training.from_json(training.to_json()) == training
    kinds = {kind_of(one.graph) for one in (training, *training.before())}
    assert kinds == ({"none"} if phase == "none" else {"none", kind})
    assert all(one.repeat == 2 for one in training.before())
    assert [one.recipe.trainer for one in training.before()] == [{"sparsity": 0.1}] * len(training.before())
    assert training.recipe.trainer == {}
    assert undistilled(training) == pruned(SMALL, L1, Distillation(), "none", {"sparsity": 0.1}, repeat=2)


def test_without_distillation_every_phase_is_the_plain_one() -> None:
    assert {pruned(SMALL, L1, Distillation(), phase) for phase in PHASES} == {pruned(SMALL, L1, Distillation(), "none")}


@pytest.mark.parametrize(
    ("phase", "labels"),
    [
        ("none", ["scratch resnet8"]),
        ("pre", ["label-distilled resnet8"]),
        ("post", ["scratch resnet8", "scratch resnet8"]),
        ("pre-post", ["label-distilled resnet8", "scratch resnet8"]),
        ("self", ["label-distilled resnet8", "label-distilled resnet8"]),
    ],
)
def test_requires_its_origin_and_then_its_teachers(phase: Phase, labels: list[str]) -> None:
    requests = evaluator(epochs=7).requires(pruned(SMALL, L1, Distillation("label"), phase), 2, "final")
    assert [request.label for request in requests] == labels
    assert {(request.budget, request.schedule, request.split) for request in requests} == {(7, 7, "final")}


def test_every_phase_of_one_kind_builds_on_the_same_two_networks() -> None:
    trainings = [pruned(SMALL, one, Distillation("label"), phase) for phase in PHASES for one in (L1, MAGNITUDE)]
    behind = {str(one.to_json()) for training in trainings for one in training.before()}
    assert len(behind) == 2


def test_epochs_of_what_others_build_on_are_the_studys_unless_given() -> None:
    (request,) = evaluator(epochs=0).requires(pruned(SMALL, L1, Distillation(), "none"), 5, "search")
    assert (request.budget, request.schedule) == (5, 5)


def test_teachers_follow_their_nodes_into_the_canonical_graph() -> None:
    other = Node("resnet8", {"width": 2})
    graph = KnowledgeTransferGraph((SMALL, SMALL, other), (Edge(0, 1), Edge(2, 1), Edge(3, 1)))
    mirrored = KnowledgeTransferGraph((SMALL, other, SMALL), (Edge(0, 1), Edge(2, 1), Edge(3, 1)))
    first, second = (Training(Recipe(Distillation().graph(node), {"lr": 0.2})) for node in (SMALL, other))
    asked = [
        {request.description for request in evaluator().requires(training, 2, "search")}
        for training in (
            Training(Recipe(graph), (first, second)),
            Training(Recipe(mirrored), (second, first)),
        )
    ]
    assert asked == [{first, second}] * 2
    for training in (Training(Recipe(graph), (first, second)), Training(Recipe(mirrored), (second, first))):
        canonical = training.graph.canonical()
        for number, teacher in zip(sorted(canonical.frozen), training.needed_teachers(), strict=True):
            assert teacher.model == canonical.node(number)
    found = [one.recipe.trainer for one in Training(Recipe(graph), (first,)).needed_teachers()]
    assert sorted(found, key=len) == [{}, {"lr": 0.2}], "a frozen node without a teacher is trained as in any graph"


@pytest.mark.parametrize("method", METHODS)
def test_the_first_observation_is_the_pruned_network_untouched(method: Any, dataset: Digits, tmp_path: Path) -> None:
    remaining = (1.0,) if method == "l1-norm" else (0.999999,)
    training = pruned(SMALL, Pruning(method, remaining), Distillation(), "none")
    one = evaluator(epochs=2)
    first = run(made(one, training, dataset, tmp_path / "pruned"), 0)[0]
    (request,) = one.requires(training, 2, "search")
    needed: Any = request.description
    whole = run(made(one, needed, dataset, tmp_path / "whole"), 2)[-1]
    if method == "l1-norm":
        assert (first["accuracy"], first["loss"]) == pytest.approx((whole["accuracy"], whole["loss"]), rel=1e-6)
        assert first["params"] == first["params_before"]
    else:
        assert first["loss"] == pytest.approx(whole["loss"], rel=0.05)


def test_what_channels_that_go_gain_is_reported(dataset: Digits, tmp_path: Path) -> None:
    training = pruned(SMALL, L1, Distillation(), "none")
    one = evaluator(latency=True)
    evaluation = made(one, training, dataset, tmp_path)
    curve = run(evaluation, 2)
    for name in ("params", "flops", "size", "latency"):
        assert curve[-1][name] > 0
        assert curve[-1][f"{name}_before"] > 0
        assert {row[name] for row in curve} == {curve[0][name]}, "measured once"
    inner = [(4, 4), (4, 8), (8, 16)]  # channels that come into the inner layer of each block, and that are in it
    kept = [(9 * i * c + 2 * c + 9 * c * o) for (i, c), o in zip(inner, (4, 8, 16), strict=True)]
    half = [(9 * i * c + 2 * c + 9 * c * o) for (i, c), o in zip([(4, 2), (4, 4), (8, 8)], (4, 8, 16), strict=True)]
    assert curve[0]["params_before"] - curve[0]["params"] == sum(kept) - sum(half)
    assert curve[0]["flops"] < curve[0]["flops_before"]
    assert evaluation.report() == {
        "kept": {f"blocks.{block}.convolution_1": [width // 2, width] for block, width in enumerate((4, 8, 16))}
    }
    sizes = dataset, KDPruningSpace(models=("resnet8",))
    one.check(sizes[1], dataset)
    assert one.foresee(training) == {name: curve[0][name] for name in ("params", "flops", "size")}


def test_weights_that_were_removed_stay_zero_whatever_the_optimiser_remembers(dataset: Digits, tmp_path: Path) -> None:
    training = pruned(SMALL, MAGNITUDE, Distillation("label"), "post")
    one = evaluator(lr=0.5)
    evaluation = made(one, training, dataset, tmp_path)
    zeros = {name: weight == 0 for name, weight in evaluation.target.named_parameters() if weight.dim() == 4}
    assert sum(int(mask.sum()) for mask in zeros.values()) >= 0.6 * sum(mask.numel() for mask in zeros.values())
    before = {name: weight.clone() for name, weight in evaluation.target.named_parameters()}
    curve = run(evaluation, 2)
    for name, weight in evaluation.target.named_parameters():
        if name in zeros:
            assert torch.equal(weight == 0, zeros[name])
            assert not torch.equal(weight, before[name]), "the others are trained"
    assert curve[-1]["sparsity"] == curve[0]["sparsity"] >= 0.6
    assert curve[-1]["size"] < curve[-1]["size_before"]
    assert "params" not in curve[-1], "nothing became smaller in the way that counts for speed"
    (tmp_path / "export").mkdir()
    evaluation.export(tmp_path / "export")
    exported = dict(load_exported(tmp_path / "export").network.named_parameters())
    assert all(torch.equal(exported[name] == 0, mask) for name, mask in zeros.items())


def test_slimming_penalises_the_first_training_and_not_the_last(dataset: Digits, tmp_path: Path) -> None:
    training = pruned(SMALL, SLIM, Distillation("feature"), "self", {"sparsity": 0.02})
    one = evaluator(trainer=TrainerSettings(batch=20, pad=1, sparsity=0.5))
    evaluation = made(one, training, dataset, tmp_path)
    assert evaluation.settings.sparsity == 0.0
    assert (evaluation.settings.lr, evaluation.settings.schedule) == (0.001, "constant")
    (origin, *_) = one.requires(training, 2, "search")
    needed: Any = origin.description
    assert made(one, needed, dataset, tmp_path / "origin").settings.sparsity == 0.02


def test_a_pruned_network_is_exported_as_description_and_weights(dataset: Digits, tmp_path: Path) -> None:
    evaluation = made(evaluator(), pruned(SMALL, L1, Distillation("label"), "pre-post"), dataset, tmp_path)
    run(evaluation, 1)
    (tmp_path / "export").mkdir()
    evaluation.export(tmp_path / "export")
    network, card = load_network(tmp_path / "export")
    assert card.model == "pruned"
    images = next(evaluation.batches.measured())[0]
    evaluation.target.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), evaluation.target(images))


def test_an_origin_of_another_network_or_other_classes_is_refused(dataset: Digits, tmp_path: Path) -> None:
    training = pruned(SMALL, L1, Distillation(), "none")
    wider = Training(Recipe(Distillation().graph(Node("resnet8", {"width": 6}))))
    (tmp_path / "other").mkdir()
    made(evaluator(), wider, dataset, tmp_path / "wider").export(tmp_path / "other")
    context = Context(seed=1, max_budget=2, dataset=dataset, artefacts=(tmp_path / "other",))
    with pytest.raises(RequestError, match=r"must be of its node's own model.*'width': 4.*holds.*'width': 6"):
        evaluator().start(training, context)


def test_a_teacher_of_other_classes_is_refused(dataset: Digits, tmp_path: Path) -> None:
    card = tmp_path / "teacher" / "model.json"
    card.parent.mkdir()
    from automl_vision.exporting import ModelCard, save_network
    from automl_vision.models import build_model

    save_network(
        build_model("resnet8", 1, 7, {"width": 4}),
        ModelCard("resnet8", {"width": 4}, 1, 7, (8, 8), (0.0,), (1.0,), "other"),
        card.parent,
    )
    context = Context(seed=1, max_budget=2, dataset=dataset, artefacts=(card.parent,))
    with pytest.raises(RequestError, match=r"classes\) \('resnet8', {'width': 4}, 1, 10\), but .* 1, 7\)"):
        evaluator().start(Distillation("label").graph(SMALL), context)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Pruning("l1-norm", ()), "above 0 and at most 1, but got ()"),
        (lambda: Pruning("l1-norm", (0.5, 0.0)), "above 0 and at most 1, but got (0.5, 0.0)"),
        (lambda: Pruning("slimming", (0.5, 0.5)), "must be given one share, but got (0.5, 0.5)"),
        (lambda: Pruning("l2-norm", (0.5,)), "did you mean 'l1-norm'"),  # type: ignore[arg-type]
        (lambda: Training(Recipe(Distillation().graph(SMALL)), pruning=L1), "name its origin"),
        (lambda: Distillation("labels"), "did you mean 'label'"),  # type: ignore[arg-type]
        (lambda: Distillation("label", alpha=1.5), "from 0 (labels alone) to 1"),
        (lambda: evaluator(epochs=-1), "at least 0 epochs"),
        (lambda: evaluator(lr=0.0), "above 0"),
    ],
)
def test_wrong_requests_name_rule_value_and_way_out(build: Any, message: str) -> None:
    with pytest.raises(RequestError) as error:
        build()
    assert message in str(error.value)


def test_names_say_what_a_training_makes() -> None:
    training = pruned(SMALL, SLIM, Distillation("feature"), "post", {"sparsity": 1e-5})
    assert [named(one) for one in (*training.before(), training)] == [
        "scratch resnet8, sparsity 1e-05",
        "feature-distilled slimming-pruned resnet8",
    ]


def test_a_drawing_says_step_by_step_what_is_trained() -> None:
    training = pruned(
        Node("resnet56", {"width": 16}), Pruning("l1-norm", (0.4, 0.7, 0.9), (8, 9)), Distillation("label"), "self"
    )
    gains = {"params": 741_562.0, "params_before": 858_868.0, "latency": 0.0101, "latency_before": 0.0123}
    drawn = evaluator().draw(training, gains)
    assert drawn is not None
    assert drawn.splitlines() == [
        "1  new resnet56 width=16",
        "     learns from the labels",
        "2  new resnet56 width=16",
        "     learns from the labels (x 0.1)",
        "     learns from network 1 (T = 4, x 0.9)",
        "3  network 2, of whose filters l1-norm leaves 40/70/90 %, 2 layers spared",
        "     learns from the labels (x 0.1)",
        "     learns from network 2 (T = 4, x 0.9)",
        "",
        "   parameters          858,868  ->         741,562    86.3 %",
        "   latency, ms           12.30  ->           10.10    82.1 %",
    ]
    assert all(len(line) <= 80 for line in drawn.splitlines())


# Going on with what was pruned already.


def test_a_pruned_network_can_be_pruned_again(dataset: Digits, tmp_path: Path) -> None:
    first = pruned(SMALL, L1, Distillation(), "none")
    alone = Recipe(Distillation().graph(SMALL))
    second = Training(alone, (), first, Pruning("l1-norm", (0.5,)))
    one = evaluator()
    evaluation = made(one, second, dataset, tmp_path)
    curve = run(evaluation, 1)
    assert evaluation.report() == {
        "kept": {f"blocks.{block}.convolution_1": [width // 4, width // 2] for block, width in enumerate((4, 8, 16))}
    }
    one.check(KDPruningSpace(models=("resnet8",)), dataset)
    assert one.foresee(second) == {name: curve[0][name] for name in ("params", "flops", "size")}
    assert one.foresee(first) == {name: curve[0][f"{name}_before"] for name in ("params", "flops", "size")}
    (tmp_path / "export").mkdir()
    evaluation.export(tmp_path / "export")
    assert load_network(tmp_path / "export")[1].options["model"] == "pruned"


def test_weights_that_were_put_to_zero_stay_zero_in_everything_that_follows(dataset: Digits, tmp_path: Path) -> None:
    first = pruned(SMALL, Pruning("magnitude", (0.5,)), Distillation(), "none")
    alone = Recipe(Distillation().graph(SMALL))
    for number, pruning in enumerate((None, Pruning("l1-norm", (0.5,)), Pruning("magnitude", (0.25,)))):
        training = Training(alone, (), first, pruning)
        evaluation = made(evaluator(lr=0.1), training, dataset, tmp_path / str(number))
        zeros = {name: weight == 0 for name, weight in evaluation.target.named_parameters() if weight.dim() == 4}
        assert sum(int(mask.sum()) for mask in zeros.values()) > 0
        run(evaluation, 2)
        for name, weight in evaluation.target.named_parameters():
            assert name not in zeros or torch.equal(weight == 0, zeros[name])


def test_the_accuracy_before_is_that_of_the_network_that_was_pruned(dataset: Digits, tmp_path: Path) -> None:
    training = pruned(SMALL, L1, Distillation(), "none")
    one = evaluator(epochs=2)
    curve = run(made(one, training, dataset, tmp_path / "pruned"), 1)
    (request,) = one.requires(training, 2, "search")
    needed: Any = request.description
    whole = run(made(one, needed, dataset, tmp_path / "whole"), 2)
    assert [row["accuracy_before"] for row in curve] == [whole[-1]["accuracy"]] * 2


def test_a_teacher_with_fewer_channels_is_refused() -> None:
    smaller = pruned(SMALL, L1, Distillation(), "none")
    with pytest.raises(RequestError, match="must have all of its channels, but that of resnet8 was pruned"):
        Training(Recipe(Distillation("label").graph(SMALL)), (smaller,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"methods": ("magnitude", "l1-norm"), "models": ("resnet8", "mobilenetv2"), "ratios": ("0.5/0.5/0.4",)},
            "groups",
        ),
        ({"methods": ("magnitude",), "models": ("resnet8", "resnet9")}, "unknown model 'resnet9'"),
    ],
)
def test_all_of_a_space_is_checked_before_anything_starts(
    options: dict[str, Any], message: str, dataset: Digits
) -> None:
    with pytest.raises(RequestError, match=message):
        evaluator().check(KDPruningSpace(**options), dataset)
