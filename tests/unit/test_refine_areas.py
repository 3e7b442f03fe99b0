"""Tables of areas, and what of a recorded study stands in them."""

import json
import math
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core import Study
from automl_core.engine.state import trial_key
from automl_core.errors import RequestError
from automl_core.hookspecs import hookimpl
from automl_core.plugins import Registry, use_registry
from automl_core.records import Workspace
from automl_core.restricting import Condition, Restriction
from automl_core.sampling import raw_draws
from automl_core.testing.doubles import ToyEvaluator, ToySpace
from automl_core.types import Objective
from automl_refine.areas import (
    Member,
    area_table,
    check_floor,
    error_of,
    floor_of,
    members_of,
    span_of,
)
from automl_refine.categories import parse_conditions
from automl_refine.edf import Bootstrap, area
from automl_spaces.ktg import KTGSpace

ACCURACY = Objective("accuracy", "max")
LOSS = Objective("loss", "min")


def published_space():
    return KTGSpace(models=("resnet32", "wrn-28-2"), gates=("through", "cutoff", "linear"))


def error(configuration):
    """Gives an error that is the same for graphs that are the same, and a few that nothing is known of."""
    wide = sum(configuration[name] == "wrn-28-2" for name in ("model_2", "model_3"))
    open_edges = sum(value != "cutoff" for value in configuration.values())
    return 35.0 - 2.0 * wide - 0.25 * open_edges


def members(space, count=300, seed=0):
    drawn = islice(raw_draws(space.config_space, seed), count)
    allowed = [one for one in drawn if space.violation(one) is None]
    return [
        Member(
            one,
            trial_key(space, one),
            None if place % 40 == 7 else error(one),
            place,
            "failed" if place % 40 == 7 else "",
        )
        for place, one in enumerate(allowed)
    ]


def test_a_table_has_all_rows_in_order_with_their_own_areas():
    space = published_space()
    mine = members(space)
    conditions = space.conditions()
    table = area_table(space, mine, conditions, seed=4)
    assert [condition for condition, _ in table.conditions] == conditions
    assert [len(rows) for _, rows in table.conditions] == [3, 6, 3, 6]
    counted = [member for member in mine if member.error is not None]
    bootstrap_of_others = area_table(space, mine, conditions[:1], seed=4)
    assert bootstrap_of_others.conditions == table.conditions[:1]
    for condition, row in table.rows():
        group = [member for member in counted if row.category.holds(member.configuration)]
        assert row.category.condition is condition
        assert row.trials == len(group) > 0
        assert row.distinct == len({member.key for member in group})
        assert row.area == area([member.error for member in group])
        assert row.interval[0] <= row.area <= row.interval[1]
    assert (table.span, table.trials, table.floor, table.level) == ((0.0, 100.0), len(counted), None, 0.95)
    assert table.left_out == {"failed": len(mine) - len(counted)}
    assert table.overall == area([member.error for member in counted])


def test_a_target_that_is_taught_by_labels_alone_is_one_training():
    space = published_space()
    table = area_table(space, members(space, 1_000), space.conditions())
    cut_off = next(row for row in table.conditions[3][1] if row.category.label == "cutoff & cutoff")
    assert cut_off.trials > 50
    assert cut_off.distinct <= 2, "whatever the auxiliaries do; the label's gate is through or linear"


@settings(max_examples=15)
@given(st.integers(0, 50), st.floats(0, 30), st.floats(31, 100))
def test_rows_of_a_condition_make_up_the_whole(seed, low, high):
    space = published_space()
    table = area_table(space, members(space, 80, seed), space.conditions(), span=(low, high), seed=seed)
    for _, rows in table.conditions:
        assert sum(row.trials for row in rows) == table.trials
        total = sum(row.trials * row.area for row in rows if row.area is not None)
        assert total / table.trials == pytest.approx(table.overall)
        assert all((row.area is None) == (row.trials == 0) for row in rows)
        assert all((row.interval is None) == (row.distinct < 2) for row in rows)


