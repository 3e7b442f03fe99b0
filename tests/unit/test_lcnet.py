import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from automl_core.errors import RequestError
from automl_core.interfaces import Problem, Segment
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Observation, Point
from automl_feature_history import curve_network, lcnet
from automl_feature_history.lcnet import Encoding, LCNet, trained_on

ACCURACY = Objective("accuracy")
UNITS = 40


def small():
    return LCNet(steps=20, burn_in=10, samples=8, hidden=4)


def power_laws(seed, trials=30, noise=0.005):
    """Gives configurations, noisy curves and true ends of a - b t^-c, whose parameters follow from configurations."""
    generator = np.random.default_rng(seed)
    times = np.arange(1.0, UNITS + 1.0)
    for _ in range(trials):
        rate, width, act = generator.random(), int(generator.integers(8, 65)), str(generator.choice(["relu", "tanh"]))
        share = (width - 8) / 56
        top = 0.65 + 0.15 * rate * share + 0.1 * (act == "relu") * share + 0.02 * generator.standard_normal()
        true = top - (0.25 + 0.25 * share * (1.0 - rate)) * times ** -(0.3 + 0.7 * rate)
        configuration = {"rate": 10.0 ** (-4.0 * rate), "width": width, "act": act}
        yield configuration, true + noise * generator.standard_normal(UNITS), float(true[-1])


def segment(trial, configuration, values, metric="accuracy"):
    return Segment(trial, configuration, tuple(Point(unit + 1, {metric: value}) for unit, value in enumerate(values)))


def estimated(estimator, configuration, history, points, objective=ACCURACY, max_budget=UNITS, seed=0):
    estimator.start(Problem(ToySpace(), (objective,), 1, max_budget, None, seed))
    estimator.learn(configuration, history)
    for point in points:
        estimator.observe(Observation(point.unit, point.metrics))
    return estimator.estimate()


