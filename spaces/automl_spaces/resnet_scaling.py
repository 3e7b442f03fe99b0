"""ResNet-18, scaled up in depth and width stage by stage, within a bound on multiply-accumulates.

Source: Cao, "Efficient Model Performance Estimation via Feature Histories" (2021), section 4.3.2 and appendix A.6: the
stages C2 to C5 have d2 * 2 ... d5 * 2 blocks and w2 * 64, w3 * 128, w4 * 256, w5 * 512 channels, within 2 or 4 times
the multiply-accumulates of ResNet-18. The values that factors may have are not given there; here they are 1, 1.25 ...
3. Nor is the stem, which here keeps its channels, so that stages alone are scaled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Json
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_spaces.published import FEATURE_HISTORIES

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

MODEL = "resnet18"
"""Registered name of the model that is scaled."""

FACTORS = tuple(1 + quarter / 4 for quarter in range(9))
"""What depth and width of a stage can be multiplied by: 1, 1.25 ... 3."""

STAGES = 4
BLOCKS = 2
"""Blocks of each stage of ResNet-18."""

WIDTH = 64
"""Channels of ResNet-18's stem and first stage; each further stage has twice as many as the one before."""

MULTIPLE = 8
"""What numbers of channels are rounded to a multiple of."""

Shape = tuple[tuple[int, ...], tuple[int, ...]]
"""Blocks and channels of each stage."""


