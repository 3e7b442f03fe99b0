"""What a training shows to estimators: the right features, at the right time, without any influence on the training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from automl_core import Context, Observation
from automl_core.types import Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_vision import CollaborativeTrainer, GraphEvaluator, TrainerSettings
from automl_vision.data.digits import Digits
from automl_vision.observing import EpochFeatures, FeatureRecorder, LiveNetwork

SMALL, OTHER = Node("resnet8", {"width": 2}), Node("resnet8", {"width": 3})
SINGLE = KnowledgeTransferGraph((SMALL,), (Edge(0, 1),))
MUTUAL = KnowledgeTransferGraph((SMALL, OTHER), (Edge(0, 1), Edge(2, 1), Edge(0, 2), Edge(1, 2)))
SETTINGS = TrainerSettings(batch=16, pad=1, lr=0.05, evaluation_batch=17)
ALL = frozenset({"features", "network"})


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def trainer_of(graph: KnowledgeTransferGraph, dataset: Digits, **rest: Any) -> CollaborativeTrainer:
    settings = rest.pop("settings", SETTINGS)
    return CollaborativeTrainer(graph, settings, Context(**{"seed": 3, "max_budget": 4, "dataset": dataset} | rest))


def run(trainer: CollaborativeTrainer, to: int = 2) -> list[Observation]:
    return list(trainer.advance(Job(0, {}, trainer.epoch, to)))


def features_of(observation: Observation) -> EpochFeatures:
    assert isinstance(observation.features, EpochFeatures)
    return observation.features


def test_nothing_is_shown_unless_it_is_needed(dataset: Digits) -> None:
    assert all(one.features is None and one.network is None for one in run(trainer_of(MUTUAL, dataset)))
    shown = run(trainer_of(MUTUAL, dataset, needs=frozenset({"features"})))
    assert [one.features is None for one in shown] == [True, False, False]
    assert all(one.network is None for one in shown)


@pytest.mark.parametrize("graph", [SINGLE, MUTUAL], ids=["alone", "mutual"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_is_the_same_to_the_bit_whoever_watches(
    graph: KnowledgeTransferGraph, precision: Any, dataset: Digits
) -> None:
    settings = TrainerSettings(batch=16, pad=1, lr=0.05, precision=precision)
    watched = trainer_of(graph, dataset, settings=settings, needs=ALL)
    alone = trainer_of(graph, dataset, settings=settings)
    assert [(one.unit, one.metrics) for one in run(watched, 3)] == [(one.unit, one.metrics) for one in run(alone, 3)]
    for number, network in watched.networks.items():
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, alone.networks[number].state_dict()[name]), (number, name)


def test_validation_features_and_head_give_the_measured_accuracy_and_loss(dataset: Digits) -> None:
    trainer = trainer_of(MUTUAL, dataset, needs=ALL)
    for one in trainer.advance(Job(0, {}, 0, 2)):
        if one.unit == 0:
            continue
        shown = features_of(one)
        logits = F.linear(shown.validation, shown.weight, shown.bias)
        assert torch.equal(shown.validation_labels, dataset.split("validation").labels)
        assert float((logits.argmax(1) == shown.validation_labels).double().mean()) == one.metrics["accuracy"]
        assert float(F.cross_entropy(logits, shown.validation_labels)) == pytest.approx(one.metrics["loss"], rel=1e-5)


def test_training_features_are_those_of_the_training_pass_in_its_order(
    dataset: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(MUTUAL, dataset, needs=ALL)
    passed: list[torch.Tensor] = []
    forward_features = trainer.target.forward_features

    def spied(images: torch.Tensor) -> torch.Tensor:
        features = forward_features(images)
        if trainer.target.training:
            passed.append(features.detach().clone())
        return features

    monkeypatch.setattr(trainer.target, "forward_features", spied)
    labels = [torch.cat([batch for _, batch in trainer.batches.epoch(epoch)]) for epoch in range(2)]
    shown = [
        (features_of(one).train.clone(), features_of(one).train_labels.clone(), features_of(one).seed)
        for one in trainer.advance(Job(0, {}, 0, 2))
        if one.unit > 0
    ]
    together = torch.cat(passed)
    assert len(together) == 2 * 48  # drop_last leaves 12 of 60 out
    assert torch.equal(shown[0][0], together[:48])
    assert torch.equal(shown[1][0], together[48:])
    assert torch.equal(shown[0][1], labels[0])
    assert torch.equal(shown[1][1], labels[1])
    assert shown[0][2] != shown[1][2]


def test_features_are_lent_and_heads_are_given(dataset: Digits) -> None:
    trainer = trainer_of(SINGLE, dataset, needs=ALL)
    shown = features_of(run(trainer, 1)[1])
    features, weight = shown.train.clone(), shown.weight.clone()
    place = shown.train.data_ptr()
    later = features_of(run(trainer, 3)[-1])
    assert later.train.data_ptr() == place  # one epoch's memory, whatever the number of epochs
    assert not torch.equal(shown.train, features)
    assert torch.equal(shown.weight, weight)
    assert not torch.equal(shown.weight, later.weight)
    assert not any(tensor.requires_grad for tensor in (shown.train, shown.validation, shown.weight))
    assert shown.train.dtype == torch.float32


def test_a_rest_that_fills_no_batch_is_shown_where_it_is_trained_on(dataset: Digits) -> None:
    settings = TrainerSettings(batch=25, pad=1, drop_last=False)
    shown = run(trainer_of(SINGLE, dataset, settings=settings, needs=ALL), 1)[1]
    assert features_of(shown).train.shape == (60, 8)


def test_a_resumed_training_shows_the_same(dataset: Digits, tmp_path: Path) -> None:
    whole = run(trainer_of(MUTUAL, dataset, needs=ALL), 2)[2]
    first, second = trainer_of(MUTUAL, dataset, needs=ALL), trainer_of(MUTUAL, dataset, needs=ALL)
    run(first, 1)
    first.save(tmp_path)
    second.load(tmp_path)
    resumed = run(second, 2)[-1]
    assert torch.equal(features_of(whole).train, features_of(resumed).train)
    assert torch.equal(features_of(whole).validation, features_of(resumed).validation)
    assert features_of(whole).seed == features_of(resumed).seed


def test_the_network_is_shown_with_images_to_try_it_on(dataset: Digits) -> None:
    trainer = trainer_of(SINGLE, dataset, needs=ALL)
    shown = next(iter(trainer.advance(Job(0, {}, 0, 1)))).network
    assert isinstance(shown, LiveNetwork)
    assert shown.network is trainer.target
    raw = dataset.split("train").images[:5] / 255
    expected = (raw - torch.tensor(dataset.mean).view(1, -1, 1, 1)) / torch.tensor(dataset.std).view(1, -1, 1, 1)
    assert torch.allclose(shown.images(5), expected, atol=1e-5)


def test_sizes_are_told_before_any_training(dataset: Digits) -> None:
    evaluator = GraphEvaluator(SETTINGS)
    assert evaluator.feature_sizes(MUTUAL) is None

    space = SimpleNamespace(
        name="one", config_space=SimpleNamespace(get_default_configuration=dict), decode=lambda configuration: MUTUAL
    )
    evaluator.check(space, dataset)  # type: ignore[arg-type]
    sizes = evaluator.feature_sizes(MUTUAL)
    shown = features_of(run(trainer_of(MUTUAL, dataset, needs=ALL), 1)[1])
    assert sizes is not None
    assert (sizes.train, sizes.dimension) == shown.train.shape
    assert (sizes.validation, sizes.classes) == (len(shown.validation), len(shown.weight))


def test_a_recorder_allocates_once_and_gives_what_it_was_shown() -> None:
    recorder = FeatureRecorder(5)
    recorder.record(torch.zeros(5, 3), torch.zeros(5, dtype=torch.int64))
    recorder.begin()
    recorder.record(torch.ones(2, 3), torch.tensor([1, 2]))
    recorder.record(torch.full((2, 3), 2.0), torch.tensor([3, 4]))
    features, labels = recorder.taken()
    assert features.tolist() == [[1.0] * 3] * 2 + [[2.0] * 3] * 2
    assert labels.tolist() == [1, 2, 3, 4]
    assert features.untyped_storage().nbytes() == 5 * 3 * 4
