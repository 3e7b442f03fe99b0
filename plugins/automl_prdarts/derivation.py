"""The genotype that a trained supernet stands for: the best one, or the best one within bounds.

A genotype's score is the sum of the probabilities of the candidates that it chooses. Without bounds the best genotype
has, at each node, the two edges whose best candidates are the most probable: the rule of Liu et al., "DARTS:
Differentiable Architecture Search" (ICLR 2019), section 2.4. Bounds are on sums over the same choices (skip
connections, parameters, multiply-accumulates), so the best genotype within them is found exactly, by branch and bound
under Lagrangian multipliers (Fisher, "The Lagrangian Relaxation Method for Solving Integer Programming Problems",
Management Science 1981). Scores are integers, so that no rounding decides.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, islice, product

from automl_core.errors import StudyFailed
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Constraint
from automl_prdarts.plan import KINDS, CycleReport, Kind, Pools
from automl_spaces.cell_costs import CellCosts
from automl_spaces.cells import CellSpace
from automl_spaces.genotype import EDGES, INPUTS, NODES, NONE, Application, Genotype
from automl_spaces.operations import SKIP

SCALE = 1 << 60
"""A probability of 1, as a score."""

STEPS = 200_000
"""Partial genotypes that are looked at before the search within bounds is given up: some seconds."""

TRIES = 500
"""Genotypes that are tried, the best first, where a rule refuses them that is none of the bounds."""

COUNTED = "params", "flops"
"""Metrics that are sums over a genotype's choices."""

Rows = Sequence[Sequence[float]]
"""Probabilities of the candidates of each edge of a cell."""

Path = tuple[int, ...]

LEVELS = tuple(product(KINDS, range(INPUTS, INPUTS + NODES)))
"""The nodes of both cells, in the order in which they are filled."""


@dataclass(frozen=True)
class Bound:
    """A bound on a sum over everything that a genotype chooses, so that the sum is at most ``most``.

    Args:
        name: What is bounded, as the user calls it.
        cost: What an operation on an input adds: (cell, operation, input); negated for a lower bound.
        most: Largest sum.
        base: What every genotype has beside, which ``most`` leaves out.
        lower: Whether the user's bound is a lower one.
    """

    name: str
    cost: Callable[[Kind, str, int], int]
    most: int
    base: int = 0
    lower: bool = False

    def shown(self, total: int) -> str:
        """Gives a sum as the user knows it."""
        return f"{self.base + (-total if self.lower else total):,}"


@dataclass(frozen=True)
class Choice:
    """One way to fill a node.

    Args:
        node: Two applications, the one on the lower input first.
        score: Sum of their probabilities.
        costs: What they add to each bound.
    """

    node: tuple[Application, Application]
    score: int
    costs: tuple[int, ...]


def derive(
    space: CellSpace,
    pools: Mapping[Kind, Pools],
    report: CycleReport,
    bounds: Sequence[Bound],
    allowed: SearchSpace,
) -> Configuration:
    """Gives the best configuration that keeps all bounds and rules.

    Args:
        space: Space of the genotypes.
        pools: The candidates of each edge.
        report: Their probabilities.
        bounds: The bounds, see :func:`bounds_of`.
        allowed: The space with everything that a configuration must keep.

    Raises:
        StudyFailed: When there is none, with what would have to be loosened.
    """
    out = out_of_reach(pools, bounds)
    if out:
        raise StudyFailed(f"a genotype of the last candidates must keep the study's bounds, but {out}; loosen that")
    probabilities: Mapping[Kind, Rows] = {"normal": report.normal, "reduction": report.reduction}
    refusal = ""
    for genotype in islice(best_first(pools, probabilities, bounds), TRIES):
        configuration = space.configuration(genotype)
        broken = allowed.violation(configuration)
        if broken is None:
            return configuration
        refusal = refusal or broken
    if not refusal:
        names = " and ".join(f"{bound.name} {'>=' if bound.lower else '<='} {_limit(bound)}" for bound in bounds)
        raise StudyFailed(
            f"a genotype of the last candidates must keep {names} together, but none does, although each alone can be "
            "kept; loosen one of them"
        )
    raise StudyFailed(
        f"of the last candidates one of the {TRIES} best genotypes must be allowed, but none is, the best one since "
        f"{refusal}; loosen that rule"
    )


