"""Search spaces whose truth is a formula: their optimum, their noise, and what a budget does to them."""

from __future__ import annotations

import json
import math
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.sampling import raw_draws
from automl_spaces.closed_forms import (
    HARTMANN_6_ARGMAX,
    HARTMANN_6_OPTIMUM,
    CountingOnesSpace,
    Hartmann,
    HartmannSpace,
    Ones,
)

FRACTIONS = st.floats(0.0, 1.0)
POINTS = st.tuples(*[FRACTIONS] * 6)


@given(POINTS)
def test_no_point_of_hartmann_is_above_its_optimum(x):
    assert Hartmann(x, 0.1).truth <= HartmannSpace().optimum


def test_the_optimum_of_hartmann_is_reached_and_is_a_maximum():
    best = Hartmann(HARTMANN_6_ARGMAX, 0.1).truth
    assert best == pytest.approx(HARTMANN_6_OPTIMUM, abs=1e-9)
    for place in range(6):
        for step in (-1e-3, 1e-3):
            x = list(HARTMANN_6_ARGMAX)
            x[place] += step
            assert Hartmann(tuple(x), 0.1).truth < best


def test_hartmann_at_a_point_by_hand():
    # At the fourth centre its own term is alpha_4; the others' exponents are written out.
    x = (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381)
    exponents = [
        10 * (x[0] - 0.1312) ** 2
        + 3 * (x[1] - 0.1696) ** 2
        + 17 * (x[2] - 0.5569) ** 2
        + 3.5 * (x[3] - 0.0124) ** 2
        + 1.7 * (x[4] - 0.8283) ** 2
        + 8 * (x[5] - 0.5886) ** 2,
        0.05 * (x[0] - 0.2329) ** 2
        + 10 * (x[1] - 0.4135) ** 2
        + 17 * (x[2] - 0.8307) ** 2
        + 0.1 * (x[3] - 0.3736) ** 2
        + 8 * (x[4] - 0.1004) ** 2
        + 14 * (x[5] - 0.9991) ** 2,
        3 * (x[0] - 0.2348) ** 2
        + 3.5 * (x[1] - 0.1451) ** 2
        + 1.7 * (x[2] - 0.3522) ** 2
        + 10 * (x[3] - 0.2883) ** 2
        + 17 * (x[4] - 0.3047) ** 2
        + 8 * (x[5] - 0.6650) ** 2,
    ]
    expected = 3.2 + sum(alpha * math.exp(-one) for alpha, one in zip((1.0, 1.2, 3.0), exponents, strict=True))
    assert Hartmann(x, 0.1).truth == pytest.approx(expected, rel=1e-12)
    lowered = 2.7 + sum(alpha * math.exp(-one) for alpha, one in zip((0.5, 0.7, 2.5), exponents, strict=True))
    assert Hartmann(x, 1.0).value(5, 10, seed=0) == pytest.approx(lowered, rel=1e-12)


@given(POINTS, st.floats(0.0, 1.0), st.integers(1, 80))
def test_a_budget_of_hartmann_takes_something_away_until_it_is_full(x, bias, budget):
    point = Hartmann(x, bias)
    assert point.value(81, 81, seed=1) == point.truth
    assert point.value(budget, 81, seed=1) <= point.value(budget + 1, 81, seed=2)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1), max_size=4), st.lists(FRACTIONS, max_size=4), st.integers(1, 99), st.integers(0))
def test_counting_ones_counts(categories, probabilities, budget, seed):
    ones = Ones(tuple(categories), tuple(probabilities))
    seen = ones.value(budget, 99, seed)
    assert sum(categories) <= seen <= len(categories) + len(probabilities)
    assert ones.value(budget, 999, seed) == seen, "the full budget changes nothing"
    certain = Ones(tuple(categories), tuple(round(one) for one in probabilities))
    assert certain.value(budget, 99, seed) == certain.truth == sum(categories) + sum(map(round, probabilities))


def test_more_samples_of_counting_ones_come_nearer_to_the_truth():
    ones = Ones((1, 0), (0.2, 0.5, 0.8))

    def spread(budget):
        return math.fsum((ones.value(budget, 729, seed) - ones.truth) ** 2 for seed in range(100)) / 100

    # The variance of the mean of b samples, summed over the probabilities: sum p (1 - p) / b.
    for budget in (1, 9, 81):
        assert spread(budget) == pytest.approx((0.16 + 0.25 + 0.16) / budget, rel=0.5)


@given(FRACTIONS, st.integers(1, 50), st.integers(0))
def test_a_larger_budget_keeps_the_samples_of_a_smaller_one(probability, budget, seed):
    one = Ones((), (probability,))
    successes = [round(one.value(count, 100, seed) * count) for count in (budget, budget + 1)]
    assert successes[1] - successes[0] in (0, 1)


def test_other_seeds_and_other_places_see_other_samples():
    ones = Ones((), (0.5, 0.5))
    assert len({ones.value(81, 81, seed) for seed in range(20)}) > 5
    halves = [Ones((), tuple(0.5 if place == one else 0.0 for place in range(2))).value(81, 81, 0) for one in range(2)]
    assert halves[0] != halves[1]


@pytest.mark.parametrize("space", [CountingOnesSpace(3, 2), HartmannSpace(0.5)], ids=lambda space: space.name)
def test_descriptions_are_read_back_and_below_the_optimum(space):
    for configuration in islice(raw_draws(space.config_space, seed=0), 50):
        description = space.decode(configuration)
        assert type(description).from_json(json.loads(json.dumps(description.to_json()))) == description
        assert description.truth <= space.optimum


def test_the_optimum_of_counting_ones_is_every_one():
    space = CountingOnesSpace(categorical=2, continuous=3)
    best = {name: 1 if name.startswith("category") else 1.0 for name in space.config_space}
    assert space.decode(best).truth == space.optimum == 5.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CountingOnesSpace(0, 0), "a hyperparameter to count"),
        (lambda: CountingOnesSpace(-1, 3), "categorical = -1"),
        (lambda: HartmannSpace(1.5), "0 <= bias <= 1"),
        (lambda: HartmannSpace().decode({"x_1": 0.5}), "x_2"),
        (lambda: HartmannSpace().decode(dict.fromkeys((f"x_{n}" for n in range(1, 7)), 1.1)), "1.1"),
        (lambda: HartmannSpace().decode({"x_7": 0.5}), "x_7"),
        (lambda: CountingOnesSpace(1, 0).decode({"category_1": 2}), "0 or 1"),
        (lambda: CountingOnesSpace(1, 0).decode({"category_1": True}), "True"),
    ],
)
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises(RequestError, match=says):
        make()
