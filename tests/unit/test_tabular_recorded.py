"""A recorded study replayed as a table: every unit kept, what was not recorded refused or failed with the reason."""

from __future__ import annotations

import math

import pytest
from ConfigSpace import ConfigurationSpace
from hypothesis import given
from hypothesis import strategies as st

from automl_core import Study, hookimpl
from automl_core.errors import RequestError, StudyFailed
from automl_core.interfaces import ArtefactRequest
from automl_core.plugins import Registry, use_registry
from automl_core.records import Workspace
from automl_core.testing.doubles import ToyDescription, ToyEvaluator, ToySpace
from automl_core.types import Job, Outcome, Point
from automl_tabular.closed_form import ClosedFormEvaluator
from automl_tabular.evaluator import TabularEvaluator
from automl_tabular.recorded import Curve, RecordedSpace, listed


class Parts:
    """The parts that these tests use, and no others."""

    @hookimpl
    def automl_search_spaces(self, register):
        register("toy", "automl_core.testing.doubles:ToySpace", summary="digits")
        register("hartmann-6", "automl_spaces.closed_forms:HartmannSpace", summary="a formula")

    @hookimpl
    def automl_evaluators(self, register):
        register("toy", "automl_core.testing.doubles:ToyEvaluator", summary="noisy curves")
        register("tabular", "automl_tabular.evaluator:TabularEvaluator", summary="looks up")
        register("closed-form", "automl_tabular.closed_form:ClosedFormEvaluator", summary="computes")

    @hookimpl
    def automl_searchers(self, register):
        register("asha", "automl_searchers.asha:ASHA", summary="halving")
        register("random", "automl_searchers.complete:RandomSearch", summary="draws")


@pytest.fixture(autouse=True)
def _parts():
    registry = Registry(found=[])
    registry.add("parts", Parts())
    with use_registry(registry):
        yield


@pytest.fixture
def recorded(tmp_path):
    """A random search over toys, 30 of 4 million, to 9 epochs each."""
    return Study("toy", "random", max_budget=9, trials=30, seed=1, name="recorded", workspace=tmp_path).run()


def replay(workspace, searcher="asha", study="recorded", space="toy", **settings):
    options = {"evaluator": {"study": study}, **settings.pop("options", {})}
    return Study(space, searcher, evaluator="tabular", options=options, workspace=workspace, **settings)


def curves(study):
    """Canonical key to {unit: metrics} over the told outcomes of all candidates."""
    space, found = ToySpace(), {}
    jobs = {}
    for kind, payload in study.record.journal.events():
        if kind == "ask":
            jobs[payload["job"]["trial"]] = payload["job"]
        elif kind == "tell":
            key = space.canonical(jobs[payload["trial"]]["configuration"])
            found.setdefault(key, {}).update(dict(payload["outcome"]["curve"]))
    return found


# -- replaying ------------------------------------------------------------------------------------------------------


def test_asha_over_a_recorded_random_search_sees_its_curves(recorded, tmp_path):
    again = replay(tmp_path, min_budget=1, max_budget=9, seed=7, name="again").run()
    rows = again.record.trials()
    assert again.status == "finished"
    assert len(rows) == 30, "all that was recorded, and nothing else"
    assert all(row.status in ("completed", "stopped") for row in rows)
    assert any(row.budget < 9 for row in rows)
    theirs = curves(recorded)
    for key, curve in curves(again).items():
        assert curve == {unit: theirs[key][unit] for unit in curve}
        assert sorted(curve) == list(range(len(curve))), "every unit from the untrained network on"
    assert again.best.value == max(theirs[key][9]["accuracy"] for key in curves(again) if 9 in curves(again)[key])


def test_the_budgets_trials_unit_and_objective_are_those_recorded(recorded, tmp_path):
    again = replay(tmp_path, "random", seed=3)
    assert (again.spec.max_budget, again.spec.trials, again.spec.unit) == (9, 30, "epochs")
    assert again.spec.objectives == recorded.spec.objectives == ("accuracy:max",)
    assert set(again.assembly.evaluator.metrics) == {"accuracy", "loss"}
    assert again.run().best.value == recorded.best.value


def test_another_recorded_metric_can_be_the_objective(recorded, tmp_path):
    again = replay(tmp_path, "random", objective="loss").run()
    assert again.best.value == min(curve[9]["loss"] for curve in curves(recorded).values())


def test_the_objective_keeps_the_direction_in_which_it_was_recorded(tmp_path):
    Study("toy", "random", objective="loss:max", max_budget=2, trials=3, name="recorded", workspace=tmp_path).run()
    assert replay(tmp_path, "random").spec.objectives == ("loss:max",)


def test_a_replay_costs_what_was_recorded(recorded, tmp_path):
    again = replay(tmp_path, "random", seed=5, name="again").run()
    space = ToySpace()
    theirs = {space.canonical(row.configuration): row.cost for row in recorded.record.trials()}
    assert all(row.cost == pytest.approx(theirs[space.canonical(row.configuration)]) for row in again.record.trials())


