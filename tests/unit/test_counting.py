"""The published spaces' sizes, raw and up to exchanging auxiliaries: by enumeration, and by closed forms."""

from itertools import islice, product

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

from automl_core.counting import OrbitKeys, count, orbit_key
from automl_core.functions import PlainSpace
from automl_core.restricting import Range, Restriction
from automl_core.sampling import RandomSampler, raw_draws
from automl_spaces.ktg import KTGSpace

STEPS = {
    "A": {},
    "B": {"model_2": "wrn-28-2", "model_3": "wrn-28-2"},
    "C": {"gate_label_2": "through", "gate_label_3": "through"},
    "X": {"gate_2_1": "linear", "gate_3_1": "linear"},
}
RAW = {"A": 78_732, "B": 19_683, "C": 2_187, "X": 243}
ORBITS = {"A": 39_609, "B": 9_963, "C": 1_134, "X": 135}
SELF_SYMMETRIC = {"A": 486, "B": 243, "C": 81, "X": 27}
PRINTED = {"A": 39_366, "B": 9_842, "C": 1_094, "X": 121}
"""As published: raw / 2, rounded up for B and C, down for X."""
VALID_ORBITS = {"A": 38_124, "B": 9_585, "C": 1_089, "X": 135}

V7 = (
    {"model_2": "resnet32", "model_3": "wrn-28-2", "gate_label_1": "through", "gate_label_2": "through",
     "gate_label_3": "cutoff", "gate_2_1": "linear", "gate_3_1": "cutoff", "gate_1_2": "through",
     "gate_1_3": "linear", "gate_2_3": "cutoff", "gate_3_2": "through"},
    {"model_2": "wrn-28-2", "model_3": "resnet32", "gate_label_1": "through", "gate_label_2": "cutoff",
     "gate_label_3": "through", "gate_2_1": "cutoff", "gate_3_1": "linear", "gate_1_2": "linear",
     "gate_1_3": "through", "gate_2_3": "through", "gate_3_2": "cutoff"},
)  # fmt: skip
"""One graph, written in two ways."""


def published(**values):
    whole = KTGSpace(3, "resnet32", ("resnet32", "wrn-28-2"), ("through", "cutoff", "linear"))
    return whole.restrict(Restriction.fix(**values))


def space_of(letter):
    values = {}
    for one, further in STEPS.items():
        values |= further
        if one == letter:
            return published(**values)
    raise AssertionError(letter)


@pytest.mark.parametrize("letter", STEPS)
def test_published_spaces_count_as_by_burnside(letter):
    space = space_of(letter)
    (swap,) = space.symmetries()
    assert space.size() == RAW[letter]
    assert space.orbits() == ORBITS[letter]
    assert count(space.config_space, space.restriction, swap) == SELF_SYMMETRIC[letter]
    assert RAW[letter] // 2 <= PRINTED[letter] <= (RAW[letter] + 1) // 2
    assert PRINTED[letter] == RAW[letter] // 2 + (letter in "BC")


def test_the_published_ratio_is_of_half_a_graph_more():
    assert RAW["A"] / RAW["X"] == 324
    assert PRINTED["A"] / (PRINTED["X"] + 1) == pytest.approx(19_683 / 61)


@pytest.mark.parametrize("letter", ["C", "X"])
def test_orbits_by_enumeration(letter):
    space = space_of(letter)
    group = space.symmetries()
    raw = raw_of(space)
    assert len(raw) == RAW[letter]
    assert len({orbit_key(one, group) for one in raw}) == ORBITS[letter]
    valid = [one for one in raw if space.violation(one) is None]
    assert len({orbit_key(one, group) for one in valid}) == VALID_ORBITS[letter]


def raw_of(space):
    names = list(space.config_space)
    rows = product(*(one.choices for one in space.config_space.values()))
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_all_of_the_widest_space_by_brute_force():
    space = space_of("A")
    (swap,) = space.symmetries()
    names = list(space.config_space)
    position = {name: place for place, name in enumerate(names)}
    mirror = [position[swap.get(name, name)] for name in names]
    rows = set(product(*(one.choices for one in space.config_space.values())))
    orbits = {min(row, tuple([row[place] for place in mirror])) for row in rows}
    assert (len(rows), len(orbits)) == (RAW["A"], ORBITS["A"])
    for letter in STEPS:
        design = space_of(letter)
        allowed = [
            row
            for row in orbits
            if any(row[position[name]] != "cutoff" for name in ("gate_label_1", "gate_2_1", "gate_3_1"))
            and design.restriction.allows(dict(zip(names, row, strict=True)))
        ]
        assert len(allowed) == VALID_ORBITS[letter]


