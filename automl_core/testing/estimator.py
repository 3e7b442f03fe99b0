"""What every estimator must keep."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from automl_core.interfaces import Estimator, Problem
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Observation


class EstimatorContract(ABC):
    """Tests of an estimator; subclass it with a name that pytest collects.

    Example::

        class TestMyEstimator(EstimatorContract):
            def make_estimator(self):
                return MyEstimator(window=3)
    """

    metric: str = "accuracy"
    """A metric that must be estimated."""

    @abstractmethod
    def make_estimator(self) -> Estimator:
        """Gives a new estimator, with the same options at every call."""

    def make_observations(self) -> Sequence[Observation]:
        """Gives one trial's observations; overridden for an estimator that needs features or the network."""
        accuracies = (0.1, 0.4, 0.62, 0.6, 0.59, 0.61)
        return [Observation(unit, {"accuracy": value, "loss": 1.0 - value}) for unit, value in enumerate(accuracies)]

    max_budget: int = 10
    """Maximum budget of the study that it estimates for."""

    def make_problem(self) -> Problem:
        """Gives what it is started with: by default a toy search for the metric."""
        return Problem(ToySpace(), (Objective(self.metric),), 1, self.max_budget, None, seed=0)

    def make_started(self) -> Estimator:
        """Gives a new estimator as the engine would use it; one that runs in the engine knows no other trial."""
        estimator = self.make_estimator()
        estimator.start(self.make_problem())
        if not type(estimator).needs:
            estimator.learn({}, ())
        return estimator

    def test_needs_are_known(self) -> None:
        assert type(self.make_estimator()).needs <= {"features", "network"}

    def test_estimates_are_finite_after_every_observation(self) -> None:
        estimator = self.make_started()
        for observation in self.make_observations():
            estimator.observe(observation)
            estimate = estimator.estimate()
            assert math.isfinite(estimate.metrics[self.metric])
            assert set(estimate.deviation) <= set(estimate.metrics)
            assert all(deviation >= 0.0 for deviation in estimate.deviation.values())

    def test_estimating_changes_nothing(self) -> None:
        asked, silent = self.make_started(), self.make_started()
        for observation in self.make_observations():
            asked.observe(observation)
            assert asked.estimate() == asked.estimate()
            silent.observe(observation)
        assert asked.estimate() == silent.estimate()

    def test_goes_on_from_what_it_saved(self, tmp_path: Path) -> None:
        observations = self.make_observations()
        whole = self.make_started()
        for observation in observations:
            whole.observe(observation)
        for cut in range(1, len(observations)):
            directory = tmp_path / str(cut)
            directory.mkdir()
            first, second = self.make_started(), self.make_started()
            for observation in observations[:cut]:
                first.observe(observation)
            first.save(directory)
            second.load(directory)
            rest = observations[cut:]
            if not any(directory.iterdir()):  # it keeps nothing, so the engine shows it the journalled curve again
                assert not type(first).needs, "features and networks are not journalled, so save() must write"
                rest = observations
            for observation in rest:
                second.observe(observation)
            assert second.estimate() == whole.estimate()
