"""CutMix: its box, whose pixels and whose class an image gets, and what becomes of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from automl_core import Context, RequestError
from automl_core.types import Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_vision import CollaborativeTrainer, TrainerSettings
from automl_vision.cutmix import Box, CutMix, box_around
from automl_vision.data.digits import Digits
from automl_vision.observing import EpochFeatures
from automl_vision.trainer.batches import ImageBatches
from automl_vision.trainer.timing import seconds_per_epoch

CPU = torch.device("cpu")
SIZES = st.integers(1, 40)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("share", "centre", "box", "left"),
    [
        (0.75, (16, 16), (8, 8, 24, 24), 0.75),
        (0.36, (2, 30), (0, 18, 14, 32), 0.808594),
        (0.9, (31, 0), (26, 0, 32, 5), 0.970703),
    ],
)
def test_the_box_leaves_a_share_of_the_image(
    share: float, centre: tuple[int, int], box: tuple[int, ...], left: float
) -> None:
    found = box_around(share, centre, (32, 32))
    assert found == box
    assert round(1 - found.area / 32**2, 6) == left


def test_columns_come_before_rows() -> None:
    assert box_around(0.75, (10, 4), (16, 40)) == Box(0, 0, 20, 8)
    assert box_around(0.0, (20, 8), (16, 40)) == Box(0, 0, 40, 16)


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), SIZES, SIZES)
def test_every_box_lies_within_the_image(share: float, across: float, down: float, height: int, width: int) -> None:
    box = box_around(share, (int(across * width), int(down * height)), (height, width))
    assert 0 <= box.left <= box.right <= width and 0 <= box.top <= box.bottom <= height
    assert box.area <= (1 - share) * height * width + 1e-9, "more is left than asked for, never less"


def numbered(count: int, height: int, width: int, channels: int = 3) -> Tensor:
    """Images of which each is filled with its number."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, channels, height, width)


@pytest.mark.parametrize("shape", [(16, 3, 32, 32), (7, 1, 9, 5), (2, 4, 1, 3), (1, 3, 8, 8)])
@pytest.mark.parametrize("seed", range(6))
def test_labels_say_what_the_pixels_show(shape: tuple[int, ...], seed: int) -> None:
    count, channels, height, width = shape
    images, labels = numbered(count, height, width, channels), torch.arange(count)
    mixed, shares = CutMix(1.0, count)(images, labels, generator(seed))
    assert mixed.shape == shape and mixed.dtype == torch.uint8
    assert shares.shape == (count, count) and shares.dtype == torch.float32
    for image, of_classes in zip(mixed, shares, strict=True):
        pixels = torch.bincount(image[0].flatten().long(), minlength=count) / (height * width)
        torch.testing.assert_close(of_classes, pixels)
        assert all(torch.equal(channel, image[0]) for channel in image)


def test_labels_are_mixed_once_for_a_batch() -> None:
    labels = torch.tensor([2, 0, 2, 1])
    _, shares = CutMix(1.0, 3)(numbered(4, 32, 32), labels, generator(1))
    share = float(shares[3, 1])
    assert 0 < share < 1
    for row, label in zip(shares, labels, strict=True):
        assert float(row[label]) in (pytest.approx(share), pytest.approx(1.0)), "1 where both are of one class"
        assert float(row.sum()) == pytest.approx(1.0)


def test_so_many_batches_are_mixed_and_lambda_is_uniform() -> None:
    images, labels, draws = numbered(64, 40, 40), torch.arange(64), generator()
    found = [CutMix(0.3, 64)(images, labels, draws) for _ in range(1500)]
    mixed = [shares for _, shares in found if shares.is_floating_point()]
    assert len(mixed) / 1500 == pytest.approx(0.3, abs=0.04)
    for pixels, kept in found:
        if not kept.is_floating_point():
            assert pixels is images and kept is labels
    left = torch.stack([shares.diagonal().min() for shares in mixed])
    # The same in the unit square, without pixels.
    half = (1 - torch.rand(200_000, generator=generator(1))).sqrt() / 2
    centres = torch.rand(2, 200_000, generator=generator(2))
    sides = (centres + half).clamp(max=1) - (centres - half).clamp(min=0)
    expected = 1 - sides[0] * sides[1]
    for quantile in (0.25, 0.5, 0.75):
        assert float(left.quantile(quantile)) == pytest.approx(float(expected.quantile(quantile)), abs=0.06)


def test_draws_come_from_the_given_generator_alone_and_the_input_stays() -> None:
    images = torch.randint(0, 256, (32, 3, 16, 16), dtype=torch.uint8, generator=generator(1))
    labels = torch.arange(32) % 10
    before, global_state = images.clone(), torch.get_rng_state()
    mix = CutMix(1.0, 10)
    first, again, other = (mix(images, labels, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(images, before) and torch.equal(torch.get_rng_state(), global_state)


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, float("nan")])
def test_probabilities_out_of_range_are_refused(probability: float) -> None:
    with pytest.raises(RequestError, match="CutMix's probability must be above 0 and at most 1, but got"):
        CutMix(probability, 10)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_settings_out_of_range_are_refused(probability: float) -> None:
    with pytest.raises(RequestError, match=r"trainer\.cutmix must be a probability, from 0 to 1, but got"):
        TrainerSettings(cutmix=probability)


SETTINGS = TrainerSettings(batch=20, pad=1, lr=0.05, flip=True, cutout=2)
MIXED = replace(SETTINGS, cutmix=1.0)


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def batches(
    dataset: Digits, settings: TrainerSettings, epochs: tuple[int, ...] = (0, 1)
) -> list[tuple[Tensor, Tensor]]:
    made = ImageBatches(dataset, "search", settings, CPU, seed=7)
    return [batch for epoch in epochs for batch in made.epoch(epoch)]


