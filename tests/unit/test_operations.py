"""Operations by name, what morphisms make of them, and how similar they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_spaces.genotype import OPERATIONS
from automl_spaces.operations import (
    DL,
    DR,
    POOLS_AND_SKIP,
    START,
    UR,
    Convolution,
    OperationSet,
    Restriction,
    convolution_of,
    kind_of,
    pool_similarity,
    short_name,
    similarity,
)

CONVOLUTIONS = st.builds(
    Convolution,
    size=st.integers(0, 5).map(lambda half: 2 * half + 1),
    dilation=st.integers(1, 12),
    widths=st.lists(st.integers(1, 12), max_size=4).map(tuple),
)
RESTRICTIONS = {"DL": DL, "DR": DR, "UR": UR}


@given(CONVOLUTIONS)
def test_names_are_read_back(convolution):
    assert Convolution.parse(convolution.name) == convolution


def test_names_say_what_is_not_as_usual():
    assert Convolution().name == "conv_3x3"
    assert Convolution(5, 2).name == "conv_5x5_d2"
    assert Convolution(3, 1, (1, 2)).name == "conv_3x3_e1-2"
    assert Convolution(7, 3, (10,)).name == "conv_7x7_d3_e10"


@pytest.mark.parametrize(
    "name",
    [
        *OPERATIONS,
        *("conv_3x5", "conv_4x4", "conv_03x03", "conv_3x3_d1", "conv_3x3_d0", "conv_3x3_e", "conv_3x3_e1-"),
        *("conv_3x3_e0", "conv_3x3_e1_d2", "conv_3x3_e1,2", "conv_3x3 ", "conv_3x3\n", "Conv_3x3", ""),
    ],
)
def test_other_names_are_none_of_these(name):
    assert Convolution.parse(name) is None


@pytest.mark.parametrize("wrong", [(0,), (4,), (-1,), (3, 0), (3, 1, (1, 0))])
def test_what_is_no_convolution_is_refused(wrong):
    with pytest.raises(RequestError, match="odd size"):
        Convolution(*wrong)


@pytest.mark.parametrize(
    ("restriction", "as_the_rules_allow", "as_the_paper_counts"),
    [
        (DL, [1, 4, 8, 11, 12, 12], [1, 4, 8, 11, 12, 12]),
        (DR, [1, 5, 11, 18, 25, 32], [1, 5, 12, 20, 28, 36]),
        (UR, [1, 5, 12, 24, 43, 73], [1, 5, 13, 26, 47, 80]),
    ],
    ids=RESTRICTIONS,
)
def test_as_many_convolutions_are_reachable_as_published(restriction, as_the_rules_allow, as_the_paper_counts):
    paper = replace(restriction, dilated_points=True)
    assert [len(restriction.reachable(steps)) for steps in range(6)] == as_the_rules_allow
    assert [len(paper.reachable(steps)) for steps in range(6)] == as_the_paper_counts
    assert len(OperationSet(restriction).operations) == as_the_rules_allow[-1] + 3
    assert len(OperationSet(paper).operations) == as_the_paper_counts[-1] + 3
    points = [one for one in paper.reachable(5) if one.size == 1 and one.dilation > 1]
    assert set(paper.reachable(5)) - set(restriction.reachable(5)) == set(points)


def test_without_a_limit_of_steps_restrictions_alone_hold():
    assert len(DL.reachable(9)) == 12
    assert len(DR.reachable(9)) == 42


def test_as_many_cells_as_operations_make():
    # 180 choices of inputs for each cell, and an operation for each of eight.
    cells = {operations: 180 * operations**8 for operations in (7, 8, 15, 35, 76, 39, 83)}
    assert cells[7] == 1_037_664_180
    assert [f"{cells[one]:.3e}" for one in (8, 15, 35, 76, 39, 83)] == [
        *("3.020e+09", "4.613e+11", "4.053e+14", "2.003e+17", "9.634e+14", "4.054e+17")
    ]
    assert 150 < cells[15] / cells[8] < 153


def test_expansions_are_partitions():
    free = Restriction(sizes=(3, 3), dilations=(1, 1))
    counts = [len(free.reachable(steps)) for steps in range(7)]
    assert [after - before for before, after in pairwise(counts)] == [1, 2, 3, 5, 7, 11]


@pytest.mark.parametrize(
    ("parent", "children"),
    [
        (
            "conv_3x3",
            {"grow": "conv_5x5", "shrink": "conv_1x1", "dilate": "conv_3x3_d2", "insert": "conv_3x3_e1"},
        ),
        ("conv_7x7_d2", {"shrink": "conv_5x5_d2", "undilate": "conv_7x7", "insert": "conv_7x7_d2_e1"}),
        ("conv_3x3_d2", {"grow": "conv_5x5_d2", "undilate": "conv_3x3", "insert": "conv_3x3_d2_e1"}),
        ("conv_1x1", {"grow": "conv_3x3", "insert": "conv_1x1_e1"}),
        (
            "conv_7x7_e2-1-1",
            {"shrink": "conv_5x5_e2-1-1", "dilate": "conv_7x7_d2_e2-1-1"}
            | {"insert": "conv_7x7_e2-1-1-1", "widen": "conv_7x7_e2-2-1"},
        ),
        ("conv_1x1_e1-1", {"grow": "conv_3x3_e1-1", "insert": "conv_1x1_e1-1-1", "widen": "conv_1x1_e2-1"}),
    ],
)
def test_morphisms(parent, children):
    made = UR.children(Convolution.parse(parent))
    assert {morphism: child.name for morphism, child in made.items()} == children


def test_morphisms_under_restrictions():
    assert set(DL.children(Convolution())) == {"grow", "dilate", "insert"}
    assert set(DL.children(Convolution(5, 1, (1,)))) == {"grow", "shrink", "dilate"}
    assert set(DR.children(Convolution(7, 2, (5,)))) == {"shrink", "undilate"}
    assert set(DR.children(Convolution(7, 2, (4,)))) == {"shrink", "undilate", "widen"}
    narrow = replace(UR, width=3, depth=2)
    assert set(narrow.children(Convolution(7, 2, (1, 1)))) == {"shrink", "undilate", "widen"}
    assert set(narrow.children(Convolution(7, 2, (2, 1)))) == {"shrink", "undilate"}
    pointed = replace(DR, dilated_points=True)
    assert pointed.children(Convolution(3, 2))["shrink"] == Convolution(1, 2)
    assert set(pointed.children(Convolution(1, 2))) == {"grow", "undilate", "insert"}


@given(st.sampled_from(sorted(RESTRICTIONS)), st.integers(0, 2**32), st.booleans())
def test_random_morphs_keep_to_the_restriction(name, seed, dilated_points):
    restriction, random = replace(RESTRICTIONS[name], dilated_points=dilated_points), Random(seed)
    one, lengths = Convolution(), Counter()
    for _ in range(100):
        morphism, child = random.choice(sorted(restriction.children(one).items()))
        assert restriction.allows(child) and child != one
        assert restriction.sizes[0] <= child.size <= 7 and child.size % 2 == 1 and 1 <= child.dilation <= 2
        assert dilated_points or (child.size, child.dilation) != (1, 2)
        if name != "UR":
            assert len(child.widths) <= 1 and sum(child.widths) <= (1 if name == "DL" else 5)
        changed = (child.size != one.size, child.dilation != one.dilation, child.widths != one.widths)
        assert sum(changed) == 1
        lengths[morphism] += 1
        one = child
    assert len(lengths) > 1


@pytest.mark.parametrize("name", RESTRICTIONS)
def test_random_morphs_within_a_set_stay_in_it(name):
    operations, random = OperationSet(RESTRICTIONS[name]), Random(name)
    known, seen = set(operations.operations), {START[-1]}
    for _ in range(1000):
        one = START[-1]
        for _ in range(7):
            if operations.children(one):
                morphism, child = random.choice(operations.children(one))
                assert child in known
                assert RESTRICTIONS[name].children(Convolution.parse(one))[morphism].name == child
                one = child
                seen.add(one)
    assert seen | set(POOLS_AND_SKIP) == known


def test_the_limit_of_steps_is_part_of_the_set():
    far = OperationSet(DR, steps=5)
    assert "conv_3x3_e5" in far.operations and dict(far.children("conv_3x3_e5")) == {}
    assert OperationSet(DR, steps=6).children("conv_3x3_e5")
    assert OperationSet(DL, steps=0).operations == START
    assert OperationSet(DL, steps=0).children("conv_3x3") == ()


def test_pools_and_skips_have_no_children_and_strangers_are_refused():
    operations = OperationSet(DL)
    assert operations.operations[:3] == POOLS_AND_SKIP
    assert all(operations.children(name) == () for name in POOLS_AND_SKIP)
    with pytest.raises(RequestError, match="conv_7x7"):
        operations.children("conv_9x9")


@pytest.mark.parametrize("steps", [-1, 11])
def test_steps_out_of_range_are_refused(steps):
    with pytest.raises(RequestError, match=rf"got {steps}; set space.steps"):
        OperationSet(DL, steps)


def test_kinds():
    kinds = [kind_of(name) for name in OPERATIONS]
    assert kinds == ["none", "pool", "pool", "skip", *["convolution"] * 4]
    assert kind_of("conv_1x1_e2") == "convolution"
    with pytest.raises(RequestError, match="unknown operation"):
        kind_of("conv_4x4")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["skip_connect", "conv_3x3", "conv_5x5", "max_pool_3x3", "avg_pool_3x3"], 0.313333),
        (["conv_3x3_e1", "conv_3x3_e2"], 0.9375),
        (["conv_3x3_e2-1", "conv_5x5_e2-2"], 0.833333),
        (["sep_conv_3x3", "conv_3x3_e1"], 1.0),
        (["none", "skip_connect"], 0.5),
        ([], 0.0),
    ],
)
def test_published_similarity(names, expected):
    assert pool_similarity(names) == pytest.approx(expected, abs=5e-7)


NAMES = st.sampled_from([*OPERATIONS, *OperationSet(UR).operations])


@given(NAMES, NAMES)
def test_similarity_is_a_measure(one, other):
    assert 0 <= similarity(one, other) == similarity(other, one) <= similarity(one, one) == 1
    same = convolution_of(one) == convolution_of(other) if convolution_of(one) else one == other
    assert (similarity(one, other) == 1) == same


def test_short_names():
    names = ["conv_5x5_d2_e1-1", "max_pool_3x3", "skip_connect", "sep_conv_3x3", "none", "conv"]
    assert [short_name(name) for name in names] == ["5x5 d2 e1-1", "max 3x3", "skip", "sep 3x3", "none", "conv"]