def bounds_of(
    space: CellSpace, constraints: Sequence[Constraint], channels: int, classes: int, image_size: tuple[int, int]
) -> list[Bound]:
    """Gives the bounds that are sums over a genotype's choices.

    Args:
        space: Space of the genotypes; says how large their networks are and how many skip connections are allowed.
        constraints: The study's; other metrics than :data:`COUNTED` are left aside.
        channels: Channels of the images.
        classes: Number of classes.
        image_size: Rows and columns of the images, in pixels.
    """
    bounds = []
    if space.max_skips is not None:
        bounds.append(Bound("skip connections of the normal cell", _skips, space.max_skips))
    counted = [one for one in constraints if one.metric in COUNTED and math.isfinite(one.bound)]
    if counted:
        costs = CellCosts(space.cells, space.channels, channels, classes, image_size)
        bounds += [_bound(one, costs) for one in counted]
    return bounds


def out_of_reach(pools: Mapping[Kind, Pools], bounds: Sequence[Bound]) -> str:
    """Says which bounds no genotype keeps, even alone, and how near to them they come; empty when there is none."""
    found = []
    for bound in bounds:
        nearest = sum(_least(pools, bound))
        if nearest > bound.most:
            found.append(
                f"{bound.name} must be at {'least' if bound.lower else 'most'} {_limit(bound)} and the nearest that "
                f"can be reached is {bound.shown(nearest)}"
            )
    return ", and ".join(found)


def indispensable(
    pools: Mapping[Kind, Pools], kept: Mapping[Kind, Pools], bounds: Sequence[Bound]
) -> list[tuple[Kind, int, str]]:
    """Gives candidates that must stay beside those that are kept, so that each bound that can be kept now still can be.

    One after another the candidate is taken that brings the least sum of a bound down most.

    Args:
        pools: The candidates of each edge.
        kept: Those that stay for other reasons.
        bounds: The bounds.

    Returns:
        Kind of cell, edge and name of each.
    """
    found: list[tuple[Kind, int, str]] = []
    for bound in bounds:
        if sum(_least(pools, bound)) > bound.most:
            continue
        while sum(_least(kept, bound)) > bound.most:
            dropped = [
                (kind, edge, name)
                for kind in KINDS
                for edge, pool in enumerate(pools[kind])
                for name in pool
                if name != NONE and name not in kept[kind][edge]
            ]
            kept, best = min(
                ((_with(kept, *one), one) for one in dropped), key=lambda pair: sum(_least(pair[0], bound))
            )
            found.append(best)
    return found


def _with(pools: Mapping[Kind, Pools], kind: Kind, edge: int, name: str) -> Mapping[Kind, Pools]:
    changed = [(*pool, name) if place == edge else pool for place, pool in enumerate(pools[kind])]
    return {**pools, kind: tuple(changed)}


def best_first(
    pools: Mapping[Kind, Pools], probabilities: Mapping[Kind, Rows], bounds: Sequence[Bound] = ()
) -> Iterator[Genotype]:
    """Yields the genotypes that keep all bounds by falling score.

    Of equally good ones, where no bound interferes, those with lower inputs and earlier candidates come first. ``none``
    is never chosen.

    Args:
        pools: The candidates of each edge, by cell.
        probabilities: Of the candidates, in the same order.
        bounds: What every genotype must keep.

    Raises:
        StudyFailed: When too many partial genotypes would have to be looked at.
    """
    tree = _Tree(pools, probabilities, bounds)
    # Complete paths come twice: first with a limit, then, settled, with their score. What is settled and comes first
    # is at least as good as all that is still in the heap. Of equal ones the smaller places come first.
    heap: list[tuple[int, Path, bool]] = [(-tree.limit((0,)), (0,), False)]
    for _ in range(STEPS):
        if not heap:
            return
        _, path, settled = heapq.heappop(heap)
        chosen = tree.chosen(path)
        if settled:
            nodes = tuple(one.node for one in chosen)
            yield Genotype(nodes[:NODES], nodes[NODES:])
            continue
        if path[-1] + 1 < len(tree.levels[len(path) - 1]):
            sibling = (*path[:-1], path[-1] + 1)
            heapq.heappush(heap, (-tree.limit(sibling), sibling, False))
        if not tree.keeps(path):
            continue
        if len(path) == len(LEVELS):
            heapq.heappush(heap, (-sum(one.score for one in chosen), path, True))
        else:
            heapq.heappush(heap, (-tree.limit((*path, 0)), (*path, 0), False))
    raise StudyFailed(
        f"the best genotype within bounds must be found in {STEPS:,} steps, but it was not, so tight are the bounds on "
        f"{' and '.join(bound.name for bound in bounds)} together; loosen one of them"
    )