def test_a_table_is_the_same_again_and_plain_json():
    space = published_space()
    mine = members(space, 50)
    conditions = [*space.conditions(), *parse_conditions(space, ["gate_2_3+gate_3_2"])]
    table = area_table(space, mine, conditions, seed=1)
    assert area_table(space, mine, conditions, seed=1) == table
    assert area_table(space, mine, conditions, seed=2) != table
    document = table.to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [one["condition"] for one in document["conditions"]][-1] == "gate_2_3 & gate_3_2"
    first = document["conditions"][0]["categories"][0]
    assert first["restriction"] == {"fixed": {"model_2": "resnet32", "model_3": "resnet32"}}
    assert any(one["area"] is None for condition in document["conditions"] for one in condition["categories"]) is any(
        row.trials == 0 for _, row in table.rows()
    )


def test_intervals_are_those_of_one_bootstrap_of_all_trainings():
    space = ToySpace(2, 3)
    mine = [Member({"digit_1": place % 3, "digit_2": 0}, f"{place // 2}", float(place), place) for place in range(60)]
    table = area_table(space, mine, [Condition("pair", ("digit_1", "digit_2"))], seed=0)
    assert table.overall == 70.5
    low, high = Bootstrap([member.key for member in mine]).interval([member.error for member in mine], 0.0, 100.0)
    assert low < 70.5 < high
    assert any(row.interval is None and row.trials == 0 for _, row in table.rows())


def test_nothing_to_count_gives_an_empty_table():
    space = published_space()
    table = area_table(space, [Member({}, "a", None, 0, "diverged")], space.conditions())
    assert (table.trials, table.overall, table.left_out) == (0, None, {"diverged": 1})
    assert {(row.trials, row.area, row.interval) for _, row in table.rows()} == {(0, None, None)}


@pytest.mark.parametrize("span", [(3.0, 3.0), (10.0, 1.0), (math.nan, 1.0)])
def test_a_span_that_holds_nothing_is_refused_before_anything_else(span):
    with pytest.raises(RequestError, match="from a finite number to a larger one"):
        area_table(published_space(), [], [], span=span)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "expected"), [(0.0, 100.0), (0.75, 25.0), (1.0, 0.0)])
def test_what_lacks_to_a_fraction_is_its_error_in_percent(value, expected):
    assert error_of(ACCURACY, value) == expected


def test_what_is_to_be_small_is_its_own_error():
    assert error_of(LOSS, 2.5) == 2.5


@pytest.mark.parametrize("value", [71.6, -0.1, math.nan])
def test_a_metric_that_is_no_fraction_is_refused(value):
    with pytest.raises(RequestError, match=r"must be a fraction from 0 to 1 .*METRIC:min, and pass --range LOW HIGH"):
        error_of(ACCURACY, value)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.5, 2.0, None], (0.0, 2.0)),
        ([-1.0, 2.0], (-1.0, 2.0)),
        ([-2.0, -1.0], (-2.0, -1.0)),
        ([0.0], (0.0, 1.0)),
        ([], (0.0, 1.0)),
    ],
)
def test_the_usual_span_goes_to_the_largest_error(errors, expected):
    mine = [Member({}, "a", one, 0) for one in errors]
    assert span_of(LOSS, mine) == expected
    assert span_of(ACCURACY, mine) == (0.0, 100.0)
    area_table(ToySpace(2, 2), mine, [], span=span_of(LOSS, mine))


@pytest.mark.parametrize(
    ("floor", "objective", "message"),
    [
        (35.0, ACCURACY, "from 0 to 1, but got 35; pass"),
        (-0.1, ACCURACY, "from 0 to 1"),
        (0.1, LOSS, "loss is to be small"),
    ],
)
def test_a_floor_must_be_a_fraction_of_what_is_to_be_large(floor, objective, message):
    with pytest.raises(RequestError, match=message):
        check_floor(floor, objective)


# -- recorded studies --------------------------------------------------------------------------------------------------


COMPLETE = {"min_budget": 4, "max_budget": 4, "name": "toys"}


class BestSoFar:
    @hookimpl
    def automl_estimators(self, register):
        register("best-so-far", "automl_core.testing.doubles:ToyEstimator", summary="best so far")


class Referred(ToySpace):
    """A toy whose plainest configuration is known."""

    def reference(self):
        return {name: 1 if name == "digit_1" else 0 for name in self.config_space}


