"""A supernet's step: which half trains what, first and second order, and what is left as it was."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from automl_core import Context, RequestError
from automl_prdarts.evaluation import SupernetTrainer
from automl_prdarts.halves import halves
from automl_prdarts.plan import ArchitectureSettings
from automl_prdarts.update import SupernetUpdate
from automl_spaces.graph import Edge, Node
from automl_vision import TrainerSettings
from automl_vision.data.digits import Digits
from automl_vision.models import ClassifierModule
from automl_vision.randomness import isolated_randomness
from automl_vision.trainer.batches import ImageBatches
from automl_vision.trainer.nodes import Learner, LiveEdge, build_gate, build_loss
from automl_vision.trainer.update import Forward

POOLS = [["max_pool_3x3", "skip_connect", "conv_3x3"]] * 14
NODE = Node("supernet", {"normal": POOLS, "reduction": POOLS, "cells": 3, "width": 2})
SETTINGS = TrainerSettings(batch=16, pad=1, lr=0.05, clip=5.0, weight_decay=3e-4)


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=100)
    digits.load()
    return digits


def trainer_of(
    dataset: Digits, grace: int = 0, settings: TrainerSettings = SETTINGS, **architecture: Any
) -> SupernetTrainer:
    first, second = halves(dataset)
    context = Context(seed=3, max_budget=4, dataset=first)
    return SupernetTrainer(NODE, settings, context, second, ArchitectureSettings(**architecture), grace)


def state_of(trainer: SupernetTrainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.target.state_dict().items()}


def changed(trainer: SupernetTrainer, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in trainer.target.state_dict().items() if not torch.equal(tensor, before[name])}


def a_batch(batches: ImageBatches, epoch: int = 0) -> tuple[Tensor, Tensor]:
    return next(batches.epoch(epoch))


class TestHalves:
    def test_share_out_every_training_image_once(self, dataset: Digits) -> None:
        first, second = (half.split("train") for half in halves(dataset))
        whole = dataset.split("train")
        both = sorted(image.numpy().tobytes() for image in torch.cat([first.images, second.images]))
        assert both == sorted(image.numpy().tobytes() for image in whole.images)
        assert abs(len(first) - len(second)) <= 1

    def test_hold_each_class_alike(self, dataset: Digits) -> None:
        first, second = (torch.bincount(half.split("train").labels) for half in halves(dataset))
        assert (first - second).abs().max() <= 1

    def test_keep_all_else(self, dataset: Digits) -> None:
        for half in halves(dataset):
            for name in ("mean", "std", "image_size", "channels", "classes", "flippable", "name", "kind"):
                assert getattr(half, name) == getattr(dataset, name)
            assert half.split("validation") is dataset.split("validation")
            assert half.split("test") is dataset.split("test")

    def test_follow_from_the_split_seed_alone(self, dataset: Digits) -> None:
        again = Digits(limit=100)
        other = Digits(limit=100)
        other.load()
        other.split_seed = 1
        images = [halves(one)[1].split("train").images for one in (dataset, again, other)]
        assert torch.equal(images[0], images[1])
        assert not torch.equal(images[0], images[2])

    def test_refuse_a_class_with_a_single_image(self) -> None:
        with pytest.raises(RequestError, match="both sides"):
            halves(Digits(limit=10))


class TestWhoTrainsWhat:
    def test_grace_leaves_architecture_weights_bit_equal(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset, grace=1)
        before = state_of(trainer)
        batch = a_batch(trainer.batches)
        trainer.update(*batch, progress=0.1)
        assert "head.weight" in changed(trainer, before)
        assert not any(name.startswith("architecture") for name in changed(trainer, before))
        trainer.update.begin(1)
        before = state_of(trainer)
        trainer.update(*batch, progress=0.1)
        assert {"architecture.normal", "architecture.reduction", "head.weight"} <= changed(trainer, before)

    def test_the_optimiser_of_weights_holds_no_architecture_weight(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset)
        held = {id(one) for group in trainer.learners[0].optimiser.param_groups for one in group["params"]}
        own = {id(one) for one in trainer.update.architecture}
        everything = {id(one) for one in trainer.target.parameters()}
        assert held == everything - own

    @pytest.mark.parametrize("second_order", [False, True])
    def test_the_architecture_s_step_changes_nothing_else(self, dataset: Digits, second_order: bool) -> None:
        trainer = trainer_of(dataset, second_order=second_order)
        trainer.target.train()
        images, labels = a_batch(trainer.batches)
        trainer.update(images, labels, 0.1)  # so that there is momentum
        momentum = [one["momentum_buffer"].clone() for one in trainer.learners[0].optimiser.state.values()]
        before = state_of(trainer)
        trainer.update._step_architecture(images, labels)
        assert changed(trainer, before) == {"architecture.normal", "architecture.reduction"}
        after = [one["momentum_buffer"] for one in trainer.learners[0].optimiser.state.values()]
        assert all(map(torch.equal, momentum, after))
        assert not any(one.requires_grad for one in trainer.update.architecture)
        assert all(one.grad is None for one in trainer.target.parameters())

    def test_the_architecture_learns_from_the_second_half_before_the_weights_do(self, dataset: Digits) -> None:
        """The order of DARTS' algorithm 1, seen in what passes the network."""
        trainer = trainer_of(dataset)
        passed = []
        trainer.supernet.stem.register_forward_hook(lambda module, given, result: passed.append(given[0]))
        images, labels = a_batch(trainer.batches)
        trainer.update.begin(2)
        trainer.update(images, labels, 0.1)
        expected, _ = a_batch(trainer.update._batches, epoch=2)
        assert len(passed) == 2
        assert torch.equal(passed[0], expected)
        assert torch.equal(passed[1], images)
        assert trainer.update.images == len(images) + len(expected)

    def test_no_image_is_in_both(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset, settings=TrainerSettings(batch=16, pad=0, flip=False))
        first, second = (
            {image.numpy().tobytes() for images, _ in batches.epoch(0) for image in images}
            for batches in (trainer.batches, trainer.update._batches)
        )
        measured = {image.numpy().tobytes() for images, _ in trainer.batches.measured() for image in images}
        assert len(first) == len(second) == 48
        assert not first & second and not first & measured and not second & measured


