"""How many epochs of a supernet fit into some seconds, from what a short search took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resumable import Line

from automl_core.types import Json
from automl_prdarts.cycles import EPOCHS, GRACE

CALIBRATED_CYCLES: Mapping[str, Json] = {
    "cycle_epochs": [2, 2, *[1] * (len(EPOCHS) - 2)],
    "cycle_grace": [1, 1, *[0] * (len(EPOCHS) - 2)],
}
CALIBRATED_EPOCHS: Mapping[str, Json] = {"epochs": 2, "grace": 0}


def scaled(total: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Gives the published table of cycles with another total of epochs, each cycle with one at least.

    Args:
        total: Epochs of all cycles.

    Returns:
        Epochs and grace epochs of each cycle.
    """
    epochs = [1] * len(EPOCHS)
    for _ in range(total - len(EPOCHS)):  # Sainte-Lague's method: one more epoch never takes one away
        epochs[max(range(len(EPOCHS)), key=lambda cycle: EPOCHS[cycle] / (2 * epochs[cycle] + 1))] += 1
    grace = (
        min(after - 1, round(GRACE[cycle] * after / EPOCHS[cycle])) for cycle, after in enumerate(epochs)
    )  # fmt: skip
    return tuple(epochs), tuple(grace)


def cycles_within(seconds: float, measured: Line) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Gives the longest table of cycles that takes no more than some seconds, the candidate's training included.

    Args:
        seconds: Of the search.
        measured: What the calibration found.
    """
    grace_share, begin_share, full = _shares(measured["supernet epochs"])
    best = scaled(len(EPOCHS))
    for total in range(len(EPOCHS), 10 * sum(EPOCHS)):
        table = scaled(total)
        taken = measured["rest"] + sum(
            one * (begin_share + epochs - grace + grace_share * grace)
            for one, epochs, grace in zip(full, *table, strict=True)
        )
        if taken > seconds:
            break
        best = table
    return best


def _shares(observed: Sequence[Sequence[float]]) -> tuple[float, float, list[float]]:
    """Tells what was measured apart: each cycle's untrained network, its grace epochs and its full ones.

    Args:
        observed: Cycle, epoch and seconds of each epoch of :data:`CALIBRATED_CYCLES`.

    Returns:
        What a grace epoch and what a cycle's beginning take, as shares of a full epoch, and each cycle's full epoch in
        seconds.
    """
    by_cycle: dict[int, list[float]] = {}
    for cycle, _, seconds in observed:
        by_cycle.setdefault(int(cycle), []).append(seconds)
    grace, full = by_cycle[0]  # the first cycle's beginning is observed apart
    begun, next_full = by_cycle[1]
    grace_share = grace / full
    begin_share = max(0.0, begun / next_full - grace_share)
    alone = [by_cycle[cycle][0] / (1 + begin_share) for cycle in range(2, len(EPOCHS))]
    return grace_share, begin_share, [full, next_full, *alone]


def epochs_within(seconds: float, measured: Line) -> int:
    """Gives how many epochs of DARTS' supernet take no more than some seconds, the candidate's training included."""
    return max(1, int((seconds - measured["rest"]) / measured["supernet epochs"][-1][2]))