class _Tree:
    """All genotypes, level by level; a path is the places of the choices at the first levels."""

    def __init__(
        self, pools: Mapping[Kind, Pools], probabilities: Mapping[Kind, Rows], bounds: Sequence[Bound]
    ) -> None:
        choices = [_choices(kind, node, pools[kind], probabilities[kind], bounds) for kind, node in LEVELS]
        prices = _multipliers(choices, bounds)
        # Of choices that are as good at these prices, those of a higher score come first: they use what bounds allow.
        self.levels = [
            sorted(((_reduced(one, prices), one) for one in level), key=lambda entry: (-entry[0], -entry[1].score))
            for level in choices
        ]
        self._constant = sum(price * bound.most for price, bound in zip(prices, bounds, strict=True))
        self._least = [(bound.most, _least(pools, bound)) for bound in bounds]

    def chosen(self, path: Path) -> list[Choice]:
        return [self.levels[depth][place][1] for depth, place in enumerate(path)]

    def limit(self, path: Path) -> int:
        """Gives what no completion of a path can exceed."""
        places = (*path, *(0,) * (len(LEVELS) - len(path)))
        return self._constant + sum(level[place][0] for level, place in zip(self.levels, places, strict=True))

    def keeps(self, path: Path) -> bool:
        """Tells whether each bound alone can be kept by a completion of the path."""
        chosen = self.chosen(path)
        return all(
            sum(one.costs[number] for one in chosen) + sum(least[len(path) :]) <= most
            for number, (most, least) in enumerate(self._least)
        )


def _choices(kind: Kind, node: int, pools: Pools, rows: Rows, bounds: Sequence[Bound]) -> list[Choice]:
    """Gives all ways to fill a node, by inputs and then by places of candidates."""
    candidates: dict[int, list[tuple[Application, int, tuple[int, ...]]]] = {}
    for (source, target), pool, probabilities in zip(EDGES, pools, rows, strict=True):
        if target == node:
            candidates[source] = [
                ((name, source), int(probability * SCALE), tuple(bound.cost(kind, name, source) for bound in bounds))
                for name, probability in zip(pool, probabilities, strict=True)
                if name != NONE
            ]
    return [
        Choice(
            (one[0], other[0]), one[1] + other[1], tuple(map(sum, zip(one[2], other[2], strict=True)))
        )
        for low, high in combinations(sorted(candidates), 2)
        for one, other in product(candidates[low], candidates[high])
    ]  # fmt: skip


def _least(pools: Mapping[Kind, Pools], bound: Bound) -> list[int]:
    """Gives for each node the least that it can add to a bound's sum."""
    least = []
    for kind, node in LEVELS:
        edges = [
            min(bound.cost(kind, name, source) for name in pool if name != NONE)
            for (source, target), pool in zip(EDGES, pools[kind], strict=True)
            if target == node
        ]
        least.append(sum(sorted(edges)[:2]))
    return least


def _multipliers(choices: Sequence[Sequence[Choice]], bounds: Sequence[Bound]) -> list[int]:
    """Prices the bounds, in score for each unit of cost, so that the best choices at these prices nearly keep them.

    Whatever the prices are, no genotype within bounds beats the sum of the best choices at them; good ones make that
    sum small, and few genotypes have to be looked at. Each price in turn is put to where its bound begins to be kept,
    which is where the sum is smallest, as a function of that price.
    """
    prices = [0] * len(bounds)

    def at(number: int, price: int) -> list[int]:
        return [*prices[:number], price, *prices[number + 1 :]]

    def sum_of_best(tried: Sequence[int]) -> int:
        constant = sum(one * bound.most for one, bound in zip(tried, bounds, strict=True))
        return constant + sum(max(_reduced(one, tried) for one in level) for level in choices)

    def keeps(number: int, price: int) -> bool:
        tried = at(number, price)
        best = (max(level, key=lambda one: _reduced(one, tried)) for level in choices)
        return sum(one.costs[number] for one in best) <= bounds[number].most

    for _ in bounds:
        for number in range(len(bounds)):
            low = high = 0
            while not keeps(number, high) and high < len(bounds) * len(LEVELS) * SCALE:
                low, high = high, max(1, 2 * high)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if keeps(number, middle) else (middle, high)
            prices = min(at(number, low), at(number, high), key=sum_of_best)
    return prices


def _reduced(choice: Choice, prices: Sequence[int]) -> int:
    """Gives a choice's score less the price of its costs."""
    return choice.score - sum(price * cost for price, cost in zip(prices, choice.costs, strict=True))


def _bound(constraint: Constraint, costs: CellCosts) -> Bound:
    metric, base = constraint.metric, getattr(costs.base, constraint.metric)
    sign = 1 if constraint.sense == "<=" else -1

    @cache
    def cost(kind: Kind, operation: str, source: int) -> int:
        return sign * int(getattr(costs.of(kind, operation, source), metric))

    return Bound(metric, cost, math.floor(sign * constraint.bound) - sign * base, base, lower=sign < 0)


def _skips(kind: Kind, operation: str, source: int) -> int:
    return int(kind == "normal" and operation == SKIP)


def _limit(bound: Bound) -> str:
    return bound.shown(bound.most)