class TestFirstOrder:
    def test_is_autograd_s_gradient_on_the_second_half(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset)
        trainer.target.train()
        images, labels = a_batch(trainer.update._batches)
        found = trainer.update.architecture_gradient(*a_batch(trainer.batches), images, labels)
        network = trainer.target
        for parameter in trainer.update.architecture:
            parameter.requires_grad_(True)
        torch.autograd.backward([F.cross_entropy(network(images), labels)])
        expected = [cast(Tensor, parameter.grad) for parameter in trainer.update.architecture]
        assert all(float(one.abs().max()) > 0 for one in expected)
        assert all(map(torch.equal, found, expected))

    def test_its_step_is_adam_s_on_the_clipped_gradient(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset, clip=1e-4, lr=0.01)
        own = [parameter.detach().clone().requires_grad_() for parameter in trainer.update.architecture]
        adam = torch.optim.Adam(own, lr=0.01, betas=(0.5, 0.999), weight_decay=1e-3)
        trainer.target.train()
        batches = trainer.update._batches.epoch(0)
        images, labels = a_batch(trainer.batches)
        trainer.update.begin(0)
        for _ in range(2):
            gradients = trainer.update.architecture_gradient(images, labels, *next(batches))
            norm = torch.linalg.vector_norm(torch.cat([one.flatten() for one in gradients]))
            assert norm > 1e-4
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter.grad = gradient * (1e-4 / (norm + 1e-6))
            adam.step()
            trainer.update._step_architecture(images, labels)
            for mine, theirs in zip(own, trainer.update.architecture, strict=True):
                torch.testing.assert_close(mine.detach(), theirs, rtol=1e-6, atol=1e-9)


