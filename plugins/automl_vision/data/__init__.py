"""Image data sets."""

from automl_vision.data.base import ImageDataset, ImageSplit, RawImages

__all__ = ["ImageDataset", "ImageSplit", "RawImages"]
