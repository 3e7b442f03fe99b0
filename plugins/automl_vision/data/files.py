"""Data sets of one's own: an ``.npz`` file, or a folder of images."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automl_core import RequestError
from automl_vision.data.base import ImageDataset, ImageSplit, RawImages

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
TEST_FRACTION = 0.2
CHANNELS = (1, 3)


class OwnImages(ImageDataset):
    """Images that the user names by path.

    Args:
        path: The file or folder.
        flippable: Whether an image flipped left to right still shows its class; no for digits and letters.
    """

    def __init__(
        self,
        path: str,
        flippable: bool = True,
        limit: int | None = None,
        resize: int | None = None,
        validation: int | float = 0.2,
        split_seed: int = 0,
    ) -> None:
        super().__init__(limit=limit, resize=resize, validation=validation, split_seed=split_seed)
        self.path, self.flippable = Path(path).expanduser(), flippable


class Npz(OwnImages):
    """Arrays in the layout of MedMNIST: ``train_images``, ``train_labels``, the same for ``test`` and, maybe, ``val``.

    Images are uint8, (N, H, W) or (N, H, W, 3); labels are whole numbers from 0, (N,) or (N, 1).

    Source: Yang et al., "MedMNIST v2" (Scientific Data, 2023).
    """

    def _read(self) -> RawImages:
        if not self.path.is_file():
            raise RequestError(
                f"data set npz needs a file that exists, but there is none at {self.path}; correct dataset.path"
            )
        if not zipfile.is_zipfile(self.path):
            raise RequestError(f"data set npz reads .npz archives, but {self.path} is none; write it with numpy.savez")
        try:
            # Never unpickles: an array of objects is refused by numpy.
            with np.load(self.path, allow_pickle=False) as archive:
                train, test = self._split(archive, "train"), self._split(archive, "test")
                brings_validation = {"val_images", "val_labels"} & set(archive.files)
                validation = self._split(archive, "val") if brings_validation else None
        except RequestError:
            raise
        except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
            raise RequestError(
                f"data set npz must be able to read its file, but {self.path} is damaged, too large or holds objects "
                f"({_first_line(error)}); write it anew with numpy.savez"
            ) from None
        return RawImages(train=train, test=test, validation=validation)

    def _split(self, archive: Any, name: str) -> ImageSplit:
        for key in (f"{name}_images", f"{name}_labels"):
            if key not in archive.files:
                raise RequestError(
                    f"data set npz needs the array {key!r}, but {self.path} has only "
                    f"{', '.join(sorted(archive.files)) or 'none'}; save images and labels as train_*, test_* and, "
                    "if there is a validation split, val_*"
                )
        return ImageSplit(
            self._images(archive[f"{name}_images"], f"{name}_images"),
            self._labels(archive[f"{name}_labels"], f"{name}_labels"),
        )

    def _images(self, array: np.ndarray[Any, Any], key: str) -> Tensor:
        if array.dtype != np.uint8:
            raise RequestError(
                f"images must be uint8 in 0 to 255, but {key} of {self.path} is {array.dtype}; scale and convert it"
            )
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim != 4 or array.shape[3] not in CHANNELS:
            raise RequestError(
                f"images must have the shape (N, H, W) or (N, H, W, 3), but {key} of {self.path} has "
                f"{tuple(array.shape)}; transpose or convert it"
            )
        return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))

    def _labels(self, array: np.ndarray[Any, Any], key: str) -> Tensor:
        if array.dtype.kind not in "iu" or not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
            raise RequestError(
                f"labels must be whole numbers of the shape (N,) or (N, 1), one class an image, but {key} of "
                f"{self.path} is {array.dtype} of the shape {tuple(array.shape)}; convert it"
            )
        return torch.from_numpy(array.reshape(-1).astype(np.int64))


class ImageFolder(OwnImages):
    """Image files, one folder a class.

    Either the path holds ``train``, ``test`` and, maybe, ``val`` (or ``validation``), each with one folder a class,
    or it holds the class folders itself; then a fifth of each class is set aside as the test split, always the same
    one. Images of different sizes need ``resize``.
    """

    def _read(self) -> RawImages:
        if not self.path.is_dir():
            raise RequestError(
                f"data set image-folder needs a folder that exists, but {self.path} is none; correct dataset.path"
            )
        parts = {name: self.path / name for name in ("train", "test", "val", "validation")}
        there = {name for name, part in parts.items() if part.is_dir()}
        if not there & {"train", "test"}:
            names = self._class_names(self.path)
            (whole,) = self._read_splits([self.path], names)
            train, test = whole.set_aside(round(TEST_FRACTION * len(whole)), ("image-folder", "test"))
            return RawImages(train=train, test=test, class_names=names)
        if missing := {"train", "test"} - there:
            raise RequestError(
                f"an image folder must hold both train and test, or class folders alone, but {self.path} has no "
                f"{missing.pop()}; add it, or put all class folders side by side to have splits drawn"
            )
        folders = [parts[name] for name in ("train", "test", "val", "validation") if name in there][:3]
        names = self._class_names(folders[0])
        splits = self._read_splits(folders, names)
        return RawImages(splits[0], splits[1], splits[2] if len(splits) > 2 else None, names)

    def _class_names(self, folder: Path) -> tuple[str, ...]:
        names = tuple(sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")))
        if len(names) < 2:
            raise RequestError(
                f"an image folder must hold at least 2 class folders, but {folder} holds {len(names)}; sort the images "
                "into one folder a class"
            )
        return names

    def _read_splits(self, folders: list[Path], names: tuple[str, ...]) -> list[ImageSplit]:
        files = [self._files(folder, names) for folder in folders]
        images = self._decode([file for split in files for file, _ in split])
        splits, begin = [], 0
        for split in files:
            labels = torch.tensor([label for _, label in split], dtype=torch.int64)
            splits.append(ImageSplit(images[begin : begin + len(split)], labels))
            begin += len(split)
        return splits

    def _files(self, folder: Path, names: tuple[str, ...]) -> list[tuple[Path, int]]:
        if strangers := set(self._class_names(folder)) - set(names):
            raise RequestError(
                f"every split must have the classes of train, but {folder} also has {min(strangers)!r}; remove it or "
                "add training images of it"
            )
        files = []
        for label, name in enumerate(names):
            found = sorted(file for file in (folder / name).rglob("*") if file.suffix.lower() in SUFFIXES)
            if not found:
                raise RequestError(
                    f"every class needs images in every split, but {folder / name} holds none; add some "
                    f"({' '.join(sorted(SUFFIXES))}) or remove the class everywhere"
                )
            files += [(file, label) for file in found]
        return files

    def _decode(self, files: list[Path]) -> Tensor:
        from PIL import Image

        arrays: list[np.ndarray[Any, Any]] = []
        for file in files:
            try:
                with Image.open(file) as opened:
                    if opened.mode.startswith(("I", "F")):
                        raise RequestError(
                            f"images must have 8 bits a channel, but {file} is {opened.mode}; convert it"
                        )
                    image = opened.convert("L" if opened.mode in ("1", "L") else "RGB")
                    if self.resize is not None:
                        image = image.resize((self.resize, self.resize), Image.Resampling.BILINEAR)
                    arrays.append(np.asarray(image))
            except RequestError:
                raise
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise RequestError(
                    f"every file of an image folder must be a readable image, but {file} is not "
                    f"({_first_line(error)}); mend or remove it"
                ) from None
            if arrays[-1].shape[:2] != arrays[0].shape[:2]:
                first, this = ("x".join(str(n) for n in array.shape[:2]) for array in (arrays[0], arrays[-1]))
                raise RequestError(
                    f"images must have one size, but {files[0]} has {first} and {file} has {this} pixels; set "
                    "dataset.resize"
                )
        if any(array.ndim == 3 for array in arrays):
            # Grey images among coloured ones become coloured.
            arrays = [array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2) for array in arrays]
            return torch.from_numpy(np.ascontiguousarray(np.stack(arrays).transpose(0, 3, 1, 2)))
        return torch.from_numpy(np.stack(arrays)[:, None])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
