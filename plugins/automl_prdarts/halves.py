"""The training images in two halves: one trains network weights, the other one architecture weights.

Source: Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019), section 3.1; Laube and Zell, "Prune and
Replace NAS" (2019), section IV-A. Accuracy is measured on the validation split, which neither half is part of, so that
it tells more than how well architecture weights fit their own images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from automl_core.interfaces import Dataset
from automl_core.types import Json

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset, ImageSplit
    from automl_vision.data.base import SplitName


class Half(Dataset):
    """A data set with a part of its training images; everything else, normalisation too, is the whole one's.

    Args:
        whole: The data set, loaded.
        train: The training images that are left.
    """

    kind = "image-classification"

    def __init__(self, whole: ImageDataset, train: ImageSplit) -> None:
        self.name = whole.name
        self.flippable, self.channels, self.classes = whole.flippable, whole.channels, whole.classes
        self.image_size, self.mean, self.std = whole.image_size, whole.mean, whole.std
        self._whole, self._train = whole, train

    def load(self) -> None:
        """Nothing is left to be read."""

    def split(self, name: SplitName) -> ImageSplit:
        return self._train if name == "train" else self._whole.split(name)

    def describe(self) -> Json:
        return {**self._whole.describe(), "train": len(self._train)}

    def fingerprint(self) -> str:
        """Gives the whole one's: the halves follow from it."""
        return self._whole.fingerprint()


def halves(dataset: ImageDataset) -> tuple[ImageDataset, ImageDataset]:
    """Splits the training images class by class; every image of an odd one out goes to the first half.

    The draw is seeded by the data set's own ``split_seed``, so all search processes and studies see the same halves.

    Args:
        dataset: The data set; it is loaded here.

    Returns:
        The half for network weights and the half for architecture weights.

    Raises:
        RequestError: When a class has fewer than two training images.
    """
    dataset.load()
    train = dataset.split("train")
    seed = getattr(dataset, "split_seed", 0)  # strangers' data sets need not have one
    parts = train.set_aside(len(train) // 2, (seed, "architecture half"))
    first, second = (cast("ImageDataset", Half(dataset, part)) for part in parts)
    return first, second
