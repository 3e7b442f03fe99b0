"""Rungs audited: how well what was known of trials early agrees with what was measured of the same trials later.

Only trials that went on can be compared, so an agreement says nothing of those that were stopped. What went on was
chosen, so that it is closer together than all: as a rule tau is lower there, most of all for what chose it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, groupby
from typing import TYPE_CHECKING

from automl_core.types import Json

if TYPE_CHECKING:
    from automl_core.records import StudyRecord

MEASURED = "last measured"
"""What the raw value at a rung is called among the estimates; it estimates that nothing will change."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was known of a candidate's first objective when it had come to a budget.

    Args:
        trial: Number of the trial.
        budget: The budget.
        measured: The raw value.
        estimates: What each estimator made of it, by name.
    """

    trial: int
    budget: int
    measured: float
    estimates: Mapping[str, float]


@dataclass(frozen=True)
class RungAudit:
    """How what was known at one rung agrees with what was measured at a later one.

    Args:
        budget: The rung's budget.
        later: The later rung's budget.
        trials: How many trials were measured at both.
        tau: Kendall's tau-b by estimator; None where it is not defined.
    """

    budget: int
    later: int
    trials: int
    tau: Mapping[str, float | None]

    def to_json(self) -> Json:
        return asdict(self)


def audit(record: StudyRecord) -> list[RungAudit]:
    """Compares every rung of a recorded study with every later one, earlier ones first; none where there is one rung.

    What was recorded is read, and nothing is replayed, so a study can be audited while it runs.
    """
    if len(record.spec.rungs) < 2:
        return []
    return audited(readings(record), record.spec.rungs, [part.name for part in record.spec.estimators])


def audited(found: Iterable[Reading], rungs: Sequence[int], estimators: Sequence[str]) -> list[RungAudit]:
    """Compares the readings at every rung with those of the same trials at every later one.

    Whether larger values are better does not matter, since it is the same on both sides.

    Args:
        found: The readings of all trials.
        rungs: Rising budgets.
        estimators: Whose estimates to compare, beside the raw value.
    """
    at: dict[int, dict[int, Reading]] = {rung: {} for rung in rungs}
    for reading in found:
        if reading.budget in at:
            at[reading.budget][reading.trial] = reading
    return [_compared(at[early], at[late], early, late, estimators) for early, late in combinations(rungs, 2)]


def _compared(
    early: Mapping[int, Reading], late: Mapping[int, Reading], budget: int, later: int, estimators: Sequence[str]
) -> RungAudit:
    both = [(early[trial], late[trial].measured) for trial in early if trial in late]
    tau = {MEASURED: kendall_tau([one.measured for one, _ in both], [value for _, value in both])}
    for name in estimators:
        estimated = [(one.estimates[name], value) for one, value in both if name in one.estimates]
        tau[name] = kendall_tau([estimate for estimate, _ in estimated], [value for _, value in estimated])
    return RungAudit(budget, later, len(both), tau)


def furthest(audits: Iterable[RungAudit]) -> list[RungAudit]:
    """Gives of every rung the comparison with the latest rung that leaves two trials to compare, or else the next."""
    chosen = {}
    for one in audits:
        if one.budget not in chosen or one.trials >= 2:
            chosen[one.budget] = one
    return list(chosen.values())


def readings(record: StudyRecord) -> list[Reading]:
    """Gives what was told of candidates that were done, in order; what cannot be compared is left out.

    A trial that behaves the same as an earlier one is told what is known at no cost. It counts as that one, for else
    what was learned once would count twice.
    """
    metric = record.objectives[0].metric
    first: dict[tuple[int, str], int] = {}  # who was told first what was told of a budget
    same: dict[int, int] = {}
    found: list[Reading] = []
    for trial, budget, cost, estimates, metrics in record.journal.measured():
        told = (budget, f"{estimates}{metrics}")
        if cost == 0.0 and told in first:
            same.setdefault(trial, first[told])
        number = same.get(trial, trial)
        first.setdefault(told, number)
        value = metrics.get(metric, math.nan)
        if math.isfinite(value):
            kept = {name: one[metric] for name, one in estimates.items() if math.isfinite(one.get(metric, math.nan))}
            found.append(Reading(number, budget, value, kept))
    return found


def kendall_tau(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Gives Kendall's tau-b, the agreement of two orders from -1 to 1, ties allowed for.

    Kendall, "The Treatment of Ties in Ranking Problems" (1945), computed in the way of Knight, "A Computer Method for
    Calculating Kendall's Tau with Ungrouped Data" (1966): sorted by the one, pairs that disagree are inversions of the
    other.

    Args:
        one: Finite numbers.
        other: As many of them.

    Returns:
        The agreement; None where it is not defined: for fewer than two numbers, and where all of one side are tied.
    """
    pairs = sorted(zip(one, other, strict=True))
    total = _pairs(len(pairs))
    tied, tied_other, tied_both = _ties(first for first, _ in pairs), _ties(sorted(other)), _ties(pairs)
    if total in (tied, tied_other):  # no pairs at all, too
        return None
    disagreeing = _inversions(second for _, second in pairs)
    agreeing = total - tied - tied_other + tied_both - disagreeing
    return (agreeing - disagreeing) / math.sqrt((total - tied) * (total - tied_other))


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _ties(in_order: Iterable[object]) -> int:
    return sum(_pairs(len(list(equal))) for _, equal in groupby(in_order))


def _inversions(values: Iterable[float]) -> int:
    """Counts pairs of which the greater comes first.

    Inserting moves what comes behind, but in one go: up to a hundred thousand values that is no slower than merging.
    """
    count = 0
    before: list[float] = []
    for value in values:
        place = bisect_right(before, value)
        count += len(before) - place
        before.insert(place, value)
    return count
