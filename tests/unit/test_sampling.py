import json
import math
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    InCondition,
    Integer,
    OrConjunction,
    OrdinalHyperparameter,
)
from ConfigSpace import Configuration as ConfigSpaceConfiguration
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core import sampling
from automl_core.errors import RequestError, StudyFailed
from automl_core.interfaces import SearchSpace
from automl_core.sampling import BLOCK, RandomSampler, _affine, enumerate_canonical, raw_draws, raw_size
from automl_core.testing.doubles import ToySpace

KINDS = st.sampled_from(["categorical", "ordinal", "integer", "log integer", "constant"])


class Plain(SearchSpace):
    """A bare ConfigSpace; ``violates`` and ``key`` replace the constraint and the canonical form."""

    name = "plain"

    def __init__(self, config_space, violates=None, key=None):
        self._config_space = config_space
        self._violates = violates
        self._key = key

    @property
    def config_space(self):
        return self._config_space

    def decode(self, configuration):
        raise AssertionError("drawing must not decode")

    def violation(self, configuration):
        return "refused" if self._violates and self._violates(configuration) else None

    def canonical(self, configuration):
        return self._key(configuration) if self._key else super().canonical(configuration)


def space_of(*parts):
    config_space = ConfigurationSpace()
    config_space.add(*parts)
    return config_space


def mixed_space():
    """Every kind of finite hyperparameter, a chain of conditions against the alphabet, and a forbidden clause."""
    root = CategoricalHyperparameter("z_root", ["on", "off", "auto"])
    middle = OrdinalHyperparameter("m_middle", [1, 0.5, "high", None])
    leaf = Integer("a_leaf", (1, 5))
    other = Integer("b_log", (1, 9), log=True)
    config_space = space_of(root, middle, leaf, other, Constant("constant", "fixed"))
    config_space.add(
        EqualsCondition(middle, root, "on"),
        AndConjunction(EqualsCondition(leaf, middle, 0.5), EqualsCondition(leaf, root, "on")),
        OrConjunction(InCondition(other, root, ["off"]), InCondition(other, middle, [1, "high"])),
    )
    config_space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(root, "on"), ForbiddenEqualsClause(leaf, 3)))
    config_space.add(ForbiddenEqualsClause(other, 7))
    return config_space


def expected_mixed():
    """The configurations of ``mixed_space``, written down independently."""
    logs = [value for value in range(1, 10) if value != 7]
    expected = [{"z_root": "auto"}] + [{"z_root": "off", "b_log": value} for value in logs]
    expected += [{"z_root": "on", "m_middle": middle, "b_log": value} for middle in (1, "high") for value in logs]
    expected += [{"z_root": "on", "m_middle": None}]
    expected += [{"z_root": "on", "m_middle": 0.5, "a_leaf": leaf} for leaf in (1, 2, 4, 5)]
    return {frozen({**one, "constant": "fixed"}) for one in expected}


def frozen(configuration):
    return frozenset(configuration.items())


def everything(sampler):
    return list(iter(sampler.draw, None))


def test_raw_size_counts_every_combination():
    assert raw_size(mixed_space()) == 3 * 4 * 5 * 9
    assert raw_size(ToySpace().config_space) == 4**11
    assert raw_size(space_of(Float("x", (0.0, 1.0)), Integer("n", (1, 3)))) is None
    assert raw_size(ConfigurationSpace()) == 1


def test_raw_size_is_exact_beyond_floating_point():
    assert raw_size(space_of(*(Integer(f"n{i}", (1, 999_999)) for i in range(8)))) == 999_999**8


def test_draws_are_plain_values_that_survive_json():
    config_space = mixed_space()
    config_space.add(Float("rate", (1e-5, 1e-1), log=True), Integer("wide", (1, 10**6), log=True))
    for configuration in islice(raw_draws(config_space, 0), 2 * BLOCK):
        again = json.loads(json.dumps(configuration))
        assert again == configuration
        for name, value in configuration.items():
            assert value is None or type(value) in (str, int, float), (name, value)
            assert type(again[name]) is type(value)
        assert configuration["rate"] >= 1e-5
        assert 1 <= configuration["wide"] <= 10**6


