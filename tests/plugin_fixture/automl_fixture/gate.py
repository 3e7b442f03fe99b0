"""A gate for knowledge-transfer graphs: ``automl run --space ktg --set 'space.gates=[through, cutoff, fixture]'``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_spaces.gates import Gate, GateInput

if TYPE_CHECKING:
    from torch import Tensor


class Quadratic(Gate):
    """Rises later than linear: (k / k_end) squared times the mean. On a label edge it means itself."""

    def __call__(self, batch: GateInput) -> Tensor:
        return batch.divergence.mean() * batch.progress**2