def test_three_models_and_four_gates():
    space = KTGSpace(3)
    assert space.size() == 2_359_296  # published as its half, 1,179,648
    assert space.orbits() == 1_181_184
    assert space.size() // 2 == 1_179_648


def test_two_forms_of_one_graph():
    space = published()
    group = space.symmetries()
    one, other = V7
    assert one != other
    assert orbit_key(one, group) == orbit_key(other, group)
    assert space.canonical(one) == space.canonical(other)
    assert orbit_key({**one, "gate_2_3": "through"}, group) != orbit_key(one, group)


def test_choices_of_pairs_that_differ_are_counted_as_unions():
    ways = ("through", "linear"), ("linear", "through")
    boxes = tuple({"gate_label_2": (one,), "gate_label_3": (other,)} for one, other in ways)
    space = published().restrict(Restriction((boxes,)))
    assert space.size() == 78_732 * 2 // 9
    assert space.orbits() == space.size() // 2, "each is one of its two orders"
    assert len(space.symmetries()) == 1


def test_symmetries_are_those_that_keep_what_is_left():
    assert published(model_2="wrn-28-2").symmetries() == []
    twice = published(model_2="wrn-28-2").restrict(Restriction.fix(model_3="wrn-28-2"))
    assert len(twice.symmetries()) == 1, "in whatever order it was written"
    wordy = Restriction((({"gate_label_2": ("through", "linear", "cutoff")},),)) & Restriction.fix(
        gate_label_1="linear"
    )
    assert len(published().restrict(wordy).symmetries()) == 1, "what allows everything breaks nothing"


def test_seven_nodes_are_counted():
    whole = KTGSpace(7)
    equal = whole.restrict(Restriction.fix(**{f"model_{number}": "wrn-28-2" for number in range(2, 8)}))
    for space in (whole, equal):
        assert len(space.symmetries()) == 719
        assert space.size() / 720 < space.orbits() < space.size() / 719


def test_keys_made_from_one_table_are_those_of_all_twins():
    space = KTGSpace(7)
    group = space.symmetries()
    keys = OrbitKeys(group)
    for configuration in islice(raw_draws(space.config_space, 0), 5):
        part = {name: value for name, value in configuration.items() if name != "model_3"}  # inactive somewhere
        for one in (configuration, part):
            twins = [{turn.get(name, name): value for name, value in one.items()} for turn in group[::100]]
            assert {keys(twin) for twin in twins} == {keys(one)} == {orbit_key(one, group)}
        assert keys(part) != keys(configuration)
    assert OrbitKeys([])({"a": 1}) == OrbitKeys([])({"a": 1}) != OrbitKeys([])({"a": 2})


def test_infinite_spaces_have_no_size():
    space = ConfigurationSpace()
    space.add(Float("rate", (0.1, 1.0)), Integer("depth", (1, 4)))
    whole = PlainSpace(space)
    assert (whole.size(), whole.orbits()) == (None, None)
    few = whole.restrict(Restriction((({"rate": (0.1, 0.5)},),)))
    assert (few.size(), few.orbits()) == (8, 8)
    assert whole.restrict(Restriction((({"rate": Range(0.2, 0.3)},),))).size() is None


def test_large_ranges_with_a_choice_among_boxes_are_counted():
    space = ConfigurationSpace()
    space.add(*(Integer(f"n{place}", (1, 1000)) for place in range(4)))
    halves = tuple({f"n{place}": Range(1, 500) for place in range(4)} for _ in range(1))
    others = ({f"n{place}": Range(501, 1000) for place in range(4)},)
    design = PlainSpace(space).restrict(Restriction((halves + others,)))
    assert design.size() == 2 * 500**4


def test_clauses_that_share_no_hyperparameter_multiply():
    space = ConfigurationSpace()
    space.add(*(Categorical(f"c{place}", [0, 1, 2]) for place in range(6)))
    clauses = tuple(
        ({f"c{place}": (0,), f"c{place + 1}": (1, 2)}, {f"c{place}": (1,), f"c{place + 1}": (0,)})
        for place in (0, 2, 4)
    )
    assert PlainSpace(space).restrict(Restriction(clauses)).size() == 3**3


def test_what_can_never_be_active_is_not_counted():
    space = ConfigurationSpace()
    kind, depth, width = Categorical("kind", ["a", "b"]), Integer("depth", (1, 5)), Integer("width", (1, 7))
    space.add(kind, depth, width, EqualsCondition(depth, kind, "a"), EqualsCondition(width, depth, 2))
    design = PlainSpace(space).restrict(Restriction.fix(kind="b"))
    assert list(design.config_space) == ["kind"]
    assert design.size() == 1
    assert RandomSampler(design, 0).draw() == {"kind": "b"}