def test_choices_keep_their_own_types():
    config_space = space_of(
        CategoricalHyperparameter("mixed", [2, 0.5, "2", None, True]), OrdinalHyperparameter("steps", [1, 2.5])
    )
    drawn = list(islice(raw_draws(config_space, 3), BLOCK))
    seen = {(type(one["mixed"]), one["mixed"]) for one in drawn}
    assert seen == {(int, 2), (float, 0.5), (str, "2"), (type(None), None), (bool, True)}
    assert {type(one["steps"]) for one in drawn} == {int, float}


def test_numpy_choices_become_plain():
    config_space = space_of(CategoricalHyperparameter("n", list(np.array([1, 2]))))
    assert {type(one["n"]) for one in islice(raw_draws(config_space, 0), 20)} == {int}


@pytest.mark.parametrize("choices", [[(1, 2), (3, 4)], [1j, 2j]])
def test_values_that_are_not_plain_are_refused_by_name(choices):
    config_space = space_of(CategoricalHyperparameter("odd", choices))
    with pytest.raises(RequestError, match="'odd'"):
        next(raw_draws(config_space, 0))


def test_draws_are_those_of_configspace_itself():
    config_space = mixed_space()
    mine = {frozen(one) for one in islice(raw_draws(config_space, 0), 4 * BLOCK)}
    config_space.seed(1)
    theirs = {frozen(dict(one)) for one in config_space.sample_configuration(4 * BLOCK)}
    assert mine == theirs == expected_mixed()


def test_the_given_space_keeps_its_random_state():
    config_space, other = mixed_space(), mixed_space()
    config_space.seed(5)
    other.seed(5)
    sampler = RandomSampler(Plain(config_space), 0)
    for _ in range(10):
        sampler.draw()
    assert config_space.sample_configuration(20) == other.sample_configuration(20)


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    first = everything(RandomSampler(Plain(mixed_space()), 0))
    assert np.random.get_state()[1].tolist() == before
    np.random.seed(2)
    assert everything(RandomSampler(Plain(mixed_space()), 0)) == first


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), start=st.integers(0, 3 * BLOCK))
def test_draws_follow_from_seed_and_block(seed, start):
    config_space = ToySpace().config_space
    drawn = list(islice(raw_draws(config_space, seed), start + 5))
    assert drawn == list(islice(raw_draws(config_space, seed), start + 5))
    assert drawn[:5] != list(islice(raw_draws(config_space, seed + 1), 5))


def test_blocks_differ():
    drawn = list(islice(raw_draws(ToySpace().config_space, 0), 3 * BLOCK))
    assert len({frozen(one) for one in drawn}) > 3 * BLOCK - 10


def test_draws_are_uniform_over_each_choice():
    counts = Counter(one["digit_3"] for one in islice(raw_draws(ToySpace().config_space, 0), 4000))
    assert all(abs(counts[value] - 1000) < 130 for value in range(4)), counts  # about 4.7 standard deviations


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_finite_space_is_drawn_completely_and_once(seed):
    drawn = everything(RandomSampler(Plain(mixed_space()), seed))
    assert len(drawn) == len(expected_mixed())
    assert {frozen(one) for one in drawn} == expected_mixed()


def test_violations_and_known_keys_are_never_drawn():
    space = ToySpace(digits=3, choices=3)
    sampler = RandomSampler(space, 0)
    sampler.add({"digit_1": 2, "digit_2": 1, "digit_3": 0})
    keys = [space.canonical(one) for one in everything(sampler)]
    assert len(keys) == len(set(keys)) == 6 * 3 - 2
    assert (0, 0, 0) not in keys
    assert (1, 2, 0) not in keys
    assert set(keys) < sampler.known
    assert sampler.draw() is None


def test_adding_after_the_draws_have_turned_to_enumeration():
    space = Plain(space_of(Integer("n", (1, 400))))
    sampler = RandomSampler(space, 0)
    for _ in range(390):
        sampler.draw()
    left = set(range(1, 401)) - {dict(key)["n"] for key in sampler.known}
    sampler.add({"n": min(left)})
    assert {one["n"] for one in everything(sampler)} == left - {min(left)}


def test_a_rare_allowed_configuration_is_found_by_enumeration():
    space = Plain(space_of(Integer("n", (1, 30_000))), violates=lambda configuration: configuration["n"] != 777)
    sampler = RandomSampler(space, 0)
    assert sampler.draw() == {"n": 777}
    assert sampler.draw() is None


