"""The choice of a category from a table of areas."""

from dataclasses import replace

import pytest

from automl_core.errors import RequestError
from automl_refine.areas import AreaTable, Row
from automl_refine.categories import categories
from automl_refine.choosing import choose
from automl_spaces.ktg import KTGSpace

# Iwata et al., table II, in percent. The names of its last two blocks are exchanged here: that of six rows is printed
# as the edge from label to target, of which there is one, and so cannot have six.
NODES = "auxiliary node"
TO_AUXILIARY = "edge from label to auxiliary"
TO_TARGET = "edge from auxiliary to target"
LABEL = "edge from label to target"
THROUGH, CUTOFF, LINEAR = "through & through", "cutoff & cutoff", "linear & linear"
MIXED_GATES = ("through & linear", "through & cutoff", "cutoff & linear")
GATES = (THROUGH, CUTOFF, LINEAR, *MIXED_GATES)
WIDE = "wrn-28-2 & wrn-28-2"


def column(nodes=(), to_auxiliary=(), to_target=(), label=()):
    return {
        NODES: dict(zip(("resnet32 & resnet32", "resnet32 & wrn-28-2", WIDE), nodes, strict=False)),
        TO_AUXILIARY: dict(zip(GATES, to_auxiliary, strict=False)),
        TO_TARGET: dict(zip(GATES, to_target, strict=False)),
        LABEL: dict(zip(("through", "cutoff", "linear"), label, strict=False)),
    }


PUBLISHED = {
    "A": column(
        nodes=(68.80, 69.75, 70.74),
        to_auxiliary=(70.70, 69.35, 70.10, 70.64, 69.58, 68.58),
        to_target=(69.86, 69.61, 70.52, 69.98, 69.66, 69.67),
        label=(70.70, 67.67, 70.56),
    ),
    "B": column(
        to_auxiliary=(71.69, 69.62, 70.94, 71.44, 70.81, 68.84),
        to_target=(70.86, 69.62, 71.28, 70.80, 70.74, 69.76),
        label=(71.15, 68.63, 71.08),
    ),
    "C": column(to_target=(72.07, 69.61, 72.12, 72.11, 71.52, 71.23), label=(71.38, 71.47, 71.73)),
}


def space():
    return KTGSpace(models=("resnet32", "wrn-28-2"), gates=("through", "cutoff", "linear"))


def table(areas, trials=100, intervals=None):
    """Builds a table of areas by condition and category; ``trials`` and ``intervals`` by category where they differ."""
    own = space()
    conditions = []
    for condition in own.conditions():
        rows = []
        for category in categories(own, condition):
            if category.label in areas.get(condition.label, {}):
                value = areas[condition.label][category.label]
                count = trials if isinstance(trials, int) else trials.get(category.label, 100)
                interval = (intervals or {}).get(category.label, (value - 0.1, value + 0.1))
                rows.append(Row(category, count, count, value, interval))
        conditions.append((condition, tuple(rows)))
    return AreaTable(tuple(conditions), (0.0, 100.0), 2_500, {}, None, None, 0.95)


@pytest.mark.parametrize(
    ("step", "condition", "category", "area"),
    [("A", NODES, WIDE, 70.74), ("B", TO_AUXILIARY, THROUGH, 71.69), ("C", TO_TARGET, LINEAR, 72.12)],
)
def test_the_published_table_gives_the_published_choices(step, condition, category, area):
    given = table(PUBLISHED[step])
    assert sum(1 for _ in given.rows()) == {"A": 18, "B": 15, "C": 9}[step]
    verdict = choose(given, "auc")
    assert (verdict.condition.label, verdict.row.category.label, verdict.row.area) == (condition, category, area)
    assert verdict.reason == f"'{category}' of '{condition}' has the largest area, {area}"


@pytest.mark.parametrize("order", [(TO_AUXILIARY, LABEL, TO_TARGET), (LABEL, TO_AUXILIARY), (TO_TARGET, LABEL)])
def test_ties_go_to_the_condition_and_category_listed_first(order):
    areas = {label: {"through": 70.0, "cutoff": 70.0, "linear": 60.0, THROUGH: 70.0, CUTOFF: 70.0} for label in order}
    first = next(one.label for one in space().conditions() if one.label in order)
    verdict = choose(table(areas), "auc")
    assert verdict.condition.label == first
    assert verdict.row.category.label == ("through" if first == LABEL else THROUGH)


def test_small_groups_do_not_count():
    found = choose(table(PUBLISHED["A"], {WIDE: 29, "through": 29}), "auc")
    assert (found.condition.label, found.row.category.label) == (TO_AUXILIARY, THROUGH)
    assert choose(table(PUBLISHED["A"], {WIDE: 29}), "auc", min_group=29).row.category.label == WIDE


