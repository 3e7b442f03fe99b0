"""How much more, or less, distillation gains together with pruning than without it.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), tables 1 to 3, last column.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from automl_core.types import Json
from automl_kd_pruning.measured import Cell, Seed

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Surplus:
    """What a second teacher regains after pruning, less what distillation gains without pruning.

    Args:
        values: By seed, as fractions; only seeds with all four terms.
        interval: Of the mean, by the bootstrap; None for one seed.
    """

    values: Mapping[Seed, float]
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, unpruned_scratch: Cell, unpruned: Cell, tuned_scratch: Cell, both: Cell) -> Surplus | None:
        """Compares four trainings seed by seed; None when no seed has all of them.

        Args:
            unpruned_scratch: The whole network, trained with labels alone.
            unpruned: The whole network, taught.
            tuned_scratch: The pruned network, never taught.
            both: The pruned network of self-distillation.
        """
        cells = unpruned_scratch, unpruned, tuned_scratch, both
        seeds = sorted(set.intersection(*(set(cell.values) for cell in cells)))
        if not seeds:
            return None
        values = {seed: surplus(*(cell.values[seed] for cell in cells)) for seed in seeds}
        return cls(values, bootstrap(list(values.values())) if len(values) > 1 else None)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values.values())

    def to_json(self) -> Json:
        values = [self.values[seed] for seed in sorted(self.values)]
        return {
            "mean": self.mean,
            "interval": None if self.interval is None else list(self.interval),
            "level": LEVEL,
            "seeds": len(values),
            "values": values,
        }


def surplus(unpruned_scratch: float, unpruned: float, tuned_scratch: float, both: float) -> float:
    """Gives (self-distilled - fine-tuned from scratch) - (unpruned, taught - unpruned from scratch)."""
    return (both - tuned_scratch) - (unpruned - unpruned_scratch)


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """Gives the percentile interval of a mean, from resampled seeds; the same for the same values.

    Seeds are resampled whole, so that the terms of a difference stay paired. With very few seeds it is too narrow.
    """
    import numpy as np

    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    means = np.asarray(values)[drawn].mean(axis=1)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