def test_a_space_without_hyperparameters_has_one_configuration():
    assert everything(RandomSampler(Plain(ConfigurationSpace()), 0)) == [{}]
    assert list(enumerate_canonical(Plain(ConfigurationSpace()), 0)) == [{}]


def test_an_infinite_space_with_nothing_new_ends_with_the_reason(caplog):
    space = Plain(space_of(Float("x", (0.0, 1.0))), key=lambda configuration: configuration["x"] > 0.5)
    sampler = RandomSampler(space, 0)
    assert {sampler.draw()["x"] > 0.5, sampler.draw()["x"] > 0.5} == {True, False}
    assert sampler.draw() is None
    assert "10000 in a row were forbidden or known" in caplog.text


def test_a_huge_space_without_anything_allowed_ends_with_the_reason(monkeypatch):
    monkeypatch.setattr(sampling, "TRIES_HUGE", 5_000)
    space = Plain(ToySpace(digits=60).config_space, violates=lambda configuration: True)
    with pytest.raises(StudyFailed, match=r"'plain' must give.* 5000 in a row were forbidden or known .0 are known"):
        RandomSampler(space, 0).draw()


def test_a_space_that_can_be_looked_through_is_looked_through(monkeypatch):
    monkeypatch.setattr(sampling, "TRIES_HUGE", 5_000)
    space = Plain(space_of(Integer("n", (1, 50_000))), violates=lambda configuration: configuration["n"] > 1)
    assert list(enumerate_canonical(space, 0)) == [{"n": 1}]


def test_an_infinite_space_is_not_enumerated():
    space = Plain(space_of(Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0)), Integer("n", (1, 2))))
    with pytest.raises(RequestError, match="'x', 'y' of 'plain' have infinitely many values"):
        enumerate_canonical(space, 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_enumeration_respects_conditions_and_forbidden_clauses(seed):
    configurations = list(enumerate_canonical(Plain(mixed_space()), seed))
    assert len(configurations) == len(expected_mixed())
    assert {frozen(one) for one in configurations} == expected_mixed()
    assert json.loads(json.dumps(configurations)) == configurations


@settings(max_examples=40, deadline=None)
@given(kinds=st.lists(KINDS, min_size=1, max_size=4), sizes=st.data(), seed=st.integers(0, 2**63 - 1))
def test_enumeration_is_a_permutation_of_the_product(kinds, sizes, seed):
    parts = []
    for number, kind in enumerate(kinds):
        size = sizes.draw(st.integers(2, 6))
        makers = {
            "categorical": lambda name, size=size: CategoricalHyperparameter(name, [f"c{i}" for i in range(size)]),
            "ordinal": lambda name, size=size: OrdinalHyperparameter(name, [i / 2 for i in range(size)]),
            "integer": lambda name, size=size: Integer(name, (-3, size - 4)),
            "log integer": lambda name, size=size: Integer(name, (2, size + 1), log=True),
            "constant": lambda name: Constant(name, 1.5),
        }
        parts.append(makers[kind](f"{number}"))
    space = Plain(space_of(*parts))
    configurations = list(enumerate_canonical(space, seed))
    assert len(configurations) == raw_size(space.config_space) == len({frozen(one) for one in configurations})
    for configuration in configurations[:20]:
        ConfigSpaceConfiguration(space.config_space, values=configuration)  # raises for an illegal one


def test_enumeration_order_is_seeded():
    space = ToySpace(digits=3)
    orders = {tuple(map(space.canonical, enumerate_canonical(space, seed))) for seed in (0, 1, 2)}
    assert len(orders) == 3
    assert len({frozenset(order) for order in orders}) == 1
    assert tuple(map(space.canonical, enumerate_canonical(space, 0))) in orders


def test_enumeration_of_a_huge_space_begins_at_once():
    space = ToySpace(digits=60)
    first = list(islice(enumerate_canonical(space, 0), 1000))
    assert raw_size(space.config_space) > 10**36
    assert len({space.canonical(one) for one in first}) == 1000
    assert len({one["digit_60"] for one in first}) == 4, "late hyperparameters must change early"


@given(size=st.integers(1, 10**40), seed=st.integers(0, 2**63 - 1))
def test_the_step_is_prime_to_the_size(size, seed):
    step, first = _affine(size, seed)
    assert math.gcd(step, size) == 1
    assert 0 <= first < size
