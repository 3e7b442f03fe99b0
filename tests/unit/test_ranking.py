"""Fronts, crowding and order, against their definitions."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from automl_core.ranking import best_first, crowding, dominates, fronts, pareto_front

LOSSES = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[st.integers(0, 6).map(float)] * width), min_size=0, max_size=25)
)


@given(LOSSES)
def test_fronts_are_what_their_definition_says(losses: list[tuple[float, ...]]) -> None:
    left = set(range(len(losses)))
    for front in fronts(losses):
        undominated = {one for one in left if not any(dominates(losses[other], losses[one]) for other in left)}
        assert set(front) == undominated
        left -= undominated
    assert not left


@given(LOSSES)
def test_the_order_never_puts_the_dominated_before_what_dominates_it(losses: list[tuple[float, ...]]) -> None:
    order = best_first(losses)
    assert sorted(order) == list(range(len(losses)))
    place = {position: number for number, position in enumerate(order)}
    for one in range(len(losses)):
        for other in range(len(losses)):
            if dominates(losses[one], losses[other]):
                assert place[one] < place[other]


def test_one_objective_is_a_plain_stable_sort() -> None:
    assert best_first([(2.0,), (1.0,), (math.inf,), (1.0,)]) == [1, 3, 0, 2]


def test_within_a_front_the_ends_come_first_and_the_crowded_last() -> None:
    losses = [(0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (7.0, 3.0), (10.0, 0.0)]
    assert crowding(losses)[0] == crowding(losses)[-1] == math.inf
    assert best_first(losses) == [0, 4, 3, 2, 1]


def test_what_lacks_a_value_is_last_even_if_nothing_dominates_it() -> None:
    assert best_first([(-math.inf, math.inf), (5.0, 5.0), (6.0, 6.0)]) == [1, 2, 0]


def test_equal_losses_share_a_front() -> None:
    assert pareto_front([(1.0, 2.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0)]) == [0, 1, 2]
    assert pareto_front([]) == []
