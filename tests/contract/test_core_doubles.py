"""The doubles pass the contracts that they help to test."""

import math
import subprocess
import sys

import pytest

from automl_core.errors import RequestError
from automl_core.interfaces import Context
from automl_core.testing import EstimatorContract, EvaluatorContract, SearchSpaceContract
from automl_core.testing.doubles import ToyEstimator, ToyEvaluator, ToySpace
from automl_core.types import Job
from automl_spaces.ktg import KTGSpace


class TestToySpace(SearchSpaceContract):
    def make_space(self):
        return ToySpace()


class TestToyEvaluator(EvaluatorContract):
    def make_evaluator(self):
        return ToyEvaluator()

    def make_space(self):
        return ToySpace(digits=4)


class TestToyEstimator(EstimatorContract):
    def make_estimator(self):
        return ToyEstimator()


def observe(evaluator, trial):
    space = ToySpace(digits=2)
    evaluation = evaluator.start(space.decode({"digit_1": 3, "digit_2": 2}), Context(seed=0, max_budget=3))
    return evaluation.advance(Job(trial, {}, 0, 3))


def test_toy_trials_fail_and_diverge_where_they_are_told_to():
    evaluator = ToyEvaluator(fail=(1,), diverge=(2,), at=2)
    assert all(math.isfinite(one.metrics["accuracy"]) for one in observe(evaluator, trial=0))
    assert [math.isnan(one.metrics["accuracy"]) for one in observe(evaluator, trial=2)] == [False, False, True, False]
    failing = observe(evaluator, trial=1)
    assert [next(failing).unit, next(failing).unit] == [0, 1]
    with pytest.raises(RuntimeError, match="trial 1 was told to fail at unit 2"):
        next(failing)


def test_toy_evaluator_takes_its_own_space_alone():
    with pytest.raises(RequestError, match="takes the space toy alone"):
        ToyEvaluator().check(KTGSpace(), None)


@pytest.mark.parametrize("options", [{"digits": 1}, {"choices": 1}])
def test_toy_space_refuses_sizes_without_a_choice(options):
    with pytest.raises(RequestError, match="2 digits and 2 choices or more"):
        ToySpace(**options)


def test_importing_the_doubles_needs_no_pytest():
    code = "import sys, automl_core.testing.doubles; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
