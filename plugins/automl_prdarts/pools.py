"""Between two cycles: what each edge drops, and what it gets in its place.

Source: Laube and Zell, "Prune and Replace NAS" (2019), section III, read as in the authors' code where the text leaves
a choice: the most probable convolution is not dropped, so that there is always something to morph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from random import Random

from automl_core.errors import StudyFailed
from automl_core.randomness import derive_seed
from automl_core.types import Json
from automl_prdarts.cycles import Schedule
from automl_prdarts.derivation import Bound, indispensable
from automl_prdarts.plan import KINDS, Cycle, CycleReport, Kind, Origin, Pool, Pools
from automl_spaces.operations import kind_of

Children = Callable[[str], Sequence[tuple[str, str]]]
"""Gives (morphism, child) for all that an operation can become."""

Morph = tuple[str, str, str]
"""Parent, morphism, child."""

DRAWS, DRAWS_FOR_UNSEEN = 250, 200
"""Draws for one new candidate in the authors' code, and how many of them accept nothing that was there before."""

SMALLEST = 1e-12
"""A parent's least weight: probabilities that were rounded to 0 must still add up to something."""


def read_report(cycle: Cycle, data: Json) -> CycleReport:
    """Reads what a cycle has found.

    Raises:
        StudyFailed: When it does not hold a probability for each candidate.
    """
    try:
        report = CycleReport.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise StudyFailed(
            f"a supernet must report what a cycle has found, but {error!r} came up in reading it"
        ) from error
    for kind in KINDS:
        expected, rows = [len(pool) for pool in getattr(cycle, kind)], getattr(report, kind)
        if [len(row) for row in rows] != expected or not all(0 <= one <= 1 for row in rows for one in row):
            raise StudyFailed(
                f"a supernet must report a probability for each candidate, {expected} of them on the edges of the "
                f"{kind} cell, but got {rows}"
            )
    return report


def next_cycle(
    cycles: Sequence[Cycle],
    report: CycleReport,
    schedule: Schedule,
    children: Children,
    seed: int,
    compatible_draws: bool = False,
    bounds: Sequence[Bound] = (),
) -> Cycle:
    """Gives the cycle that follows.

    An edge drops fewer candidates than the table says where a bound could not be kept without them later.

    Args:
        cycles: All cycles so far, the one that has just ended last.
        report: What that one has found.
        schedule: The table.
        children: The morphisms of the search space.
        seed: Of this search process.
        compatible_draws: Whether new candidates are drawn as in the authors' code (:func:`add`).
        bounds: What the genotype has to keep in the end.
    """
    last, number = cycles[-1], cycles[-1].number + 1
    before: dict[Kind, Pools] = {"normal": last.normal, "reduction": last.reduction}
    staying: dict[Kind, Pools] = {}
    for kind, its_pools in before.items():
        rows = zip(its_pools, getattr(report, kind), strict=True)
        staying[kind] = tuple(_kept(pool, row, schedule.drops(last.number, len(pool))) for pool, row in rows)
    spared = indispensable(before, staying, bounds)
    pools: dict[Kind, list[Pool]] = {kind: [] for kind in KINDS}
    origins: list[Origin] = []
    for kind in KINDS:
        for edge, pool in enumerate(before[kind]):
            probabilities = getattr(report, kind)[edge]
            stays = {*staying[kind][edge], *(name for where, place, name in spared if (where, place) == (kind, edge))}
            kept = [place for place, name in enumerate(pool) if name in stays]
            new = add(
                tuple(pool[place] for place in kept),
                [probabilities[place] for place in kept],
                schedule.morphisms[last.number],
                {name for cycle in cycles for name in getattr(cycle, kind)[edge]},
                children,
                Random(derive_seed(seed, last.number, kind, edge)),
                compatible_draws,
            )
            pools[kind].append((*(pool[place] for place in kept), *(child for _, _, child in new)))
            origins += [Origin(kind, edge, child, parent, morphism) for parent, morphism, child in new]
    return Cycle(
        number=number,
        begins=schedule.begins(number),
        epochs=schedule.epochs[number],
        grace=schedule.grace[number],
        normal=tuple(pools["normal"]),
        reduction=tuple(pools["reduction"]),
        origins=tuple(origins),
    )


