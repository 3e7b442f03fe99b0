import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_searchers.brackets import first_rung, halvings, rung_budgets, rung_size

ETA_3_BUDGETS = [(1, 3, 9, 27, 81), (3, 9, 27, 81), (9, 27, 81), (27, 81), (81,)]


def table(min_budget, max_budget, eta, formula):
    """All brackets of a round: sizes and budgets of their rungs."""
    most = halvings(min_budget, max_budget, eta)
    sizes, budgets = [], []
    for rungs_below in range(most, -1, -1):
        begun = first_rung(rungs_below, most, eta, formula)
        sizes.append(tuple(rung_size(begun, level, eta) for level in range(rungs_below + 1)))
        budgets.append(rung_budgets(rungs_below, max_budget, eta))
    return sizes, budgets


def test_the_floor_table_of_81_and_3():
    sizes, budgets = table(1, 81, 3, "floor")
    assert sizes == [(81, 27, 9, 3, 1), (27, 9, 3, 1), (9, 3, 1), (6, 2), (5,)]
    assert budgets == ETA_3_BUDGETS


def test_the_ceil_table_of_81_and_3():
    sizes, budgets = table(1, 81, 3, "ceil")
    assert sizes == [(81, 27, 9, 3, 1), (34, 11, 3, 1), (15, 5, 1), (8, 2), (5,)]
    assert budgets == ETA_3_BUDGETS


def test_the_floor_table_of_128_and_2():
    sizes, budgets = table(1, 128, 2, "floor")
    assert sizes == [
        (128, 64, 32, 16, 8, 4, 2, 1),
        (64, 32, 16, 8, 4, 2, 1),
        (32, 16, 8, 4, 2, 1),
        (16, 8, 4, 2, 1),
        (16, 8, 4, 2),
        (8, 4, 2),
        (8, 4),
        (8,),
    ]
    assert sum(first for first, *_ in sizes) == 280
    pairs = [list(zip(size, budget, strict=True)) for size, budget in zip(sizes, budgets, strict=True)]
    assert sum(count * budget for bracket in pairs for count, budget in bracket) == 7168


def test_the_ceil_first_rungs_of_128_and_2():
    assert [first for first, *_ in table(1, 128, 2, "ceil")[0]] == [128, 74, 43, 26, 16, 11, 8, 8]


@pytest.mark.parametrize(
    ("least", "greatest", "eta", "brackets"), [(1, 243, 3, 6), (1, 1000, 10, 4), (1, 10**18, 10, 19), (2, 53, 3, 3)]
)
def test_no_bracket_is_lost_to_rounding(least, greatest, eta, brackets):
    assert halvings(least, greatest, eta) + 1 == brackets


@given(least=st.integers(1, 50), greatest=st.integers(1, 10**6), eta=st.integers(2, 10))
def test_the_longest_bracket_is_the_longest_that_fits(least, greatest, eta):
    most = halvings(least, greatest, eta)
    assert most == 0 or least * eta**most <= greatest
    assert least * eta ** (most + 1) > greatest


@given(
    least=st.integers(1, 50),
    factor=st.integers(1, 5000),
    eta=st.integers(2, 7),
    formula=st.sampled_from(["floor", "ceil"]),
)
def test_every_round_is_well_formed(least, factor, eta, formula):
    greatest = least * factor
    sizes, budgets = table(least, greatest, eta, formula)
    assert len(sizes) == len(sizes[0])
    for bracket, (size, budget) in enumerate(zip(sizes, budgets, strict=True)):
        assert len(size) == len(budget) == len(sizes) - bracket
        assert budget == budgets[0][bracket:]
        assert budget[0] >= least
        assert budget[-1] == greatest
        assert all(low * eta <= high for low, high in pairwise(budget))
        assert all(next_one == max(1, one // eta) for one, next_one in pairwise(size))


@given(most=st.integers(0, 12), below=st.integers(0, 12), eta=st.integers(2, 7))
def test_both_formulas_are_those_of_exact_arithmetic(most, below, eta):
    below = min(below, most)
    floor, ceil = (first_rung(below, most, eta, formula) for formula in ("floor", "ceil"))
    assert floor == math.floor((most + 1) / (below + 1)) * eta**below
    assert (ceil - 1) * (below + 1) < (most + 1) * eta**below <= ceil * (below + 1)
    assert floor <= ceil


@given(begun=st.integers(1, 10**6), level=st.integers(0, 12), eta=st.integers(2, 7))
def test_a_rung_takes_the_same_whether_reduced_at_once_or_step_by_step(begun, level, eta):
    stepwise = begun
    for _ in range(level):
        stepwise //= eta
    assert rung_size(begun, level, eta) == max(1, stepwise)
