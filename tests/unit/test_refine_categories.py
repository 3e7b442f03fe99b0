"""Categories of conditions: what there is to choose between."""

import math
from itertools import islice, product

import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    Integer,
    NormalFloatHyperparameter,
    OrdinalHyperparameter,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.functions import PlainSpace
from automl_core.restricting import Condition, Range, Restriction
from automl_core.sampling import raw_draws
from automl_refine.categories import Category, categories, check_condition, choices_of, parse_conditions
from automl_spaces.ktg import KTGSpace
from automl_spaces.nas_bench_201 import NASBench201Space


def published_space(nodes=3):
    return KTGSpace(nodes, models=("resnet32", "wrn-28-2"), gates=("through", "cutoff", "linear"))


def mixed_space():
    """All kinds of hyperparameters, one of them active now and then."""
    space = ConfigurationSpace(name="mixed")
    kind = Categorical("kind", ["sgd", "adam"])
    momentum = Float("momentum", (0.5, 0.99))
    space.add(
        kind,
        momentum,
        Float("rate", (1e-4, 1.0), log=True),
        NormalFloatHyperparameter("shift", mu=0.0, sigma=1.0, lower=-3.0, upper=2.0),
        Integer("depth", (1, 10)),
        Integer("width", (8, 512), log=True),
        OrdinalHyperparameter("batch", [2**power for power in range(12)]),
        Categorical("flip", [True, False]),
        Constant("threads", 1),
    )
    space.add(EqualsCondition(momentum, kind, "sgd"))
    return PlainSpace(space)


ONE_OF_EACH = ("through", "linear"), ("linear", "through")
MIXED = Restriction((tuple({"gate_label_2": (one,), "gate_label_3": (other,)} for one, other in ONE_OF_EACH),))
SPACES = {
    "graphs": published_space(),
    "graphs of four": published_space(4),
    "wide auxiliaries": published_space().restrict(Restriction.fix(model_2="wrn-28-2", model_3="wrn-28-2")),
    "one of each gate": published_space().restrict(MIXED),
    "no swap": published_space().restrict(Restriction.fix(gate_label_2="through")),
    "cells": NASBench201Space(),
    "mixed": mixed_space(),
    "narrowed": mixed_space().restrict(
        Restriction((({"rate": Range(0.01, 0.1)},), ({"width": Range(100, 104)},), ({"batch": (1, 8, 64)},)))
    ),
}


def labels(space, condition):
    return [category.label for category in categories(space, condition)]


def test_the_published_table_has_eighteen_rows():
    space = published_space()
    gates = [
        "through & through", "cutoff & cutoff", "linear & linear",
        "through & cutoff", "through & linear", "cutoff & linear",
    ]  # fmt: skip
    assert {condition.label: labels(space, condition) for condition in space.conditions()} == {
        "auxiliary node": ["resnet32 & resnet32", "wrn-28-2 & wrn-28-2", "resnet32 & wrn-28-2"],
        "edge from label to auxiliary": gates,
        "edge from label to target": ["through", "cutoff", "linear"],
        "edge from auxiliary to target": gates,
    }


ONE_WAY = {
    "model_2": "resnet32", "model_3": "wrn-28-2", "gate_label_1": "linear", "gate_label_2": "through",
    "gate_label_3": "cutoff", "gate_2_1": "linear", "gate_3_1": "cutoff", "gate_1_2": "through", "gate_1_3": "linear",
    "gate_2_3": "cutoff", "gate_3_2": "through",
}  # fmt: skip
OTHER_WAY = {
    "model_2": "wrn-28-2", "model_3": "resnet32", "gate_label_1": "linear", "gate_label_2": "cutoff",
    "gate_label_3": "through", "gate_2_1": "cutoff", "gate_3_1": "linear", "gate_1_2": "linear", "gate_1_3": "through",
    "gate_2_3": "through", "gate_3_2": "cutoff",
}  # fmt: skip


@pytest.mark.parametrize("configuration", [ONE_WAY, OTHER_WAY])
def test_both_forms_of_a_graph_are_of_the_same_categories(configuration):
    space = published_space()
    found = [
        [one.label for one in categories(space, condition) if one.holds(configuration)]
        for condition in space.conditions()
    ]
    assert found == [["resnet32 & wrn-28-2"], ["through & cutoff"], ["linear"], ["cutoff & linear"]]


def of_a_space(data):
    space = SPACES[data.draw(st.sampled_from(sorted(SPACES)))]
    condition = data.draw(st.sampled_from(list(space.conditions())))
    configurations = list(islice(raw_draws(space.config_space, data.draw(st.integers(0, 99))), 25))
    return space, condition, [one for one in configurations if space.violation(one) is None]


