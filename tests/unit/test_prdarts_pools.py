import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import StudyFailed
from automl_prdarts.cycles import Schedule
from automl_prdarts.plan import KINDS, Cycle, CycleReport
from automl_prdarts.pools import add, drop, next_cycle, parent_weights, read_report
from automl_spaces.genotype import EDGES
from automl_spaces.operations import DL, DR, POOLS_AND_SKIP, START, UR, OperationSet, kind_of

SETS = {"dl": OperationSet(DL), "dr": OperationSet(DR), "ur": OperationSet(UR)}

FAMILY = {"a": (("grow", "b"), ("dilate", "c"), ("insert", "d")), "b": (("shrink", "a"),), "c": (), "d": ()}


def children(name):
    return FAMILY.get(name, ())


def softmax(weights):
    powers = [math.exp(one) for one in weights]
    return tuple(one / sum(powers) for one in powers)


def random_report(cycle, generator):
    rows = {
        kind: tuple(softmax([generator.gauss(0, 1) for _ in pool]) for pool in getattr(cycle, kind)) for kind in KINDS
    }
    return CycleReport(rows["normal"], rows["reduction"], 3, 10, (32, 32))


def run(operations, seed, schedule=None, compatible=False, report_seed=0):
    """Gives all cycles of a search process with random probabilities, and the reports between them."""
    schedule = schedule or Schedule(len(START))
    pools = (START,) * len(EDGES)
    cycles, reports = [Cycle(0, 0, schedule.epochs[0], schedule.grace[0], pools, pools)], []
    generator = Random(report_seed)
    while len(cycles) < len(schedule):
        reports.append(random_report(cycles[-1], generator))
        cycles.append(next_cycle(cycles, reports[-1], schedule, operations.children, seed, compatible))
    return cycles, reports


def test_drops_the_least_probable_but_never_the_best_convolution():
    assert drop(("max_pool_3x3", "avg_pool_3x3", "skip_connect", "conv_3x3"), [0.3, 0.25, 0.28, 0.17], 1) == [1]
    pool = ("conv_3x3", "conv_5x5", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "conv_7x7")
    assert drop(pool, [0.1, 0.3, 0.2, 0.15, 0.15, 0.1], 3) == [0, 5, 3]


def test_drops_the_first_of_equal_ones_and_protects_the_first_of_equal_convolutions():
    assert drop(("conv_3x3", "conv_5x5", "skip_connect"), [0.3, 0.3, 0.4], 1) == [1]
    assert drop(("max_pool_3x3", "avg_pool_3x3", "skip_connect"), [1 / 3] * 3, 2) == [0, 1]
    assert drop(("skip_connect", "conv_3x3"), [0.9, 0.1], 0) == []


def test_the_convolutions_of_darts_are_protected_too():
    assert drop(("skip_connect", "sep_conv_3x3"), [0.9, 0.1], 1) == [0]


def test_parents_weigh_what_their_softmax_is_among_the_kept():
    among_more = softmax([0.2, -0.1, 0.05, 1.0])[:3]
    assert parent_weights(among_more) == pytest.approx([0.384390, 0.284763, 0.330847], abs=5e-7)


def test_probabilities_that_were_rounded_to_zero_still_have_children():
    assert add(("a",), [0.0], 3, {"a"}, children, Random(0))


def test_draws_parents_by_probability_and_morphisms_uniformly():
    drawn = Counter(
        add(
            ("a", "b"), [0.25, 0.75], 1, {"a", "b"}, lambda name: (("one", name + "1"), ("two", name + "2")), Random(i)
        )[0][2]
        for i in range(4000)
    )
    assert {name: count / 4000 for name, count in drawn.items()} == pytest.approx(
        {"a1": 0.125, "a2": 0.125, "b1": 0.375, "b2": 0.375}, abs=0.03
    )


def test_restricting_to_unseen_ones_keeps_the_shares_of_those_that_are_left():
    def more(name):
        return (("one", name + "1"), ("two", name + "2"))

    drawn = Counter(add(("a", "b"), [0.4, 0.6], 1, {"a", "b", "a1"}, more, Random(i))[0][2] for i in range(4000))
    # a2 has 0.2 of all draws, b1 and b2 0.3 each; a1 is drawn again.
    assert drawn["a2"] / 4000 == pytest.approx(0.25, abs=0.03)
    again = Counter(add(("a", "b"), [0.4, 0.6], 1, {"a", "b", "a1"}, more, Random(i), True)[0][2] for i in range(4000))
    assert again["a2"] / 4000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("compatible", [False, True])
def test_takes_unseen_ones_first_then_dropped_ones_and_never_active_ones(compatible):
    seen = {"a", "b", "c"}  # c was dropped
    new = add(("a", "b"), [0.5, 0.5], 3, seen, children, Random(1), compatible)
    assert new == [("a", "insert", "d"), ("a", "dilate", "c")]  # b is active, and then nothing is left


