"""Trained networks on disk: weights as safetensors, and a card from which the network is built again.

The same two files are what a finished training exports, what a frozen node is loaded from, and what a user is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from automl_core.errors import RequestError, unknown
from automl_core.options import validate
from automl_core.plugins import get_registry
from automl_vision.models import ClassifierModule, build_model

WEIGHTS = "model.safetensors"
CARD = "model.json"
FORMAT = 1


@dataclass(frozen=True)
class ModelCard:
    """What is needed to build a network again and to feed it.

    Args:
        model: Registered name of the model.
        options: The model's options.
        channels: Colour channels of an image.
        classes: Number of classes.
        image_size: Rows and columns in pixels of what it was trained on.
        mean: Mean per channel, of pixels in [0, 1], that its input is normalised by.
        std: Standard deviation per channel.
        dataset: Name of the data set that it was trained on.
    """

    model: str
    options: Mapping[str, Any]
    channels: int
    classes: int
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str


class ExportedModel(nn.Module):
    """A trained classifier together with the normalisation of its input.

    Args:
        network: The network, which takes normalised images; also there as ``.network``.
        card: What it is and was trained on; also there as ``.card``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.network = network
        self.card = card
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Gives logits, shape (B, classes), for images as they are.

        Args:
            images: Shape (B, channels, H, W); uint8 in 0 to 255, or floating point in [0, 1]. They are normalised
                here.
        """
        scaled = images.to(self.mean.dtype) / 255.0 if images.dtype == torch.uint8 else images
        return cast(Tensor, self.network((scaled - self.mean) / self.std))


def load_exported(directory: Path | str) -> ExportedModel:
    """Loads what ``automl export`` (or ``CollaborativeTrainer.export``) wrote, in evaluation mode, on the CPU.

    Args:
        directory: Where it was written.

    Returns:
        A module that takes images as they are, uint8 or in [0, 1], and gives logits.

    Raises:
        RequestError: When files are missing or corrupt, or the model is not registered here.
    """
    network, card = load_network(Path(directory))
    return ExportedModel(network, card).eval()


def save_network(network: nn.Module, card: ModelCard, directory: Path) -> None:
    """Writes a network's weights and its card into an existing directory."""
    # A copy in plain layout each: safetensors refuses channels-last memory and shared storage.
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    (directory / WEIGHTS).write_bytes(save(weights))  # by Python, so that a full disk is told as one
    text = json.dumps({"format": FORMAT} | asdict(card), indent=2, sort_keys=True)
    (directory / CARD).write_text(text + "\n", encoding="utf-8")


def load_network(directory: Path) -> tuple[ClassifierModule, ModelCard]:
    """Builds a saved network again: in evaluation mode, on the CPU, without normalisation of its input.

    Raises:
        RequestError: When files are missing or corrupt, or the model is not registered here.
    """
    card = read_card(directory)
    known = get_registry().names("model")
    if card.model not in known:
        hint = f"a plugin that is not installed here may bring {card.model!r}; 'automl plugins' lists those that are"
        raise unknown("model", card.model, known, hint)
    network = build_model(card.model, card.channels, card.classes, options=card.options, seed=0)
    path = directory / WEIGHTS
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(
            f"the weights of {card.model} must be in {path}, but reading them gave {type(error).__name__}: {reason}; "
            "export the model again"
        ) from error
    return network.eval(), card


def read_card(directory: Path) -> ModelCard:
    """Reads what a saved network is.

    Raises:
        RequestError: When the card is missing or corrupt.
    """
    path = directory / CARD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            raise ValueError("written by another version of the project")
        return ModelCard(**validate(ModelCard, data, "exported model"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RequestError(
            f"an exported model must have a readable {path}, but reading it gave {type(error).__name__}: {error}; "
            "give a directory written by 'automl export', or export the model again"
        ) from error
