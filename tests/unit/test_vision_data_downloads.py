"""Archives in the real formats, with few images, served from the disk in place of the net."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from automl_core import RequestError
from automl_core.plugins import get_registry
from automl_vision import ImageDataset
from automl_vision.data.cifar import Cifar, Cifar10, Cifar100
from automl_vision.data.downloads import Download
from automl_vision.data.fashion_mnist import FashionMnist


def loaded(name: str, **options: object) -> ImageDataset:
    dataset = get_registry().create("dataset", name, options)
    assert isinstance(dataset, ImageDataset)
    dataset.load()
    return dataset


def download(file: Path) -> Download:
    return Download(file.as_uri(), hashlib.md5(file.read_bytes()).hexdigest())


def records(count: int, classes: int, label_bytes: int) -> bytes:
    """Records of CIFAR's binary version: red is the number of the record, green 100, blue its pixel's row."""
    result = b""
    for number in range(count):
        coarse = [number % 20] * (label_bytes - 1)
        rows = np.repeat(np.arange(32, dtype=np.uint8), 32)
        result += (
            bytes([*coarse, number % classes]) + bytes([number % 256]) * 1024 + bytes([100]) * 1024 + rows.tobytes()
        )
    return result


def cifar_archive(server: Path, kind: type[Cifar], classes: int) -> Path:
    folder = server / kind.folder
    folder.mkdir(parents=True)
    for name in (*kind.train_files, *kind.test_files):
        (folder / name).write_bytes(records(3 * classes, classes, kind.label_bytes))
    (folder / kind.names_file).write_text("\n".join(f"class-{number}" for number in range(classes)) + "\n\n")
    archive = server / kind.archive.name
    with tarfile.open(archive, "w:gz") as opened:
        opened.add(folder, kind.folder)
    return archive


@pytest.mark.parametrize(("name", "kind", "classes"), [("cifar10", Cifar10, 10), ("cifar100", Cifar100, 100)])
def test_cifar_is_downloaded_once_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Cifar], classes: int
) -> None:
    archive = cifar_archive(tmp_path / "server", kind, classes)
    monkeypatch.setattr(kind, "archive", download(archive))
    root = tmp_path / "root"
    dataset = loaded(name, root=str(root), validation=classes)
    train = len(kind.train_files) * 3 * classes
    assert (len(dataset.split("train")), len(dataset.split("test"))) == (train - classes, 3 * classes)
    test = dataset.split("test")
    assert test.labels.tolist() == [number % classes for number in range(3 * classes)]
    assert test.images[5, 0].unique().tolist() == [5] and test.images[5, 1].unique().tolist() == [100]
    assert test.images[5, 2, :, 7].tolist() == list(range(32))
    assert dataset.class_names[:2] == ("class-0", "class-1") and dataset.describe()["classes"] == classes

    shutil.rmtree(tmp_path / "server")
    (root / kind.archive.name).unlink()
    assert loaded(name, root=str(root), validation=classes).fingerprint() == dataset.fingerprint()


def test_an_archive_put_in_place_by_hand_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = cifar_archive(tmp_path, Cifar10, 10)
    there = download(archive)
    shutil.rmtree(tmp_path / Cifar10.folder)
    monkeypatch.setattr(Cifar10, "archive", Download(f"file:///nowhere/{archive.name}", there.md5))
    assert len(loaded("cifar10", root=str(tmp_path)).split("test")) == 30


def test_without_the_net_the_message_says_which_file_goes_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cifar10, "archive", Download("file:///nowhere/cifar-10-binary.tar.gz", "0"))
    with pytest.raises(RequestError) as refused:
        loaded("cifar10", root=str(tmp_path / "root"))
    assert f"put that file into {tmp_path / 'root'}" in str(refused.value) and "dataset.root" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "root").iterdir())


def test_the_default_place_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cifar10().root == tmp_path / "automl" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Cifar10().root == Path.home() / ".cache" / "automl" / "data"


def test_damaged_archives_and_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = cifar_archive(tmp_path / "server", Cifar10, 10)
    good = download(archive)
    root = tmp_path / "root"
    root.mkdir()

    monkeypatch.setattr(Cifar10, "archive", Download(good.url, "0" * 32))
    with pytest.raises(RequestError, match=r"must have the checksum 0000.*delete it"):
        loaded("cifar10", root=str(root))

    (root / archive.name).write_bytes(archive.read_bytes()[:500])
    monkeypatch.setattr(Cifar10, "archive", download(root / archive.name))
    with pytest.raises(RequestError, match="delete the archive"):
        loaded("cifar10", root=str(root))
    assert [file.name for file in root.iterdir()] == [archive.name]

    (root / archive.name).unlink()
    monkeypatch.setattr(Cifar10, "archive", good)
    loaded("cifar10", root=str(root))
    batch = root / Cifar10.folder / "data_batch_3.bin"
    for content in (b"", batch.read_bytes()[:-1]):
        batch.write_bytes(content)
        with pytest.raises(RequestError, match=r"data_batch_3\.bin must hold records of 3073 bytes"):
            loaded("cifar10", root=str(root))


def idx(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's folder with Fashion-MNIST of 50 and 20 images, all pixels showing the image's number."""
    server = tmp_path / "server"
    server.mkdir()
    files = []
    for original, count in zip(FashionMnist.files, (50, 50, 20, 20), strict=True):
        numbers = np.arange(count, dtype=np.uint8)
        pixels = np.broadcast_to(numbers[:, None, None], (count, 28, 28))
        (server / original.name).write_bytes(gzip.compress(idx(pixels if "images" in original.name else numbers % 10)))
        files.append(download(server / original.name))
    monkeypatch.setattr(FashionMnist, "files", tuple(files))
    return server


def test_fashion_mnist(tmp_path: Path, fashion: Path) -> None:
    dataset = loaded("fashion-mnist", root=str(tmp_path / "root"))
    test = dataset.split("test")
    assert (dataset.image_size, dataset.channels, len(dataset.split("train"))) == ((28, 28), 1, 40)
    assert test.labels.tolist() == [*range(10)] * 2 and test.images[7].unique().tolist() == [7]
    assert dataset.class_names[9] == "Ankle boot"


def test_fashion_mnist_extracted_by_torchvision_is_used(tmp_path: Path, fashion: Path) -> None:
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in fashion.iterdir():
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    shutil.rmtree(fashion)
    assert len(loaded("fashion-mnist", root=str(tmp_path / "root")).split("test")) == 20


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03", b"\0\0\x08\x03" + b"\xff" * 12, idx(np.zeros(5, np.uint8))])
def test_damaged_idx_files_are_refused(tmp_path: Path, fashion: Path, content: bytes) -> None:
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(RequestError, match="must be an idx file of bytes in 3 dimensions"):
        loaded("fashion-mnist", root=str(tmp_path / "root"))
