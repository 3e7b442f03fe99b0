"""One step of collaborative training: who gets which gradient, who is stepped, and who is left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from automl_core import Context, RequestError, hookimpl
from automl_core.plugins import Registry, use_registry
from automl_core.types import Job
from automl_spaces.gates import Gate, GateInput
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node, all_through
from automl_vision import CollaborativeTrainer, EdgeInput, EdgeLoss, TrainerSettings
from automl_vision.data.digits import Digits
from automl_vision.models import ClassifierModule
from automl_vision.trainer.nodes import GatedSGD, Learner

SMALL = Node("resnet8", {"width": 2})
PAIR = all_through(KnowledgeTransferGraph((SMALL, SMALL), ()))
SETTINGS = TrainerSettings(batch=20, pad=1, lr=0.1)


class Nothing(Gate):
    """Is open, but lets exactly nothing through."""

    def __call__(self, batch: GateInput) -> Tensor:
        return batch.divergence.mean() * 0.0


class Scaled(EdgeLoss):
    """Owns a parameter: the cross-entropy of rescaled logits."""

    needs_source = False

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(1))

    def forward(self, batch: EdgeInput) -> Tensor:
        return torch.nn.functional.cross_entropy(batch.destination.logits * self.scale, batch.labels, reduction="none")


class PerSample(Gate):
    """Forgets to reduce."""

    def __call__(self, batch: GateInput) -> Tensor:
        return batch.divergence


class Number(Gate):
    """Gives no tensor."""

    def __call__(self, batch: GateInput) -> Any:
        return 0.0


class Reduced(EdgeLoss):
    """Reduces, which is the gate's task."""

    needs_source = False

    def forward(self, batch: EdgeInput) -> Tensor:
        return torch.nn.functional.cross_entropy(batch.destination.logits, batch.labels)


class PerClass(Reduced):
    """Gives a number per sample and class."""

    def forward(self, batch: EdgeInput) -> Tensor:
        return batch.destination.logits.square()


OWN_GATES = {"nothing": Nothing, "per-sample": PerSample, "number": Number}
OWN_LOSSES = {"scaled": Scaled, "reduced": Reduced, "per-class": PerClass}


class Plugin:
    @hookimpl
    def automl_gates(self, register: Any) -> None:
        for name in OWN_GATES:
            register(name, "test:Gate", summary="")

    @hookimpl
    def automl_losses(self, register: Any) -> None:
        for name in OWN_LOSSES:
            register(name, "test:Loss", summary="")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    registry = Registry()
    registry.add("of-this-test", Plugin())
    load = registry.load
    own: dict[str, Any] = OWN_GATES | OWN_LOSSES
    monkeypatch.setattr(registry, "load", lambda kind, name: own.get(name) or load(kind, name))
    with use_registry(registry):
        yield registry


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def trainer_of(
    graph: KnowledgeTransferGraph, dataset: Digits, settings: TrainerSettings = SETTINGS, **rest: Any
) -> Any:
    return CollaborativeTrainer(graph, settings, Context(seed=3, max_budget=4, dataset=dataset, **rest))


def first_batch(trainer: CollaborativeTrainer) -> tuple[Tensor, Tensor]:
    return next(trainer.batches.epoch(0))


