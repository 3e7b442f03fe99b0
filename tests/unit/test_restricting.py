"""Restrictions against brute force: what is left of random ConfigSpaces is exactly what a restriction allows."""

from __future__ import annotations

import json
import math
from itertools import islice, permutations, product

import pytest
import yaml
from ConfigSpace import (
    AndConjunction,
    Categorical,
    CategoricalHyperparameter,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenInClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
    OrdinalHyperparameter,
)
from ConfigSpace import Configuration as Checked
from ConfigSpace.exceptions import ForbiddenValueError
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from automl_core.counting import count, count_orbits, orbit_key, values_of
from automl_core.errors import RequestError
from automl_core.functions import PlainSpace
from automl_core.restricting import Range, Restriction
from automl_core.sampling import RandomSampler

# -- random spaces ----------------------------------------------------------------------------------------------------

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking takes minutes, and what fails is small anyway
WORDS = ("no", "1", "through", "x y", "é")


def hyperparameter(draw, name, endless):
    kinds = ["words", "numbers", "mixed", "int", "log int", "ordinal", "constant"]
    kind = draw(st.sampled_from([*kinds, "float", "log float"] if endless else kinds))
    if kind == "words":
        return Categorical(name, draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True)))
    if kind == "numbers":
        return Categorical(name, draw(st.lists(st.integers(-3, 9), min_size=2, max_size=4, unique=True)))
    if kind == "mixed":
        weights = [1.0, 2.0, 3.0] if draw(st.booleans()) else None
        return Categorical(name, [True, "on", None], weights=weights)
    if kind in ("int", "log int"):
        low = draw(st.integers(1, 5))
        return Integer(name, (low, low + draw(st.integers(1, 4))), log=kind == "log int")
    if kind == "ordinal":
        return OrdinalHyperparameter(name, draw(st.sampled_from([["s", "m", "l"], [8, 16, 32, 2], [0.5, 0.1]])))
    if kind == "constant":
        return Constant(name, draw(st.sampled_from(["only", 3, 0.5])))
    low = draw(st.sampled_from([0.001, 0.5, 1.0]))
    return Float(name, (low, low * 10), log=kind == "log float")


def some_value(draw, one):
    if math.isinf(one.size):
        return draw(st.sampled_from([one.lower, (one.lower + one.upper) / 2, one.upper]))
    return draw(st.sampled_from(values_of(one)))


def simple_condition(draw, child, parent, roots):
    kinds = ["eq", "in"] + ["gt", "lt"] * (not isinstance(parent, (CategoricalHyperparameter, Constant)))
    if parent in roots:  # where the parent can be inactive, ConfigSpace contradicts itself on what NEQ means
        kinds.append("neq")
    kind = draw(st.sampled_from(kinds))
    value = some_value(draw, parent)
    if kind == "in":
        return InCondition(child, parent, list(dict.fromkeys([value, some_value(draw, parent)])))
    conditions = {
        "eq": EqualsCondition,
        "neq": NotEqualsCondition,
        "gt": GreaterThanCondition,
        "lt": LessThanCondition,
    }
    return conditions[kind](child, parent, value)


def condition(draw, child, parents, roots, depth=1):
    kind = draw(st.sampled_from(["simple", "and", "or"])) if depth else "simple"
    if kind == "simple":
        return simple_condition(draw, child, draw(st.sampled_from(parents)), roots)
    parts = [condition(draw, child, parents, roots, depth - 1) for _ in range(2)]
    return AndConjunction(*parts) if kind == "and" else OrConjunction(*parts)


@st.composite
def config_spaces(draw, endless=False):
    space = ConfigurationSpace(name="random")
    ones = [hyperparameter(draw, f"h{place}", endless) for place in range(draw(st.integers(1, 5)))]
    space.add(*ones)
    roots = ones[:1]
    for place, child in enumerate(ones[1:], 1):
        if draw(st.booleans()):
            try:
                space.add(condition(draw, child, ones[:place], roots))
            except (ValueError, TypeError):  # ConfigSpace refuses some, for example doubled parts
                assume(False)
        else:
            roots.append(child)
    if draw(st.booleans()):
        one, other = draw(st.sampled_from(ones)), draw(st.sampled_from(ones))
        clause = ForbiddenInClause(one, [some_value(draw, one)])
        if other is not one:
            clause = ForbiddenAndConjunction(clause, ForbiddenEqualsClause(other, some_value(draw, other)))
        try:
            space.add(clause)
        except (ValueError, TypeError, ForbiddenValueError):  # the default must not be forbidden
            assume(False)
    return space