class TestSecondHalf:
    def test_its_batches_are_as_large_as_the_first_half_s(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset)
        images, labels = a_batch(trainer.batches)
        trainer.update(images[:5], labels[:5], 0.1)
        assert trainer.update.images == 10
        trainer.update(images[:12], labels[:12], 0.1)
        assert trainer.update.images == 34

    def test_goes_on_with_other_passes_when_it_is_used_up(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset)
        passes = trainer.update._passes(1)
        first = [next(passes)[0] for _ in range(3)]
        second = [next(passes)[0] for _ in range(3)]
        assert not any(torch.equal(one, other) for one in first for other in second)
        again = trainer.update._passes(1)
        assert all(torch.equal(next(again)[0], one) for one in first + second)
        assert not any(
            torch.equal(images, one) for epoch in (0, 2, 3) for images, _ in trainer.update._batches.epoch(epoch)
            for one in second
        )  # fmt: skip

    def test_refuses_to_go_on_where_it_never_fills_a_batch(self, dataset: Digits) -> None:
        trainer = trainer_of(dataset)
        trainer.update._batches.size = 51
        with pytest.raises(RequestError, match=r"must fill a batch, but trainer\.batch is 51"):
            next(trainer.update._passes(0))


class Smooth(ClassifierModule):
    """A small network in double precision that is smooth in everything: alpha mixes two of its layers."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.architecture = nn.Module()
        for number, values in enumerate(([0.3, -0.2], [0.1, 0.4])):
            weights = nn.Parameter(torch.tensor(values, dtype=torch.float64), requires_grad=False)
            self.architecture.register_parameter(f"row_{number}", weights)
        self.one, self.other = nn.Linear(6, 5).double(), nn.Linear(6, 5).double()
        self.head = nn.Linear(5, classes).double()

    def forward_features(self, images: Tensor) -> Tensor:
        first, second = (row.softmax(0) for row in self.architecture.parameters())
        mixed = first[0] * self.one(images).tanh() + first[1] * self.other(images).sigmoid()
        features: Tensor = second[0] * mixed + second[1] * mixed.sin()
        return features


class TestSecondOrder:
    @pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
    def test_is_the_derivative_through_a_step_of_the_optimiser(self, momentum: float, nesterov: bool) -> None:
        """Against double backward, with a real step of the real optimiser in between as a check of that step."""
        settings = TrainerSettings(lr=0.2, momentum=momentum, nesterov=nesterov, weight_decay=0.01)
        with seeded():
            network = Smooth()
            images, second_images = torch.randn(2, 8, 6, dtype=torch.float64)
            labels, second_labels = torch.randint(3, (2, 8))
        update, learner = update_of(network, settings)
        for _ in range(2):  # for momentum
            update._weight_step(images, labels, 0.5)
        update.begin(0)
        before = [parameter.detach().clone() for parameter in network.parameters()]
        found = update.architecture_gradient(images, labels, second_images, second_labels)
        assert all(map(torch.equal, before, network.parameters()))
        expected, stepped = exact(network, learner, (images, labels), (second_images, second_labels))
        first_order = exact(network, learner, (images, labels), (second_images, second_labels), rate=0.0)[0]
        for mine, theirs, other in zip(found, expected, first_order, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=2e-3, atol=1e-6)
            assert (mine - other).abs().max() > 20 * (mine - theirs).abs().max(), "the look ahead shows"
        update._weight_step(images, labels, 0.5)
        for name, weight in stepped.items():
            torch.testing.assert_close(network.get_parameter(name).detach(), weight.detach())

    def test_is_the_first_order_where_there_is_nowhere_to_look(self) -> None:
        with seeded():
            network = Smooth(classes=2)
        update, _ = update_of(network, TrainerSettings(lr=0.1))
        network.head.weight.data.zero_()  # and with each class once and equal images, no weight has a gradient
        network.head.bias.data.zero_()
        images, labels = torch.ones(2, 6, dtype=torch.float64), torch.tensor([0, 1])
        gradient = update.architecture_gradient(images, labels, images, labels)
        assert [one.tolist() for one in gradient] == [[0.0, 0.0], [0.0, 0.0]]


def update_of(network: Smooth, settings: TrainerSettings) -> tuple[SupernetUpdate, Learner]:
    edge = Edge(0, 1)
    learner = Learner(1, network, [LiveEdge(edge, build_loss(edge), build_gate(edge))], settings)
    forward = Forward(torch.device("cpu"), "float32")
    unused = cast(ImageBatches, SimpleNamespace(epoch=lambda number: iter(()), size=1, images=1))
    return SupernetUpdate(learner, forward, unused, ArchitectureSettings(second_order=True), 0, 1), learner


def exact(
    network: Smooth,
    learner: Learner,
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
    rate: float | None = None,
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Gives the gradient of L_val(w'(alpha), alpha) by double backward, and w'."""
    group = learner.optimiser.param_groups[0]
    rate = group["lr"] if rate is None else rate
    values = {name: parameter.detach().clone().requires_grad_() for name, parameter in network.named_parameters()}
    names = [name for name in values if not name.startswith("architecture")]
    loss = F.cross_entropy(functional_call(network, values, first[0]), first[1])
    gradients = torch.autograd.grad(loss, [values[name] for name in names], create_graph=True)
    stepped = {}
    for name, gradient in zip(names, gradients, strict=True):
        moved = gradient + group["weight_decay"] * values[name].detach()
        state = learner.optimiser.state[network.get_parameter(name)]
        velocity = moved + group["momentum"] * state.get("momentum_buffer", 0.0)
        moved = moved + group["momentum"] * velocity if group["nesterov"] else velocity
        stepped[name] = values[name].detach() - rate * moved
    own = [value for name, value in values.items() if name.startswith("architecture")]
    after = F.cross_entropy(functional_call(network, {**values, **stepped}, second[0]), second[1])
    return torch.autograd.grad(after, own), stepped


