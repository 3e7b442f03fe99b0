"""feature-history keeps what every estimator must keep, in both precisions and under a tight bound."""

import pytest

from automl_core.testing import EstimatorContract
from automl_core.types import Observation
from automl_feature_history.history import FeatureHistory


class TestFeatureHistory(EstimatorContract):
    @pytest.fixture(
        autouse=True,
        params=[{}, {"window": 1}, {"window": 3, "precision": "float16"}, {"window": 3, "memory": 3000}],
        ids=str,
    )
    def _options(self, request):
        self.options = request.param

    def make_estimator(self):
        return FeatureHistory(**self.options)

    def make_observations(self):
        import torch

        from automl_vision.observing import EpochFeatures

        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(3, (20,), generator=generator)
        found = [Observation(0, {"accuracy": 0.3, "loss": 1.1})]
        for unit in range(1, 7):
            train, train_labels = torch.randn(40, 8, generator=generator), torch.randint(3, (40,), generator=generator)
            train[:, 0] += train_labels
            features = EpochFeatures(
                train=train,
                train_labels=train_labels,
                validation=torch.randn(20, 8, generator=generator),
                validation_labels=labels,
                weight=torch.randn(3, 8, generator=generator),
                bias=torch.zeros(3),
                seed=unit,
            )
            found.append(Observation(unit, {"accuracy": 0.3, "loss": 1.1}, features=features))
        return found