@st.composite
def boxes(draw, space, most=3):
    names = draw(st.lists(st.sampled_from(list(space)), min_size=1, max_size=most, unique=True))
    return {name: draw(left(space[name])) for name in names}


@st.composite
def left(draw, one):
    numbers = hasattr(one, "lower") or all(isinstance(v, (int, float)) and v is not True for v in values_of(one))
    if numbers and draw(st.booleans()):
        ends = sorted((some_value(draw, one), some_value(draw, one)))
        return Range(*ends)
    return tuple(dict.fromkeys(some_value(draw, one) for _ in range(draw(st.integers(1, 3)))))


@st.composite
def restrictions(draw, space):
    clauses = draw(st.lists(st.lists(boxes(space), min_size=1, max_size=3).map(tuple), max_size=3))
    return Restriction(tuple(clauses))


@st.composite
def restricted(draw, endless=False):
    space = draw(config_spaces(endless))
    return PlainSpace(space), draw(restrictions(space))


def keys(configurations):
    found = [frozenset((name, type(value), value) for name, value in one.items()) for one in configurations]
    assert len(found) == len(set(found))
    return set(found)


# -- laws -------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(restricted())
def test_what_is_left_of_a_finite_space_is_what_the_restriction_allows(given_):
    whole, restriction = given_
    expected = keys(one for one in whole.enumerate() if restriction.allows(one))
    try:
        design = whole.restrict(restriction)
    except RequestError as error:  # a hyperparameter without a value is refused even where it need not be active
        assert not expected or "must leave each hyperparameter a value" in str(error)
        return
    assert expected, "an empty design space must be refused"
    assert keys(design.enumerate()) == expected
    sampler = RandomSampler(design, 1)
    assert keys(iter(sampler.draw, None)) == expected


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(restricted(endless=True))
def test_draws_from_an_infinite_space_are_legal_in_the_whole_and_allowed(given_):
    whole, restriction = given_
    try:
        design = whole.restrict(restriction)
    except RequestError:
        return
    sampler = RandomSampler(design, 1)
    for drawn in islice(iter(sampler.draw, None), 20):
        assert restriction.allows(drawn)
        assert set(Checked(whole.config_space, values=drawn)) == set(drawn), "what is active must be given"
        assert design.decode(drawn).to_json() == whole.decode(drawn).to_json()


@settings(max_examples=80, deadline=None, phases=PHASES)
@given(restricted())
def test_size_counts_narrowed_combinations(given_):
    whole, restriction = given_
    try:
        design = whole.restrict(restriction)
    except RequestError:
        return
    names = list(design.config_space)
    rows = product(*(values_of(one) for one in design.config_space.values()))
    alive = Restriction(
        tuple(
            tuple({name: one for name, one in box.items() if name in names} for box in clause)
            for clause in restriction.clauses
        )
    )
    assert design.size() == sum(alive.allows(dict(zip(names, row, strict=True))) for row in rows)


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(st.data())
def test_restricting_twice_is_restricting_by_both(data):
    space = PlainSpace(data.draw(config_spaces()))
    one, other = data.draw(restrictions(space.config_space)), data.draw(restrictions(space.config_space))
    try:
        both = space.restrict(one & other)
    except RequestError:
        with pytest.raises(RequestError):
            space.restrict(one).restrict(other)
        return
    twice = space.restrict(one).restrict(other)
    assert keys(twice.enumerate()) == keys(both.enumerate())
    assert twice.whole is space
    assert twice.restriction.says_the_same(both.restriction)
    assert (one & one).says_the_same(one)


@given(st.data())
def test_json_and_yaml_say_the_same(data):
    restriction = data.draw(restrictions(data.draw(config_spaces(endless=True))))
    for text in (
        json.loads(json.dumps(restriction.to_json())),
        yaml.safe_load(yaml.safe_dump(restriction.to_json(), sort_keys=False)),
    ):
        assert Restriction.from_json(text).says_the_same(restriction)
    assert bool(restriction) == bool(restriction.to_json())


