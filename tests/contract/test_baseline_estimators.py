"""The estimators that others are compared with keep the contract."""

import torch
import torch.nn.functional as F
from torch import nn

from automl_core.interfaces import Segment
from automl_core.testing import EstimatorContract
from automl_core.types import Observation, Point
from automl_feature_history.curves import Best, Last
from automl_feature_history.lcnet import LCNet
from automl_feature_history.naswot import NASWOT
from automl_feature_history.parametric import LearningCurve
from automl_vision.models import ClassifierModule
from automl_vision.observing import LiveNetwork


class TestLast(EstimatorContract):
    def make_estimator(self):
        return Last()


class TestBest(EstimatorContract):
    def make_estimator(self):
        return Best()


class TestLearningCurve(EstimatorContract):
    def make_estimator(self):
        return LearningCurve()


class TestLCNetThatKnowsNoOtherTrial(EstimatorContract):
    def make_estimator(self):
        return LCNet()


class TestLCNet(EstimatorContract):
    def make_estimator(self):
        return LCNet(steps=20, burn_in=10, samples=8, hidden=4)

    def make_started(self):
        estimator = super().make_started()
        history = [
            Segment(
                trial, {"width": trial}, tuple(Point(unit, {"accuracy": 1 - 1 / (unit + trial)}) for unit in (1, 2, 9))
            )
            for trial in range(1, 5)
        ]
        estimator.learn({"width": 2}, history)
        return estimator


class Tiny(ClassifierModule):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward_features(self, images):
        return F.relu(self.layer(images.flatten(1)))


class TestNASWOT(EstimatorContract):
    def make_estimator(self):
        return NASWOT(batch=8)

    def make_observations(self):
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(16, 1, 2, 2, generator=generator)
        network = Tiny()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        live = LiveNetwork(network, lambda count: images[:count])
        return [Observation(unit, {"accuracy": 0.1 * unit}, network=live) for unit in range(4)]
