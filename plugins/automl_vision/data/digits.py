"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import torch

from automl_vision.data.base import ImageDataset, ImageSplit, RawImages

TEST_IMAGES = 360


class Digits(ImageDataset):
    """1,797 grey 8x8 images of digits, installed with scikit-learn: works offline, and is the default.

    They bring no test split; 360 images are set aside for it by a draw of their own that no option changes.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (UCI repository, 1998).
    """

    name = "digits"
    flippable = False

    def _read(self) -> RawImages:
        from sklearn.datasets import load_digits

        data = load_digits()
        # Pixels are whole numbers from 0 to 16.
        images = torch.from_numpy(np.rint(data.images * (255 / 16)).astype(np.uint8))[:, None]
        whole = ImageSplit(images, torch.from_numpy(data.target.astype(np.int64)))
        train, test = whole.set_aside(TEST_IMAGES, ("digits", "test"))
        return RawImages(train=train, test=test, class_names=tuple(str(digit) for digit in range(10)))