@st.composite
def interchangeable(draw):
    """Equal hyperparameters, a group of permutations of them, and a restriction that all of these leave as it is."""
    number = draw(st.integers(2, 4))
    values = list(range(draw(st.integers(2, 3))))
    space = ConfigurationSpace(name="equal")
    space.add(*(Categorical(f"h{place}", values) for place in range(number)), Categorical("other", ["a", "b"]))
    names = [f"h{place}" for place in range(number)]
    everything = [dict(zip(names, order, strict=True)) for order in permutations(names)]
    generators = [draw(st.sampled_from(everything))]
    group = [dict(zip(names, names, strict=True))]
    while len(
        further := group + [one for g in generators for old in group if (one := chained(old, g)) not in group]
    ) > len(group):
        group = [one for place, one in enumerate(further) if one not in further[:place]]
    drawn = draw(restrictions(space))
    clauses = []
    for clause in drawn.clauses:  # a union over the group is symmetric
        images = [Restriction((clause,)).renamed(one).clauses[0] for one in group]
        clauses.append(tuple(box for image in images for box in image))
    symmetric = Restriction(tuple(clauses))
    return space, [one for one in group if any(name != other for name, other in one.items())], symmetric


def chained(first, second):
    return {name: second[other] for name, other in first.items()}


@settings(max_examples=80, deadline=None, phases=PHASES)
@given(interchangeable())
def test_orbits_are_counted_as_by_brute_force(given_):
    space, group, restriction = given_
    try:
        design = PlainSpace(space).restrict(restriction)
    except RequestError:
        return
    rows = (dict(zip(space, row, strict=True)) for row in product(*(values_of(one) for one in space.values())))
    allowed = [row for row in rows if restriction.allows(row)]
    orbits = {orbit_key(row, group) for row in allowed}
    assert count_orbits(design.config_space, design.restriction, group) == len(orbits)
    for one in group:
        unmoved = [row for row in allowed if {one.get(name, name): value for name, value in row.items()} == row]
        assert count(design.config_space, design.restriction, one) == len(unmoved)
        for row in allowed[:5]:
            assert orbit_key({one.get(name, name): value for name, value in row.items()}, group) == orbit_key(
                row, group
            )


# -- bad input --------------------------------------------------------------------------------------------------------


def plain():
    space = ConfigurationSpace(name="plain")
    space.add(Categorical("gate", ["through", "cutoff"]), Integer("depth", (1, 9)), Float("rate", (0.1, 1.0)))
    space.add(Categorical("size", ["s", "m", "l"], weights=[1, 2, 0]))
    return PlainSpace(space)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "must have the form"),
        ({"fixd": {}}, "did you mean 'fixed'"),
        ({"fixed": [1]}, "must have the form"),
        ({"fixed": {"depth": [1, 2]}}, "move it to 'narrowed'"),
        ({"fixed": {"depth": {"min": 1, "max": 2}}}, "move it to 'narrowed'"),
        ({"narrowed": {"depth": []}}, "a value, a list of values or"),
        ({"narrowed": {"depth": [[1]]}}, "a value, a list of values or"),
        ({"narrowed": {"depth": {"min": 1}}}, "with min <= max"),
        ({"narrowed": {"depth": {"min": 3, "max": 1}}}, "with min <= max"),
        ({"narrowed": {"depth": {"min": True, "max": 2}}}, "with min <= max"),
        ({"narrowed": {"depth": {"min": float("nan"), "max": 2}}}, "with min <= max"),
        ({"narrowed": {"depth": {"min": 1, "max": 2, "step": 1}}}, "with min <= max"),
        ({"any_of": 5}, "must have the form"),
        ({"any_of": "gate"}, "must have the form"),
        ({"any_of": [{"gate": "through"}]}, "must have the form"),
        ({"any_of": [[]]}, "must have the form"),
        ({"any_of": [["gate"]]}, "must have the form"),
        ({"any_of": [[{}]]}, "must have the form"),
        ({"fixed": {"gat": "through"}}, "did you mean 'gate'"),
        ({"any_of": [[{"gat": "through"}, {"depth": 1}]]}, "did you mean 'gate'"),
        ({"fixed": {"gate": "trough"}}, "did you mean 'through'"),
        ({"fixed": {"gate": True}}, "unknown value of gate"),
        ({"fixed": {"depth": 10}}, "goes from 1 to 9 and got 10"),
        ({"fixed": {"depth": True}}, "goes from 1 to 9 and got True"),
        ({"fixed": {"rate": float("nan")}}, "goes from 0.1 to 1 and got nan"),
        ({"narrowed": {"depth": {"min": 20, "max": 30}}}, "goes from 1 to 9 and got 20 to 30"),
        ({"narrowed": {"rate": {"min": 0, "max": 0.5}}}, "rate goes from 0.1 to 1 and got 0 to 0.5"),
        ({"fixed": {"rate": "0.5"}}, "must give numbers for rate, but got the text '0.5'"),
        ({"fixed": {"depth": 2.5}}, "must give whole numbers for depth, but got 2.5"),
        ({"any_of": [[{"depth": 2}, {"depth": [2.5, 3]}]]}, "must give whole numbers for depth, but got 2.5"),
        ({"narrowed": {"size": ["l"]}}, "of size it leaves l, of weight 0"),
        ({"narrowed": {"depth": {"min": 1.2, "max": 1.8}}}, "it leaves nothing with 1.2 to 1.8"),
        ({"fixed": {"gate": "cutoff"}, "any_of": [[{"gate": "through"}]]}, "it leaves nothing with through"),
        ({"any_of": [[{"gate": "through", "depth": 1}, {"gate": "cutoff", "depth": 2}], [{"depth": 1}],
                     [{"gate": "cutoff"}]]}, "it leaves none"),
    ],
)  # fmt: skip
def test_what_means_nothing_or_leaves_nothing_is_refused(data, words):
    with pytest.raises(RequestError, match=words.replace("(", r"\(")):
        plain().restrict(Restriction.from_json(data))


