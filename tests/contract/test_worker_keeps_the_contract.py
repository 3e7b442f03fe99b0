"""The worker relies on what EvaluatorContract tests: a job that is cut and resumed gives the same curve."""

from dataclasses import dataclass, field

import pytest

from automl_core.engine.worker import Task, Worker
from automl_core.storage import Store
from automl_core.testing.doubles import ToyEstimator, ToyEvaluator, ToySpace
from automl_core.types import Job


@dataclass
class Bench:
    evaluator: ToyEvaluator = field(default_factory=ToyEvaluator)
    dataset: None = None

    def estimators(self):
        return {"best": ToyEstimator()}


def perform(directory, cuts):
    """Performs one job of four units; a new worker goes on after every cut."""
    task = Task(Job(0, {}, 0, 4), ToySpace(digits=2).decode({"digit_1": 3, "digit_2": 1}), 0, 4, checkpoints="trial/0")
    for cut in [*cuts, None]:
        seen = []
        worker = Worker(lambda setting: Bench(), Store(directory), observe=lambda _, one, seen=seen: seen.append(one))
        outcome = worker.perform(task, lambda cut=cut, seen=seen: seen[-1].unit == cut)
        assert outcome.status == ("done" if cut is None else "interrupted")
    return outcome


@pytest.mark.parametrize("cuts", [[0], [1], [0, 0, 3], [0, 1, 2, 3]])
def test_a_job_that_was_cut_gives_the_curve_of_one_that_was_not(tmp_path, cuts):
    whole, resumed = perform(tmp_path / "whole", []), perform(tmp_path / "resumed", cuts)
    assert [point.unit for point in resumed.curve] == [0, 1, 2, 3, 4]
    assert resumed.curve == whole.curve
    assert resumed.estimates == whole.estimates
