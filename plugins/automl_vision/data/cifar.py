"""CIFAR-10 and CIFAR-100, from their binary version.

torchvision reads the Python version, which is pickled; nothing here is unpickled, and the binary version is as
official: records of label bytes and 3x32x32 pixel bytes.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from automl_core import RequestError
from automl_vision.data.base import ImageSplit, RawImages
from automl_vision.data.downloads import Download, DownloadedImages

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32


class Cifar(DownloadedImages):
    """What both have in common."""

    archive: ClassVar[Download]
    folder: ClassVar[str]
    train_files: ClassVar[tuple[str, ...]]
    test_files: ClassVar[tuple[str, ...]]
    names_file: ClassVar[str]
    label_bytes: ClassVar[int]
    """Label bytes before the pixels; the last one is the class."""

    def _read(self) -> RawImages:
        members = [f"{self.folder}/{name}" for name in (*self.train_files, *self.test_files, self.names_file)]
        if not all((self.root / member).is_file() for member in members):
            self._unpack(self._fetch(self.archive, self.root), members)
        names = (self.root / self.folder / self.names_file).read_text(encoding="utf-8", errors="replace").split()
        return RawImages(
            train=self._records(self.train_files), test=self._records(self.test_files), class_names=tuple(names)
        )

    def _records(self, files: Sequence[str]) -> ImageSplit:
        length = self.label_bytes + PIXELS
        parts = []
        for name in files:
            file = self.root / self.folder / name
            data = np.fromfile(file, dtype=np.uint8)
            if not data.size or data.size % length:
                raise RequestError(
                    f"{file} must hold records of {length} bytes, but has {data.size} bytes: it is damaged; delete it "
                    "to have it extracted or downloaded again"
                )
            parts.append(data.reshape(-1, length))
        records = np.concatenate(parts)
        images = np.ascontiguousarray(records[:, self.label_bytes :]).reshape(-1, *SHAPE)
        return ImageSplit(torch.from_numpy(images), torch.from_numpy(records[:, self.label_bytes - 1].astype(np.int64)))


class Cifar10(Cifar):
    """CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels in colour, 10 classes; 170 MB to download."""

    name = "cifar10"
    archive = Download("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")
    folder = "cifar-10-batches-bin"
    train_files = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
    test_files = ("test_batch.bin",)
    names_file = "batches.meta.txt"
    label_bytes = 1


class Cifar100(Cifar):
    """CIFAR-100: 50,000 training and 10,000 test images of 32x32 pixels in colour, 100 classes; 160 MB to download."""

    name = "cifar100"
    archive = Download("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8")
    folder = "cifar-100-binary"
    train_files = ("train.bin",)
    test_files = ("test.bin",)
    names_file = "fine_label_names.txt"
    label_bytes = 2
