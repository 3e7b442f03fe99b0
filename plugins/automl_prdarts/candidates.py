"""Candidate operations of an edge, each weighted in the pass over the maps that it ends with.

An edge gives the sum of its candidates, each times its probability. Written down as it stands this costs for each
candidate further passes over its maps, forward and backward, and maps that are kept for the gradient. They are saved:

- A candidate ends with a batch normalisation without scale and shift. Its probability takes the scale's place there.
- Rectifiers and pools have no weights, so all candidates of all edges that begin with the same one and take the same
  maps share what comes of it.
- Sums are made in place: no part of one needs its own value for its gradient.

Shape legend: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn

from automl_spaces.operations import kind_of
from automl_vision.models.darts_operations import FactorisedReduction, SeparableConvolution, Zero, build_operation


class Source:
    """Maps that candidates are applied to, shape (B, C, H, W), with what their preparations make of them."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps
        self._prepared: dict[str, Tensor] = {}

    def prepared(self, key: str, preparation: nn.Module) -> Tensor:
        """Gives what a preparation makes of the maps; equal keys stand for equal preparations."""
        if key not in self._prepared:
            self._prepared[key] = preparation(self.maps)
        return self._prepared[key]


class WeightedNorm(nn.BatchNorm2d):
    """A batch normalisation times a probability, in one pass."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)

    def forward(self, maps: Tensor, probability: Tensor) -> Tensor:  # type: ignore[override]
        """Gives shape (B, C, H, W).

        Args:
            maps: Shape (B, C, H, W).
            probability: A scalar.
        """
        # Not expand: torch takes a slow path for a scale that does not lie in memory.
        scale = probability.to(self.running_mean.dtype).repeat(self.num_features)  # type: ignore[union-attr]
        return F.batch_norm(
            maps,
            self.running_mean,
            self.running_var,
            scale,
            training=self.training,
            momentum=cast(float, self.momentum),
            eps=self.eps,
        )


class Block(NamedTuple):
    """The weights and statistics of one separable convolution."""

    depthwise: nn.Conv2d
    pointwise: nn.Conv2d
    norm: nn.BatchNorm2d


class Candidate(nn.Module):
    """A candidate operation: a preparation without weights, a body, and a norm that weights.

    Skip connections of stride 1 have no norm: adding them is the pass that weights them. ``none`` has nothing at all.

    Args:
        name: One that ``build_operation`` knows.
        channels: Channels that come in and go out.
        stride: 1 or 2.

    Raises:
        RequestError: For an unknown name.
    """

    def __init__(self, name: str, channels: int, stride: int) -> None:
        super().__init__()
        operation = build_operation(name, channels, stride, affine=False)
        self.kind = kind_of(name)
        self.preparation: nn.Module = nn.Identity()
        self.body = operation
        self.norm: WeightedNorm | None = None if isinstance(operation, nn.Identity | Zero) else WeightedNorm(channels)
        if self.kind == "convolution":
            blocks = self._separable()
            self.preparation = blocks[0][0]
            blocks[0][0] = nn.Identity()
            blocks[-1][3] = nn.Identity()
        elif self.kind == "pool":
            self.preparation, self.body = operation, nn.Identity()
        elif isinstance(operation, FactorisedReduction):
            operation.norm = nn.Identity()  # type: ignore[assignment]
        self._key = repr(self.preparation)

    @property
    def blocks(self) -> list[Block]:
        """The separable convolutions that a convolution consists of; none for others."""
        if self.kind != "convolution":
            return []
        layers = self._separable()
        norms = [block[3] for block in layers[:-1]] + [self.norm]
        return [Block(block[1], block[2], norm) for block, norm in zip(layers, norms, strict=True)]  # type: ignore[arg-type]

    def _separable(self) -> list[SeparableConvolution]:
        return [cast(SeparableConvolution, block) for block in cast(nn.Sequential, self.body)]

    def add_to(self, total: Tensor | None, source: Source, probability: Tensor) -> Tensor:
        """Gives ``total + probability * operation(maps)``.

        Args:
            total: What there is so far, shape (B, C, H, W), and is overwritten; None is zero.
            source: The maps that come in.
            probability: A scalar.
        """
        if self.kind == "none":
            return cast(Tensor, self.body(source.maps)) if total is None else total
        maps = self.body(source.prepared(self._key, self.preparation))
        if self.norm is None:
            return maps * probability if total is None else total.addcmul_(maps, probability)
        term = self.norm(maps, probability)
        return term if total is None else total.add_(term)


class MixedEdge(nn.ModuleDict):
    """An edge: the weighted sum of its candidates, by name.

    Args:
        pool: Their names.
        channels: Channels that come in and go out.
        stride: 1 or 2.

    Raises:
        RequestError: For an unknown name.
    """

    def __init__(self, pool: Sequence[str], channels: int, stride: int) -> None:
        super().__init__({name: Candidate(name, channels, stride) for name in pool})

    @property
    def candidates(self) -> dict[str, Candidate]:
        return {name: cast(Candidate, candidate) for name, candidate in self.items()}

    def add_to(self, total: Tensor | None, source: Source, weights: Tensor) -> Tensor:
        """Gives ``total`` plus the sum of each candidate times its weight.

        Args:
            total: What there is so far, shape (B, C, H, W), and is overwritten; None is zero.
            source: The maps that come in.
            weights: Shape (candidates,).
        """
        for candidate, weight in zip(self.candidates.values(), weights.unbind(), strict=True):
            total = candidate.add_to(total, source, weight)
        return cast(Tensor, total)
