"""Trained networks of a study, and the validation images that they are looked at with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from automl_core.errors import RequestError
from automl_core.exporting import exported
from automl_spaces.trainings import Training, kind_of, phase_of
from automl_vision.data.preparation import balanced_subset
from automl_vision.exporting import ModelCard, load_network

if TYPE_CHECKING:
    from automl_core.records import TrialRow
    from automl_core.study import Study
    from automl_vision.data import ImageDataset
    from automl_vision.models import ClassifierModule


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network and validation images for it.

    Args:
        trial: Number of the trial that trained it.
        role: ``candidate`` or ``support``.
        label: What it is; repetitions of one training have the same.
        dataset: Name of the data set.
        network: In evaluation mode, on the study's device.
        images: Normalised as the network takes them, shape (B, C, H, W), on that device.
        labels: Their classes, shape (B,).
    """

    trial: int
    role: str
    label: str
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
        if found.dataset is None or found.dataset.kind != "image-classification":
            raise RequestError(
                "networks are looked at with labelled images, but study "
                f"{study.name!r} has {'no data set' if found.dataset is None else found.dataset.name}; choose a study "
                "on a data set of kind 'image-classification'"
            )
        network, card = load_network(found.directory)
    device = torch.device(study.assembly.device)
    torch.set_num_threads(study.assembly.threads)
    dataset = cast("ImageDataset", found.dataset)
    dataset.load()
    split = dataset.split("validation")
    chosen = split.take(balanced_subset(split.labels, images, ("analysis",)))
    return TrainedNetwork(
        trial=found.trial.number,
        role=found.trial.role,
        label=label(study, found.trial, card),
        dataset=dataset.name,
        network=network.to(device),
        images=_normalised(chosen.images, card).to(device),
        labels=chosen.labels.to(device),
    )


def label(study: Study, row: TrialRow, card: ModelCard) -> str:
    """Names a trial's training: a support trial by its label, a candidate by what it decodes to."""
    if row.role == "support":
        return row.label
    description = study.assembly.space.decode(row.configuration)
    return training_label(description) if isinstance(description, Training) else card.model


def training_label(training: Training) -> str:
    """Names a training by model, pruning, distillation and what its recipes decide; repetitions have the same name."""
    origin = training.origin
    words = [training.model.model]
    if training.pruning is not None:
        shares = "/".join(f"{share:g}" for share in training.pruning.remaining)
        words.append(f"{training.pruning.method} {shares}")
    kinds = [kind_of(one.graph) for one in (training, origin) if one is not None]
    kind = next((one for one in kinds if one != "none"), "scratch")
    phase = "none" if origin is None else phase_of(training)
    words.append(kind if phase == "none" else f"{kind} {phase}")
    words += _options(training.recipe.trainer)
    for teacher in training.teachers[:1]:
        words += [f"teacher {option}" for option in _options(teacher.recipe.trainer)]
    return ", ".join(words)


def _options(trainer: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in sorted(trainer.items())]


def _normalised(images: Tensor, card: ModelCard) -> Tensor:
    """Scales uint8 images to [0, 1] and normalises them as the network was trained on."""
    mean, std = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in (card.mean, card.std))
    return (images.float() / 255.0 - mean) / std
