"""What searcher and supernet tell one another: plain data, JSON both ways.

The searcher describes a supernet once (:class:`SupernetPlan`, the description of its support trial) and instructs each
of its jobs with a :class:`Cycle` (``cycle``) and those before it (``before``, for what a lost checkpoint held); the
supernet reports a :class:`CycleReport` back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from automl_core.types import Json

Kind = Literal["normal", "reduction"]
KINDS: tuple[Kind, Kind] = ("normal", "reduction")

Pool = tuple[str, ...]
"""Names of the candidate operations of one edge."""

Pools = tuple[Pool, ...]
"""A pool for each edge of a cell, in the order of :data:`automl_spaces.genotype.EDGES`."""


@dataclass(frozen=True)
class ArchitectureSettings:
    """How architecture weights are trained.

    Args:
        lr: Learning rate of Adam.
        betas: Its decay rates.
        weight_decay: Its L2 penalty.
        clip: Norm to which their gradient is clipped; 0 leaves it.
        second_order: Whether their gradient looks one weight step ahead (DARTS, equation 7).
        noise: Standard deviation of the normal noise they begin with; 0 begins with equal weights.
    """

    lr: float = 6e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 1e-3
    clip: float = 5.0
    second_order: bool = False
    noise: float = 0.0


@dataclass(frozen=True)
class SupernetPlan:
    """A supernet over all cycles of one search process.

    Args:
        number: Number of the search process within its study, from 0; each has seeds of its own.
        cells: Cells of the supernet.
        channels: Channels of each node in its first cells.
        trainer: Options of the part ``trainer`` that replace the study's own.
        architecture: How architecture weights are trained.
    """

    number: int = 0
    cells: int = 8
    channels: int = 16
    trainer: Mapping[str, Any] = field(default_factory=dict, hash=False)
    architecture: ArchitectureSettings = ArchitectureSettings()

    def to_json(self) -> Json:
        data = asdict(self)
        data["trainer"] = dict(self.trainer)
        data["architecture"]["betas"] = list(self.architecture.betas)
        return data

    @classmethod
    def from_json(cls, data: Json) -> SupernetPlan:
        architecture = dict(data["architecture"])
        architecture["betas"] = tuple(architecture["betas"])
        return cls(**{**data, "architecture": ArchitectureSettings(**architecture)})


@dataclass(frozen=True)
class Origin:
    """Where a new candidate comes from.

    Args:
        kind: Cell.
        edge: Place of the edge in :data:`automl_spaces.genotype.EDGES`.
        child: The new candidate.
        parent: The candidate of the same edge in the cycle before that it is a morphism of.
        morphism: Name of the morphism.
    """

    kind: Kind
    edge: int
    child: str
    parent: str
    morphism: str


@dataclass(frozen=True)
class Cycle:
    """One cycle: the candidates and how long they are trained.

    Args:
        number: Number of the cycle, from 0.
        begins: Epochs of all cycles before it.
        epochs: Epochs of this one.
        grace: Its first epochs, in which architecture weights stay as they are.
        normal: Candidates of the normal cell.
        reduction: Those of the reduction cell.
        origins: The candidates that are made anew; none in the first cycle. All others were there in the one before.
    """

    number: int
    begins: int
    epochs: int
    grace: int
    normal: Pools
    reduction: Pools
    origins: tuple[Origin, ...] = ()

    def to_json(self) -> Json:
        return {
            **asdict(self),
            "normal": [list(pool) for pool in self.normal],
            "reduction": [list(pool) for pool in self.reduction],
            "origins": [asdict(one) for one in self.origins],
        }

    @classmethod
    def from_json(cls, data: Json) -> Cycle:
        return cls(
            **{
                **data,
                "normal": tuple(map(tuple, data["normal"])),
                "reduction": tuple(map(tuple, data["reduction"])),
                "origins": tuple(Origin(**one) for one in data["origins"]),
            }
        )


@dataclass(frozen=True)
class CycleReport:
    """What a cycle has found.

    Args:
        normal: For each edge of the normal cell the probability of each candidate, in the order of the cycle's pools:
            the softmax of its architecture weights.
        reduction: Those of the reduction cell.
        channels: Channels of the images.
        classes: Number of classes.
        image_size: Rows and columns of the images, in pixels.
        multiply_accumulates: Of the cycle's supernet for one image, forward.
        images: Images that passed the supernet in the cycle's training, forward and backward, of both halves.
    """

    normal: tuple[tuple[float, ...], ...]
    reduction: tuple[tuple[float, ...], ...]
    channels: int
    classes: int
    image_size: tuple[int, int]
    multiply_accumulates: float = 0.0
    images: int = 0

    def to_json(self) -> Json:
        return {
            **asdict(self),
            "normal": [list(row) for row in self.normal],
            "reduction": [list(row) for row in self.reduction],
            "image_size": list(self.image_size),
        }

    @classmethod
    def from_json(cls, data: Json) -> CycleReport:
        return cls(
            **{
                **data,
                "normal": tuple(map(tuple, data["normal"])),
                "reduction": tuple(map(tuple, data["reduction"])),
                "image_size": tuple(data["image_size"]),
            }
        )
