"""Trained networks on disk: they come back as they were, serve as teachers, and broken files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import automl_vision
from automl_core import Context, RequestError
from automl_core.types import Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_vision import CollaborativeTrainer, TrainerSettings
from automl_vision.data.digits import Digits

SMALL, OTHER = Node("resnet8", {"width": 2}), Node("resnet8", {"width": 3})
SETTINGS = TrainerSettings(batch=20, pad=1)


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.name = "digits"
    digits.load()
    return digits


@pytest.fixture(scope="module")
def trained(dataset: Digits) -> CollaborativeTrainer:
    graph = KnowledgeTransferGraph((SMALL, OTHER), (Edge(0, 1), Edge(2, 1), Edge(0, 2)))
    trainer = CollaborativeTrainer(graph, SETTINGS, Context(seed=1, max_budget=2, dataset=dataset))
    list(trainer.advance(Job(0, {}, 0, 2)))
    return trainer


@pytest.fixture
def exported(trained: CollaborativeTrainer, tmp_path: Path) -> Path:
    trained.export(tmp_path)
    return tmp_path


def test_the_target_comes_back(trained: CollaborativeTrainer, exported: Path, dataset: Digits) -> None:
    model = automl_vision.load_exported(exported)
    assert not model.training
    for name, tensor in trained.target.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], tensor)
    images = dataset.split("test").images
    batches = [trained.target.eval()(batch) for batch, _ in trained.batches.measured()]
    with torch.no_grad():
        torch.testing.assert_close(model(dataset.split("validation").images), torch.cat(batches), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model(images), model(images / 255))
    assert (model.card.model, model.card.options, model.card.dataset) == ("resnet8", {"width": 2}, "digits")
    assert (model.card.channels, model.card.classes, model.card.image_size) == (1, 10, (8, 8))


def test_export_overwrites_nothing_of_the_training(trained: CollaborativeTrainer, exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {"model.safetensors", "model.json"}
    model = automl_vision.load_exported(exported)
    with torch.no_grad():
        next(iter(model.parameters())).add_(1.0)
    assert not torch.equal(next(iter(model.parameters())), next(iter(trained.target.parameters())))


def test_an_exported_network_is_a_teacher(exported: Path, trained: CollaborativeTrainer, dataset: Digits) -> None:
    graph = KnowledgeTransferGraph((OTHER, SMALL), (Edge(0, 1), Edge(2, 1)))
    student = CollaborativeTrainer(
        graph, SETTINGS, Context(seed=1, max_budget=1, dataset=dataset, artefacts=(exported,))
    )
    untrained = next(iter(student.advance(Job(0, {}, 0, 1)))).metrics
    teacher = list(trained.advance(Job(0, {}, 2, 2))) or [trained._observation({})]
    assert untrained["accuracy_2"] == teacher[-1].metrics["accuracy"]


@pytest.mark.parametrize("artefacts", [0, 2])
def test_every_frozen_node_needs_its_artefact(exported: Path, dataset: Digits, artefacts: int) -> None:
    graph = KnowledgeTransferGraph((OTHER, SMALL), (Edge(0, 1), Edge(2, 1)))
    context = Context(seed=1, max_budget=1, dataset=dataset, artefacts=(exported,) * artefacts)
    with pytest.raises(RequestError, match="every frozen node must come with its trained network"):
        CollaborativeTrainer(graph, SETTINGS, context)


def test_a_teacher_of_another_model_is_refused(exported: Path, dataset: Digits) -> None:
    graph = KnowledgeTransferGraph((SMALL, OTHER), (Edge(0, 1), Edge(2, 1)))
    context = Context(seed=1, max_budget=1, dataset=dataset, artefacts=(exported,))
    with pytest.raises(RequestError, match="must be of its node's own model"):
        CollaborativeTrainer(graph, SETTINGS, context)


def spoil(directory: Path, how: str) -> None:
    weights, card = directory / "model.safetensors", directory / "model.json"
    changed = json.loads(card.read_text())
    if how == "no card":
        card.unlink()
    elif how == "no weights":
        weights.unlink()
    elif how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "card is no JSON":
        card.write_text("{")
    elif how == "card is a list":
        card.write_text("[]")
    elif how == "other format":
        card.write_text(json.dumps(changed | {"format": 99}))
    elif how == "wrong type":
        card.write_text(json.dumps(changed | {"classes": "ten"}))
    elif how == "other classes":
        card.write_text(json.dumps(changed | {"classes": 11}))
    elif how == "missing entry":
        del changed["mean"]
        card.write_text(json.dumps(changed))
    else:
        card.write_text(json.dumps(changed | {"model": "resnet9"}))


@pytest.mark.parametrize(
    "how",
    [
        "no card",
        "no weights",
        "cut weights",
        "card is no JSON",
        "card is a list",
        "other format",
        "wrong type",
        "other classes",
        "missing entry",
        "unknown model",
    ],
)
def test_what_is_missing_or_corrupt_is_refused_in_one_line(exported: Path, how: str) -> None:
    spoil(exported, how)
    with pytest.raises(RequestError) as caught:
        automl_vision.load_exported(exported)
    assert "\n" not in str(caught.value)
    assert ("a plugin that is not installed here may bring 'resnet9'" in str(caught.value)) is (how == "unknown model")