@pytest.mark.parametrize(
    ("seed", "objective", "turn"),
    [
        (0, ACCURACY, lambda value: value),
        (1, ACCURACY, lambda value: value),
        (2, ACCURACY, lambda value: value),
        (3, Objective("loss", "min"), lambda value: 4.0 * (1.0 - value)),
    ],
)
def test_beats_last_on_power_laws_that_follow_from_configurations(seed, objective, turn):
    drawn = [(configuration, turn(values), turn(true)) for configuration, values, true in power_laws(seed)]
    history = [segment(trial, drawn[trial][0], drawn[trial][1], objective.metric) for trial in range(15)]
    last, found, true = [], [], []
    for configuration, values, end in drawn[15:]:
        points = segment(0, configuration, values[: UNITS // 4], objective.metric).points
        estimate = estimated(LCNet(), configuration, history, points, objective, seed=seed)
        assert estimate.deviation[objective.metric] > 0.0
        found.append(estimate.metrics[objective.metric])
        last.append(values[UNITS // 4 - 1])
        true.append(end)
    found, last, true = map(np.array, (found, last, true))
    assert np.abs(found - true).mean() < 0.5 * np.abs(last - true).mean()
    assert kendalltau(found, true).statistic >= kendalltau(last, true).statistic


@pytest.fixture
def trainings(monkeypatch):
    """Counts trainings, by how many curves they were given."""
    lcnet._train.cache_clear()
    counted = []
    sample = curve_network.sample

    def counting(curves, *arguments):
        counted.append(len(curves.inputs))
        return sample(curves, *arguments)

    monkeypatch.setattr(curve_network, "sample", counting)
    return counted


def test_trains_anew_when_the_history_has_grown_by_half(trainings):
    drawn = list(power_laws(0))
    history = [segment(trial, *drawn[trial][:2]) for trial in range(30)]
    for told in range(30):
        configuration, values, _ = drawn[told]
        estimated(small(), configuration, history[:told], segment(told, configuration, values[:5]).points)
    assert trainings == [3, 4, 6, 9, 13, 19, 28]


def test_few_trainings_within_hundreds_of_jobs():
    sizes = [trained_on(jobs) for jobs in range(500)]
    assert sizes[:7] == [0, 0, 0, 3, 4, 4, 6]
    assert sizes == sorted(sizes)
    assert all(2 * size >= jobs for jobs, size in enumerate(sizes[3:], start=3))
    assert len(set(sizes)) <= 15


def test_follows_from_history_options_and_seed_alone(trainings):
    drawn = list(power_laws(1))
    history = [segment(trial, *drawn[trial][:2]) for trial in range(6)]
    points = segment(9, *drawn[9][:2]).points[:5]

    def once(seed=0):
        return estimated(small(), drawn[9][0], history, points, seed=seed)

    before = torch.get_rng_state()
    first = once()
    assert torch.equal(torch.get_rng_state(), before)
    lcnet._train.cache_clear()
    torch.manual_seed(123)
    assert once() == first
    assert once(seed=1) != first
    assert len(trainings) == 3
    history.append(history[0])  # the engine's list grows on
    assert once() == first


def test_segments_of_a_trial_are_one_curve(trainings):
    drawn = list(power_laws(2))
    whole = [segment(trial, *drawn[trial][:2]) for trial in range(3)]
    halves = [Segment(one.trial, one.configuration, one.points[:20]) for one in whole]
    halves += [Segment(one.trial, one.configuration, one.points[20:]) for one in whole]
    points = segment(9, *drawn[9][:2]).points[:5]
    found = estimated(small(), drawn[9][0], halves, points)
    assert trainings == [3]
    assert found == estimated(small(), drawn[9][0], whole, points)
    assert trainings == [3]


@pytest.mark.parametrize("curves", [0, 1, 2])
def test_fewer_than_three_curves_give_the_last_value_and_all_the_room_as_deviation(trainings, curves):
    drawn = list(power_laws(0))
    history = [segment(trial % curves, *drawn[trial % curves][:2]) for trial in range(10)] if curves else []
    found = estimated(small(), drawn[9][0], history, [Point(1, {"accuracy": 0.3, "loss": 1.0})])
    assert found.metrics == {"accuracy": 0.3, "loss": 1.0}
    assert found.deviation == {"accuracy": pytest.approx(0.7)}
    assert not trainings


def test_nothing_is_predicted_at_the_maximum_budget_or_of_what_does_not_move(trainings):
    drawn = list(power_laws(0))
    history = [segment(trial, *drawn[trial][:2]) for trial in range(9)]
    complete = estimated(small(), drawn[9][0], history, [Point(UNITS, {"accuracy": 0.3})])
    assert (complete.metrics, complete.deviation) == ({"accuracy": 0.3}, {"accuracy": 0.0})
    unmoved = [Point(0, {"accuracy": 0.3}), Point(1, {"accuracy": 0.3})]
    assert estimated(small(), drawn[9][0], history, unmoved).metrics == {"accuracy": 0.3}
    assert estimated(small(), drawn[9][0], history, [Point(0, {"accuracy": 0.3})]).metrics == {"accuracy": 0.3}
    alike = [segment(trial, drawn[trial][0], [0.5, 0.5, 0.5]) for trial in range(9)]
    assert estimated(small(), drawn[9][0], alike, [Point(1, {"accuracy": 0.3})]).metrics == {"accuracy": 0.3}
    other = [segment(trial, *drawn[trial][:2], metric="loss") for trial in range(9)]
    assert estimated(small(), drawn[9][0], other, [Point(1, {"accuracy": 0.3})]).metrics == {"accuracy": 0.3}
    assert not trainings


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from("abc"),
                st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-1e9, 1e9), st.sampled_from("xyz")),
            ),
            st.lists(st.one_of(st.floats(-1.0, 3.0), st.just(1e30)), min_size=1, max_size=4),
        ),
        min_size=4,
        max_size=8,
    ),
    st.sampled_from(["max", "min"]),
)
def test_whatever_is_told_the_estimate_is_finite_and_within_reason(told, direction):
    history = [segment(trial, configuration, values) for trial, (configuration, values) in enumerate(told[1:])]
    configuration, values = told[0]
    points = segment(99, configuration, values).points
    estimator = LCNet(steps=3, burn_in=1, samples=1, hidden=2)
    found = estimated(estimator, configuration, history, points, Objective("accuracy", direction), max_budget=9)
    everything = [value for _, values in told for value in values]
    gain = 1.01 * (max(everything) - min(everything) or abs(everything[0]) or 1.0)
    low, high = (min(everything), max(*everything, 1.0) + gain)
    if direction == "min":
        low, high = min(0.0, min(everything) - gain), max(everything)
    assert low <= found.metrics["accuracy"] <= high
    assert math.isfinite(found.deviation["accuracy"])
    assert found.deviation["accuracy"] >= 0.0