@pytest.mark.parametrize("rule", ["auc", "separated"])
def test_a_category_without_another_to_hold_it_against_is_not_chosen(rule):
    areas = {NODES: {WIDE: 90.0, "resnet32 & resnet32": 95.0}, LABEL: {"through": 70.0, "cutoff": 60.0}}
    found = choose(table(areas, {WIDE: 5}), rule)
    assert (found.condition.label, found.row.category.label) == (LABEL, "through")
    alone = choose(table({NODES: {WIDE: 90.0}}), rule)
    assert (alone.row, alone.condition, alone.reason) == (
        None,
        None,
        "no condition has two categories to choose between",
    )


@pytest.mark.parametrize("rule", ["auc", "separated"])
def test_too_few_trials_are_told_with_the_least_number(rule):
    found = choose(table(PUBLISHED["A"], 12), rule)
    assert (found.row, found.condition) == (None, None)
    assert found.reason == (
        "no condition has two categories of at least 30 trials; the second largest category of any condition has 12"
    )


def test_a_row_of_nobody_is_not_compared():
    given = table(PUBLISHED["A"])
    condition, rows = given.conditions[0]
    empty = tuple(replace(row, trials=0, distinct=0, area=None, interval=None) for row in rows)
    found = choose(replace(given, conditions=((condition, empty), *given.conditions[1:])), "separated", min_group=1)
    assert found.condition.label == TO_AUXILIARY


# -- separate intervals ------------------------------------------------------------------------------------------------


def test_an_interval_above_all_others_of_its_condition_is_enough():
    found = choose(table(PUBLISHED["A"], intervals={"through": (70.0, 99.0)}), "separated")
    assert found.row.category.label == WIDE, "other conditions may overlap"
    assert found.reason.endswith(
        "has the largest area, 70.74, and its interval 70.64 to 70.84 lies above those of all others"
    )


def test_intervals_that_overlap_are_named():
    found = choose(table(PUBLISHED["A"], intervals={"resnet32 & wrn-28-2": (69.2, 70.7)}), "separated")
    assert (found.row, found.condition.label) == (None, NODES)
    assert found.reason == (
        "'wrn-28-2 & wrn-28-2' of 'auxiliary node' has the largest area, 70.74, but its interval 70.64 to 70.84 does "
        "not lie above that of 'resnet32 & wrn-28-2', 69.2 to 70.7"
    )


def test_ends_that_touch_are_not_separate():
    assert choose(table(PUBLISHED["A"], intervals={"resnet32 & wrn-28-2": (69.0, 70.64)}), "separated").row is None


def test_the_other_that_reaches_highest_is_named():
    intervals = {"resnet32 & wrn-28-2": (69.2, 70.7), "resnet32 & resnet32": (60.0, 75.0)}
    assert (
        "that of 'resnet32 & resnet32', 60 to 75"
        in choose(table(PUBLISHED["A"], intervals=intervals), "separated").reason
    )


def test_small_groups_need_not_be_separate():
    overlapping = {"resnet32 & wrn-28-2": (60.0, 80.0)}
    found = choose(table(PUBLISHED["A"], {"resnet32 & wrn-28-2": 29}, overlapping), "separated")
    assert found.row.category.label == WIDE


def with_one_training(category, area):
    areas = {**PUBLISHED["A"], NODES: {**PUBLISHED["A"][NODES], category: area}}
    given = table(areas, intervals={category: None})
    condition, rows = given.conditions[0]
    rows = tuple(replace(row, distinct=1) if row.category.label == category else row for row in rows)
    return replace(given, conditions=((condition, rows), *given.conditions[1:]))


@pytest.mark.parametrize("rule", ["auc", "separated"])
def test_a_single_training_is_never_taken(rule):
    found = choose(with_one_training(WIDE, 70.74), rule)
    assert found.condition.label != NODES
    assert found.row is None or found.row.category.label != WIDE


def test_others_that_are_a_single_training_are_passed_by_their_area():
    assert choose(with_one_training("resnet32 & resnet32", 70.6), "separated").row.category.label == WIDE
    found = choose(with_one_training("resnet32 & resnet32", 70.7), "separated")
    assert found.row is None
    assert found.reason.endswith("its interval 70.64 to 70.84 does not lie above that of 'resnet32 & resnet32', 70.7")


def test_wrong_requests_are_refused():
    with pytest.raises(RequestError, match="unknown rule of choosing 'acu'; did you mean 'auc'"):
        choose(table(PUBLISHED["A"]), "acu")
    with pytest.raises(RequestError, match="1 trial at least, but min_group is 0; pass --min-group 1 or more"):
        choose(table(PUBLISHED["A"]), "auc", 0)
