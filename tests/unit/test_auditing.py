"""Kendall's tau, and what it is taken of in a recorded study."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from automl_core.auditing import MEASURED, RungAudit, audit, furthest, kendall_tau, readings
from automl_core.journal import StudyJournal, TrialUpdate
from automl_core.records import StudyRecord, Workspace
from automl_core.spec import Part, StudySpec
from automl_core.types import Job, Outcome, Point


@pytest.mark.parametrize(
    ("one", "other", "tau"),
    [
        ([90, 91, 89.5, 93, 92], [91.5, 92, 91, 94, 94.2], 0.8),
        ([1, 2, 2, 3], [1, 3, 2, 4], 0.912871),
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1, 2, 2], [1, 2, 1, 2], 0.0),
    ],
)
def test_known_values(one: list[float], other: list[float], tau: float) -> None:
    assert kendall_tau(one, other) == pytest.approx(tau, abs=1e-6)
    assert kendall_tau(other, one) == pytest.approx(tau, abs=1e-6)


@pytest.mark.parametrize(("one", "other"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, 2], [5, 5])])
def test_where_it_is_not_defined(one: list[float], other: list[float]) -> None:
    assert kendall_tau(one, other) is None


few = st.integers(-3, 3).map(float)
many = st.floats(-1e9, 1e9)


@given(st.lists(st.tuples(few, few) | st.tuples(many, few) | st.tuples(many, many), max_size=40))
def test_it_is_what_scipy_computes(pairs: list[tuple[float, float]]) -> None:
    one, other = [first for first, _ in pairs], [second for _, second in pairs]
    expected = kendalltau(one, other).statistic if len(pairs) > 1 else math.nan
    found = kendall_tau(one, other)
    assert math.isnan(expected) if found is None else found == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(few, few), min_size=2, max_size=20))
def test_turning_both_sides_changes_nothing_and_turning_one_turns_it(pairs: list[tuple[float, float]]) -> None:
    one, other = [first for first, _ in pairs], [second for _, second in pairs]
    found = kendall_tau(one, other)
    assert kendall_tau([-value for value in one], [-value for value in other]) == found
    assert kendall_tau([-value for value in one], other) == (None if found is None else -found)


class Recording:
    """A study whose journal is written by hand."""

    def __init__(self, directory: Path, rungs: tuple[int, ...] = (1, 2, 4), estimators: tuple[str, ...] = ()) -> None:
        part = Part("toy")
        spec = StudySpec(
            name="one",
            space=part,
            searcher=part,
            evaluator=part,
            estimators=tuple(Part(name) for name in estimators),
            executor=part,
            dataset=None,
            trainer={},
            objectives=("accuracy:max",),
            min_budget=rungs[0],
            max_budget=rungs[-1],
            trials=None,
            seed=0,
            preset="quick",
            rungs=rungs,
        )
        workspace = Workspace(directory)
        self.journal = StudyJournal.create(workspace.database(create=True), "one", spec.to_json())
        self.record = StudyRecord(workspace, self.journal)
        self._begun: set[int] = set()

    def told(self, trial: int, budget: int, value: float, role: str = "candidate", **changed: Any) -> None:
        """Writes a job and what came of it; ``changed`` is what differs from an outcome that is done."""
        given: dict[str, Any] = {"status": "done", "budget": budget, "cost": 1.0}
        given["curve"] = (Point(0, {"accuracy": 0.0}), Point(budget, {"accuracy": value}))
        outcome = Outcome(**given | changed)
        job = Job(trial, {}, 0, budget, role=role)  # type: ignore[arg-type]
        row = TrialUpdate(trial, role, "", {}, None, "running", budget, value, None, {}, 0.0, 1, "")
        with self.journal.transaction():
            self.journal.append("ask", {"job": job.to_json()}, row, trial not in self._begun)
            self.journal.append("tell", {"trial": trial, "outcome": outcome.to_json()}, row)
        self._begun.add(trial)


def test_every_rung_is_compared_with_every_later_one(tmp_path: Path) -> None:
    study = Recording(tmp_path)
    for trial, value in enumerate((0.3, 0.1, 0.2, 0.9)):
        study.told(trial, 1, value)
    for trial, value in enumerate((0.5, 0.6, 0.7)):
        study.told(trial, 2, value)
    study.told(0, 4, 0.7)
    study.told(1, 4, 0.8)
    found = audit(study.record)
    assert [(one.budget, one.later, one.trials) for one in found] == [(1, 2, 3), (1, 4, 2), (2, 4, 2)]
    assert [one.tau[MEASURED] for one in found] == [pytest.approx(-1 / 3), -1.0, 1.0]
    assert [(one.budget, one.later) for one in furthest(found)] == [(1, 4), (2, 4)]
    assert found[1].to_json() == {"budget": 1, "later": 4, "trials": 2, "tau": {MEASURED: -1.0}}


def test_before_two_trials_have_come_to_the_last_rung_an_earlier_one_is_compared_with() -> None:
    pairs = {(1, 2): 5, (1, 4): 1, (2, 4): 1}
    found = furthest(RungAudit(*pair, trials, {}) for pair, trials in pairs.items())
    assert [(one.budget, one.later) for one in found] == [(1, 2), (2, 4)]


def test_estimates_are_held_against_what_was_measured_later(tmp_path: Path) -> None:
    study = Recording(tmp_path, (1, 4), ("wise", "lost"))
    for trial, (early, guess, late) in enumerate([(0.3, 0.7, 0.7), (0.2, 0.9, 0.9), (0.1, 0.8, 0.8)]):
        study.told(trial, 1, early, estimates={"wise": {"accuracy": guess}, "lost": {"loss": 1.0}})
        study.told(trial, 4, late, estimates={"wise": {"accuracy": 0.5}, "lost": {"loss": 1.0}})
    (found,) = audit(study.record)
    assert found.tau == {MEASURED: pytest.approx(-1 / 3), "wise": 1.0, "lost": None}


def test_what_was_not_done_is_left_out(tmp_path: Path) -> None:
    study = Recording(tmp_path, (1, 4))
    for trial in range(4):
        study.told(trial, 1, 0.1 * trial)
    study.told(0, 4, 0.1)
    study.told(1, 4, 0.2)
    study.told(2, 4, math.nan, status="diverged")
    study.told(3, 2, 0.9, status="failed", curve=())
    study.told(4, 1, 0.5, role="support")
    study.told(4, 4, 0.5, role="support")
    (found,) = audit(study.record)
    assert (found.trials, found.tau[MEASURED]) == (2, 1.0)


def test_numbers_that_are_not_finite_do_not_hide_the_others(tmp_path: Path) -> None:
    study = Recording(tmp_path, (1, 4), ("wise",))
    for trial in range(3):
        estimates = {"wise": {"accuracy": math.nan if trial == 2 else 0.1 * trial, "loss": math.inf}}
        study.told(trial, 1, 0.1 * trial, estimates=estimates)
        study.told(trial, 4, 0.1 * trial)
    (found,) = audit(study.record)
    assert (found.trials, found.tau) == (3, {MEASURED: 1.0, "wise": 1.0})


def test_a_trial_that_was_told_what_was_known_counts_once(tmp_path: Path) -> None:
    study = Recording(tmp_path, (1, 4))
    study.told(0, 1, 0.3)
    study.told(1, 1, 0.3)  # happens to be equal, but was trained
    study.told(2, 1, 0.2)
    study.told(3, 1, 0.3, cost=0.0)  # the same as trial 0
    study.told(3, 4, 0.9)  # went on in its place
    study.told(1, 4, 0.5)
    study.told(2, 4, 0.6)
    (found,) = audit(study.record)
    assert found.trials == 3
    assert {(one.trial, one.budget) for one in readings(study.record)} >= {(0, 4), (1, 4), (2, 4)}
    assert found.tau[MEASURED] == kendall_tau([0.3, 0.3, 0.2], [0.9, 0.5, 0.6])


def test_a_study_with_one_rung_has_nothing_to_audit(tmp_path: Path) -> None:
    study = Recording(tmp_path, (4,))
    study.told(0, 4, 0.5)
    assert audit(study.record) == []
