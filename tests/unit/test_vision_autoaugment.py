"""AutoAugment: its policies, what each operation does beside torchvision's, and what becomes of batches."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor
from torchvision.transforms import AutoAugment as Torchvisions
from torchvision.transforms import AutoAugmentPolicy

from automl_core import Context, RequestError
from automl_core.types import Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_vision import CollaborativeTrainer, TrainerSettings
from automl_vision.autoaugment import (
    DRAWABLE,
    LEVELLED,
    AutoAugment,
    Step,
    policy_named,
    published_policy,
    random_policy,
)
from automl_vision.data.digits import Digits
from automl_vision.operations import MOVING
from automl_vision.trainer.batches import ImageBatches

FILL = (10, 128, 250)
CPU = torch.device("cpu")
OF_TORCHVISION = {
    **{name.lower(): name for name in ("Rotate", "Brightness", "Color", "Contrast", "Sharpness", "Posterize")},
    **{name.lower(): name for name in ("Solarize", "AutoContrast", "Equalize", "Invert")},
    **{"shear-x": "ShearX", "shear-y": "ShearY", "translate-x": "TranslateX", "translate-y": "TranslateY"},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int, channels: int = 3, height: int = 32, width: int = 24) -> Tensor:
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(5))


def by_torchvision(images: Tensor, policies: list[object], draws: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """What torchvision makes of each image where it draws what we have drawn."""

    class Replayed(Torchvisions):
        @staticmethod
        def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
            return next(drawn)

    reference = Replayed(AutoAugmentPolicy.CIFAR10, fill=[float(one) for one in FILL[: images.shape[1]]])
    reference.policies = policies
    drawn = zip(draws[0].tolist(), draws[1], draws[2], strict=True)
    return torch.stack([reference(image) for image in images])


# Magnitudes at which no pixel comes from exactly between two others, where both neighbours would be right.
@pytest.mark.parametrize("magnitude", [0, 1, 3, 4, 7, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_operation_does_what_torchvisions_does(magnitude: int, channels: int) -> None:
    images = random_images(1, channels).expand(40, -1, -1, -1)
    fill = FILL[:channels]
    for name in DRAWABLE:
        augment = AutoAugment(((Step(name, 1.0, magnitude), Step("invert", 0.0, 0)),), fill)
        augmented = augment(images, generator())
        level = magnitude if name in LEVELLED else None
        policies: list[object] = [((OF_TORCHVISION[name], 1.0, level), ("Invert", -1.0, None))]
        expected = by_torchvision(images, policies, augment.draw(40, generator()))
        exact = name in (*MOVING, "posterize", "solarize", "equalize", "invert")
        difference = (augmented.int() - expected.int()).abs()
        assert difference.max() <= (0 if exact else 2), name
        assert len(augmented.flatten(1).unique(dim=0)) <= 2


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "svhn"])
def test_policies_are_torchvisions(name: str) -> None:
    policy = published_policy(name)
    assert len(policy) == 25
    augment = AutoAugment(policy, FILL)
    images = random_images(600)
    expected = by_torchvision(images, Torchvisions(AutoAugmentPolicy(name)).policies, augment.draw(600, generator(1)))
    augmented = augment(images, generator(1))
    alike = ((augmented.int() - expected.int()).abs() <= 2).float().mean((1, 2, 3))
    # Rounding before a second operation that tells neighbouring levels apart, and pixels from between two others.
    assert alike.mean() > 0.97 and (alike > 0.9).float().mean() > 0.9
    assert (augmented != images).flatten(1).any(1).float().mean() > 0.5


def test_probabilities_and_directions() -> None:
    moves = Step("translate-x", 0.3, 9), Step("translate-y", 0.8, 9)
    inversion = Step("invert", 1.0, 0), Step("invert", 0.0, 0)
    image = random_images(1)
    augmented = AutoAugment((moves, inversion))(image.expand(6000, -1, -1, -1), generator())
    _, counts = augmented.flatten(1).unique(dim=0, return_counts=True)
    shares = sorted((counts / 6000).tolist())
    moved = [0.15 * 0.4] * 4 + [0.15 * 0.2] * 2 + [0.7 * 0.4] * 2 + [0.7 * 0.2]
    assert shares == pytest.approx(sorted([0.5 * share for share in moved] + [0.5]), abs=0.012)


def test_a_random_policy_is_drawn_uniformly_and_follows_from_its_seed() -> None:
    policy = policy_named("random", 3)
    assert policy == policy_named("random", 3) != policy_named("random", 4)
    assert len(policy) == 25 and all(len(sub_policy) == 2 for sub_policy in policy)
    draws = generator()
    steps = [step for _ in range(200) for sub_policy in random_policy(draws) for step in sub_policy]
    for name in DRAWABLE:
        assert sum(step.operation == name for step in steps) / 10_000 == pytest.approx(1 / 14, rel=0.15)
    for place in range(11):
        share = sum(step.probability == place / 10 for step in steps) / 10_000
        assert share == pytest.approx(1 / 11, rel=0.15)
    strong = [step.magnitude for step in steps if step.operation in LEVELLED]
    for magnitude in range(10):
        assert strong.count(magnitude) / len(strong) == pytest.approx(1 / 10, rel=0.15)
    assert {step.magnitude for step in steps if step.operation not in LEVELLED} == {0}


def test_unknown_policies_are_refused() -> None:
    with pytest.raises(RequestError, match="'cifar10'"):
        policy_named("cifar", 0)


def test_draws_come_from_the_given_generator_alone_and_the_input_stays() -> None:
    images = random_images(64)
    before, global_state = images.clone(), torch.get_rng_state()
    augment = AutoAugment(policy_named("random", 0))
    first, again, other = (augment(images, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(images, before) and torch.equal(torch.get_rng_state(), global_state)
    assert torch.equal(augment(images.contiguous(memory_format=torch.channels_last), generator(3)), first)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (5, 1, 28, 28), (64, 2, 4, 5), (3, 4, 31, 33), (9, 3, 1, 2)])
def test_images_of_any_kind(shape: tuple[int, ...]) -> None:
    images = random_images(shape[0], *shape[1:])
    for name, magnitude in product(DRAWABLE, (0, 5, 9)):
        augment = AutoAugment(((Step(name, 1.0, magnitude), Step(name, 1.0, magnitude)),))
        augmented = augment(images, generator())
        assert augmented.shape == shape and augmented.dtype == torch.uint8
    for name in ("cifar10", "imagenet", "svhn"):
        assert AutoAugment(published_policy(name))(images, generator()).dtype == torch.uint8


SETTINGS = TrainerSettings(batch=20, pad=1, lr=0.05, flip=True)


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


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "svhn", "random"])
def test_batches_follow_from_seed_and_epoch_and_order_stays(dataset: Digits, name: str) -> None:
    settings = replace(SETTINGS, auto_augment=name)  # type: ignore[arg-type]  # mypy cannot see that it is one of them
    plain, one, later = batches(dataset, SETTINGS), batches(dataset, settings), batches(dataset, settings, (1,))
    for (images, labels), (distorted, their_labels) in zip(plain, one, strict=True):
        assert torch.equal(labels, their_labels) and not torch.equal(images, distorted)
    for (images, _), (again, _) in zip(one[3:], later, strict=True):
        assert torch.equal(images, again), "without the epochs before"


def test_a_random_policy_is_that_of_the_settings_in_all_trainings(dataset: Digits) -> None:
    settings = replace(SETTINGS, auto_augment="random")
    first, other = (ImageBatches(dataset, "search", settings, CPU, seed) for seed in (7, 8))
    assert first.policy == other.policy
    list(first.epoch(3))
    assert first.policy == other.policy
    assert ImageBatches(dataset, "search", replace(settings, policy_seed=1), CPU, 7).policy != first.policy
    assert ImageBatches(dataset, "search", SETTINGS, CPU, 7).policy is None


def test_cutout_comes_after_it(dataset: Digits) -> None:
    for images, _ in batches(dataset, replace(SETTINGS, auto_augment="svhn", augmentations=1, cutout=3)):
        assert all((image.abs() < 0.01).sum() >= 4 for image in images), "nothing covers the square"


def test_a_training_with_it_follows_from_its_seed(dataset: Digits) -> None:
    graph = KnowledgeTransferGraph((Node("resnet8", {"width": 2}),), (Edge(0, 1),))

    def curve(settings: TrainerSettings) -> list[dict[str, float]]:
        trainer = CollaborativeTrainer(graph, settings, Context(seed=3, max_budget=2, dataset=dataset))
        return [dict(one.metrics) for one in trainer.advance(Job(0, {}, 0, 2))]

    settings = replace(SETTINGS, auto_augment="random")
    assert curve(settings) == curve(settings) != curve(SETTINGS)
    assert curve(settings) != curve(replace(SETTINGS, auto_augment="cifar10"))