@settings(max_examples=40)
@given(st.data())
def test_each_configuration_is_of_one_category(data):
    space, condition, configurations = of_a_space(data)
    found = categories(space, condition)
    assert len({category.label for category in found}) == len(found)
    for configuration in configurations:
        active = all(name in configuration for name in condition.names)
        assert sum(category.holds(configuration) for category in found) == (1 if active else 0)


@settings(max_examples=40)
@given(st.data())
def test_a_category_restricts_to_what_is_of_it(data):
    space, condition, configurations = of_a_space(data)
    for category in categories(space, condition):
        assert Restriction.from_json(category.restriction.to_json()).says_the_same(category.restriction)
        for configuration in configurations:
            if all(name in configuration for name in condition.names):
                assert category.restriction.allows(configuration) == category.holds(configuration)


@settings(max_examples=40)
@given(st.data())
def test_what_changes_places_changes_no_category(data):
    space, condition, configurations = of_a_space(data)
    for symmetry in space.symmetries():
        for configuration in configurations[:5]:
            turned = {symmetry.get(name, name): value for name, value in configuration.items()}
            for category in categories(space, condition):
                assert category.holds(configuration) == category.holds(turned)


def test_no_product_is_forgotten():
    space = published_space(4)
    condition = space.conditions()[1]
    found = categories(space, condition)
    assert len(found) == math.comb(5, 3)  # multisets of three out of three gates
    boxes = [tuple(one[name][0] for name in condition.names) for category in found for one in category.boxes]
    assert sorted(boxes) == sorted(product(space.gates, repeat=3))
    assert labels(space, condition)[:4] == [
        "through & through & through", "cutoff & cutoff & cutoff", "linear & linear & linear",
        "through & through & cutoff",
    ]  # fmt: skip


def test_equal_values_are_fixed_and_mixed_ones_leave_both_orders():
    space = published_space()
    equal, *_, mixed = categories(space, space.conditions()[1])
    assert equal.restriction.to_json() == {"fixed": {"gate_label_2": "through", "gate_label_3": "through"}}
    assert mixed.label == "cutoff & linear"
    assert mixed.restriction.to_json() == {
        "any_of": [
            [
                {"gate_label_2": "cutoff", "gate_label_3": "linear"},
                {"gate_label_2": "linear", "gate_label_3": "cutoff"},
            ]
        ]
    }
    assert space.restrict(mixed.restriction).size() == space.size() * 2 // 9


def test_a_category_can_be_fixed_in_a_space_and_is_then_all_that_is_left():
    space = published_space()
    for condition in space.conditions():
        for category in categories(space, condition):
            design = space.restrict(category.restriction)
            assert [(one.label, one.boxes) for one in categories(design, condition)] == [
                (category.label, category.boxes)
            ]


def test_what_is_fixed_has_one_value_and_what_is_never_active_none():
    assert labels(SPACES["wide auxiliaries"], published_space().conditions()[0]) == ["wrn-28-2 & wrn-28-2"]
    adam = mixed_space().restrict(Restriction.fix(kind="adam"))
    assert categories(adam, Condition("momentum", ("momentum",))) == []
    assert labels(adam, Condition("threads", ("threads",))) == ["1"]


def test_of_two_different_hyperparameters_the_order_matters():
    found = labels(NASBench201Space(), Condition("two", ("edge_0_1", "edge_0_2")))
    assert len(found) == 25
    assert found[:6] == [
        "none & none", "skip_connect & skip_connect", "nor_conv_1x1 & nor_conv_1x1", "nor_conv_3x3 & nor_conv_3x3",
        "avg_pool_3x3 & avg_pool_3x3", "none & skip_connect",
    ]  # fmt: skip
    assert "skip_connect & none" in found


def test_numbers_with_more_than_ten_values_are_cut_into_four():
    space = mixed_space().config_space
    assert choices_of(space["depth"]) == [(value,) for value in range(1, 11)]
    assert choices_of(space["width"]) == [Range(8, 22), Range(23, 64), Range(65, 181), Range(182, 512)]
    assert choices_of(space["batch"]) == [Range(1, 4), Range(8, 32), Range(64, 256), Range(512, 2048)]
    assert choices_of(space["flip"]) == [(True,), (False,)]
    rates = choices_of(space["rate"])
    assert [one.high for one in rates] == pytest.approx([1e-3, 1e-2, 1e-1, 1.0])
    assert [one.low for one in rates[1:]] == [math.nextafter(one.high, 2.0) for one in rates[:-1]]
    assert labels(mixed_space(), Condition("rate", ("rate",))) == [
        "0.0001 to 0.001", "0.001 to 0.01", "0.01 to 0.1", "0.1 to 1",
    ]  # fmt: skip


