"""The arithmetic of HyperBand's brackets, in integers: a logarithm would lose the lowest rung now and then.

Notation of Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 2018),
algorithm 1: R is ``max_budget``, s_max ``halvings(...)``, n ``first_rung(...)``, n_i ``rung_size(...)``.
"""

from __future__ import annotations

from typing import Literal

Formula = Literal["floor", "ceil"]


def halvings(min_budget: int, max_budget: int, eta: int) -> int:
    """Gives the largest s with ``min_budget * eta**s <= max_budget``; budgets are positive, eta is at least 2."""
    count = 0
    while min_budget * eta ** (count + 1) <= max_budget:
        count += 1
    return count


def first_rung(rungs_below: int, most: int, eta: int, formula: Formula) -> int:
    """Gives how many configurations a bracket begins with.

    Args:
        rungs_below: Rungs below the maximum budget (s).
        most: Those of the longest bracket (s_max).
        eta: Reduction factor.
        formula: ``floor``: floor((s_max + 1) / (s + 1)) * eta**s, as HpBandSter has it; ``ceil``: the whole product
            rounded up, as the paper has it.
    """
    power: int = eta**rungs_below
    if formula == "floor":
        return (most + 1) // (rungs_below + 1) * power
    return -(-(most + 1) * power // (rungs_below + 1))


def rung_size(begun: int, level: int, eta: int) -> int:
    """Gives how many of the configurations that began a bracket reach its rung ``level`` (from 0) at most."""
    power: int = eta**level
    return max(1, begun // power)


def rung_budgets(rungs_below: int, max_budget: int, eta: int) -> tuple[int, ...]:
    """Gives a bracket's budgets, rising to the maximum budget."""
    return tuple(max_budget // eta**below for below in range(rungs_below, -1, -1))
