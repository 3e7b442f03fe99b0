from dataclasses import replace
from functools import cache
from heapq import nlargest
from itertools import combinations, islice, product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.constraints import ConstrainedSpace
from automl_core.errors import StudyFailed
from automl_core.types import Constraint
from automl_prdarts import derivation
from automl_prdarts.derivation import SCALE, _least, best_first, bounds_of, derive, indispensable, out_of_reach
from automl_prdarts.plan import KINDS, CycleReport
from automl_spaces.cell_costs import CellCosts, Costs
from automl_spaces.cells import CellsDL, CellsUR
from automl_spaces.darts import DARTSSpace
from automl_spaces.genotype import EDGES, NONE


def sizes_of(report):
    return report.channels, report.classes, report.image_size


SPACE = CellsUR(cells=6, channels=8)
COSTS = CellCosts(6, 8, image_channels=3, classes=10, image_size=(32, 32))


def drawn(seed, space=SPACE, most=2, tied=False):
    """Gives pools of random candidates, and a report of random probabilities."""
    generator = Random(seed)
    pools, rows = {}, {}
    for kind in KINDS:
        pools[kind] = tuple(tuple(generator.sample(space.operations, generator.randint(1, most))) for _ in EDGES)
        weights = [[generator.choice((1, 2)) if tied else generator.random() for _ in pool] for pool in pools[kind]]
        rows[kind] = tuple(tuple(one / sum(row) for one in row) for row in weights)
    return pools, CycleReport(rows["normal"], rows["reduction"], channels=3, classes=10, image_size=(32, 32))


def rows_of(report):
    return {"normal": report.normal, "reduction": report.reduction}


def published_rule(pools, rows):
    """Takes each node's two edges with the most probable candidates; of equal ones the lower."""
    nodes = []
    for node in range(2, 6):
        edges = [place for place, (_, target) in enumerate(EDGES) if target == node]
        best = {}
        for place in edges:
            known = [number for number, name in enumerate(pools[place]) if name != NONE]
            best[place] = max(known, key=lambda number, place=place: rows[place][number])
        two = sorted(edges, key=lambda place: -rows[place][best[place]])[:2]
        nodes.append(tuple((pools[place][best[place]], EDGES[place][0]) for place in sorted(two)))
    return tuple(nodes)


def score(kind, cell, pools, report):
    """Sums the probabilities of what a cell chooses, in units of 1 / SCALE."""
    total = 0
    for node, applications in enumerate(cell, start=2):
        for name, source in applications:
            edge = EDGES.index((source, node))
            total += int(rows_of(report)[kind][edge][pools[kind][edge].index(name)] * SCALE)
    return total


def all_cells(kind, pools):
    nodes = []
    for node in range(2, 6):
        edges = [(place, source) for place, (source, target) in enumerate(EDGES) if target == node]
        nodes.append(
            [
                ((one, low[1]), (other, high[1]))
                for low, high in combinations(edges, 2)
                for one, other in product(pools[kind][low[0]], pools[kind][high[0]])
            ]
        )
    return list(product(*nodes))


def looked_through(pools, report, constraints, count):
    """Gives the best scores of all genotypes that keep the constraints, having looked at every one."""
    normal, reduction = (all_cells(kind, pools) for kind in KINDS)
    of = cache(COSTS.of)
    costs = [
        [sum((of(kind, *one) for node in cell for one in node), Costs()) for cell in cells]
        for kind, cells in zip(KINDS, (normal, reduction), strict=True)
    ]
    allowed = np.ones((len(normal), len(reduction)), bool)
    for one in constraints:
        left, right = (np.array([getattr(cost, one.metric) for cost in row]) for row in costs)
        totals = left[:, None] + right[None, :] + getattr(COSTS.base, one.metric)
        allowed &= totals <= one.bound if one.sense == "<=" else totals >= one.bound
    scores = [
        [score(kind, cell, pools, report) for cell in row] for kind, row in zip(KINDS, (normal, reduction), strict=True)
    ]
    return nlargest(
        count, (scores[0][low] + scores[1][high] for low, high in zip(*map(list, np.nonzero(allowed)), strict=True))
    )


def test_takes_the_two_best_edges_of_each_node():
    best = (0.55, 0.52, 0.6, 0.51, 0.7, 0.9, 0.5, 0.8, 0.55, 0.58, 0.53, 0.51, 0.75, 0.65)
    pools = dict.fromkeys(KINDS, (("conv_3x3", "skip_connect"),) * len(EDGES))
    rows = tuple((one, 1 - one) if number % 2 else (1 - one, one) for number, one in enumerate(best))
    genotype = next(best_first(pools, dict.fromkeys(KINDS, rows)))
    assert genotype.normal == genotype.reduction
    assert [[source for _, source in node] for node in genotype.normal] == [[0, 1], [0, 2], [0, 2], [3, 4]]
    assert [[name[:4] for name, _ in node] for node in genotype.normal] == [
        ["skip", "conv"],
        ["skip", "skip"],
        ["conv", "conv"],
        ["skip", "conv"],
    ]


