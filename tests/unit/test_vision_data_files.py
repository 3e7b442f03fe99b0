from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from automl_core import RequestError
from automl_core.plugins import get_registry
from automl_vision import ImageDataset

Arrays = dict[str, np.ndarray[Any, Any]]


def loaded(name: str, **options: object) -> ImageDataset:
    dataset = get_registry().create("dataset", name, options)
    assert isinstance(dataset, ImageDataset)
    dataset.load()
    return dataset


def arrays(shape: tuple[int, ...] = (8, 8), column: bool = True, validation: bool = True) -> Arrays:
    generator = np.random.default_rng(0)
    result: Arrays = {}
    for name, count in {"train": 30, "val": 9, "test": 12}.items():
        if name != "val" or validation:
            labels = (np.arange(count) % 3).astype(np.uint8)
            result[f"{name}_images"] = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
            result[f"{name}_labels"] = labels[:, None] if column else labels
    return result


def npz(directory: Path, data: Arrays) -> str:
    path = directory / "data.npz"
    np.savez_compressed(path, **data)  # type: ignore[arg-type]
    return str(path)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 6, 3)])
@pytest.mark.parametrize("column", [True, False])
def test_npz_in_every_layout(tmp_path: Path, shape: tuple[int, ...], column: bool) -> None:
    data = arrays(shape, column)
    dataset = loaded("npz", path=npz(tmp_path, data))
    channels = shape[2] if len(shape) == 3 else 1
    assert (dataset.channels, dataset.classes, dataset.image_size) == (channels, 3, shape[:2])
    expected = data["val_images"].reshape(9, *shape[:2], channels).transpose(0, 3, 1, 2)
    assert np.array_equal(dataset.split("validation").images.numpy(), expected)
    assert dataset.split("test").labels.tolist() == [0, 1, 2] * 4 and dataset.name == "npz"


def test_npz_without_validation_has_it_drawn_from_training(tmp_path: Path) -> None:
    dataset = loaded("npz", path=npz(tmp_path, arrays(validation=False)), validation=6, flippable=False)
    assert dataset.describe() == {
        "name": "npz",
        "train": 24,
        "validation": 6,
        "test": 12,
        "channels": 1,
        "classes": 3,
        "image_size": [8, 8],
        "flippable": False,
    }


def without(key: str) -> Arrays:
    return {name: array for name, array in arrays().items() if name != key}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (without("train_images"), "needs the array 'train_images'"),
        (without("test_labels"), "needs the array 'test_labels'"),
        (without("val_labels"), "needs the array 'val_labels'"),
        (arrays() | {"train_images": np.zeros((30, 8, 8), np.float32)}, "train_images of"),
        (arrays() | {"train_images": np.zeros((30, 3, 8, 8), np.uint8)}, "(30, 3, 8, 8); transpose"),
        (arrays() | {"train_images": np.zeros((30, 8), np.uint8)}, "must have the shape (N, H, W)"),
        (arrays() | {"test_images": np.zeros((12, 9, 9), np.uint8)}, "has 9x9 with 1 channel"),
        (arrays() | {"train_labels": np.zeros((30, 14), np.uint8)}, "one class an image"),
        (arrays() | {"train_labels": np.zeros(30, np.float64)}, "labels must be whole numbers"),
        (arrays() | {"train_labels": np.zeros(29, np.int64)}, "30 images and 29 labels"),
        (arrays() | {"test_labels": np.array([0, 1] * 6)}, "no image of class 2"),
        (arrays() | {"test_labels": np.array([2**64 - 1] * 12, np.uint64)}, "labels must be in 0 to 2"),
        (arrays() | {"train_labels": np.array([None] * 30)}, "or holds objects"),
    ],
)
def test_npz_that_does_not_fit_is_refused(tmp_path: Path, data: Arrays, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        loaded("npz", path=npz(tmp_path, data))
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with pytest.raises(RequestError, match="there is none at"):
        loaded("npz", path=str(path))
    with pytest.raises(RequestError, match="there is none at"):
        loaded("npz", path=str(tmp_path))
    for content in (b"", b"no archive", pickle.dumps({"train_images": 1})):
        path.write_bytes(content)
        with pytest.raises(RequestError, match=r"reads \.npz archives"):
            loaded("npz", path=str(path))
    with pytest.raises(RequestError, match="needs the option 'path'"):
        loaded("npz")


def test_damaged_npz_is_refused_or_gives_what_was_written(tmp_path: Path) -> None:
    path = npz(tmp_path, arrays())
    whole, damaged, written = Path(path).read_bytes(), tmp_path / "damaged.npz", loaded("npz", path=path).fingerprint()
    refusals = 0
    for place in range(0, len(whole), 61):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
            damaged.write_bytes(content)
            try:
                # Some bytes of the format are never looked at.
                assert loaded("npz", path=str(damaged)).fingerprint() == written
            except RequestError as error:
                assert "\n" not in str(error)
                refusals += 1
    assert refusals > len(whole) // 61


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("unpickled"), ""))