@given(st.integers(-50, 50), st.integers(0, 60), st.booleans())
def test_ranges_of_whole_numbers_hold_each_of_them_once(low, width, log):
    low = abs(low) + 1 if log else low
    found = choices_of(Integer("n", (low, low + width + 1), log=log))
    for value in range(low, low + width + 2):
        assert sum(value in one for one in found) == 1


@given(st.floats(0.001, 1.0), st.floats(0.001, 0.999))
def test_ranges_of_numbers_are_equally_probable(low, share):
    number = Float("x", (low, low + 1.0))
    found = choices_of(number)
    value = float(number.to_value(share))
    place = next(place for place, one in enumerate(found) if value in one)
    assert len(found) == 4
    assert place <= 4 * share + 1e-9 and 4 * share - 1e-9 <= place + 1


def test_values_that_read_the_same_are_told_apart():
    space = PlainSpace(ConfigurationSpace({"x": [1, "1"]}))
    assert labels(space, Condition("x", ("x",))) == ["(1,)", "('1',)"]


# -- conditions by name ------------------------------------------------------------------------------------------------


def test_conditions_are_found_by_label_hyperparameter_or_group():
    space = published_space()
    own = space.conditions()
    found = parse_conditions(space, ["edge from label to target", "gate_2_3+gate_3_2", "gate_3_1 + gate_2_1"])
    assert found == [own[2], Condition("gate_2_3 & gate_3_2", ("gate_2_3", "gate_3_2")), own[3]]
    assert parse_conditions(space, ["gate_label_1", "edge from label to target"]) == [own[2]]
    assert parse_conditions(space, []) == own
    twice = parse_conditions(space, ["gate_2_3+gate_3_2", "gate_label_1", "gate_3_2+gate_2_3"])
    assert [one.names for one in twice] == [("gate_2_3", "gate_3_2"), ("gate_label_1",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("edge from lable to target", "unknown condition of space 'ktg' .*did you mean 'edge from label to target'"),
        ("gate_lable_1", "unknown condition of space 'ktg' 'gate_lable_1'; did you mean 'gate_label_1'"),
        ("model_2+modle_3", "unknown hyperparameter of space 'ktg' in condition 'model_2.modle_3' 'modle_3'; did you"),
        ("gate_label_1+gate_label_1", "each once, but 'gate_label_1 & gate_label_1' names gate_label_1, gate_label_1"),
        ("gate_label_3", "names gate_label_3 alone; take gate_label_2.gate_label_3$"),
        ("model_2+gate_2_1", "names model_2, gate_2_1 alone; take gate_2_1.gate_3_1.model_2.model_3$"),
    ],
)
def test_wrong_conditions_are_refused_with_the_way_out(text, message):
    with pytest.raises(RequestError, match=message):
        parse_conditions(published_space(), [text])


def test_what_is_proposed_instead_works():
    space = published_space()
    (condition,) = parse_conditions(space, ["model_2+model_3+gate_2_1+gate_3_1"])
    found = categories(space, condition)
    assert len(found) == (36 + 6) // 2  # orbits of 4 * 9 assignments, 2 * 3 of which are their own mirror image
    assert "resnet32 & wrn-28-2 & through & linear" in [one.label for one in found]


def test_without_the_symmetry_single_auxiliaries_can_be_compared():
    assert labels(SPACES["no swap"], Condition("model_3", ("model_3",))) == ["resnet32", "wrn-28-2"]


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "must name hyperparameters, each once, but 'it' names none"), (("gate",), "unknown hyperparameter of space")],
)
def test_a_condition_must_name_what_the_space_has(names, message):
    with pytest.raises(RequestError, match=message):
        check_condition(published_space(), Condition("it", names))


def test_very_many_combinations_are_refused():
    space = PlainSpace(ConfigurationSpace({f"x{place}": list(range(20)) for place in range(4)}))
    condition = Condition("all", ("x0", "x1", "x2", "x3"))
    with pytest.raises(
        RequestError, match="at most 100000 combinations of values, but 'all' has 160000; compare fewer"
    ):
        categories(space, condition)


def test_a_category_holds_nothing_where_a_hyperparameter_is_inactive():
    category = Category(Condition("it", ("a", "b")), "1 & 2", ({"a": (1,), "b": (2,)},))
    assert category.holds({"a": 1, "b": 2})
    assert not category.holds({"a": 1}) and not category.holds({"a": 1, "b": 1}) and not category.holds({})
    assert not category.holds({"a": True, "b": 2})