def weights(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def parameters(network: ClassifierModule) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def test_no_gradient_reaches_a_source(dataset: Digits) -> None:
    trainer = trainer_of(PAIR, dataset)
    losses = trainer.update.losses(*first_batch(trainer), 0.5)
    for trained, other in ((0, 2), (1, 1)):
        reached = torch.autograd.grad(
            losses[trained], list(trainer.networks[other].parameters()), allow_unused=True, retain_graph=True
        )
        assert all(gradient is None for gradient in reached)


def test_one_backward_gives_the_gradients_of_separate_ones(dataset: Digits) -> None:
    graph = all_through(KnowledgeTransferGraph((SMALL,) * 3, ()))
    together, apart = trainer_of(graph, dataset), trainer_of(graph, dataset)
    torch.autograd.backward(together.update.losses(*first_batch(together), 0.5))
    for loss in apart.update.losses(*first_batch(apart), 0.5):
        loss.backward(retain_graph=True)
    for number in together.networks:
        pairs = zip(together.networks[number].parameters(), apart.networks[number].parameters(), strict=True)
        assert all(torch.equal(one.grad, other.grad) for one, other in pairs)


def test_all_nodes_are_stepped_at_once(dataset: Digits) -> None:
    """How far node 1 is stepped cannot be seen in node 2's losses and weights of the same update."""
    plain, wild = trainer_of(PAIR, dataset), trainer_of(PAIR, dataset)
    wild.learners[0].set_learning_rate(10.0)
    batch = first_batch(plain)
    assert torch.equal(plain.update(*batch, 0.5), wild.update(*batch, 0.5))
    assert same(weights(plain.networks[2]), weights(wild.networks[2]))
    assert not same(weights(plain.networks[1]), weights(wild.networks[1]))
    assert plain.update(*batch, 0.5)[1] != wild.update(*batch, 0.5)[1]


@pytest.mark.parametrize("steps_before", [0, 2])
def test_a_batch_without_loss_steps_nothing(dataset: Digits, steps_before: int) -> None:
    """Node 2 learns where node 1 is right; on a batch where it never is, not even the weights decay."""
    graph = KnowledgeTransferGraph((SMALL, SMALL), (Edge(0, 1), Edge(2, 1), Edge(1, 2, "correct")))
    trainer = trainer_of(graph, dataset)
    images, _ = first_batch(trainer)
    for _ in range(steps_before):
        trainer.update(images, trainer.networks[1](images).argmax(1), 0.5)
    trainer.networks[1].train()  # batch statistics decide what it gives, as in the update
    with torch.no_grad():
        wrong = (trainer.networks[1](images).argmax(1) + 1) % 10
    before = {number: parameters(network) for number, network in trainer.networks.items()}
    momentum = [
        trainer.learners[1].optimiser.state[p]["momentum_buffer"].clone() for p in trainer.networks[2].parameters()
    ]
    losses = trainer.update(images, wrong, 0.5)
    assert losses[1] == 0
    assert same(before[2], parameters(trainer.networks[2]))
    after = [trainer.learners[1].optimiser.state[p]["momentum_buffer"] for p in trainer.networks[2].parameters()]
    assert all(torch.equal(one, other) for one, other in zip(momentum, after, strict=True))
    assert not same(before[1], parameters(trainer.networks[1]))
    trainer.update(images, trainer.networks[1](images).argmax(1), 0.5)
    assert not same(before[2], parameters(trainer.networks[2]))


@pytest.mark.parametrize("clip", [0.05, 1e6])
def test_gradients_are_clipped_by_their_norm_for_each_node(dataset: Digits, clip: float) -> None:
    graph = KnowledgeTransferGraph((SMALL, SMALL), (Edge(0, 1, weight=3.0), Edge(2, 1), Edge(0, 2, loss="scaled")))
    plain = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "lr": 0.5, "batch": 20, "pad": 1}
    clipped = trainer_of(graph, dataset, TrainerSettings(**plain, clip=clip))
    free = trainer_of(graph, dataset, TrainerSettings(**plain))
    batch = first_batch(clipped)
    moved = {}
    for trainer in (clipped, free):
        starts = [[one.detach().clone() for one in trained(learner)] for learner in trainer.learners]
        trainer.update(*batch, 0.5)
        moved[trainer] = [
            torch.cat([(one.detach() - start).flatten() for one, start in zip(trained(learner), begin, strict=True)])
            for learner, begin in zip(trainer.learners, starts, strict=True)
        ]
    for ours, whole in zip(moved[clipped], moved[free], strict=True):
        norm = whole.norm() / 0.5
        assert norm > 0.1
        torch.testing.assert_close(ours, whole * min(1.0, clip / float(norm)), rtol=1e-3, atol=1e-7)


def test_what_the_optimiser_does_not_train_is_not_clipped_with(dataset: Digits) -> None:
    """Parameters that are switched on later belong to somebody else's step."""
    network = torch.nn.Linear(3, 2)
    network.bias.requires_grad_(False)
    learner = Learner(1, network, (), TrainerSettings(clip=1.0, lr=0.1))  # type: ignore[arg-type]
    network.bias.requires_grad_(True)
    network.weight.grad, network.bias.grad = torch.full((2, 3), 0.1), torch.full((2,), 1000.0)
    before = network.weight.detach().clone(), network.bias.detach().clone()
    learner.step(torch.ones(()))
    assert (network.weight - before[0]).abs().min() > 0.01
    assert torch.equal(network.bias, before[1])


def test_clipping_calls_off_steps_all_the_same(dataset: Digits) -> None:
    graph = KnowledgeTransferGraph((SMALL,), (Edge(0, 1, "nothing"),))
    trainer = trainer_of(graph, dataset, TrainerSettings(batch=20, pad=1, clip=1.0))
    before = parameters(trainer.target)
    assert trainer.update(*first_batch(trainer), 0.5).tolist() == [0.0]
    assert same(before, parameters(trainer.target))


def trained(learner: Learner) -> list[Tensor]:
    return [one for part in (learner.network, learner.losses) for one in part.parameters()]