def test_npz_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = npz(tmp_path, arrays() | {"train_images": np.array([Bomb()] * 30, dtype=object)})
    with pytest.raises(RequestError):
        loaded("npz", path=path)
    assert not (tmp_path / "unpickled").exists()


def paint(folder: Path, colour: Any, size: tuple[int, int] = (8, 8), mode: str = "RGB", suffix: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{len(list(folder.iterdir())):03}.{suffix}"
    Image.new(mode, size, colour).save(file)
    return file


def class_folders(root: Path, count: int = 10, mode: str = "RGB") -> Path:
    for index in range(count):
        paint(root / "cat", (index, 0, 0) if mode == "RGB" else index, mode=mode)
        paint(root / "dog", (index, 200, 0) if mode == "RGB" else 200 + index, mode=mode)
    return root


def test_image_folder_with_splits_drawn(tmp_path: Path) -> None:
    root = str(class_folders(tmp_path))
    dataset, other = loaded("image-folder", path=root), loaded("image-folder", path=root, split_seed=1)
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [13, 3, 4]  # type: ignore[arg-type]
    assert dataset.class_names == ("cat", "dog") and dataset.channels == 3
    assert torch.equal(dataset.split("test").images, other.split("test").images)
    train = dataset.split("train")
    assert torch.equal(train.labels == 1, train.images[:, 1, 0, 0] == 200)


@pytest.mark.parametrize("validation", ["val", "validation", None])
def test_image_folder_with_splits_of_its_own(tmp_path: Path, validation: str | None) -> None:
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test", count=3)
    if validation:
        class_folders(tmp_path / validation, count=2)
    dataset = loaded("image-folder", path=str(tmp_path))
    expected = [20, 4, 6] if validation else [16, 4, 6]
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == expected  # type: ignore[arg-type]


def test_grey_images_have_one_channel_unless_some_are_coloured(tmp_path: Path) -> None:
    class_folders(tmp_path, mode="L")
    assert loaded("image-folder", path=str(tmp_path)).channels == 1
    paint(tmp_path / "dog", (0, 200, 0, 255), mode="RGBA")
    assert loaded("image-folder", path=str(tmp_path)).channels == 3


def test_images_of_different_sizes_need_resize(tmp_path: Path) -> None:
    class_folders(tmp_path)
    odd = paint(tmp_path / "dog", (0, 200, 0), size=(9, 12), suffix="jpg")
    with pytest.raises(RequestError, match=rf"{odd} has 12x9 pixels; set dataset.resize"):
        loaded("image-folder", path=str(tmp_path))
    assert loaded("image-folder", path=str(tmp_path), resize=10).image_size == (10, 10)


def test_image_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def refused(root: Path) -> str:
        with pytest.raises(RequestError) as error:
            loaded("image-folder", path=str(root))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "needs a folder that exists" in refused(tmp_path / "nowhere")
    assert "at least 2 class folders" in refused(tmp_path)

    empty = class_folders(tmp_path / "empty-class")
    (empty / "eel").mkdir()
    assert "eel holds none" in refused(empty)

    class_folders(tmp_path / "untested" / "train")
    assert "has no test" in refused(tmp_path / "untested")

    stranger = tmp_path / "stranger"
    class_folders(stranger / "train"), class_folders(stranger / "test")
    paint(stranger / "test" / "eel", 0)
    assert "also has 'eel'" in refused(stranger)

    lacking = tmp_path / "lacking"
    class_folders(lacking / "train"), class_folders(lacking / "test")
    paint(lacking / "train" / "eel", 0)
    assert "eel holds none" in refused(lacking)

    deep = class_folders(tmp_path / "deep")
    paint(deep / "cat", 40_000, mode="I;16")
    assert "8 bits a channel" in refused(deep)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    class_folders(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = tmp_path / "cat" / "zzz.png"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:900] if content is None else content)
    with pytest.raises(RequestError, match=r"zzz\.png is not"):
        loaded("image-folder", path=str(tmp_path))
