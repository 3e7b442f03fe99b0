"""The doubles pass the contracts that they help to test."""

from automl_core.testing import EstimatorContract, EvaluatorContract, SearchSpaceContract
from automl_core.testing.doubles import ToyEstimator, ToyEvaluator, ToySpace


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
