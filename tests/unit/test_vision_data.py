from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from automl_core import RequestError
from automl_core.options import describe
from automl_core.plugins import get_registry
from automl_vision import ImageDataset, ImageSplit, RawImages
from automl_vision.data.preparation import balanced_subset, channel_statistics, resize_images, stratified_subset

SPLITS = ("train", "validation", "test")


def create(name: str, **options: object) -> ImageDataset:
    dataset = get_registry().create("dataset", name, options)
    assert isinstance(dataset, ImageDataset)
    return dataset


def loaded(name: str, **options: object) -> ImageDataset:
    dataset = create(name, **options)
    dataset.load()
    return dataset


def images(count: int, size: int = 8, channels: int = 1, classes: int = 4) -> ImageSplit:
    """Random images whose first pixels number them."""
    pixels = torch.randint(
        0, 256, (count, channels, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(count)
    )
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = torch.arange(count) % 256, torch.arange(count) // 256
    return ImageSplit(pixels, torch.arange(count) % classes)


class Given(ImageDataset):
    """A data set of tensors."""

    name = "given"
    raw: RawImages

    def _read(self) -> RawImages:
        return self.raw


def given_data(raw: RawImages, **options: object) -> Given:
    dataset = Given(**options)  # type: ignore[arg-type]
    dataset.raw = raw
    return dataset


def numbers(split: ImageSplit) -> set[int]:
    return {int(image[0, 0, 0]) + 256 * int(image[0, 0, 1]) for image in split.images}


def test_digits() -> None:
    digits = loaded("digits")
    assert digits.describe() == {
        "name": "digits",
        "train": 1150,
        "validation": 287,
        "test": 360,
        "channels": 1,
        "classes": 10,
        "image_size": [8, 8],
        "flippable": False,
        "class_names": [str(digit) for digit in range(10)],
    }
    for name in SPLITS:
        split = digits.split(name)  # type: ignore[arg-type]
        assert split.images.dtype == torch.uint8 and split.labels.dtype == torch.int64
        assert int(split.images.max()) == 255 and int(split.images.min()) == 0
        shares = torch.bincount(split.labels) / len(split)
        assert shares.tolist() == pytest.approx([0.1] * 10, abs=0.01)


def test_the_test_split_of_digits_is_the_same_for_every_seed() -> None:
    first, second = loaded("digits", split_seed=0), loaded("digits", split_seed=1, validation=100)
    assert torch.equal(first.split("test").images, second.split("test").images)
    assert not torch.equal(first.split("validation").images[:100], second.split("validation").images)


@pytest.mark.parametrize("name", ["digits", "npz", "image-folder", "cifar10", "cifar100", "fashion-mnist"])
def test_every_option_says_what_it_means(name: str) -> None:
    options = describe(get_registry().load("dataset", name))
    assert {"limit", "resize", "validation", "split_seed"} <= {option.name for option in options}
    assert all(option.meaning for option in options)


def test_constructing_reads_nothing_and_loading_twice_reads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    dataset = given_data(RawImages(images(40), images(8)))
    monkeypatch.setattr(dataset, "_read", lambda: calls.append(1) or dataset.raw)
    assert not calls
    dataset.load()
    dataset.load()
    assert calls == [1]


@pytest.mark.parametrize(("validation", "held"), [(0.25, 10), (10, 10), (0.5, 20), (36, 36)])
def test_validation_is_held_out_of_training(validation: float, held: int) -> None:
    dataset = given_data(RawImages(images(40), images(8)), validation=validation)
    dataset.load()
    train, validating = numbers(dataset.split("train")), numbers(dataset.split("validation"))
    assert len(validating) == held and not train & validating and len(train | validating) == 40
    assert numbers(dataset.split("test")) == set(range(8))


def test_a_validation_split_of_its_own_is_kept() -> None:
    dataset = given_data(RawImages(images(40), images(8), validation=images(12)), validation=0.5)
    dataset.load()
    assert [len(dataset.split(name)) for name in SPLITS] == [40, 12, 8]  # type: ignore[arg-type]


def test_a_limit_is_balanced_and_bounds_every_split() -> None:
    labels = torch.tensor([0] * 100 + [1] * 20 + [2] * 3)
    train = ImageSplit(images(123).images, labels)
    dataset = given_data(RawImages(train, images(9, classes=3), images(40, classes=3)), limit=30)
    dataset.load()
    assert torch.bincount(dataset.split("train").labels).tolist() == [14, 13, 3]
    assert [len(dataset.split(name)) for name in SPLITS] == [30, 30, 9]  # type: ignore[arg-type]


def test_a_limit_does_not_change_what_is_held_out() -> None:
    raw = RawImages(images(200), images(8))
    small, large = given_data(raw, limit=40), given_data(raw)
    small.load(), large.load()
    for name in SPLITS:
        assert numbers(small.split(name)) <= numbers(large.split(name))  # type: ignore[arg-type]


def test_the_fingerprint_changes_with_everything_that_is_trained_on() -> None:
    raw = RawImages(images(40), images(8))
    touched = raw.train.images.clone()
    touched[3, 0, 5, 5] ^= 1
    relabelled = raw.train.labels.flip(0)

    def fingerprint(raw: RawImages = raw, **options: object) -> str:
        dataset = given_data(raw, **options)
        dataset.load()
        return dataset.fingerprint()

    different = [
        fingerprint(),
        fingerprint(split_seed=1),
        fingerprint(limit=16),
        fingerprint(limit=16, split_seed=1),
        fingerprint(resize=9),
        fingerprint(validation=8 + 4),
        fingerprint(RawImages(ImageSplit(touched, raw.train.labels), raw.test)),
        fingerprint(RawImages(ImageSplit(raw.train.images, relabelled), raw.test)),
    ]
    assert len(set(different)) == len(different)
    assert fingerprint() == different[0] and fingerprint(limit=1000) == different[0]


def test_statistics_are_those_of_the_training_split() -> None:
    dataset = given_data(RawImages(images(40, channels=3), images(8, channels=3)))
    dataset.load()
    scaled = dataset.split("train").images.double() / 255
    assert dataset.mean == pytest.approx(scaled.mean((0, 2, 3)).tolist())
    assert dataset.std == pytest.approx(scaled.std((0, 2, 3), unbiased=False).tolist())


def test_a_constant_channel_can_be_divided_by_its_deviation() -> None:
    assert channel_statistics(torch.full((3, 1, 4, 4), 51, dtype=torch.uint8)) == (pytest.approx((0.2,)), (1.0,))


def test_resizing() -> None:
    dataset = given_data(RawImages(images(40, size=10), images(8, size=10)), resize=6)
    dataset.load()
    assert dataset.image_size == (6, 6) and dataset.split("test").images.shape == (8, 1, 6, 6)
    flat = torch.full((1500, 3, 7, 5), 77, dtype=torch.uint8)
    assert torch.equal(resize_images(flat, 12), torch.full((1500, 3, 12, 12), 77, dtype=torch.uint8))
    assert resize_images(torch.tensor([[[[0, 0, 255, 255]] * 4]], dtype=torch.uint8), 2).tolist() == [
        [[[36, 219], [36, 219]]]
    ]


CLASS_COUNTS = st.lists(st.integers(2, 30), min_size=2, max_size=6)


@given(counts=CLASS_COUNTS, share=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_stratified_draw_keeps_the_proportions(counts: list[int], share: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    total = round(len(counts) + share * (len(labels) - 2 * len(counts)))
    drawn = stratified_subset(labels, total, (seed,))
    assert len(drawn) == total and len(set(drawn.tolist())) == total and drawn.tolist() == sorted(drawn.tolist())
    taken = torch.bincount(labels[drawn], minlength=len(counts)).tolist()
    assert all(1 <= took <= count - 1 for took, count in zip(taken, counts, strict=True))
    assert torch.equal(drawn, stratified_subset(labels, total, (seed,)))


@given(counts=CLASS_COUNTS, smaller=st.integers(0, 40), more=st.integers(0, 40), seed=st.integers(0, 99))
def test_a_balanced_draw_is_as_even_as_the_classes_last_and_nested(
    counts: list[int], smaller: int, more: int, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    drawn, larger = (set(balanced_subset(labels, total, (seed,)).tolist()) for total in (smaller, smaller + more))
    assert drawn <= larger and len(drawn) == min(smaller, len(labels))
    taken = torch.bincount(labels[sorted(drawn)], minlength=len(counts)).tolist()
    assert all(took == count or took >= max(taken) - 1 for took, count in zip(taken, counts, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "at least 1 image, but got 0"),
        ({"limit": 9}, "got 9 for the 10 classes of data set digits; raise it to at least 10"),
        ({"resize": 3}, "at least 4 pixels, but got 3"),
        ({"validation": 0.0}, "a fraction between 0 and 1"),
        ({"validation": -0.5}, "but got -0.5"),
        ({"validation": 1.5}, "but got 1.5"),
        ({"validation": float("nan")}, "validation"),
        ({"validation": 0.001}, "holds out 1 of the 1437"),
        ({"validation": 1430}, "holds out 1430 of the 1437"),
        ({"validation": "half"}, "int | float"),
        ({"resize": 1.5}, "must be"),
        ({"limits": 100}, "did you mean 'limit'"),
    ],
)
def test_options_that_cannot_be_met_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        loaded("digits", **options)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def labelled(labels: list[int]) -> ImageSplit:
    return ImageSplit(images(len(labels)).images, torch.tensor(labels, dtype=torch.int64))


GOOD = images(40)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (RawImages(labelled([]), GOOD), "the train split of data set given must hold images"),
        (RawImages(GOOD, labelled([])), "the test split of data set given must hold images"),
        (RawImages(GOOD, labelled([0, 1, 2, 2])), "the test split of data set given has no image of class 3"),
        (RawImages(GOOD, GOOD, labelled([0, 1])), "the validation split of data set given has 2 images"),
        (RawImages(GOOD, labelled([0, 1, 2, 3, 4])), "labels must be in 0 to 3"),
        (RawImages(labelled([-1, 0, 1]), GOOD), "labels must be in 0 to 1"),
        (RawImages(labelled([0, 1, 3, 3, 0, 1]), GOOD), "has no image of class 2"),
        (RawImages(labelled([0, 10**15]), GOOD), "number the classes from 0 without gaps"),
        (RawImages(labelled([0, 0]), GOOD), "at least 2 classes"),
        (RawImages(labelled([0, 0, 0, 1]), labelled([0, 1])), "holds out 1 of the 4"),
        (RawImages(labelled([0] * 30 + [1]), labelled([0, 1])), "class 1 has 1 in all"),
        (RawImages(GOOD, images(8, size=9)), "has 9x9 with 1 channel and the training split 8x8"),
        (RawImages(GOOD, images(8, channels=3)), "has 8x8 with 3 channels"),
        (RawImages(ImageSplit(GOOD.images, GOOD.labels[:30]), GOOD), "40 images and 30 labels"),
        (RawImages(images(40, size=3), images(8, size=3)), "at least 4x4 pixels"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(raw: RawImages, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        given_data(raw).load()
    assert message in str(refused.value) and "\n" not in str(refused.value)
