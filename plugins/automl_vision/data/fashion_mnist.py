"""Fashion-MNIST, from its idx files, in the folder where torchvision keeps them.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms"
(2017).
"""

from __future__ import annotations

import gzip
import zlib
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from automl_core import RequestError
from automl_vision.data.base import ImageSplit, RawImages
from automl_vision.data.downloads import Download, DownloadedImages

MIRROR = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
UINT8 = 8
"""The idx format's code of unsigned bytes."""


class FashionMnist(DownloadedImages):
    """Fashion-MNIST: 60,000 training and 10,000 test images of 28x28 grey pixels, 10 classes; 31 MB to download."""

    name = "fashion-mnist"
    files: ClassVar[tuple[Download, ...]] = (
        Download(f"{MIRROR}/train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Download(f"{MIRROR}/train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        Download(f"{MIRROR}/t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        Download(f"{MIRROR}/t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    CLASS_NAMES: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip

    def _read(self) -> RawImages:
        train_images, train_labels, test_images, test_labels = (
            self._array(download, dimensions) for download, dimensions in zip(self.files, (3, 1, 3, 1), strict=True)
        )
        return RawImages(
            train=ImageSplit(train_images[:, None], train_labels.long()),
            test=ImageSplit(test_images[:, None], test_labels.long()),
            class_names=self.CLASS_NAMES,
        )

    def _array(self, download: Download, dimensions: int) -> Tensor:
        """Reads an idx file: two zero bytes, type, number of dimensions, their sizes in big-endian, the values."""
        folder = self.root / "FashionMNIST" / "raw"
        file = folder / download.name.removesuffix(".gz")
        try:
            content = (
                file.read_bytes() if file.is_file() else gzip.decompress(self._fetch(download, folder).read_bytes())
            )
        except (OSError, EOFError, zlib.error) as error:
            raise RequestError(
                f"{file} must be readable, but: {error}; delete it to have it downloaded again"
            ) from None
        header = 4 + 4 * dimensions
        sizes = np.frombuffer(content[4:header].ljust(4 * dimensions, b"\0"), dtype=">u4")
        if content[:4] != bytes((0, 0, UINT8, dimensions)) or len(content) != header + int(sizes.prod(dtype=np.uint64)):
            raise RequestError(
                f"{file} must be an idx file of bytes in {dimensions} dimensions, but its {len(content)} bytes do not "
                "fit that: it is damaged; delete it to have it downloaded again"
            )
        values = np.frombuffer(content, dtype=np.uint8, offset=header).reshape([int(size) for size in sizes])
        return torch.from_numpy(values.copy())
