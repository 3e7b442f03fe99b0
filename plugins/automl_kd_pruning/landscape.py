"""The loss of a trained network on a plane through its weights, and a picture of it.

Source: Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets" (NeurIPS 2018), section 4:
both directions of the plane are random, and each filter of a direction has the norm of the network's own, so that
pictures of different networks compare.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from automl_core.errors import RequestError
from automl_core.randomness import derive_seed
from automl_core.types import Json
from automl_kd_pruning.trained import load_trained

if TYPE_CHECKING:
    from automl_core.study import Study

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Images in one forward pass."""

Surface = tuple[tuple[float, ...], ...]
"""One row a step along the second direction, in it one value a step along the first."""


@dataclass(frozen=True)
class Landscape:
    """Loss and accuracy around a trained network.

    Args:
        study: Name of the study.
        trial: Number of the trial.
        label: What was trained.
        dataset: Name of the data set.
        images: Validation images that were measured on.
        seed: Seed of the directions.
        steps: Steps along each direction, rising; 0, the trained network, is in the middle.
        loss: Mean cross-entropy.
        accuracy: Fractions.
    """

    study: str
    trial: int
    label: str
    dataset: str
    images: int
    seed: int
    steps: tuple[float, ...]
    loss: Surface
    accuracy: Surface

    def to_json(self) -> Json:
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """Where the loss is measured.

    Args:
        points: Steps along each direction; odd, so that the trained network is among them.
        reach: Largest step. At 1 a filter has moved as far as its own norm in each direction.
        images: Validation images at most.
        seed: Seed of the directions.

    Raises:
        RequestError: For an even number of points or fewer than 3, a reach that is none, or no image.
    """

    points: int = 21
    reach: float = 1.0
    images: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.points < 3 or self.points % 2 == 0:
            raise RequestError(
                "--points must be odd and at least 3, so that the trained network is in the middle, but got "
                f"{self.points}; pass {max(self.points, 2) // 2 * 2 + 1}"
            )
        if not 0 < self.reach < math.inf:
            raise RequestError(
                f"--range must be above 0 and finite, but got {self.reach}; 1 moves filters by their norm"
            )
        if self.images < 1:
            raise RequestError(
                f"--images must be at least 1, but got {self.images}; more are less noisy, and take longer"
            )

    @property
    def steps(self) -> tuple[float, ...]:
        half = self.points // 2
        return tuple(self.reach * place / half for place in range(-half, half + 1))


def measure(study: Study, trial: int | None, grid: Grid, passed: Callable[[], object] | None = None) -> Landscape:
    """Measures the loss around a trial's network, on images of the validation split.

    Args:
        study: A study that has been run, whose evaluator trains networks on images.
        trial: Number of a trial of either role; the best candidate when None.
        grid: Where, and on how many images.
        passed: Called after each row of the grid.

    Raises:
        RequestError: As :func:`automl_kd_pruning.trained.load_trained`.
    """
    one = load_trained(study, trial, grid.images)
    plane = [direction(one.network, derive_seed(grid.seed, "landscape", number)) for number in (1, 2)]
    losses, accuracies = [], []
    for row, second in enumerate(grid.steps):
        found = [
            look(one.network, _moved(one.network, plane, (first, second)), one.images, one.labels)
            for first in grid.steps
        ]
        losses.append(tuple(loss for loss, _ in found))
        accuracies.append(tuple(accuracy for _, accuracy in found))
        log.info("row %d of %d of the landscape is measured", row + 1, grid.points)
        if passed is not None:
            passed()
    return Landscape(
        study=study.name,
        trial=one.trial,
        label=one.label,
        dataset=one.dataset,
        images=len(one.images),
        seed=grid.seed,
        steps=grid.steps,
        loss=tuple(losses),
        accuracy=tuple(accuracies),
    )


def direction(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Draws a filter-normalised direction.

    What has fewer than two dimensions (biases, batch normalisation) is left out, as in the source. Weights that are
    zero stay zero, so that a network whose weights were removed is moved among its like; the norm of their filter is
    that of the others.

    Args:
        network: Its weights give norms and zeros.
        seed: Seed of the draw.

    Returns:
        By parameter, what one step adds to it.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for name, parameter in network.named_parameters():
        if parameter.dim() < 2:
            continue
        weights = parameter.detach()
        noise = torch.randn(weights.shape, generator=generator).to(weights) * (weights != 0)
        across = tuple(range(1, weights.dim()))
        norms, lengths = (torch.linalg.vector_norm(one, dim=across, keepdim=True) for one in (weights, noise))
        drawn[name] = torch.where(lengths > 0, noise * (norms / lengths), 0.0)
    return drawn


def _moved(network: nn.Module, plane: list[dict[str, Tensor]], steps: tuple[float, float]) -> dict[str, Tensor]:
    weights = dict(network.named_parameters())
    first, second = plane
    return {name: weights[name].detach() + steps[0] * first[name] + steps[1] * second[name] for name in first}


@torch.no_grad()
def look(network: nn.Module, weights: Mapping[str, Tensor], images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Gives mean cross-entropy and accuracy of a network with other weights; its own stay as they are.

    Args:
        network: In evaluation mode: the statistics of batch normalisation are the trained ones everywhere.
        weights: Parameters in place of its own, by name.
        images: Normalised, shape (B, C, H, W).
        labels: Shape (B,).
    """
    loss = hits = 0.0
    for some, theirs in zip(torch.split(images, AT_ONCE), torch.split(labels, AT_ONCE), strict=True):
        logits = functional_call(network, dict(weights), (some,))
        loss += float(F.cross_entropy(logits, theirs, reduction="sum"))
        hits += float((logits.argmax(dim=1) == theirs).sum())
    return loss / len(labels), hits / len(labels)
