import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from automl_core.interfaces import Problem
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Observation, Point
from automl_feature_history.curves import Best, Last
from automl_feature_history.parametric import LearningCurve, extrapolate

ACCURACY, LOSS = Objective("accuracy"), Objective("loss", "min")


def estimate(estimator, curve, objectives=(ACCURACY, LOSS), max_budget=40):
    estimator.start(Problem(ToySpace(), objectives, 1, max_budget, None, seed=0))
    for unit, metrics in curve:
        estimator.observe(Observation(unit, metrics))
    return estimator.estimate()


CURVE = [
    (0, {"accuracy": 0.1, "loss": 2.3, "params": 7.0}),
    (1, {"accuracy": 0.6, "loss": 1.0, "params": 7.0}),
    (2, {"accuracy": 0.5, "loss": 1.4, "params": 7.0}),
]


def test_last_is_the_newest_point():
    found = estimate(Last(), CURVE)
    assert found.metrics == CURVE[-1][1]
    assert found.deviation == {}


def test_best_goes_by_each_objectives_direction_and_leaves_other_metrics():
    assert estimate(Best(), CURVE).metrics == {"accuracy": 0.6, "loss": 1.0, "params": 7.0}
    assert estimate(Best(), CURVE, (ACCURACY,)).metrics == {"accuracy": 0.6, "loss": 1.4, "params": 7.0}
    worst = (Objective("accuracy", "min"), Objective("missing"))
    assert estimate(Best(), CURVE, worst).metrics["accuracy"] == 0.1


def test_learning_curve_leaves_alone_what_is_no_objective():
    curve = [(unit, {"accuracy": 1.0 - 0.5 / unit, "loss": 1.0 / unit}) for unit in range(1, 11)]
    found = estimate(LearningCurve(), curve, (ACCURACY, Objective("missing")))
    assert found.metrics["loss"] == 0.1
    assert found.metrics["accuracy"] > 0.96
    assert set(found.deviation) == {"accuracy"}


def rising(generator, noise, units):
    """Draws curves of several families: values with noise for the first quarter, and the true end."""
    times = np.arange(1.0, units + 1.0)
    for index in range(32):
        top, gain = generator.uniform(0.6, 0.95), generator.uniform(0.2, 0.5)
        speed = generator.uniform(0.2, 1.2)
        falls = (times**-speed, np.exp(-0.2 * speed * times), 1.0 / (1.0 + 0.3 * times), 1.0 / np.log(times + 1.7))
        true = top - gain * falls[index % 4]
        yield (true + noise * generator.standard_normal(units))[: units // 4], true[-1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("objective", "turn"), [(ACCURACY, lambda value: value), (LOSS, lambda value: 5.0 * (1.0 - value))]
)
def test_learning_curve_beats_last(seed, objective, turn):
    drawn = list(rising(np.random.default_rng(seed), noise=0.005, units=40))
    true = np.array([turn(end) for _, end in drawn])
    last = np.array([turn(values[-1]) for values, _ in drawn])
    found = [
        extrapolate(
            [Point(unit + 1, {objective.metric: turn(value)}) for unit, value in enumerate(values)], objective, 40
        )
        for values, _ in drawn
    ]
    mean, deviation = np.array(found).T
    assert np.abs(mean - true).mean() < 0.4 * np.abs(last - true).mean()
    assert kendalltau(mean, true).statistic > kendalltau(last, true).statistic + 0.05
    within = np.abs(mean - true) < 2.0 * deviation
    assert within.mean() > 0.8, "deviations must be honest"


def test_learning_curve_follows_a_curve_without_noise_closely():
    points = [Point(unit, {"accuracy": 0.9 - 0.5 * unit**-0.6}) for unit in range(1, 21)]
    mean, deviation = extrapolate(points, ACCURACY, 80)
    assert mean == pytest.approx(0.9 - 0.5 * 80**-0.6, abs=0.01)
    assert 0.0 < deviation < 0.03


def test_uncertainty_shrinks_with_more_points():
    values = [0.9 - 0.6 * math.exp(-0.1 * unit) for unit in range(41)]
    curve = [Point(unit, {"accuracy": value}) for unit, value in enumerate(values)]
    deviations = [extrapolate(curve[: end + 1], ACCURACY, 40)[1] for end in (5, 15, 39)]
    assert deviations == sorted(deviations, reverse=True)


@pytest.mark.parametrize("units", [[0], [1], [0, 1, 2], [1, 2]])
def test_few_points_give_the_last_value_and_all_the_room_as_deviation(units):
    points = [Point(unit, {"accuracy": 0.2 + 0.1 * unit, "loss": 2.0 - 0.5 * unit}) for unit in units]
    last = points[-1].metrics
    assert extrapolate(points, ACCURACY, 40) == (last["accuracy"], pytest.approx(1.0 - last["accuracy"]))
    assert extrapolate(points, LOSS, 40) == (last["loss"], pytest.approx(last["loss"]))


def test_at_the_maximum_budget_and_where_nothing_moves_it_is_the_last_value():
    points = [Point(unit, {"accuracy": 0.1 * unit, "params": 70.0}) for unit in range(1, 6)]
    assert extrapolate(points, ACCURACY, 5) == (points[-1].metrics["accuracy"], 0.0)
    assert extrapolate(points, Objective("params", "min"), 40)[0] == 70.0


def test_the_untrained_network_is_no_part_of_the_curve():
    points = [Point(unit, {"accuracy": 0.9 - 0.5 / unit}) for unit in range(1, 9)]
    assert extrapolate([Point(0, {"accuracy": 0.9}), *points], ACCURACY, 40) == extrapolate(points, ACCURACY, 40)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=12),
    st.sampled_from(["max", "min"]),
    st.integers(1, 10_000),
)
def test_never_absurd(values, direction, further):
    points = [Point(unit + 1, {"score": value}) for unit, value in enumerate(values)]
    mean, deviation = extrapolate(points, Objective("score", direction), len(values) + further)
    gain = 1.01 * (max(values) - min(values) or abs(values[-1]) or 1.0)  # as much again as there was
    if direction == "max":
        assert min(values) <= mean <= max(values) + gain
    else:
        assert min(0.0, min(values) - gain) <= mean <= max(values)
    assert math.isfinite(deviation)
    assert deviation >= 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=3, max_size=30))
def test_accuracies_stay_accuracies_and_errors_mirror_them(percentages):
    values = [percentage / 100.0 for percentage in percentages]
    points = [Point(unit + 1, {"accuracy": value}) for unit, value in enumerate(values)]
    mean, deviation = extrapolate(points, ACCURACY, 100)
    assert min(values) <= mean <= 1.0
    errors = [Point(unit + 1, {"error": 1.0 - value}) for unit, value in enumerate(values)]
    mirrored = extrapolate(errors, Objective("error", "min"), 100)
    assert mirrored == (pytest.approx(1.0 - mean, abs=1e-6), pytest.approx(deviation, abs=1e-6))