def test_configurations_are_encoded_as_far_as_they_were_seen():
    seen = [
        {"rate": 1e-4, "depth": 2, "act": "relu", "same": 5, "skip": True},
        {"rate": 1e-2, "depth": 4, "act": "tanh", "same": 5, "skip": False, "extra": 1.0},
        {"rate": 1e-3, "depth": 3, "act": "relu", "same": 5, "skip": False, "extra": 3.0},
    ]
    encode = Encoding(seen)
    # act is relu, is tanh; depth; extra is missing, extra; rate (by its logarithm); skip is False, is True
    assert encode(seen[0]) == pytest.approx((1, 0, -1, 1, 0, -1, 0, 1))
    assert encode(seen[1]) == pytest.approx((0, 1, 1, 0, -1, 1, 1, 0))
    assert encode(seen[2]) == pytest.approx((1, 0, 0, 0, 1, 0, 1, 0))
    unknown = {"rate": 5.0, "depth": -7, "act": "swish", "skip": None, "new": 3}
    assert encode(unknown) == pytest.approx((0, 0, -1, 1, 0, 1, 0, 0))
    assert Encoding([{}, {}])({"rate": 1.0}) == (0.0,)
    assert Encoding([{"cell": str(number)} for number in range(17)])({"cell": "3"}) == (0.0,), "too many to learn from"


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 500), st.lists(st.floats(-6.0, 6.0), min_size=4, max_size=4))
def test_basis_functions_rise_from_the_first_unit_to_the_maximum_budget(units, shapes):
    outputs = torch.tensor([[[0.5, 0.0, 0.0, 0.0, 0.0, *shapes]]], dtype=torch.float64)
    times = torch.arange(1, units + 1, dtype=torch.float64) / units
    asymptote, weights, bases = curve_network.curve(outputs, curve_network.Clock.of(times, 1.0 / units))
    assert asymptote.item() == 0.5
    assert (weights > 0.0).all()
    assert torch.isfinite(bases).all()
    assert torch.allclose(bases[0, 0], -torch.ones(4, dtype=torch.float64))
    assert torch.equal(bases[0, -1], torch.zeros(4, dtype=torch.float64))
    assert (bases[0].diff(dim=0) >= -1e-9).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 100, "burn_in": 100}, "1 <= burn_in < steps must hold, but got 100 and 100"),
        ({"burn_in": 0}, "1 <= burn_in < steps"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"hidden": 0}, "hidden must be at least 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        LCNet(**options)


def test_curves_stay_finite_however_far_a_chain_strays() -> None:
    outputs = 1e3 * torch.randn(50, 1, 1 + curve_network.BASES + curve_network.SHAPES, dtype=torch.float64)
    outputs.requires_grad_()
    clock = curve_network.Clock.of(torch.linspace(0.01, 1.0, 7, dtype=torch.float64), first=0.01)
    asymptote, heights, bases = curve_network.curve(outputs, clock)
    assert bool((heights * bases).isfinite().all())
    (gradient,) = torch.autograd.grad((asymptote[:, None] + heights * bases).sum(), outputs)
    assert bool(gradient.isfinite().all())


def test_a_chain_that_left_the_numbers_behind_says_nothing() -> None:
    network = curve_network.Network(1, 4)
    weights = 0.5 * torch.randn(6, network.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs, times, values = (torch.tensor(one, dtype=torch.float64) for one in ([0.3], [0.1, 0.2], [-0.5, -0.2]))
    expected = curve_network.predict(network, weights, inputs, times, values, 0.1)
    broken = torch.cat([weights, torch.full_like(weights[:1], math.nan)])
    assert curve_network.predict(network, broken, inputs, times, values, 0.1) == expected
    assert all(map(math.isnan, curve_network.predict(network, broken[-1:], inputs, times, values, 0.1)))