class TaughtEvaluator(ToyEvaluator):
    """Every toy but the teacher needs the teacher."""

    def requires(self, description, max_budget, split):
        return () if description == TEACHER else [ArtefactRequest("teacher", TEACHER, max_budget)]


TEACHER = ToyDescription((9,), 0.9)


def test_support_trials_are_not_replayed(tmp_path):
    recorded = Study(
        "toy", "random", evaluator=TaughtEvaluator(), trials=3, max_budget=2, name="recorded", workspace=tmp_path
    )
    recorded.run()
    assert [row.role for row in recorded.record.trials()].count("support") == 1
    again = replay(tmp_path, "random", max_budget=2).run()
    assert [row.role for row in again.record.trials()] == ["candidate"] * 3
    assert again.best.value == recorded.best.value


def test_a_replay_can_be_replayed_and_resumed(recorded, tmp_path):
    replay(tmp_path, min_budget=1, seed=2, name="second").run()
    third = replay(tmp_path, study="second", min_budget=1, max_budget=9, seed=2, trials=10, name="third").run()
    resumed = Study.resume("third", workspace=tmp_path, trials=15)
    assert len(resumed.record.trials()) == 15
    before, after = curves(third), curves(resumed)
    assert before
    assert all(curve.items() <= after[key].items() for key, curve in before.items())


def test_asha_is_replayed_as_far_as_it_went(tmp_path):
    Study("toy", "asha", min_budget=1, max_budget=9, trials=20, seed=1, name="recorded", workspace=tmp_path).run()
    again = replay(tmp_path, "random", max_budget=9, seed=8, name="again").run()
    rows = {row.status: row for row in again.record.trials()}
    assert set(rows) == {"completed", "failed"}, "what was stopped early has no result at 9"
    assert "must hold this configuration at budget 9 to be looked up, but holds it at 0 to" in rows["failed"].error


# -- what was recorded of failures ----------------------------------------------------------------------------------


def test_recorded_failures_fail_again_with_their_reason(tmp_path):
    options = {"evaluator": {"fail": [1], "diverge": [2], "at": 2}}
    recorded = Study("toy", "random", max_budget=3, trials=4, name="recorded", options=options, workspace=tmp_path)
    recorded.run()
    again = replay(tmp_path, "random", seed=9).run()
    space = ToySpace()
    theirs = {space.canonical(row.configuration): row for row in recorded.record.trials()}
    errors = {theirs[space.canonical(row.configuration)].number: row for row in again.record.trials()}
    assert [errors[number].status for number in range(4)] == ["completed", "failed", "diverged", "completed"]
    assert "it failed at budget" in errors[1].error
    assert "trial 1 was told to fail at unit 2" in errors[1].error


def test_a_study_without_results_is_refused(tmp_path):
    options = {"evaluator": {"fail": [0, 1]}}
    with pytest.raises(StudyFailed):
        Study("toy", "random", trials=2, name="recorded", options=options, workspace=tmp_path).run()
    with pytest.raises(RequestError, match="'recorded' holds none"):
        replay(tmp_path, "random")


# -- requests -------------------------------------------------------------------------------------------------------


def test_an_unknown_study_is_refused_with_the_nearest(recorded, tmp_path):
    with pytest.raises(RequestError, match="did you mean 'recorded'"):
        replay(tmp_path, study="recordet")


def test_another_space_is_refused(recorded, tmp_path):
    with pytest.raises(RequestError, match="pass --space toy"):
        replay(tmp_path, space="hartmann-6")
    with pytest.raises(RequestError, match="pass --space toy without options"):
        replay(tmp_path, options={"space": {"choices": 5}})


def test_options_of_the_space_that_only_its_descriptions_show_count_as_well(tmp_path):
    options = {"space": {"bias": 0.5}}
    Study("hartmann-6", "random", trials=2, options=options, name="recorded", workspace=tmp_path).run()
    with pytest.raises(RequestError, match=r"pass --space hartmann-6 --set space\.bias=0\.5"):
        replay(tmp_path, "random", space="hartmann-6")
    replay(tmp_path, "random", space="hartmann-6", options=options)


def test_a_data_set_is_refused(recorded, tmp_path):
    with pytest.raises(RequestError, match="takes no data set"):
        replay(tmp_path, dataset="digits")


def test_budgets_that_were_not_recorded_are_refused(recorded, tmp_path):
    evaluator = TabularEvaluator(study="recorded")
    evaluator.attach(Workspace(tmp_path), ToySpace())
    evaluator.check(ToySpace(), None)
    evaluator.check_budgets((1, 9))
    with pytest.raises(RequestError, match="none at 27 epochs, only at 1 to 9"):
        evaluator.check_budgets((1, 27))