def test_nothing_restricts_nothing():
    whole = plain()
    for data in ({}, {"fixed": {}, "narrowed": None, "any_of": []}):
        assert not Restriction.from_json(data)
        assert whole.restrict(Restriction.from_json(data)) is whole
    assert whole.whole is whole
    assert str(whole.restriction) == "none"


def test_a_restriction_reads_like_what_it_says():
    data = {
        "fixed": {"gate": "through"},
        "narrowed": {"depth": [2, 4], "rate": {"min": 0.2, "max": 0.5}},
        "any_of": [[{"depth": 2, "rate": 0.2}, {"depth": 4}]],
    }
    restriction = Restriction.from_json(data)
    assert restriction.to_json() == data
    text = "gate = through; depth = 2 | 4; rate = 0.2 to 0.5; depth = 2, rate = 0.2 or depth = 4"
    assert str(restriction) == text
    assert restriction.names == {"gate", "depth", "rate"}


def test_a_choice_among_boxes_narrows_what_all_of_them_name():
    boxes = ({"depth": (2,), "rate": Range(0.2, 0.3), "gate": ("through",)}, {"depth": (4,), "rate": (0.8,)})
    left = plain().restrict(Restriction((boxes,))).config_space
    assert values_of(left["depth"]) == [2, 4]
    assert (left["rate"].lower, left["rate"].upper) == (0.2, 0.8)
    assert values_of(left["gate"]) == ["through", "cutoff"]


def test_the_order_of_an_ordinal_stays_what_a_condition_goes_by():
    space = ConfigurationSpace()
    size, extra = OrdinalHyperparameter("size", [32, 8, 64, 16]), Integer("extra", (1, 2))
    space.add(size, extra, GreaterThanCondition(extra, size, 8))
    design = PlainSpace(space).restrict(Restriction.from_json({"narrowed": {"size": [32, 64, 16]}}))
    assert {one["size"] for one in design.enumerate() if "extra" in one} == {64, 16}


def test_forbidden_clauses_hold_though_their_default_would_be_forbidden():
    space = ConfigurationSpace()
    gate, depth = Categorical("gate", ["a", "b"]), Integer("depth", (1, 3), default=1)
    space.add(gate, depth)
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(gate, "b"), ForbiddenEqualsClause(depth, 1)))
    design = PlainSpace(space).restrict(Restriction.fix(gate="b"))
    assert sorted(one["depth"] for one in design.enumerate()) == [2, 3]
    assert "forbidden" in design.violation({"gate": "b", "depth": 1})
    with pytest.raises(RequestError, match="it leaves none"):
        PlainSpace(space).restrict(Restriction.fix(gate="b", depth=1))