@pytest.mark.parametrize("compatible", [False, True])
def test_pools_have_no_children(compatible):
    assert add(POOLS_AND_SKIP, [0.4, 0.4, 0.2], 3, set(START), SETS["ur"].children, Random(0), compatible) == []


def test_new_candidates_are_made_of_kept_ones_alone():
    chain = {"a": (("grow", "b"),), "b": (("grow", "c"),)}
    assert add(("a",), [1.0], 2, {"a"}, lambda name: chain.get(name, ()), Random(0)) == [("a", "grow", "b")]


@pytest.mark.parametrize("compatible", [False, True])
@pytest.mark.parametrize("name", SETS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), report_seed=st.integers(0, 1000))
def test_whole_processes_keep_the_table_and_the_space(name, compatible, seed, report_seed):
    operations, schedule = SETS[name], Schedule(len(START))
    cycles, reports = run(operations, seed, schedule, compatible, report_seed)
    for before, cycle, report in zip(cycles, cycles[1:], reports, strict=False):
        assert (cycle.begins, cycle.epochs) == (schedule.begins(cycle.number), schedule.epochs[cycle.number])
        assert cycle.grace == schedule.grace[cycle.number]
        for kind in KINDS:
            for edge in range(len(EDGES)):
                pool, old = getattr(cycle, kind)[edge], getattr(before, kind)[edge]
                origins = [one for one in cycle.origins if (one.kind, one.edge) == (kind, edge)]
                kept = pool[: len(pool) - len(origins)]
                assert len(set(pool)) == len(pool), "an active candidate was added again"
                assert set(pool) <= set(operations.operations)
                assert set(kept) <= set(old)
                assert [one.child for one in origins] == list(pool[len(kept) :])
                for origin in origins:
                    assert origin.parent in kept
                    assert (origin.morphism, origin.child) in operations.children(origin.parent)
                assert len(kept) == len(old) - schedule.drops(before.number, len(old))
                best = max(
                    (one for one in zip(getattr(report, kind)[edge], old, strict=True) if "conv" in one[1]),
                    default=(0, None),
                )[1]
                assert best in pool
                _check_size(pool, kept, origins, cycles[: cycle.number], kind, edge, schedule, operations, compatible)


def _check_size(pool, kept, origins, before, kind, edge, schedule, operations, compatible):
    number = before[-1].number
    seen = {one for cycle in before for one in getattr(cycle, kind)[edge]}
    reachable = {child for parent in kept for _, child in operations.children(parent)}
    if not compatible:
        unseen = reachable - seen
        returned = [one.child for one in origins if one.child in seen]
        assert not returned or unseen <= set(pool), "one came back although there were new ones"
        if len(pool) < schedule.candidates[number] and schedule.morphisms[number]:
            assert reachable <= set(pool), "fewer candidates although there were others"
    assert len(pool) <= max(schedule.candidates[number], len(getattr(before[-1], kind)[edge]))


def test_large_spaces_fill_every_pool():
    for seed in range(5):
        cycles, _ = run(SETS["ur"], seed, report_seed=seed)
        assert [max(map(len, cycle.normal)) for cycle in cycles] == [4, 6, 6, 6, 6, 6, 4, 3, 2]
        last = cycles[-1]
        assert all(any(kind_of(name) == "convolution" for name in pool) for pool in (*last.normal, *last.reduction)), (
            "the best convolution of each edge stays until the last cycle"
        )


def test_equal_seeds_give_equal_cycles_and_others_give_others():
    assert run(SETS["dr"], 1) == run(SETS["dr"], 1)
    assert run(SETS["dr"], 1) != run(SETS["dr"], 2)


def test_edges_draw_independently():
    cycles, _ = run(SETS["ur"], 0)
    assert len({pool[-3:] for pool in cycles[1].normal + cycles[1].reduction}) > 4


def test_cycles_and_reports_survive_json():
    cycles, reports = run(SETS["dl"], 3)
    assert [Cycle.from_json(cycle.to_json()) for cycle in cycles] == cycles
    assert read_report(cycles[0], reports[0].to_json()) == reports[0]


@pytest.mark.parametrize("change", [{"normal": [[1.0]]}, {"reduction": [[float("nan")] * 4] * 14}, {"classes": None}])
def test_reports_without_probabilities_for_all_candidates_are_refused(change):
    cycles, reports = run(SETS["dl"], 0)
    data = {**reports[0].to_json(), **change}
    if "classes" in change:
        del data["classes"]
    with pytest.raises(StudyFailed, match="supernet must report"):
        read_report(cycles[0], data)
    with pytest.raises(StudyFailed, match="supernet must report"):
        read_report(cycles[0], None)