def test_a_recorded_study_has_no_optimum(recorded, tmp_path):
    evaluator = TabularEvaluator(study="recorded")
    evaluator.attach(Workspace(tmp_path), ToySpace())
    with pytest.raises(RequestError, match="known optimum"):
        evaluator.optimum(ToySpace(), "accuracy")


def test_functions_over_a_space_given_as_an_object_are_replayed(tmp_path):
    space = ConfigurationSpace({"x": list(range(50))})
    Study(
        space, "random", evaluator=lambda configuration, budget, seed: float(configuration["x"]) * budget,
        max_budget=4, trials=10, objective="value:min", name="recorded", workspace=tmp_path,
    ).run()  # fmt: skip
    again = replay(tmp_path, "random", space=ConfigurationSpace({"x": list(range(50))}), seed=4).run()
    assert again.spec.objectives == ("value:min",)
    assert len(again.record.trials()) == 10
    with pytest.raises(RequestError, match="own search space"):
        replay(tmp_path, "random", space=ConfigurationSpace({"y": list(range(50))}))


def test_the_curve_of_a_formula_can_be_recorded(tmp_path):
    options = {"evaluator": {"curve": True}}
    Study("hartmann-6", "random", options=options, max_budget=9, trials=5, name="recorded", workspace=tmp_path).run()
    again = replay(tmp_path, space="hartmann-6", min_budget=1, max_budget=9).run()
    assert len(again.record.trials()) == 5
    assert {row.cost for row in again.record.trials()} <= {float(row.budget) for row in again.record.trials()}


def test_a_formula_is_observed_at_the_budget_asked_for_alone_by_default(tmp_path):
    study = Study("hartmann-6", "random", max_budget=9, trials=1, workspace=tmp_path).run()
    (told,) = (payload["outcome"] for kind, payload in study.record.journal.events() if kind == "tell")
    assert [unit for unit, _ in told["curve"]] == [9]
    assert told["cost"] == 9.0


def test_a_space_without_a_formula_is_refused(tmp_path):
    with pytest.raises(RequestError, match="--space counting-ones or --space hartmann-6"):
        Study("toy", "random", evaluator="closed-form", workspace=tmp_path)
    assert ClosedFormEvaluator.metrics == {"value": "max"}


# -- the parts ------------------------------------------------------------------------------------------------------


def test_a_recorded_space_allows_what_was_recorded_and_what_is_equal_to_it():
    space = ToySpace(digits=3)
    first = {"digit_1": 0, "digit_2": 3, "digit_3": 1}
    swapped = {"digit_1": 3, "digit_2": 0, "digit_3": 1}
    narrow = RecordedSpace(space, "recorded", {space.canonical(first): first})
    assert narrow.violation(first) is None
    assert narrow.violation(swapped) is None
    assert "recorded in study 'recorded'" in narrow.violation(first | {"digit_3": 2})
    assert list(narrow.enumerate(3)) == [first]
    assert narrow.size() == 1
    assert narrow.decode(swapped).to_json() == space.decode(swapped).to_json()
    with pytest.raises(RequestError, match="recorded in study"):
        narrow.decode(first | {"digit_3": 2})


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6, unique=True), st.floats(0.1, 10.0))
def test_the_stretches_of_a_curve_add_up(budgets, cost):
    curve, reached = Curve({}), 0
    for budget in sorted(budgets):
        points = tuple(Point(unit, {"a": float(unit)}) for unit in range(reached + 1, budget + 1))
        curve.add(Job(0, {}, reached, budget), Outcome("done", budget, points, cost=cost * (budget - reached)))
        reached = budget
    assert curve.seconds(0, reached) == pytest.approx(cost * reached)
    assert sorted(curve.points) == list(range(1, reached + 1))
    middle = reached // 2
    assert curve.seconds(0, middle) + curve.seconds(middle, reached) == pytest.approx(cost * reached)
    assert curve.seconds(middle, middle) == 0.0


def test_a_twins_result_told_at_no_cost_changes_nothing():
    curve = Curve({})
    curve.add(Job(0, {}, 0, 4), Outcome("done", 4, (Point(4, {"a": 1.0}),), cost=8.0))
    curve.add(Job(1, {}, 0, 4), Outcome("done", 4, (Point(4, {"a": 9.0}),), cost=0.0))
    curve.add(Job(1, {}, 0, 8), Outcome("done", 8, (Point(8, {"a": 2.0}),), cost=8.0))
    assert curve.points == {4: {"a": 1.0}, 8: {"a": 2.0}}
    assert curve.seconds(0, 4) == 8.0
    assert curve.seconds(4, 8) == 4.0
    assert math.isclose(curve.seconds(2, 6), 6.0)


@pytest.mark.parametrize(
    ("budgets", "text"), [([], "none"), ([3], "3"), ([1, 2, 3], "1 to 3"), ([0, 1, 3, 9, 10], "0 to 1, 3, 9 to 10")]
)
def test_budgets_are_listed_by_runs(budgets, text):
    assert listed(budgets) == text