def study(path: Path, space, searcher="grid", evaluator=None, **changed):
    evaluator = evaluator or ToyEvaluator(noise=0.0)
    return Study(space, searcher, evaluator=evaluator, **{**COMPLETE, "workspace": path, **changed}).run()


def test_members_are_complete_candidates_with_what_became_of_the_others(tmp_path):
    space = ToySpace(3, 3)
    ran = study(tmp_path, space, evaluator=ToyEvaluator(fail=(1,), diverge=(2,)), constraint="loss<=0.8")
    rows = {row.number: row for row in ran.record.trials()}
    found = members_of(ran.record, space=space)
    assert [member.trial for member in found] == sorted(rows)
    reasons = {member.trial: member.reason for member in found}
    assert reasons[1] == "failed" and reasons[2] == "diverged"
    assert "infeasible" in reasons.values()
    for member in found:
        row = rows[member.trial]
        assert member.configuration == row.configuration
        assert member.key == trial_key(space, row.configuration)
        if row.status in ("failed", "diverged", "infeasible"):
            assert member.error is None and member.reason == row.status
        else:
            assert member.error == 100.0 * (1.0 - row.value) and member.reason == ""


def test_what_was_stopped_early_is_no_member(tmp_path):
    space = ToySpace(4, 3)
    ran = study(tmp_path, space, "asha", trials=30, seed=1, min_budget=1)
    complete = {row.number for row in ran.record.trials() if row.budget == 4}
    assert {member.trial for member in members_of(ran.record, space=space)} == complete
    assert 0 < len(complete) < 30


def test_what_ranked_counts_be_it_estimated(tmp_path):
    registry = Registry()
    registry.add("best so far", BestSoFar())
    with use_registry(registry):
        space = ToySpace(3, 2)
        ran = study(tmp_path, space, "random", trials=5, estimator="best-so-far", evaluator=ToyEvaluator(noise=0.2))
    rows = {row.number: row for row in ran.record.trials()}
    assert any(row.value != row.metrics["accuracy"] for row in rows.values())
    assert all(one.error == 100.0 * (1.0 - rows[one.trial].value) for one in members_of(ran.record, space=space))


def test_half_of_what_the_reference_came_to_is_the_floor(tmp_path):
    space = Referred(3, 3)
    ran = study(tmp_path, space)
    reference = next(
        row for row in ran.record.trials() if sum(row.configuration.values()) == 1 and row.configuration["digit_3"] == 0
    )
    assert floor_of(ran.record, space) == reference.value / 2
    floor = 0.55 * max(row.value for row in ran.record.trials())
    found = members_of(ran.record, floor, space)
    below = {member.trial for member in found if member.reason == "below the floor"}
    assert below == {row.number for row in ran.record.trials() if row.value < floor} and below
    assert all(member.error is None for member in found if member.trial in below)
    assert all(member.reason == "" for member in members_of(ran.record, space=space)), "none is below half of the least"
    table = area_table(space, found, [], floor=floor)
    assert (table.left_out, table.floor) == ({"below the floor": len(below)}, floor)


def test_the_floor_is_that_of_the_whole_even_where_the_part_lacks_the_reference(tmp_path):
    space = Referred(3, 3)
    part = space.restrict(Restriction.fix(digit_3=2))
    ran = study(tmp_path, part)
    assert floor_of(ran.record, part) is None
    assert floor_of(study(tmp_path, space, name="whole").record, part) is not None


def test_without_a_reference_there_is_no_floor(tmp_path):
    ran = study(tmp_path, ToySpace(3, 2))
    assert floor_of(ran.record, ToySpace(3, 2)) is None
    small = study(tmp_path, Referred(3, 2), name="small", objective="loss")
    assert floor_of(small.record, Referred(3, 2)) is None, "a loss has none"
    with pytest.raises(RequestError, match="leave the floor out"):
        members_of(small.record, 0.5, Referred(3, 2))


def test_a_space_that_was_given_as_an_object_is_asked_for(tmp_path):
    study(tmp_path, ToySpace(3, 2))
    record = Workspace(tmp_path).record("toys")
    with pytest.raises(RequestError, match=r"given as an object, toy; pass it to members_of\(record, space="):
        members_of(record)
