"""Distillation as edges: published numbers, the regressor's place, mixed labels, and a penalty on a node's scales."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automl_core import Context, RequestError
from automl_core.types import Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_spaces.trainings import Distillation
from automl_vision import CollaborativeTrainer, TrainerSettings, load_exported
from automl_vision.data.digits import Digits
from automl_vision.losses import CrossEntropy, EdgeInput, FeatureDistance, KLDivergence, NodeOutput
from automl_vision.models import ClassifierModule, build_model

SMALL = Node("resnet8", {"width": 2})
SETTINGS = TrainerSettings(batch=20, pad=1, lr=0.05, schedule="cosine")


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


@pytest.fixture(scope="module")
def teacher(dataset: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("teacher")
    alone = CollaborativeTrainer(Distillation().graph(SMALL), SETTINGS, Context(seed=1, max_budget=2, dataset=dataset))
    run(alone, 2)
    alone.export(directory)
    return directory


def run(trainer: CollaborativeTrainer, budget: int) -> list[dict[str, float]]:
    return [dict(one.metrics) for one in trainer.advance(Job(0, {}, trainer.epoch, budget))]


def student(dataset: Digits, teacher: Path, distillation: Distillation, settings: TrainerSettings = SETTINGS) -> Any:
    context = Context(seed=3, max_budget=2, dataset=dataset, artefacts=(teacher,))
    return CollaborativeTrainer(distillation.graph(SMALL), settings, context)


def loss_of(graph: KnowledgeTransferGraph, labels: Tensor, student: NodeOutput, teacher: NodeOutput) -> float:
    """The graph's loss with all gates through: the weighted sum of the means of its edges' losses."""
    kinds: dict[str, Any] = {"cross-entropy": CrossEntropy, "kl": KLDivergence, "feature": FeatureDistance}
    total = 0.0
    for edge in graph.edges:
        loss = kinds[edge.loss_name](**edge.options)
        total += edge.weight * float(loss(EdgeInput(labels, student, teacher if edge.source else None)).mean())
    return total


def maps(rows: list[list[list[float]]]) -> NodeOutput:
    """Samples of two channels of 1 x 2 pixels."""
    return NodeOutput(
        torch.zeros(len(rows), 2),
        torch.zeros(len(rows), 3),
        maps=torch.tensor(rows, dtype=torch.float64)[:, :, None, :],
    )


def test_label_distillation_as_published() -> None:
    logits = torch.tensor([[1.0, 0, -1], [0.5, 0.5, 0]], dtype=torch.float64)
    of_teacher = torch.tensor([[2.0, 0, 0], [0, 1, -1]], dtype=torch.float64)
    ends = NodeOutput(logits, logits), NodeOutput(of_teacher, of_teacher)
    graph = Distillation("label", alpha=0.9, temperature=4).graph(SMALL)
    assert loss_of(graph, torch.tensor([0, 2]), *ends) == pytest.approx(0.228539, abs=1e-6)
    divergence = KLDivergence(4.0)(EdgeInput(torch.tensor([0, 2]), *ends)).mean()
    assert float(divergence) / 16 == pytest.approx(0.009393, abs=1e-6)


def test_feature_distance_as_published() -> None:
    of_teacher, of_student = maps([[[1, 2], [2, 0]], [[0, 0], [3, 4]]]), maps([[[2, 1], [0, 2]], [[0, 5], [0, 0]]])
    labels = torch.tensor([0, 1])
    per_sample = FeatureDistance()(EdgeInput(labels, of_student, of_teacher))
    assert (per_sample * 4).tolist() == pytest.approx([2.0, 2.4])
    assert float(per_sample.mean()) * 500 == pytest.approx(275)
    scaled = replace(of_student, maps=7 * of_student.maps)  # type: ignore[operator]
    assert FeatureDistance()(EdgeInput(labels, scaled, of_teacher)).tolist() == pytest.approx(per_sample.tolist())


def test_the_published_weight_brings_feature_distance_next_to_the_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    for channels, beta, expected in ((64, 500, 6.2), (320, 1000, 5.6), (1024, 2000, 6.2), (456, 1000, 4.7)):
        pair = [torch.randn(4, channels, 8, 8, generator=generator).relu() for _ in range(2)]
        ends = [NodeOutput(one.mean((2, 3)), one.mean((2, 3)), maps=one) for one in pair]
        distance = FeatureDistance()(EdgeInput(torch.zeros(4, dtype=torch.int64), ends[0], ends[1]))
        assert beta * float(distance.mean()) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("alpha", "edges"), [(0.0, [(0, 1)]), (0.9, [(0, 1), (2, 1)]), (1.0, [(2, 1)])])
def test_an_edge_of_weight_zero_is_left_out(alpha: float, edges: list[tuple[int, int]]) -> None:
    graph = Distillation("label", alpha=alpha).graph(SMALL)
    assert [(edge.source, edge.destination) for edge in graph.edges] == edges


def test_the_regressor_is_trained_and_checkpointed_and_left_behind(
    dataset: Digits, teacher: Path, tmp_path: Path
) -> None:
    trainer = student(dataset, teacher, Distillation("feature", beta=500))
    (edge,) = [edge for edge in trainer.learners[0].edges if edge.source]
    assert torch.equal(edge.loss.regressor.weight[:, :, 0, 0], torch.eye(8))
    run(trainer, 1)
    trained = edge.loss.regressor.weight.clone()
    assert not torch.equal(trained[:, :, 0, 0], torch.eye(8))
    (tmp_path / "checkpoint").mkdir()
    trainer.save(tmp_path / "checkpoint")
    whole = run(trainer, 2)
    again = student(dataset, teacher, Distillation("feature", beta=500))
    again.load(tmp_path / "checkpoint")
    (copy,) = [edge for edge in again.learners[0].edges if edge.source]
    assert torch.equal(copy.loss.regressor.weight, trained)
    assert run(again, 2) == whole
    (tmp_path / "export").mkdir()
    again.export(tmp_path / "export")
    assert not [name for name in load_exported(tmp_path / "export").network.state_dict() if "regressor" in name]


def test_a_regressor_maps_to_the_teachers_channels() -> None:
    wide, narrow = build_model("resnet8", 1, 10, {"width": 4}), build_model("resnet8", 1, 10, {"width": 2})
    loss = FeatureDistance()
    loss.fit(wide, narrow)
    assert tuple(loss.regressor.weight.shape) == (16, 8, 1, 1)  # type: ignore[union-attr]
    with pytest.raises(RequestError, match="equally many channels, but the source has 16 and the destination 8"):
        FeatureDistance(regressor=False).fit(wide, narrow)


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward_features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class FlatClassifier(Flat, ClassifierModule):
    """Derived from the class that has the method, but does not say what it is."""


@pytest.mark.parametrize("kind", [Flat, FlatClassifier])
def test_a_model_without_maps_is_refused_before_anything_is_trained(kind: Any, dataset: Digits, teacher: Path) -> None:
    context = Context(seed=3, max_budget=2, dataset=dataset, artefacts=(teacher,))
    network: Any = kind()
    with pytest.raises(RequestError, match=f"{kind.__name__} has no forward_maps and pool"):
        CollaborativeTrainer(Distillation("feature").graph(SMALL), SETTINGS, context, target=network)


def test_feature_maps_of_other_sizes_are_refused() -> None:
    ends = [NodeOutput(torch.zeros(1, 2), torch.zeros(1, 3), maps=torch.ones(1, 2, size, size)) for size in (4, 2)]
    with pytest.raises(RequestError, match=r"the source's are \(2, 2, 2\) and the destination's.*\(2, 4, 4\)"):
        FeatureDistance()(EdgeInput(torch.zeros(1, dtype=torch.int64), *ends))


def test_networks_over_other_classes_cannot_teach_one_another() -> None:
    ends = [NodeOutput(torch.zeros(2, 4), torch.zeros(2, classes)) for classes in (3, 10)]
    with pytest.raises(RequestError, match=r"same classes, but the source gave \(2, 10\) and the destination \(2, 3\)"):
        KLDivergence()(EdgeInput(torch.zeros(2, dtype=torch.int64), *ends))


def test_a_target_goes_on_from_what_it_has_learnt(dataset: Digits, teacher: Path) -> None:
    network: ClassifierModule = load_exported(teacher).network  # type: ignore[assignment]
    context = Context(seed=3, max_budget=2, dataset=dataset)
    trainer = CollaborativeTrainer(Distillation().graph(SMALL), SETTINGS, context, target=network)
    fresh = CollaborativeTrainer(Distillation().graph(SMALL), SETTINGS, context)
    assert trainer.target is network
    assert run(trainer, 1)[0]["loss"] < run(fresh, 1)[0]["loss"]


def test_mixed_labels_weigh_the_classes_and_the_larger_share_decides_what_is_correct(
    dataset: Digits, teacher: Path
) -> None:
    graph = KnowledgeTransferGraph((SMALL, SMALL), (Edge(0, 1), Edge(2, 1, "correct")))
    context = Context(seed=3, max_budget=2, dataset=dataset, artefacts=(teacher,))
    trainer = CollaborativeTrainer(graph, SETTINGS, context)
    images, labels = next(trainer.batches.epoch(0))
    for network in trainer.networks.values():
        network.eval()
    update: Any = trainer.update
    one_hot = nn.functional.one_hot(labels, 10).float()
    other = one_hot.roll(1, 0)
    plain = [update.losses(images, one.argmax(1), 0.5)[0].item() for one in (one_hot, other)]
    assert update.losses(images, one_hot, 0.5)[0].item() == pytest.approx(plain[0], rel=1e-5)
    share = 0.75
    mixed = update.losses(images, share * one_hot + (1 - share) * other, 0.5)[0].item()
    with torch.no_grad():
        logits, of_teacher = (trainer.networks[number](images) for number in (1, 2))
        entropy = nn.functional.cross_entropy(logits, labels), nn.functional.cross_entropy(logits, other.argmax(1))
        divergence = (of_teacher.softmax(1) * (of_teacher.log_softmax(1) - logits.log_softmax(1))).sum(1)
        right = of_teacher.argmax(1) == labels
    expected = share * entropy[0] + (1 - share) * entropy[1] + (divergence * right).sum() / len(labels)
    assert 0 < int(right.sum()) < len(labels)
    assert mixed == pytest.approx(expected.item(), rel=1e-5)


def test_the_penalty_adds_its_sign_to_the_gradient_of_every_scale(dataset: Digits) -> None:
    def stepped(sparsity: float) -> dict[str, Tensor]:
        settings = replace(SETTINGS, sparsity=sparsity, momentum=0.0, nesterov=False, weight_decay=0.0, lr=0.5)
        context = Context(seed=3, max_budget=2, dataset=dataset)
        trainer = CollaborativeTrainer(Distillation().graph(SMALL), settings, context)
        norms = [module for module in trainer.target.modules() if isinstance(module, nn.BatchNorm2d)]
        with torch.no_grad():
            norms[0].weight[0], norms[0].weight[1] = 0.0, -1.0
        trainer.learners[0].set_learning_rate(0.5)
        trainer.update(*next(trainer.batches.epoch(0)), progress=0.5)
        return {name: one.detach().clone() for name, one in trainer.target.named_parameters()}

    plain, sparse = stepped(0.0), stepped(0.01)
    for name, value in plain.items():
        scale = name.startswith("norm") or ".norm_" in name
        if scale and name.endswith("weight"):
            sign = torch.ones_like(value)
            if name == "norm.weight":
                sign[0], sign[1] = 0.0, -1.0
            torch.testing.assert_close(sparse[name], value - 0.5 * 0.01 * sign)
        else:
            assert torch.equal(sparse[name], value)


def test_scales_of_new_networks_begin_where_the_option_says_and_nothing_else_does(
    dataset: Digits, teacher: Path
) -> None:
    plain, halved = (
        student(dataset, teacher, Distillation("label"), replace(SETTINGS, norm_scale=scale)) for scale in (1.0, 0.5)
    )
    for number in (1, 2):
        norms = {f"{name}.weight" for name, one in plain.networks[1].named_modules() if isinstance(one, nn.BatchNorm2d)}
        for name, value in plain.networks[number].state_dict().items():
            begun = number == 1 and name in norms  # the teacher has learnt its own
            expected = torch.full_like(value, 0.5) if begun else value
            assert torch.equal(halved.networks[number].state_dict()[name], expected)
    assert norms
    with pytest.raises(RequestError, match=r"trainer\.norm_scale must be a number above 0, but got 0"):
        replace(SETTINGS, norm_scale=0.0)


@pytest.mark.parametrize("model", ["preresnet11", "vgg11"])
def test_the_regressor_of_a_pruned_network_begins_where_its_channels_were(model: str) -> None:
    from automl_kd_pruning.pruning import prune
    from automl_spaces.trainings import Pruning
    from automl_vision.costs import Sizes

    node = Node(model, {"width": 4})
    whole = build_model(model, 1, 10, {"width": 4}, seed=3)
    generator = torch.Generator().manual_seed(3)
    for norm in (one for one in whole.modules() if isinstance(one, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, generator=generator)
    smaller = prune(whole, node, Pruning("slimming", (0.5,)), Sizes(1, 10, (16, 16))).network
    assert smaller.kept_features is not None
    assert torch.equal(smaller.head.weight, whole.head.weight[:, smaller.kept_features])
    loss = FeatureDistance()
    loss.fit(whole, smaller)
    maps = torch.rand(2, smaller.head.in_features, 3, 3, generator=generator)
    with torch.no_grad():
        mapped = loss.regressor(maps)
    assert torch.equal(mapped[:, smaller.kept_features], maps)
    assert float(mapped.abs().sum()) == pytest.approx(float(maps.abs().sum()))