def test_it_changes_nothing_but_the_boxes_and_the_labels(dataset: Digits) -> None:
    """Order, crops, flips and squares stay those without it, and mixed pixels are those of the other images."""
    changed = 0
    for (images, labels), (mixed, shares) in zip(batches(dataset, SETTINGS), batches(dataset, MIXED), strict=True):
        assert labels.dtype == torch.int64 and shares.dtype == torch.float32
        assert shares.shape == (20, dataset.classes)
        inside = (images != mixed).any(dim=1).any(dim=0)
        if not inside.any():  # a box without a pixel
            continue
        changed += 1
        rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
        box = (slice(None), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        for image in mixed:
            assert any(torch.equal(image[box], other[box]) for other in images)
        least = shares[torch.arange(20), labels].min()
        assert float(least) <= 1 - images[0, 0][box[1:]].numel() / 64 + 1e-6, "what has changed is within the box"
    assert changed >= 3


def test_batches_follow_from_seed_and_epoch(dataset: Digits) -> None:
    one, again, later = batches(dataset, MIXED), batches(dataset, MIXED), batches(dataset, MIXED, (1,))
    for (images, shares), (others, their_shares) in zip(one, again, strict=True):
        assert torch.equal(images, others) and torch.equal(shares, their_shares)
    assert torch.equal(later[0][0], one[3][0]) and torch.equal(later[0][1], one[3][1])
    drawn = [frozenset(shares.unique().tolist()) for _, shares in one]
    assert len(set(drawn[:3])) > 1 and drawn[:3] != drawn[3:], "each batch of each epoch draws for itself"


def test_some_batches_are_left_alone(dataset: Digits) -> None:
    kinds = [shares.dtype for _, shares in batches(dataset, replace(SETTINGS, cutmix=0.5), tuple(range(6)))]
    assert set(kinds) == {torch.int64, torch.float32}


def test_images_that_are_measured_are_left_alone(dataset: Digits) -> None:
    for _, labels in ImageBatches(dataset, "search", MIXED, CPU, seed=7).measured():
        assert labels.dtype == torch.int64


STUDENT = Node("resnet8", {"width": 2})
GRAPHS = {
    "label": KnowledgeTransferGraph((STUDENT,), (Edge(0, 1),)),
    "mutual": KnowledgeTransferGraph(
        (STUDENT, STUDENT), (Edge(0, 1), Edge(0, 2), Edge(2, 1, gate="correct"), Edge(1, 2, gate="negative-linear"))
    ),
}


def trained(dataset: Digits, graph: KnowledgeTransferGraph, settings: TrainerSettings) -> list[dict[str, float]]:
    trainer = CollaborativeTrainer(graph, settings, Context(seed=3, max_budget=2, dataset=dataset))
    return [dict(one.metrics) for one in trainer.advance(Job(0, {}, 0, 2))]


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_training_with_mixed_labels_follows_from_its_seed(dataset: Digits, graph: str) -> None:
    settings = replace(SETTINGS, cutmix=0.5)
    curve = trained(dataset, GRAPHS[graph], settings)
    assert curve == trained(dataset, GRAPHS[graph], settings)
    assert curve != trained(dataset, GRAPHS[graph], SETTINGS)
    assert all(torch.tensor(list(point.values())).isfinite().all() for point in curve)


def test_a_training_goes_on_with_the_same_batches(dataset: Digits, tmp_path: Path) -> None:
    settings = replace(SETTINGS, cutmix=0.5, auto_augment="random")
    first, second = (
        CollaborativeTrainer(GRAPHS["label"], settings, Context(seed=3, max_budget=2, dataset=dataset)) for _ in "12"
    )
    list(first.advance(Job(0, {}, 0, 1)))
    first.save(tmp_path)
    second.load(tmp_path)
    (last,) = second.advance(Job(0, {}, 1, 2))
    assert dict(last.metrics) == trained(dataset, GRAPHS["label"], settings)[-1]


def test_the_loss_is_that_of_both_classes(dataset: Digits) -> None:
    trainer = CollaborativeTrainer(GRAPHS["label"], MIXED, Context(seed=3, max_budget=1, dataset=dataset))
    images = torch.randn(6, 1, 8, 8, generator=generator())
    own, other = torch.tensor([0, 1, 2, 3, 4, 5]), torch.tensor([5, 4, 2, 0, 1, 3])
    shares = 0.7 * F.one_hot(own, 10).float() + 0.3 * F.one_hot(other, 10).float()
    trainer.target.eval()
    with torch.no_grad():
        logits = trainer.target(images)
    expected = 0.7 * F.cross_entropy(logits, own) + 0.3 * F.cross_entropy(logits, other)
    torch.testing.assert_close(trainer.update(images, shares, 1.0)[0], expected)


def test_estimators_are_shown_the_class_of_the_larger_part(dataset: Digits) -> None:
    context = Context(seed=3, max_budget=1, dataset=dataset, needs=frozenset({"features"}))
    trainer = CollaborativeTrainer(GRAPHS["label"], MIXED, context)
    last = list(trainer.advance(Job(0, {}, 0, 1)))[-1]
    assert isinstance(last.features, EpochFeatures)
    expected = [shares.argmax(dim=1) for _, shares in ImageBatches(dataset, "search", MIXED, CPU, seed=3).epoch(0)]
    assert last.features.train_labels.dtype == torch.int64
    assert torch.equal(last.features.train_labels, torch.cat(expected))


def test_a_training_can_be_timed(dataset: Digits) -> None:
    trainer = CollaborativeTrainer(GRAPHS["label"], MIXED, Context(seed=3, max_budget=1, dataset=dataset))
    assert seconds_per_epoch(trainer) > 0