def test_of_equal_edges_and_candidates_the_first_are_taken():
    pools = dict.fromkeys(KINDS, (("conv_3x3", "skip_connect"),) * len(EDGES))
    genotype = next(best_first(pools, dict.fromkeys(KINDS, ((0.5, 0.5),) * len(EDGES))))
    assert genotype.normal == ((("conv_3x3", 0), ("conv_3x3", 1)),) * 4


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("most", [2, 8])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_without_bounds_it_is_the_published_rule(seed, most, tied):
    pools, report = drawn(seed, DARTSSpace(none=True), most, tied)
    pools = {kind: tuple(pool if set(pool) != {NONE} else ("skip_connect",) for pool in pools[kind]) for kind in KINDS}
    genotype = next(best_first(pools, rows_of(report)))
    assert genotype.normal == published_rule(pools["normal"], report.normal)
    assert genotype.reduction == published_rule(pools["reduction"], report.reduction)
    assert NONE not in {name for node in (*genotype.normal, *genotype.reduction) for name, _ in node}


def test_bounds_that_the_best_genotype_keeps_change_nothing():
    pools, report = drawn(3, tied=True)
    best = next(best_first(pools, rows_of(report)))
    constraints = [Constraint("params", "<=", COSTS.total(best).params), Constraint("flops", ">=", 1)]
    assert next(best_first(pools, rows_of(report), bounds_of(SPACE, constraints, *sizes_of(report)))) == best


def test_genotypes_come_by_falling_score_and_once_each():
    pools, report = drawn(5)
    found = list(islice(best_first(pools, rows_of(report)), 300))
    scores = [
        score("normal", one.normal, pools, report) + score("reduction", one.reduction, pools, report) for one in found
    ]
    assert scores == sorted(scores, reverse=True)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("tied", [False, True])
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    params=st.floats(0.8, 1.2),
    flops=st.floats(0.8, 1.2),
    senses=st.sampled_from([("<=", "<="), ("<=", ">="), (">=", "<=")]),
)
def test_within_bounds_it_is_what_looking_at_every_genotype_finds(seed, params, flops, senses, tied):
    pools, report = drawn(seed, tied=tied)
    # One candidate on all edges but a few, so that 100,000 genotypes or so are left to look at.
    pools = {
        kind: tuple(pool if place in (1, 7) else pool[:1] for place, pool in enumerate(pools[kind])) for kind in KINDS
    }
    best = COSTS.total(next(best_first(pools, _cut(pools, report))))
    constraints = [
        Constraint("params", senses[0], params * best.params), Constraint("flops", senses[1], flops * best.flops)
    ]  # fmt: skip
    bounds = bounds_of(SPACE, constraints, *sizes_of(report))
    report = replace(report, **{kind: tuple(rows) for kind, rows in _cut(pools, report).items()})
    found = list(islice(best_first(pools, rows_of(report), bounds), 10))
    for one in found:
        costs = COSTS.total(one)
        assert not any(rule.violation({"params": costs.params, "flops": costs.flops}) for rule in constraints)
    scores = [
        score("normal", one.normal, pools, report) + score("reduction", one.reduction, pools, report) for one in found
    ]
    assert scores == looked_through(pools, report, constraints, 10)


def _cut(pools, report):
    return {
        kind: [row[: len(pool)] for row, pool in zip(getattr(report, kind), pools[kind], strict=True)] for kind in KINDS
    }


@pytest.mark.parametrize("most", range(0, 9, 2))
def test_skip_connections_of_the_normal_cell_are_bounded(most):
    space = CellsUR(max_skips=most)
    pools = dict.fromkeys(KINDS, (("conv_3x3", "skip_connect"),) * len(EDGES))
    rows = ((0.1, 0.9),) * len(EDGES)
    report = CycleReport(rows, rows, 3, 10, (32, 32))
    configuration = derive(space, pools, report, bounds_of(space, [], *sizes_of(report)), space)
    names = [name for node in space.genotype(configuration).normal for name, _ in node]
    assert names.count("skip_connect") == most
    assert all(name == "skip_connect" for node in space.genotype(configuration).reduction for name, _ in node)


def test_a_bound_out_of_reach_says_what_can_be_reached():
    pools, report = drawn(1)
    rows = [
        (("params", "<=", 1000), "params must be at most 1,000 and the nearest that can be reached is"),
        (("flops", ">=", 1e15), "flops must be at least 1,000,000,000,000,000 and the nearest"),
    ]
    for constraint, told in rows:
        bounds = bounds_of(SPACE, [Constraint(*constraint)], *sizes_of(report))
        assert told in out_of_reach(pools, bounds)
        with pytest.raises(StudyFailed, match=told):
            derive(SPACE, pools, report, bounds, SPACE)


