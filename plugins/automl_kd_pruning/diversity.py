"""How differently a trained network responds to different images, as one number.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), section 5, after Mellor et al., "Neural Architecture Search without Training" (2020, first version,
section 3). The score is the negative sum of log(v + k) + 1 / (v + k) over the eigenvalues v of a correlation matrix.

Two facts about it. Since log(a) + 1/a is at least 1, B images score -B at most, with equality where they are
uncorrelated. The published scores, -143.96 to -141.34, are thus possible with 141 images at most, and not with the 256
of the first version's code; 128 are taken here. And of the published standard errors, deviation / sqrt(5), one does not
follow from its deviation: 0.186 is listed with 0.092, but gives 0.083.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_core.exporting import with_weights
from automl_core.types import Json
from automl_kd_pruning.trained import load_trained, validation_images

if TYPE_CHECKING:
    from automl_core.study import Study

log = logging.getLogger(__name__)

BATCH = 128
SMALLEST = 1e-5
"""k: keeps logarithm and reciprocal of an eigenvalue finite."""


@dataclass(frozen=True)
class Scored:
    """A network's score.

    Args:
        trial: Number of the trial that trained it.
        role: ``candidate`` or ``support``.
        label: What it is.
        score: None where it is not defined.
        seen: Whether it was trained on these images, too.
        alike: The same text for networks that were trained alike.
    """

    trial: int
    role: str
    label: str
    score: float | None
    seen: bool = False
    alike: str = ""


@dataclass(frozen=True)
class Group:
    """Scores of networks that were trained alike: how many, their mean and their sample standard deviation."""

    role: str
    label: str
    count: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class Diversity:
    """Scores of a study's networks.

    Args:
        study: The study's name.
        batch: Images that each score compares.
        networks: One score a trial, by number.
        groups: Where several networks that were trained alike, on the same data, have a score.
        left_out: Finished trials whose weights are not there.
    """

    study: str
    batch: int
    networks: tuple[Scored, ...]
    groups: tuple[Group, ...]
    left_out: tuple[int, ...]

    def to_json(self) -> Json:
        document = asdict(self)
        for one in document["networks"]:
            del one["alike"]
        return document


def measure(study: Study, trials: Sequence[int] = (), batch: int | None = None) -> Diversity:
    """Scores trained networks of a study on images of its validation split.

    Args:
        study: A study that has been run, whose evaluator trains networks on images.
        trials: Which trials; all of both roles whose weights are there when empty.
        batch: Images to compare, at least 2; as :func:`fitting` when None. Scores of different numbers of images do not
            compare.

    Raises:
        RequestError: For a batch that is too small or larger than the validation split, trials without weights, or
            where no trial has any.
    """
    if batch is not None and batch < 2:
        raise RequestError(f"images are compared with one another, so --batch must be at least 2, but got {batch}")
    left_out: tuple[int, ...] = ()
    if not trials:
        trials = [row.number for row in with_weights(study)]
        left_out = tuple(
            row.number
            for row in study.record.trials()
            if row.status in ("completed", "stopped", "paused") and row.number not in trials
        )
    if not trials:
        raise RequestError(
            f"diversity needs trained networks, but study {study.name!r} keeps the weights of none; run studies with "
            f"--checkpoint all, or 'automl retrain {study.name}'"
        )
    if batch is None:
        batch = fitting(validation_images(study))
    scored = [_scored(study, trial, batch) for trial in dict.fromkeys(trials)]
    networks = tuple({one.trial: one for one in scored}.values())
    return Diversity(study.name, batch, networks, _groups(networks), left_out)


def fitting(images: Tensor) -> int:
    """Gives the number of images to compare: 128, or fewer where these are small or few.

    Of more than half as many images as an image has numbers, the score is little more than that of a few eigenvalues
    that are almost 0, even where nothing is correlated.

    Args:
        images: All that there are, shape (N, C, H, W).
    """
    return max(2, min(BATCH, images[0].numel() // 2, len(images)))


def _scored(study: Study, trial: int, batch: int) -> Scored:
    one = load_trained(study, trial, batch)
    if len(one.images) < batch:
        raise RequestError(
            f"diversity compares {batch} validation images, but {one.dataset} has {len(one.images)} of them here; pass "
            f"--batch {len(one.images)} or fewer (scores of different numbers do not compare), or run a study with "
            "more images"
        )
    rows = input_gradients(one.network, one.images)
    if batch >= rows.shape[1]:
        log.warning(
            "%d images of %d numbers each cannot all be uncorrelated, and every image too many costs about %.0e; "
            "--batch %d or fewer tells more of trial %d",
            *(batch, rows.shape[1], 1 / SMALLEST, rows.shape[1] - 1, trial),
        )
    return Scored(one.trial, one.role, one.label, diversity_score(rows), one.seen, one.alike)


def _groups(networks: Sequence[Scored]) -> tuple[Group, ...]:
    groups: dict[str, list[Scored]] = {}
    for one in networks:
        if one.score is not None:
            groups.setdefault(one.alike, []).append(one)
    found = []
    for alike in groups.values():
        scores = [one.score for one in alike if one.score is not None]
        if len(scores) > 1:
            mean, deviation = statistics.fmean(scores), statistics.stdev(scores)
            found.append(Group(alike[0].role, alike[0].label, len(scores), mean, deviation))
    return tuple(found)


def input_gradients(network: nn.Module, images: Tensor) -> Tensor:
    """Gives each image's gradient of the sum of all its logits, shape (B, C * H * W).

    Args:
        network: In evaluation mode: batch statistics would mix the images.
        images: Normalised, shape (B, C, H, W). The gradient is with respect to these.
    """
    inputs = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        total = network(inputs).sum()
        (gradient,) = torch.autograd.grad(total, inputs, materialize_grads=True)
    return gradient.flatten(1)


def diversity_score(rows: Tensor) -> float | None:
    """Gives the score of rows: their number, negated, where they are uncorrelated, and less where they are alike.

    Args:
        rows: Shape (B, D), one row a sample; calculated with in float64.

    Returns:
        The score; None where a row is constant, for which no correlation is defined (the output of a dead network does
        not depend on its input), or not finite.
    """
    rows = rows.double()
    if not bool(rows.isfinite().all()):
        return None
    centred = rows - rows.mean(dim=1, keepdim=True)
    lengths = centred.norm(dim=1, keepdim=True)
    rounding = rows.shape[1] * torch.finfo(rows.dtype).eps * rows.norm(dim=1, keepdim=True)
    if bool((lengths <= rounding).any()):
        return None
    unit = centred / lengths
    eigenvalues = torch.linalg.eigvalsh(unit @ unit.T).clamp_min(0.0) + SMALLEST
    return -float((eigenvalues.log() + 1.0 / eigenvalues).sum())
