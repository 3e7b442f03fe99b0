"""RandAugment: which operations images get, how strong, how often; and what becomes of a training's batches."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from automl_core import Context, RequestError
from automl_core.types import Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_vision import Augmentation, CollaborativeTrainer, TrainerSettings
from automl_vision.data.digits import Digits
from automl_vision.randaugment import RandAugment
from automl_vision.trainer.batches import ImageBatches, Normalisation, check_image_size

FILL = (10, 128, 250)
CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_image(channels: int = 3, height: int = 32, width: int = 24) -> Tensor:
    """An image of middling levels, shape (1, C, H, W), of which every operation makes something else."""
    return torch.randint(30, 220, (1, channels, height, width), dtype=torch.uint8, generator=generator(5))


def by_torchvision(image: Tensor, magnitude: int) -> dict[str, Tensor]:
    """What each operation makes of an image, either way, with the ranges written out."""
    height, width = image.shape[2:]
    level, fill = magnitude / 30, list(FILL)
    results = {
        "identity": image,
        "autocontrast": reference.autocontrast(image),
        "equalize": reference.equalize(image),
        "posterize": reference.posterize(image, 8 - round(4 * level)),
        "solarize": reference.solarize(image, 256 * (1 - level)),
    }
    for sign in (-1, 1):
        share = sign * level
        slant = math.degrees(math.atan(0.3 * share))
        right, down = int(share * width * 150 / 331), int(share * height * 150 / 331)
        results |= {
            f"brightness {sign}": reference.adjust_brightness(image, 1 + 0.9 * share),
            f"color {sign}": reference.adjust_saturation(image, 1 + 0.9 * share),
            f"contrast {sign}": reference.adjust_contrast(image, 1 + 0.9 * share),
            f"sharpness {sign}": reference.adjust_sharpness(image, 1 + 0.9 * share),
            f"rotate {sign}": reference.rotate(image, 30 * share, fill=fill),
            f"shear-x {sign}": reference.affine(image, 0.0, [0, 0], 1.0, [slant, 0.0], fill=fill, center=[0, 0]),
            f"shear-y {sign}": reference.affine(image, 0.0, [0, 0], 1.0, [0.0, slant], fill=fill, center=[0, 0]),
            f"translate-x {sign}": reference.affine(image, 0.0, [right, 0], 1.0, [0.0, 0.0], fill=fill),
            f"translate-y {sign}": reference.affine(image, 0.0, [0, down], 1.0, [0.0, 0.0], fill=fill),
        }
    return results


# Magnitudes at which no pixel comes from exactly between two others, where both neighbours would be right.
@pytest.mark.parametrize("magnitude", [9, 17, 29])
def test_the_fourteen_operations_come_equally_often_and_either_way(magnitude: int) -> None:
    count = 14_000
    image = one_image()
    expected = by_torchvision(image, magnitude)
    augmented = RandAugment(1, magnitude, FILL)(image.expand(count, -1, -1, -1), generator())
    outcomes, frequencies = augmented.flatten(1).unique(dim=0, return_counts=True)
    found = {}
    for outcome, frequency in zip(outcomes, frequencies.tolist(), strict=True):
        nearest = min(expected, key=lambda name: int((expected[name].flatten().int() - outcome.int()).abs().sum()))
        assert (expected[nearest].flatten().int() - outcome.int()).abs().max() <= 2, nearest
        found[nearest] = frequency / count
    assert found.keys() == expected.keys()
    for name, share in found.items():
        assert share == pytest.approx(1 / 28 if name[-1] == "1" else 1 / 14, rel=0.2), name


def test_magnitude_0_leaves_autocontrast_and_equalize() -> None:
    image = one_image()
    image[..., 0, 0] = 255  # white stays white: solarize inverts nothing
    augmented = RandAugment(1, 0)(image.expand(2000, -1, -1, -1), generator())
    outcomes, frequencies = augmented.flatten(1).unique(dim=0, return_counts=True)
    shares = {tuple(one.tolist()): share / 2000 for one, share in zip(outcomes, frequencies.tolist(), strict=True)}
    assert len(shares) == 3
    assert shares[tuple(image.flatten().tolist())] == pytest.approx(12 / 14, rel=0.05)
    assert tuple(reference.equalize(image).flatten().tolist()) in shares


def test_each_image_draws_its_own_operations() -> None:
    images = one_image().expand(256, -1, -1, -1)
    kinds = [len(RandAugment(count, 17)(images, generator()).flatten(1).unique(dim=0)) for count in (1, 2, 3)]
    assert kinds[0] <= 23 and kinds[0] < kinds[1] < kinds[2]


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=generator(1))
    others = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=generator(2))
    others[7], others[30] = images[7], images[30]
    augment = RandAugment(3, 12)
    one, other = augment(images, generator(3)), augment(others, generator(3))
    assert torch.equal(one[[7, 30]], other[[7, 30]])


def test_draws_come_from_the_given_generator_alone_and_the_input_stays() -> None:
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8, generator=generator(1))
    before, global_state = images.clone(), torch.get_rng_state()
    augment = RandAugment(2, 9)
    first, again, other = augment(images, generator(3)), augment(images, generator(3)), augment(images, generator(4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), global_state)
    strided = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(strided, generator(3)), first)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (5, 1, 28, 28), (64, 2, 4, 5), (3, 4, 32, 32)])
def test_images_of_any_kind(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(1))
    for magnitude in (0, 30):
        augmented = RandAugment(3, magnitude)(images, generator())
        assert augmented.shape == shape and augmented.dtype == torch.uint8


@pytest.mark.parametrize(("operations", "magnitude"), [(0, 9), (1, 31), (1, -1)])
def test_numbers_out_of_range_are_refused(operations: int, magnitude: int) -> None:
    with pytest.raises(RequestError, match=r"RandAugment.* must .*, but got (0|31|-1);"):
        RandAugment(operations, magnitude)


@pytest.mark.parametrize("options", [{"magnitude": 31}, {"magnitude": -1}, {"augmentations": -1}, {"cutout": -1}])
def test_settings_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(RequestError, match=r"trainer\.\w+ must be .*, but got"):
        TrainerSettings(**options)  # type: ignore[arg-type]


SETTINGS = TrainerSettings(batch=20, pad=1, lr=0.05, flip=True)
ALL = replace(SETTINGS, augmentations=2, cutout=3)


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def batches(dataset: Digits, settings: TrainerSettings) -> list[tuple[Tensor, Tensor]]:
    return [batch for epoch in (0, 1) for batch in ImageBatches(dataset, "search", settings, CPU, seed=7).epoch(epoch)]


def test_switched_off_they_change_no_batch(dataset: Digits) -> None:
    recorded: list[Tensor] = []

    class Recorded(Augmentation):
        def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
            recorded.append(super().__call__(images, generator))
            return recorded[-1]

    plain = ImageBatches(dataset, "search", replace(SETTINGS, magnitude=30), CPU, seed=7)
    plain._augment = Recorded(pad=1, flip=True)
    seen = [images for images, _ in plain.epoch(0)]
    normalise = Normalisation(dataset.mean, dataset.std)
    assert len(seen) == 3
    for images, cropped in zip(seen, recorded, strict=True):
        torch.testing.assert_close(images, normalise(cropped), rtol=0, atol=0)


def test_order_and_crops_stay_the_same_and_cutout_comes_last(dataset: Digits) -> None:
    plain = batches(dataset, SETTINGS)
    cut = batches(dataset, replace(SETTINGS, cutout=3))
    strong = batches(dataset, ALL)
    for (images, labels), (others, their_labels), (strongest, _) in zip(plain, cut, strong, strict=True):
        assert torch.equal(labels, their_labels)
        changed = images != others
        assert changed.any()
        assert others[changed].abs().max() < 0.01, "the mean colour is 0 for a network"
        assert all((image.abs() < 0.01).sum() >= 4 for image in strongest), "nothing covers the square"


def test_batches_follow_from_seed_and_epoch(dataset: Digits) -> None:
    one, again = batches(dataset, ALL), batches(dataset, ALL)
    assert all(torch.equal(images, others) for (images, _), (others, _) in zip(one, again, strict=True))
    assert not torch.equal(one[0][0], one[3][0])
    later = list(ImageBatches(dataset, "search", ALL, CPU, seed=7).epoch(1))
    assert torch.equal(later[0][0], one[3][0]), "without the epochs before"


def test_images_that_are_measured_are_left_alone(dataset: Digits) -> None:
    plain = ImageBatches(dataset, "search", SETTINGS, CPU, seed=7).measured()
    for (images, _), (others, _) in zip(plain, ImageBatches(dataset, "search", ALL, CPU, 7).measured(), strict=True):
        assert torch.equal(images, others)


def test_a_square_larger_than_the_images_is_refused(dataset: Digits) -> None:
    with pytest.raises(RequestError, match="side of 16 pixels for images of 8x8; set trainer"):
        ImageBatches(dataset, "search", replace(SETTINGS, cutout=16), CPU, seed=7)
    with pytest.raises(RequestError, match="side of 9 pixels"):
        check_image_size(TrainerSettings(cutout=9), (8, 32))
    check_image_size(TrainerSettings(cutout=8), (8, 32))


def test_a_training_with_them_follows_from_its_seed(dataset: Digits) -> None:
    graph = KnowledgeTransferGraph((Node("resnet8", {"width": 2}),), (Edge(0, 1),))

    def curve(settings: TrainerSettings) -> list[dict[str, float]]:
        trainer = CollaborativeTrainer(graph, settings, Context(seed=3, max_budget=2, dataset=dataset))
        return [dict(one.metrics) for one in trainer.advance(Job(0, {}, 0, 2))]

    augmented = curve(ALL)
    assert augmented == curve(ALL)
    assert augmented != curve(SETTINGS) and augmented != curve(replace(ALL, magnitude=30))