def seeded() -> AbstractContextManager[None]:
    return isolated_randomness(5)


def test_metrics_are_those_of_the_epoch(dataset: Digits) -> None:
    trainer = trainer_of(dataset, grace=1)
    images, labels = a_batch(trainer.batches)
    trainer.target.train()
    logits = trainer.target(images)
    trainer.update(images, labels, 0.1)
    hits = (logits.argmax(dim=1) == labels).float().mean()
    assert trainer.update.metrics() == {"train_accuracy": pytest.approx(float(hits))}
    trainer.update.begin(1)
    assert trainer.update.metrics() == {}
    trainer.update(images, labels, 0.1)
    assert set(trainer.update.metrics()) == {"train_accuracy", "architecture_loss"}


def test_mixed_labels_train_weights_and_architecture(dataset: Digits) -> None:
    trainer = trainer_of(dataset, settings=replace(SETTINGS, cutmix=1.0), second_order=True)
    images, shares = a_batch(trainer.batches)
    trainer.target.train()
    hits = (trainer.target(images).argmax(dim=1) == shares.argmax(dim=1)).float().mean()
    trainer.update.begin(0)
    trainer.update._weight_step(images, shares, 0.1)
    assert trainer.update.metrics() == {"train_accuracy": pytest.approx(float(hits))}
    before = state_of(trainer)
    trainer.update(images, shares, 0.1)
    assert {"architecture.normal", "architecture.reduction", "head.weight"} <= changed(trainer, before)
    assert math.isfinite(trainer.update.metrics()["architecture_loss"])


def test_adam_goes_on_from_its_state(dataset: Digits) -> None:
    whole, first, second = (trainer_of(dataset, lr=0.05) for _ in range(3))
    batches: Iterator[tuple[Tensor, Tensor]] = whole.batches.epoch(0)
    one, other = next(batches), next(batches)
    for trainer, batch in ((whole, one), (whole, other), (first, one)):
        trainer.update(*batch, progress=0.1)
    second.target.load_state_dict(first.target.state_dict())
    second.learners[0].optimiser.load_state_dict(first.learners[0].optimiser.state_dict())
    second.update.load_state_dict(first.update.state_dict())
    next(second.update._second)
    second.update(*other, progress=0.1)
    assert not changed(second, state_of(whole))
    assert second.update.images == whole.update.images
