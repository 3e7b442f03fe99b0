"""A score of the untrained network, by how differently it responds to different images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from automl_core.errors import RequestError
from automl_core.interfaces import Estimator
from automl_core.types import Estimate, Observation
from automl_vision.randomness import isolated_randomness

if TYPE_CHECKING:
    from automl_vision.observing import LiveNetwork

_aten = torch.ops.aten
_RECTIFIERS = frozenset({_aten.relu, _aten.relu_, _aten.leaky_relu, _aten.leaky_relu_, _aten._prelu_kernel})
_BOUNDED = frozenset(
    {_aten.hardtanh, _aten.hardtanh_, _aten.clamp, _aten.clamp_, _aten.clamp_min, _aten.clamp_min_, _aten.threshold}
)
"""These take the lower bound as their second argument, and rectify where it is 0."""


class NASWOT(Estimator):
    """Scores the untrained network by how well its rectifiers tell the images of one mini-batch apart.

    Mellor, Turner, Storkey and Crowley, "Neural Architecture Search without Training" (ICML 2021), section 3: an image
    has a binary code, which rectifiers are active for it; K holds for every two images the number of rectifiers minus
    the Hamming distance of their codes, and the score is log |det K|. It is no accuracy: it ranks, and nothing else.
    An objective that is minimised is given the negated score. It stays what it was, however long the trial trains.

    As in the authors' code the network is in training mode, so that batch normalisation takes the batch's own
    statistics; it is a copy, and the trial's network stays untouched. Unlike there, every rectifier that runs counts,
    also one that the output does not depend on, and rectifiers are found where they are calculated: functions and
    modules, ReLU6 and leaky ones too. Two images with the same code make K singular, and the score minus infinity;
    here eigenvalues count as at least what float64 resolves of the largest, so that such a network is last but has a
    score.

    Args:
        batch: Images in the mini-batch, at least 2. The paper takes 128.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"network"})

    def __init__(self, batch: int = 64) -> None:
        if batch < 2:
            raise RequestError(f"images are compared with one another, so batch must be at least 2, but got {batch}")
        self.batch = batch
        self.score: float | None = None

    def observe(self, observation: Observation) -> None:
        if observation.unit == 0:
            self.score = self._scored(observation.network)

    def estimate(self) -> Estimate:
        if self.score is None:
            raise RequestError(
                "naswot scores the untrained network, so it must have been shown unit 0, but was not; choose an "
                "evaluator that observes the network before training"
            )
        return Estimate(
            {one.metric: self.score if one.direction == "max" else -self.score for one in self.problem.objectives}
        )

    def save(self, directory: Path) -> None:
        (directory / "score.json").write_text(json.dumps(self.score))

    def load(self, directory: Path) -> None:
        self.score = json.loads((directory / "score.json").read_text())

    def _scored(self, live: LiveNetwork | None) -> float:
        if live is None:
            raise RequestError(
                "naswot scores the untrained network, but this evaluation shows none at unit 0; choose an evaluator "
                "that does, or another --estimator"
            )
        images = live.images(self.batch)
        network = deepcopy(live.network).train()
        # Dropout draws from torch's own generators, which are put back.
        with isolated_randomness(0, images.device), torch.no_grad(), RectifierCodes(len(images)) as codes:
            network.forward_features(images)
        if codes.agreement is None:
            raise RequestError(
                f"naswot compares which rectifiers are active, but {type(network).__name__} has none; choose another "
                "model or another --estimator"
            )
        return log_determinant(codes.agreement)


class RectifierCodes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within a ``with`` block, adds up how many rectifiers are in the same state for every two images.

    Nothing is kept of a layer but that sum. ``agreement`` is K_H, shape (images, images), float64; None when nothing
    was rectified.

    Args:
        images: Images in the batch; what has another first dimension is no activation of theirs.
    """

    def __init__(self, images: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.images = images
        self.agreement: Tensor | None = None

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Looks at what is about to be rectified, for it may be overwritten."""
        packet = function.overloadpacket
        if packet in _RECTIFIERS or (packet in _BOUNDED and _lower_bound(args, kwargs or {}) == 0.0):
            self._add(args[0])
        return function(*args, **(kwargs or {}))

    def _add(self, inputs: Tensor) -> None:
        if inputs.dim() < 2 or len(inputs) != self.images:
            return
        # With signs s instead of bits, s s^T counts agreements minus disagreements: half of that and of their number
        # is c c^T + (1 - c)(1 - c)^T. Sums of up to 2^24 signs are exact in float32.
        active = (inputs.flatten(1) > 0).float()
        signs = 2.0 * active - 1.0
        agreement = 0.5 * ((signs @ signs.T).double() + signs.shape[1])
        self.agreement = agreement if self.agreement is None else self.agreement + agreement


def _lower_bound(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("min")


def log_determinant(agreement: Tensor) -> float:
    """Gives log |det K|; eigenvalues below what float64 resolves are taken for that, so that it is finite.

    Args:
        agreement: (images, images), symmetric, positive semidefinite and not zero.
    """
    eigenvalues = torch.linalg.eigvalsh(agreement)
    least = eigenvalues[-1] * len(agreement) * torch.finfo(agreement.dtype).eps
    return float(eigenvalues.clamp_min(least).log().sum())
