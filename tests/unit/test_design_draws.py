"""What is drawn of a design space is distributed as the whole, were all else refused; what is rare is found."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from ConfigSpace import (
    BetaFloatHyperparameter,
    BetaIntegerHyperparameter,
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    GreaterThanCondition,
    Integer,
    NormalFloatHyperparameter,
    NormalIntegerHyperparameter,
)
from scipy.stats import ks_2samp

from automl_core.functions import PlainSpace
from automl_core.parts import everything
from automl_core.priors import at_share, draw, share_below, share_of
from automl_core.restricting import Restriction
from automl_core.sampling import RandomSampler, draws, raw_draws
from automl_refine.categories import categories, choices_of, parse_conditions

NUMBERS = [
    Float("x", (0.01, 1.0)),
    Float("x", (0.01, 1.0), log=True),
    BetaFloatHyperparameter("x", alpha=2, beta=5, lower=0.01, upper=1.0),
    BetaFloatHyperparameter("x", alpha=2, beta=5, lower=0.01, upper=1.0, log=True),
    NormalFloatHyperparameter("x", mu=0.3, sigma=0.2, lower=0.01, upper=1.0),
    NormalFloatHyperparameter("x", mu=0.3, sigma=0.2, lower=0.01, upper=1.0, log=True),
    Integer("x", (1, 99)),
    Integer("x", (1, 99), log=True),
    BetaIntegerHyperparameter("x", alpha=2, beta=5, lower=1, upper=99),
    NormalIntegerHyperparameter("x", mu=30, sigma=20, lower=1, upper=99),
]
NAMES = ["float", "log", "beta", "log beta", "normal", "log normal", "int", "log int", "beta int", "normal int"]
ALL = pytest.mark.parametrize("number", NUMBERS, ids=NAMES)


def space_of(*ones):
    space = ConfigurationSpace(name="drawn")
    space.add(*ones)
    return PlainSpace(space)


def taken(found, number=4000):
    return list(islice(found, number))


def read(data):
    return Restriction.from_json(data)


# -- probabilities ----------------------------------------------------------------------------------------------------


@ALL
def test_shares_are_what_configspace_draws(number):
    drawn = np.array([one["x"] for one in taken(raw_draws(space_of(number).config_space, 1))])
    lowest = number.lower if isinstance(number.lower, int) else 0
    for share in (0.1, 0.25, 0.5, 0.9):
        value = at_share(number, [share])[0]
        below = share_below(number, [value])[0]
        assert np.mean(drawn < value + lowest) == pytest.approx(below, abs=0.03)
    assert share_of(number, everything(number)) == pytest.approx(1.0)


@ALL
def test_four_ranges_are_equally_probable(number):
    drawn = [one["x"] for one in taken(raw_draws(space_of(number).config_space, 2))]
    found = choices_of(number)
    assert len(found) == 4
    for one in found:
        assert sum(value in one for value in drawn) / len(drawn) == pytest.approx(0.25, abs=0.05)


@ALL
def test_a_narrower_range_is_drawn_as_the_whole_was_there(number):
    low, high = (20, 60) if isinstance(number.lower, int) else (0.2, 0.6)
    whole = space_of(number)
    design = whole.restrict(read({"narrowed": {"x": {"min": low, "max": high}}}))
    wide = [one["x"] for one in taken(raw_draws(whole.config_space, 3), 12_000) if low <= one["x"] <= high]
    narrow = [one["x"] for one in taken(draws(design, 4))]
    assert all(low <= value <= high for value in narrow)
    assert ks_2samp(wide, narrow).statistic < 0.07
    if design.size() is not None:
        assert design.size() == 41
        assert {one["x"] for one in design.enumerate()} == set(range(20, 61))


@ALL
def test_single_numbers_are_drawn_as_often_as_they_were(number):
    whole = space_of(number)
    values = [2, 30, 80] if isinstance(number.lower, int) else [0.02, 0.3, 0.8]
    design = whole.restrict(read({"narrowed": {"x": values}}))
    counts = Counter(one["x"] for one in taken(draws(design, 4)))
    if isinstance(number.lower, int):
        odds = np.array([share_of(number, [value - 1]) for value in values])
    else:
        odds = number.pdf_vector(number.to_vector(np.array(values)))
    for value, wanted in zip(values, odds / odds.sum(), strict=True):
        assert counts[value] / 4000 == pytest.approx(wanted, abs=0.03)


def test_what_is_left_of_a_range_is_divided_further():
    whole = space_of(BetaFloatHyperparameter("x", alpha=2, beta=5, lower=0, upper=1))
    design = whole.restrict(read({"narrowed": {"x": {"min": 0.2, "max": 0.3}}}))
    (condition,) = parse_conditions(design, ["x"])
    found = [category.boxes[0]["x"] for category in categories(design, condition)]
    assert (len(found), found[0].low, found[-1].high) == (4, 0.2, 0.3)
    assert draw(whole.config_space["x"], found[0], 5, np.random.default_rng(0)).max() <= found[0].high


# -- choices among boxes ----------------------------------------------------------------------------------------------


def test_boxes_that_overlap_are_drawn_uniformly():
    whole = space_of(Integer("a", (1, 10)), Integer("b", (1, 10)), Categorical("c", ["x", "y"]))
    data = {"any_of": [[{"a": {"min": 1, "max": 4}, "b": {"min": 1, "max": 4}}, {"a": [1, 2, 9]}, {"a": 9, "b": 9}]]}
    design = whole.restrict(read(data))
    drawn = taken(draws(design, 0), 9_000)
    assert all(design.violation(one) is None for one in drawn)
    counts = Counter(tuple(one.values()) for one in drawn)
    assert len(counts) == design.size() == 2 * 38
    assert min(counts.values()) > 0.6 * 9_000 / 76
    assert max(counts.values()) < 1.5 * 9_000 / 76


def test_boxes_keep_weights():
    whole = space_of(Categorical("a", ["s", "m", "l"], weights=[1, 2, 5]), Integer("b", (1, 2)))
    design = whole.restrict(read({"any_of": [[{"a": ["s", "l"], "b": 1}, {"a": ["m", "l"], "b": 2}]]}))
    counts = Counter((one["a"], one["b"]) for one in taken(draws(design, 0), 6_500))
    expected = {("s", 1): 500, ("l", 1): 2500, ("m", 2): 1000, ("l", 2): 2500}
    assert counts.keys() == expected.keys()
    assert all(counts[one] == pytest.approx(number, rel=0.25) for one, number in expected.items())


def test_gaps_between_ranges_are_not_drawn():
    whole = space_of(Float("x", (0.0, 1.0)))
    data = [{"x": {"min": 0.1, "max": 0.1001}}, {"x": {"min": 0.9, "max": 0.9003}}]
    design = whole.restrict(read({"any_of": [data]}))
    drawn = [one["x"] for one in taken(draws(design, 0))]
    assert all(design.violation({"x": value}) is None for value in drawn)
    assert sum(value < 0.5 for value in drawn) / len(drawn) == pytest.approx(0.25, abs=0.03)


def test_a_single_number_beside_a_range_is_drawn():
    whole = space_of(Integer("k", (1, 9)), Float("lr", (1e-4, 0.1), log=True))
    design = whole.restrict(read({"any_of": [[{"k": 5, "lr": {"min": 0.001, "max": 0.002}}, {"k": 7, "lr": 0.05}]]}))
    sampler = RandomSampler(design, 0)
    drawn = [sampler.draw() for _ in range(20)]
    assert {"k": 7, "lr": 0.05} in drawn
    assert len([one for one in drawn if one["k"] == 5 and 0.001 <= one["lr"] <= 0.002]) == 19


def test_listed_configurations_of_a_large_space_are_drawn_and_enumerated():
    names = [f"h{place}" for place in range(24)]
    generator = np.random.default_rng(0)
    listed = [dict(zip(names, generator.choice(list("abcd"), 24).tolist(), strict=True)) for _ in range(10)]
    design = space_of(*(Categorical(name, list("abcd")) for name in names)).restrict(read({"any_of": [listed]}))
    sampler = RandomSampler(design, 0)
    for found in (list(iter(sampler.draw, None)), list(design.enumerate())):
        assert sorted(sorted(one.items()) for one in found) == sorted(sorted(one.items()) for one in listed)


def test_clauses_about_other_hyperparameters_multiply_nothing():
    names = [f"h{place}" for place in range(24)]
    generator = np.random.default_rng(0)
    clauses = [
        [dict(zip(some, generator.choice(list("abcd"), 8).tolist(), strict=True)) for _ in range(60)]
        for some in (names[:8], names[8:16], names[16:])
    ]
    design = space_of(*(Categorical(name, list("abcd")) for name in names)).restrict(read({"any_of": clauses}))
    drawn = taken(draws(design, 0), 300)
    assert all(design.violation(one) is None for one in drawn)
    assert len({tuple(one.values()) for one in islice(design.enumerate(), 300)}) == 300


# -- conditions -------------------------------------------------------------------------------------------------------


def test_conditions_that_always_hold_are_dropped():
    space = ConfigurationSpace()
    kind, depth, width, rate = (
        Categorical("kind", ["a", "b"]), Integer("depth", (1, 9)), Integer("width", (1, 7)), Float("rate", (0.1, 1.0)),
    )  # fmt: skip
    space.add(kind, depth, width, rate)
    space.add(EqualsCondition(depth, kind, "a"), GreaterThanCondition(width, depth, 3), EqualsCondition(rate, width, 2))

    def conditional(data):
        found = PlainSpace(space).restrict(read(data)).config_space
        return {name for name in found if found.parent_conditions_of[name]}

    assert conditional({"narrowed": {"depth": [1, 5]}}) == {"depth", "width", "rate"}
    assert conditional({"fixed": {"kind": "a"}}) == {"width", "rate"}
    assert conditional({"narrowed": {"depth": {"min": 4, "max": 9}}}) == {"depth", "width", "rate"}, "not active itself"
    assert conditional({"fixed": {"kind": "a"}, "narrowed": {"depth": {"min": 4, "max": 9}}}) == {"rate"}
    assert conditional({"fixed": {"kind": "a", "width": 2}, "narrowed": {"depth": [4, 6]}}) == set()