def test_the_nearest_that_can_be_reached_can_be_reached():
    pools, report = drawn(2)
    for sense, far in (("<=", 0), (">=", 10**15)):
        told = out_of_reach(pools, bounds_of(SPACE, [Constraint("params", sense, far)], *sizes_of(report)))
        nearest = int(told.rpartition(" ")[2].replace(",", ""))
        bounds = bounds_of(SPACE, [Constraint("params", sense, nearest)], *sizes_of(report))
        assert COSTS.total(next(best_first(pools, rows_of(report), bounds))).params == nearest
        nearer = nearest + (1 if sense == ">=" else -1)
        assert out_of_reach(pools, bounds_of(SPACE, [Constraint("params", sense, nearer)], *sizes_of(report)))


def test_bounds_that_cannot_be_kept_together_are_named():
    pools = dict.fromkeys(KINDS, (("conv_3x3", "conv_5x5"),) * len(EDGES))
    report = CycleReport(*[((0.5, 0.5),) * len(EDGES)] * 2, 3, 10, (32, 32))
    least = COSTS.total(next(best_first(pools, rows_of(report)))).params
    constraints = [Constraint("params", "<=", least + 10), Constraint("params", ">=", least + 1)]
    with pytest.raises(StudyFailed, match=f"must keep params <= {least + 10:,} and params >= {least + 1:,} together"):
        derive(SPACE, pools, report, bounds_of(SPACE, constraints, *sizes_of(report)), SPACE)


def test_a_search_that_takes_too_long_says_so(monkeypatch):
    monkeypatch.setattr(derivation, "STEPS", 5)
    pools, report = drawn(2)
    with pytest.raises(StudyFailed, match="in 5 steps"):
        derive(SPACE, pools, report, bounds_of(SPACE, [Constraint("params", ">=", 1)], *sizes_of(report)), SPACE)


def test_other_rules_lead_to_the_next_best_genotype():
    pools, report = drawn(4)
    best = next(best_first(pools, rows_of(report)))
    allowed = ConstrainedSpace(SPACE, [Constraint("odd", "<=", 0)], lambda network: {"odd": _hash(network) % 2})
    configuration = derive(SPACE, pools, report, [], allowed)
    assert allowed.violation(configuration) is None
    assert allowed.violation(SPACE.configuration(best)) is not None, "the best one would do, so this tests nothing"
    names = [SPACE.configuration(one) for one in islice(best_first(pools, rows_of(report)), 100)]
    assert configuration == next(one for one in names if allowed.violation(one) is None)


def test_rules_that_refuse_too_many_are_named(monkeypatch):
    monkeypatch.setattr(derivation, "TRIES", 7)
    pools, report = drawn(4)
    tried = []
    allowed = ConstrainedSpace(
        SPACE, [Constraint("latency", "<=", 1)], lambda network: tried.append(1) or {"latency": 2}
    )
    with pytest.raises(StudyFailed, match=r"of the last candidates one of the 7 best .* since latency<=1 must hold"):
        derive(SPACE, pools, report, [], allowed)


def test_bounds_are_those_of_the_space_and_of_metrics_that_are_sums():
    _, report = drawn(0)
    constraints = [
        Constraint("latency", "<=", 1),
        Constraint("params", "<=", float("inf")),
        Constraint("flops", "<=", 9),
    ]
    assert [one.name for one in bounds_of(CellsDL(), constraints, *sizes_of(report))] == ["flops"]
    assert len(bounds_of(CellsDL(max_skips=2), [], *sizes_of(report))) == 1


def _hash(network):
    return sum(map(ord, str(network.to_json())))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_indispensable_lets_bounds_be_kept_and_is_no_more_than_that(seed):
    pools, report = drawn(seed)
    kept = {kind: tuple(pool[-1:] for pool in pools[kind]) for kind in KINDS}
    (bound,) = bounds_of(SPACE, [Constraint("params", "<=", 1)], *sizes_of(report))
    nearest = bound.base + sum(_least(pools, bound))
    bounds = bounds_of(SPACE, [Constraint("params", "<=", nearest)], *sizes_of(report))
    spared = indispensable(pools, kept, bounds)
    with_them = {kind: [list(pool) for pool in kept[kind]] for kind in KINDS}
    for kind, edge, name in spared:
        assert name in pools[kind][edge] and name not in with_them[kind][edge]
        with_them[kind][edge].append(name)
    assert not out_of_reach(with_them, bounds)
    assert len({(kind, edge) for kind, edge, _ in spared}) <= 16, "two edges of each node are enough"


def test_nothing_is_spared_for_bounds_that_are_kept_or_cannot_be():
    pools, report = drawn(0)
    kept = {kind: tuple(pool[:1] for pool in pools[kind]) for kind in KINDS}
    for constraint in (("params", "<=", 1), ("params", "<=", 10**9), ("params", ">=", 1)):
        assert indispensable(pools, kept, bounds_of(SPACE, [Constraint(*constraint)], *sizes_of(report))) == []