def multiply_accumulates(
    blocks: Sequence[int], widths: Sequence[int], stem: int, size: int, channels: int, classes: int
) -> int:
    """Counts the multiplications, each with its addition, of the convolutions and the head for one image.

    Args:
        blocks: Basic blocks of each stage: two 3x3 convolutions, and a 1x1 one where the shape changes.
        widths: Channels of each stage.
        stem: Channels of the 3x3 convolution before them.
        size: Rows and columns of the images; each stage after the first halves them, rounded up.
        channels: Channels of the images.
        classes: Number of classes.
    """
    total = 9 * channels * stem * size**2
    inputs = stem
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
        halved = stage > 0
        size = -(-size // 2) if halved else size
        projection = inputs * width if halved or inputs != width else 0
        total += (9 * inputs * width + 9 * width**2 * (2 * count - 1) + projection) * size**2
        inputs = width
    return total + inputs * classes


class ResNetScalingSpace(SearchSpace):
    """Depth and width of each stage of ResNet-18: ``d2`` ... ``d5`` and ``w2`` ... ``w5``, factors from 1 to 3.

    A stage has 2 * d blocks, halves rounded up, and channels rounded to a multiple of 8. Only those factors are
    offered that the bound allows one stage, if nothing else is scaled.

    Args:
        limit: Multiply-accumulates that are allowed, as a multiple of the network's that is not scaled; the published
            searches have 2 and 4, which are 1.11 and 2.22 G.
        size: Rows and columns of the images that multiply-accumulates are counted for, in pixels.
        channels: Channels of these images.
        classes: Their number of classes.
        width: Channels of the stem, and of the first stage before scaling, a multiple of 8; 64 are ResNet-18's.

    Raises:
        RequestError: For a limit that no network meets, or sizes that give no network.
    """

    name = "resnet-scaling"
    default_evaluator: ClassVar[str] = "supervised"

    _depths = tuple(f"d{stage}" for stage in range(2, 2 + STAGES))
    _widths = tuple(f"w{stage}" for stage in range(2, 2 + STAGES))
    _names = _depths + _widths
    _read = itemgetter(*_names)

    def __init__(
        self, limit: float = 2.0, size: int = 32, channels: int = 3, classes: int = 100, width: int = WIDTH
    ) -> None:
        self.limit = limit
        self.image_size = size
        self.channels = channels
        self.classes = classes
        self.width = width
        for option, value in (("size", size), ("channels", channels), ("classes", classes)):
            if value < 1:
                raise RequestError(f"{option} must be at least 1, but got {value}; raise --set space.{option}")
        if width < 1 or width % MULTIPLE:
            raise RequestError(
                f"width must be a multiple of {MULTIPLE}, but got {width}; choose one, such as {WIDTH}, with "
                "--set space.width"
            )
        # What each value means, in the order of the names: searchers ask for it constantly.
        self._meanings = [{factor: _half_up(BLOCKS * factor) for factor in FACTORS}] * STAGES + [
            {factor: MULTIPLE * _half_up(factor * width * 2**stage / MULTIPLE) for factor in FACTORS}
            for stage in range(STAGES)
        ]
        self.base = self.multiply_accumulates(dict.fromkeys(self._names, 1.0))
        if not (limit >= 1 and math.isfinite(limit)):
            raise RequestError(
                f"limit must be at least 1 and finite, since the smallest network is the one that is not scaled, with "
                f"{self.base:,} multiply-accumulates, but got {limit}; raise --set space.limit"
            )

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import Categorical, ConfigurationSpace

        space = ConfigurationSpace(name=self.name)
        plain = dict.fromkeys(self._names, 1.0)
        for name in self._names:
            allowed = [factor for factor in FACTORS if self.violation({**plain, name: factor}) is None]
            space.add(Categorical(name, allowed, ordered=True))
        return space

    def decode(self, configuration: Configuration) -> KnowledgeTransferGraph:
        """Gives the scaled network, taught by the label."""
        self._check(configuration)
        blocks, widths = self.canonical(configuration)
        options = {"blocks": blocks, "widths": widths, "stem": self.width}
        return KnowledgeTransferGraph((Node(MODEL, options),), (Edge(LABEL, TARGET),))

    def canonical(self, configuration: Configuration) -> Shape:
        """Gives the blocks and the channels of each stage.

        Raises:
            RequestError: When the configuration is not one of this space.
        """
        try:
            values = zip(self._meanings, self._read(configuration), strict=True)
            meant = tuple([meaning[value] for meaning, value in values])
        except KeyError:
            self._check(configuration)
            raise
        return meant[:STAGES], meant[STAGES:]

    def multiply_accumulates(self, configuration: Configuration) -> int:
        """Counts the multiply-accumulates of a configuration's network, exactly."""
        blocks, widths = self.canonical(configuration)
        return multiply_accumulates(blocks, widths, self.width, self.image_size, self.channels, self.classes)

    def violation(self, configuration: Configuration) -> str | None:
        needed = self.multiply_accumulates(configuration)
        if needed <= self.limit * self.base:
            return None
        return (
            f"the network must have at most {self.limit:g} times {self.base:,} = {int(self.limit * self.base):,} "
            f"multiply-accumulates, but has {needed:,}; lower a depth or a width, or raise --set space.limit"
        )

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """Networks trained for real: ``quick`` are narrow, ``paper`` is the published search within twice ResNet-18."""
        if evaluator != self.default_evaluator:
            return {}
        return {
            "quick": {"space": {"width": 8}, "trainer": {"schedule": "linear"}},
            "paper": {
                **FEATURE_HISTORIES,
                "space": {"limit": 2.0, "width": WIDTH},
                "dataset": {**FEATURE_HISTORIES["dataset"], "name": "cifar100"},
            },
        }

    def _check(self, configuration: Configuration) -> None:
        """Refuses a configuration that is not one of this space."""
        for name in configuration:
            if name not in self._names:
                raise unknown(f"hyperparameter of space {self.name}", name, self._names)
        for name in self._names:
            if configuration.get(name) not in FACTORS:
                raise RequestError(
                    f"{name} of space {self.name} must be one of {', '.join(f'{one:g}' for one in FACTORS)}, but got "
                    f"{configuration.get(name, 'nothing')!r}; choose one of them"
                )


def _half_up(number: float) -> int:
    return math.floor(number + 0.5)