def _kept(pool: Pool, probabilities: Sequence[float], count: int) -> Pool:
    gone = drop(pool, probabilities, count)
    return tuple(name for place, name in enumerate(pool) if place not in gone)


def drop(pool: Pool, probabilities: Sequence[float], count: int) -> list[int]:
    """Chooses what an edge loses: the least probable candidates, of equal ones the first; never its best convolution.

    Args:
        pool: The candidates.
        probabilities: Of each.
        count: How many to lose.

    Returns:
        Places in the pool, the least probable first.
    """
    order = sorted(range(len(pool)), key=lambda place: probabilities[place])
    convolutions = [place for place in range(len(pool)) if kind_of(pool[place]) == "convolution"]
    if convolutions:
        order.remove(max(convolutions, key=lambda place: probabilities[place]))
    return order[:count]


def add(
    kept: Pool,
    probabilities: Sequence[float],
    count: int,
    seen: Collection[str],
    children: Children,
    generator: Random,
    compatible_draws: bool = False,
) -> list[Morph]:
    """Draws new candidates of an edge: a parent among the kept ones by its probability, then any of its morphisms.

    A candidate that the edge never had is drawn where there is one; otherwise one that it had and dropped may come
    back. Where neither is left there are fewer new candidates. The authors draw again up to 250 times for each, and
    let dropped ones come back after 200 draws, which is the same but for chance; ``compatible_draws`` does that.

    Args:
        kept: The candidates that stay; only they are parents.
        probabilities: Of each of them.
        count: How many new ones to draw.
        seen: All candidates that the edge ever had.
        children: The morphisms of the search space.
        generator: Where random numbers come from.
        compatible_draws: Whether to draw as the authors do.
    """
    draw = _draw_again if compatible_draws else _draw_at_once
    morphs, weights = _morphs(kept, parent_weights(probabilities), children)
    new: list[Morph] = []
    for _ in range(count):
        active = {*kept, *(child for _, _, child in new)}
        found = draw(morphs, weights, active, {*seen, *active}, generator)
        if found is None:
            break
        new.append(found)
    return new


def parent_weights(probabilities: Sequence[float]) -> list[float]:
    """Gives the probability of each kept candidate among all kept ones."""
    raised = [max(one, SMALLEST) for one in probabilities]
    return [one / sum(raised) for one in raised]


def _morphs(kept: Pool, parents: Sequence[float], children: Children) -> tuple[list[Morph], list[float]]:
    """Gives everything that can become of the kept candidates, each with its weight in a draw."""
    morphs: list[Morph] = []
    weights: list[float] = []
    for parent, weight in zip(kept, parents, strict=True):
        applicable = children(parent)
        morphs += [(parent, morphism, child) for morphism, child in applicable]
        weights += [weight / len(applicable) for _ in applicable]
    return morphs, weights


def _draw_at_once(
    morphs: Sequence[Morph], weights: Sequence[float], active: Collection[str], seen: Collection[str], generator: Random
) -> Morph | None:
    for known in (seen, active):
        left = [place for place, (_, _, child) in enumerate(morphs) if child not in known]
        if left:
            return morphs[generator.choices(left, [weights[place] for place in left])[0]]
    return None


def _draw_again(
    morphs: Sequence[Morph], weights: Sequence[float], active: Collection[str], seen: Collection[str], generator: Random
) -> Morph | None:
    for number in range(DRAWS if morphs else 0):
        drawn = generator.choices(morphs, weights)[0]
        if drawn[2] not in (seen if number < DRAWS_FOR_UNSEEN else active):
            return drawn
    return None
