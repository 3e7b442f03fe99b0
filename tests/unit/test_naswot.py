import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Observation
from automl_feature_history.naswot import NASWOT, RectifierCodes, log_determinant
from automl_vision.models import ClassifierModule, build_model
from automl_vision.observing import LiveNetwork


class Passing(ClassifierModule):
    """Rectifies its input as told, and so has the codes that the input has."""

    def __init__(self, rectify):
        super().__init__()
        self.rectify = rectify
        self.head = nn.Linear(3, 2)

    def forward_features(self, images):
        return self.rectify(images)


INPUTS = torch.tensor([[1.0, -1.0, 2.0], [1.0, 3.0, -0.5], [-1.0, -2.0, -3.0]])  # codes 101, 110, 000
AGREEMENT = torch.tensor([[3.0, 1.0, 1.0], [1.0, 3.0, 1.0], [1.0, 1.0, 3.0]], dtype=torch.float64)


def live(network, images):
    return LiveNetwork(network, lambda count: images[:count])


ACCURACY = (Objective("accuracy"),)


def started(objectives=ACCURACY, **options):
    estimator = NASWOT(**options)
    estimator.start(Problem(ToySpace(), objectives, 1, 4, None, seed=0))
    return estimator


def score(network, images, **options):
    estimator = started(**options)
    estimator.observe(Observation(0, {"accuracy": 0.1}, network=live(network, images)))
    return estimator.estimate().metrics["accuracy"]


@pytest.mark.parametrize(
    "rectify",
    [
        F.relu,
        lambda images: F.relu(images.clone(), inplace=True),
        nn.ReLU(),
        nn.ReLU6(),
        lambda images: F.relu6(images.clone(), inplace=True),
        lambda images: images.clamp(min=0.0),
        lambda images: images.clamp_min(0),
        F.leaky_relu,
        nn.PReLU(),
    ],
)
def test_kernel_of_a_toy_case_however_it_is_rectified(rectify):
    with torch.no_grad(), RectifierCodes(3) as codes:
        rectify(INPUTS)
    assert torch.equal(codes.agreement, AGREEMENT)
    # Eigenvalues 5, 2 and 2.
    assert score(Passing(rectify), INPUTS) == pytest.approx(math.log(20.0))


@pytest.mark.parametrize("rectify", [F.silu, lambda images: images.clamp(max=0.0), lambda images: images.clamp(min=-1)])
def test_what_has_no_rectifier_is_refused(rectify):
    with pytest.raises(RequestError, match="Passing has none"):
        score(Passing(rectify), INPUTS)


def test_layers_add_up():
    once, twice = Passing(F.relu), Passing(lambda images: F.relu(F.relu(images) - 10.0))
    # The second layer is inactive everywhere, so each two images agree in 3 more rectifiers: eigenvalues 14, 2, 2.
    assert score(once, INPUTS) == pytest.approx(math.log(20.0))
    assert score(twice, INPUTS) == pytest.approx(math.log(14.0 * 2.0 * 2.0))


def test_images_with_the_same_code_have_a_score_below_all_others():
    same = torch.cat([INPUTS, INPUTS[:1]])
    alike = score(Passing(F.relu), same)
    assert math.isfinite(alike)
    assert alike < score(Passing(F.relu), torch.cat([INPUTS, -INPUTS[:1]]))
    assert math.isfinite(log_determinant(torch.ones(3, 3, dtype=torch.float64)))


@pytest.mark.parametrize("training", [True, False])
def test_leaves_the_live_network_and_the_generators_untouched(training):
    network = build_model("resnet8", 1, 10, seed=3)
    network.blocks.append(nn.Dropout(0.5))
    network.train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state, images = torch.get_rng_state(), torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    kept = images.clone()
    first = score(network, images)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, kept)
    assert network.training is training
    assert all(module.training is training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert score(network, images) == first


def test_tells_a_rich_network_from_a_poor_one():
    images = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for seed in range(3):
        wide, narrow = (build_model("resnet8", 1, 10, {"width": width}, seed=seed) for width in (8, 1))
        assert score(wide, images) > score(narrow, images)


def test_takes_the_asked_number_of_images_and_no_later_unit():
    asked = []

    def images(count):
        asked.append(count)
        return INPUTS

    estimator = started(batch=5)
    estimator.observe(Observation(0, {}, network=LiveNetwork(Passing(F.relu), images)))
    first = estimator.estimate()
    estimator.observe(Observation(1, {}, network=LiveNetwork(Passing(F.silu), images)))
    assert asked == [5]
    assert estimator.estimate() == first


def test_score_is_negated_where_less_is_better():
    estimator = started((Objective("accuracy"), Objective("loss", "min")))
    estimator.observe(Observation(0, {}, network=live(Passing(F.relu), INPUTS)))
    metrics = estimator.estimate().metrics
    assert metrics["loss"] == -metrics["accuracy"] == pytest.approx(-math.log(20.0))


def test_score_survives_a_pause(tmp_path):
    first, second = started(), started()
    first.observe(Observation(0, {}, network=live(Passing(F.relu), INPUTS)))
    first.save(tmp_path)
    json.loads((tmp_path / "score.json").read_text())
    second.load(tmp_path)
    second.observe(Observation(1, {}))
    assert second.estimate() == first.estimate()


def test_bad_requests_say_what_to_do():
    with pytest.raises(RequestError, match="at least 2, but got 1"):
        NASWOT(batch=1)
    estimator = started()
    with pytest.raises(RequestError, match="unit 0"):
        estimator.observe(Observation(0, {"accuracy": 0.1}))
    estimator.observe(Observation(1, {"accuracy": 0.2}))
    with pytest.raises(RequestError, match="choose an evaluator"):
        estimator.estimate()
