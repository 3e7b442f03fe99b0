"""The distribution of errors, the area under it, and its interval."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_refine.edf import Bootstrap, area, edf, interval

PUBLISHED = [26.0, 27.5, 30.0, 28.5]

errors_in_percent = st.lists(st.floats(0, 100), min_size=1, max_size=30)


@pytest.mark.parametrize(("x", "share"), [(26.0, 0.0), (28.5, 0.5), (28.6, 0.75), (100.0, 1.0)])
def test_an_error_counts_above_itself_only(x, share):
    assert edf(PUBLISHED, x) == share


@pytest.mark.parametrize(("low", "high", "expected"), [(0.0, 100.0, 72.0), (25.0, 35.0, 7.0), (26.0, 30.0, 2.0)])
def test_the_area_is_that_of_the_steps(low, high, expected):
    assert area(PUBLISHED, low, high) == expected


def test_over_its_own_width_the_area_is_a_share():
    assert area(PUBLISHED, 25.0, 35.0) / 10.0 == pytest.approx(0.7, abs=1e-15)


@given(errors_in_percent)
def test_over_all_percent_it_is_the_mean_accuracy(errors):
    assert area(errors) == pytest.approx(100.0 - math.fsum(errors) / len(errors), abs=1e-9)


@given(errors_in_percent, st.floats(-20, 120), st.floats(0.5, 100))
def test_it_is_the_integral_of_the_distribution(errors, low, width):
    high = low + width
    edges = sorted({low, high, *(error for error in errors if low < error < high)})
    steps = (edf(errors, (one + other) / 2) * (other - one) for one, other in pairwise(edges))
    assert area(errors, low, high) == pytest.approx(sum(steps), abs=1e-9)


@given(errors_in_percent, st.floats(0, 50), st.floats(50.5, 100), st.floats(0.01, 0.99))
def test_areas_of_neighbouring_ranges_add_up(errors, low, high, share):
    middle = low + share * (high - low)
    assert area(errors, low, middle) + area(errors, middle, high) == pytest.approx(area(errors, low, high), abs=1e-9)


def test_an_infinite_error_adds_nothing():
    assert area([20.0, math.inf]) == 40.0


@pytest.mark.parametrize(("low", "high"), [(5.0, 5.0), (6.0, 5.0), (math.nan, 5.0), (0.0, math.inf)])
def test_a_range_that_holds_nothing_is_refused(low, high):
    with pytest.raises(RequestError, match="must be looked at from a finite number to a larger one"):
        area(PUBLISHED, low, high)
    with pytest.raises(RequestError, match="must be looked at from a finite number to a larger one"):
        interval(PUBLISHED, "abcd", low, high)


@pytest.mark.parametrize(
    ("errors", "message"), [([], "at least one error, but got none"), ([1.0, math.nan], "1 of 2 are NaN; leave out")]
)
def test_errors_must_be_numbers(errors, message):
    for ask in (lambda: edf(errors, 1.0), lambda: area(errors), lambda: interval(errors, range(len(errors)))):
        with pytest.raises(RequestError, match=message):
            ask()


def sample(count, seed=0):
    return np.random.default_rng(seed).normal(30.0, 4.0, count).tolist()


def test_the_interval_is_as_wide_as_the_mean_is_unsure():
    errors = sample(400)
    low, high = interval(errors, range(400), seed=3)
    unsure = 1.96 * float(np.std(errors)) / math.sqrt(400)
    centre = area(errors)
    assert (centre - low, high - centre) == pytest.approx((unsure, unsure), rel=0.12)


def test_the_surer_the_wider():
    errors = sample(50)
    (low, high), (lower, higher) = (interval(errors, range(50), level=level) for level in (0.8, 0.99))
    assert lower < low < high < higher


def test_it_holds_the_truth_as_often_as_it_says():
    found = [interval(sample(60, seed), range(60), seed=seed, resamples=300) for seed in range(200)]
    assert 0.9 <= np.mean([low <= 70.0 <= high for low, high in found]) <= 0.98


def test_copies_of_a_training_make_nothing_surer():
    errors = sample(40)
    copies = [error for error in errors for _ in range(9)]
    keys = [f"key {number}" for number in range(40) for _ in range(9)]
    assert interval(copies, keys) == pytest.approx(interval(errors, range(40)))
    low, high = interval(copies, keys)
    lower, higher = interval(copies, range(len(copies)))
    assert high - low > 2 * (higher - lower)


def test_it_is_the_percentiles_of_areas_of_whole_trainings_drawn_again():
    errors, keys = sample(60), [f"key {number * number % 23}" for number in range(60)]
    trainings = [[error for error, key in zip(errors, keys, strict=True) if key == one] for one in dict.fromkeys(keys)]
    assert len({len(own) for own in trainings}) > 1
    generator = np.random.default_rng(5)
    drawn = [generator.integers(0, len(trainings), len(trainings)) for _ in range(200)]
    areas = [area([error for place in places for error in trainings[place]], 20.0, 35.0) for places in drawn]
    expected = np.percentile(areas, [5.0, 95.0]).tolist()
    assert interval(errors, keys, 20.0, 35.0, level=0.9, resamples=200, seed=5) == pytest.approx(expected)


@pytest.mark.parametrize("keys", [["one"], ["same"] * 5])
def test_one_training_has_no_interval(keys):
    assert interval([30.0] * len(keys), keys) is None


def test_two_have_one():
    assert interval([20.0, 40.0], "ab") == (60.0, 80.0)


def test_the_same_seed_draws_the_same():
    errors = sample(30)
    assert interval(errors, range(30), seed=1) == interval(errors, range(30), seed=1)
    assert interval(errors, range(30), seed=1) != interval(errors, range(30), seed=2)
    before = np.random.get_state()[1].tolist()
    interval(errors, range(30))
    assert np.random.get_state()[1].tolist() == before


def test_groups_of_one_bootstrap_have_their_own_intervals():
    errors = np.array([*sample(300), *(error + 10 for error in sample(300, 1))])
    bootstrap = Bootstrap(range(600))
    first, second = (np.arange(600) < 300), (np.arange(600) >= 300)
    (_, worse), (better, _) = (bootstrap.interval(errors[one], 0.0, 100.0, group=one) for one in (second, first))
    assert worse < better
    together = bootstrap.interval(errors, 0.0, 100.0)
    assert worse < together[0] < together[1] < better
    alone = interval(errors[first], range(300))
    assert bootstrap.interval(errors[first], 0.0, 100.0, group=first) == pytest.approx(alone, abs=0.1)


def test_a_tiny_group_among_many_has_an_interval_of_its_own_errors():
    errors = np.array([20.0, 40.0, *sample(500)])
    group = np.arange(502) < 2
    bootstrap = Bootstrap(range(502))
    assert bootstrap.distinct(group) == 2
    assert bootstrap.interval(errors[group], 0.0, 100.0, group=group) == (60.0, 80.0)


def test_more_trainings_than_are_added_up_at_a_time(monkeypatch):
    errors = sample(700)
    whole = interval(errors, range(700))
    monkeypatch.setattr("automl_refine.edf.BLOCK", 64)
    assert interval(errors, range(700)) == pytest.approx(whole, abs=1e-9)