def test_any_gate_that_gives_zero_calls_the_step_off(dataset: Digits) -> None:
    trainer = trainer_of(KnowledgeTransferGraph((SMALL,), (Edge(0, 1, "nothing"),)), dataset)
    before = parameters(trainer.target)
    assert trainer.update(*first_batch(trainer), 0.5).tolist() == [0.0]
    assert same(before, parameters(trainer.target))


def test_steps_are_those_of_plain_sgd() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 4, 3, 3, generator=generator).to(memory_format=torch.channels_last)
    ours, plain = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    gated = GatedSGD([ours], SETTINGS)
    gated.found_inf = None
    reference = torch.optim.SGD([plain], lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, foreach=False)
    for _ in range(4):
        gradient = torch.randn(6, 4, 3, 3, generator=generator)
        for parameter, optimiser in ((ours, gated), (plain, reference)):
            optimiser.zero_grad()
            (parameter * gradient).sum().backward()
            optimiser.step()
        torch.testing.assert_close(ours, plain)


def test_weights_of_edges_scale_their_losses(dataset: Digits) -> None:
    single = trainer_of(KnowledgeTransferGraph((SMALL,), (Edge(0, 1),)), dataset)
    double = trainer_of(KnowledgeTransferGraph((SMALL,), (Edge(0, 1, weight=2.0),)), dataset)
    batch = first_batch(single)
    torch.testing.assert_close(double.update(*batch, 1.0), 2 * single.update(*batch, 1.0))


@pytest.mark.parametrize(
    ("edge", "complaint"),
    [
        (Edge(0, 1, "per-sample"), r"gate 'per-sample' on edge \(0, 1\) must .* shape \(\), .* gave \(20,\)"),
        (Edge(2, 1, "per-sample"), r"gate 'per-sample' on edge \(2, 1\)"),
        (Edge(2, 1, "number"), r"gate 'number' on .* gave float"),
        (Edge(2, 1, loss="reduced"), r"loss 'reduced' on edge \(2, 1\) must .* shape \(20,\), .* gave \(\)"),
        (Edge(0, 1, loss="per-class"), r"loss 'per-class' on edge \(0, 1\) .* gave \(20, 10\)"),
    ],
)
def test_a_wrong_shape_is_refused_and_not_trained_with_another_scale(
    dataset: Digits, edge: Edge, complaint: str
) -> None:
    other = Edge(2 - edge.source, 1)
    trainer = trainer_of(KnowledgeTransferGraph((SMALL, SMALL), (edge, other, Edge(0, 2))), dataset)
    with pytest.raises(RequestError, match=complaint):
        trainer.update(*first_batch(trainer), 0.5)


def exported_teacher(dataset: Digits, directory: Path) -> Path:
    directory.mkdir()
    teacher = trainer_of(KnowledgeTransferGraph((SMALL,), (Edge(0, 1),)), dataset)
    list(teacher.advance(Job(0, {}, 0, 1)))
    teacher.export(directory)
    return directory


@pytest.mark.parametrize("statistics", ["eval", "train"])
def test_frozen_nodes_stay_as_they_are(dataset: Digits, tmp_path: Path, statistics: Any) -> None:
    graph = KnowledgeTransferGraph((SMALL, SMALL), (Edge(0, 1), Edge(2, 1)))
    teacher = exported_teacher(dataset, tmp_path / "teacher")
    settings = TrainerSettings(batch=20, pad=1, frozen_statistics=statistics)
    trainer = trainer_of(graph, dataset, settings, artefacts=(teacher,))
    before, weights_before = weights(trainer.networks[2]), parameters(trainer.networks[2])
    accuracies = [one.metrics["accuracy_2"] for one in trainer.advance(Job(0, {}, 0, 2))]
    assert same(weights_before, parameters(trainer.networks[2]))
    assert same(before, weights(trainer.networks[2])) == (statistics == "eval")
    if statistics == "eval":
        assert len(set(accuracies)) == 1
    assert all(parameter.grad is None for parameter in trainer.networks[2].parameters())


def test_parameters_of_a_loss_are_trained_and_kept_but_not_exported(dataset: Digits, tmp_path: Path) -> None:
    graph = KnowledgeTransferGraph((SMALL,), (Edge(0, 1, loss="scaled"),))
    trainer, other = trainer_of(graph, dataset), trainer_of(graph, dataset)
    scale = trainer.learners[0].losses[0].scale
    before = scale.item()
    assert before == other.learners[0].losses[0].scale.item()  # drawn from the seed of the evaluation
    list(trainer.advance(Job(0, {}, 0, 1)))
    assert scale.item() != before
    trainer.save(tmp_path)
    other.load(tmp_path)
    assert torch.equal(other.learners[0].losses[0].scale, scale)
    (tmp_path / "export").mkdir()
    trainer.export(tmp_path / "export")
    assert load_file(tmp_path / "export" / "model.safetensors").keys() == trainer.target.state_dict().keys()
