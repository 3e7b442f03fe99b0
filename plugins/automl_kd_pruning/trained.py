"""Trained networks of a study, and the validation images that they are looked at with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from automl_core.errors import RequestError
from automl_core.exporting import Exported, exported
from automl_core.types import Json
from automl_vision.data.preparation import balanced_subset
from automl_vision.exporting import ModelCard, load_network

if TYPE_CHECKING:
    from automl_core.interfaces import Dataset
    from automl_core.study import Study
    from automl_vision.data import ImageDataset
    from automl_vision.models import ClassifierModule


OF_ONE = ("retraining", "control")
"""Purposes of support trials that belong to one candidate."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network and validation images for it.

    Args:
        trial: Number of the trial that trained it.
        role: ``candidate`` or ``support``.
        label: What it is, in words.
        alike: The same text for networks that were trained alike, on the same data, but for their seeds.
        seen: Whether it was trained on these images, too.
        dataset: Name of the data set.
        network: In evaluation mode, on the study's device.
        images: Normalised as the network takes them, shape (B, C, H, W), on that device.
        labels: Their classes, shape (B,).
    """

    trial: int
    role: str
    label: str
    alike: str
    seen: bool
    dataset: str
    network: ClassifierModule
    images: Tensor
    labels: Tensor


def load_trained(study: Study, trial: int | None, images: int) -> TrainedNetwork:
    """Loads the network of a finished trial of either role.

    The images are drawn from the validation split, as evenly over the classes as it allows, and are the same for every
    trial on the same data. A retraining has trained on that split too.

    Args:
        study: A study that has been run, whose evaluator trains networks on images.
        trial: Number of the trial; the best candidate when None.
        images: How many images at most; fewer where the validation split has fewer.

    Raises:
        RequestError: As :func:`automl_core.exporting.exported`, and for data that are no labelled images.
    """
    with exported(study, trial) as found:
        dataset = _images(study, found.dataset)
        network, card = load_network(found.directory)
    device = torch.device(study.assembly.device)
    torch.set_num_threads(study.assembly.threads)
    split = dataset.split("validation")
    chosen = split.take(balanced_subset(split.labels, images, ("analysis",)))
    return TrainedNetwork(
        trial=found.trial.number,
        role=found.trial.role,
        label=_label(study, found, card),
        alike=_alike(study, found),
        seen=found.instruction is not None and found.instruction["split"] == "final",
        dataset=dataset.name,
        network=network.to(device),
        images=_normalised(chosen.images, card).to(device),
        labels=chosen.labels.to(device),
    )


def validation_images(study: Study) -> Tensor:
    """Gives the images of the study's validation split, uint8, shape (N, C, H, W).

    Raises:
        RequestError: For data that are no labelled images.
    """
    return _images(study, study.assembly.dataset).split("validation").images


def _images(study: Study, dataset: Dataset | None) -> ImageDataset:
    """Gives a loaded data set of labelled images."""
    if dataset is None or dataset.kind != "image-classification":
        raise RequestError(
            f"networks are looked at with labelled images, but study {study.name!r} has "
            f"{'no data set' if dataset is None else dataset.name}; choose a study on a data set of kind "
            "'image-classification'"
        )
    images = cast("ImageDataset", dataset)
    images.load()
    return images


def _label(study: Study, found: Exported, card: ModelCard) -> str:
    """Names a network: that of a support trial by its label, that of a candidate by what it decodes to."""
    told = found.instruction
    if told is None:
        title = study.assembly.evaluator.title(study.assembly.space.decode(found.trial.configuration))
        return title or card.model
    return f"{found.trial.label} of trial {told['of']}" if told["purpose"] in OF_ONE else found.trial.label


def _alike(study: Study, found: Exported) -> str:
    told = found.instruction
    if told is None:
        description = study.assembly.space.decode(found.trial.configuration).to_json()
        return _text(["candidate", found.trial.budget, description])
    of = told["of"] if told["purpose"] in OF_ONE else None
    return _text([told["purpose"], of, told["split"], told["setting"], found.trial.budget, told["description"]])


def _text(value: Json) -> str:
    """Writes JSON as text, without the numbers of repetitions."""
    return json.dumps(_once(value), sort_keys=True)


def _once(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {name: _once(one) for name, one in value.items() if name != "repeat"}
    return [_once(one) for one in value] if isinstance(value, list | tuple) else value


def _normalised(images: Tensor, card: ModelCard) -> Tensor:
    """Scales uint8 images to [0, 1] and normalises them as the network was trained on."""
    mean, std = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in (card.mean, card.std))
    return (images.float() / 255.0 - mean) / std
