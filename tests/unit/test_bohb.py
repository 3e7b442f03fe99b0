import math
import random

import numpy as np
import pytest
from ConfigSpace import CategoricalHyperparameter as Categorical
from ConfigSpace import ConfigurationSpace, EqualsCondition, Float, Integer, OrdinalHyperparameter
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.functions import PlainSpace
from automl_core.interfaces import Problem
from automl_core.sampling import raw_draws
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Outcome
from automl_searchers.bohb import BOHB, _Results
from automl_searchers.cube import UnitCube
from automl_searchers.density import Density, impute
from automl_searchers.hyperband import HyperBand

ACCURACY = (Objective("accuracy"),)
NUMBERS = np.zeros(2, dtype=np.int64)
SEVERAL = (Objective("accuracy"), Objective("flops", "min"))


def mixed_space():
    """Every kind of hyperparameter; ``momentum`` and ``steps`` are inactive at times."""
    kind = Categorical("kind", ["sgd", "adam", "rmsprop"])
    rate = Float("rate", (1e-4, 1.0), log=True)
    momentum = Float("momentum", (0.0, 0.9))
    steps = Integer("steps", (1, 6))
    width = OrdinalHyperparameter("width", [8, 16, 32, 64])
    config_space = ConfigurationSpace({"fixed": ["only"]})
    config_space.add(kind, rate, momentum, steps, width)
    config_space.add(EqualsCondition(momentum, kind, "sgd"), EqualsCondition(steps, width, 32))
    return config_space


def started(space=None, max_budget=9, trials=200, objectives=ACCURACY, seed=0, **options):
    searcher = BOHB(**options)
    searcher.start(Problem(space or PlainSpace(mixed_space()), objectives, 1, max_budget, trials, seed))
    return searcher


def run(searcher, outcome):
    """Asks and tells one job at a time; gives all jobs."""
    jobs, next_trial = [], 0
    while (job := searcher.ask(next_trial)) is not None:
        next_trial = max(next_trial, job.trial + 1)
        jobs.append(job)
        searcher.tell(job, outcome(job))
    return jobs


def valued(function):
    return lambda job: Outcome("done", job.to_budget, values=(function(job),))


# --- configurations as points ----------------------------------------------------------------------------------------


def test_points_and_back():
    config_space = mixed_space()
    cube = UnitCube(config_space)
    assert list(config_space) == ["fixed", "kind", "rate", "width", "momentum", "steps"]
    assert cube.choices.tolist() == [3, 0, 0, 0, 0], "the hyperparameter without a choice is no axis"
    draws = raw_draws(config_space, 0)
    for configuration in (next(draws) for _ in range(200)):
        point = cube.encode(configuration)
        assert np.isnan(point).sum() == 6 - len(configuration)
        filled = np.where(np.isnan(point), 0.0, point)[None]
        assert np.array_equal(cube.snap(filled)[:, 3:], filled[:, 3:])
        (again,) = cube.decode(cube.snap(filled))
        rate = configuration["rate"]
        assert again == pytest.approx(dict(configuration)) if rate is None else again["rate"] == pytest.approx(rate)
        assert {name: again[name] for name in again if name not in ("rate", "momentum")} == {
            name: configuration[name] for name in configuration if name not in ("rate", "momentum")
        }


@given(points=st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=20))
def test_any_point_snaps_to_a_legal_configuration(points):
    cube = UnitCube(mixed_space())
    points = np.array([[float(index % 3), *numbers] for index, numbers in enumerate(points)])
    snapped = cube.snap(points)
    assert np.abs(snapped - points).max() <= 0.5 / 3 + 1e-9, "to the nearest of 4 and of 6 values"
    decoded = list(cube.decode(snapped))
    assert len(decoded) == len(points)
    for configuration in decoded:
        assert ("momentum" in configuration) == (configuration["kind"] == "sgd")
        assert ("steps" in configuration) == (configuration["width"] == 32)
        assert configuration["fixed"] == "only"


# --- densities -------------------------------------------------------------------------------------------------------


def normal(distance, width):
    return math.exp(-0.5 * (distance / width) ** 2) / (width * math.sqrt(2 * math.pi))


def cumulated(distance, width):
    return 0.5 * (1 + math.erf(distance / width / math.sqrt(2)))


@given(seed=st.integers(0, 2**32), count=st.integers(2, 12))
@settings(deadline=None, max_examples=30)
def test_a_density_is_the_mean_of_its_product_kernels(seed, count):
    generator = np.random.default_rng(seed)
    choices = np.array([0, 3, 0, 5])
    points = np.column_stack([generator.random(count), generator.integers(3, size=count)] * 2)
    points[:, 3] = generator.integers(5, size=count)
    density = Density(points, choices, 1e-3)
    for asked in points[:2] * [0.5, 1, 1, 1]:
        total = 0.0
        for point in points:
            kernel = 1.0
            for axis, (here, centre, width) in enumerate(zip(asked, point, density.bandwidths, strict=True)):
                if choices[axis]:
                    kernel *= 1 - width if here == centre else width / (choices[axis] - 1)
                else:
                    inside = cumulated(1 - centre, width) - cumulated(-centre, width)
                    kernel *= normal(here - centre, width) / inside
            total += kernel / count
        assert density.log(asked[None])[0] == pytest.approx(math.log(total), abs=1e-6)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_a_density_adds_up_to_one(seed, count):
    generator = np.random.default_rng(seed)
    points = np.column_stack([generator.random(count) ** 3, generator.integers(4, size=count)])
    density = Density(points, np.array([0, 4]), 0.01)
    middles = (np.arange(4000) + 0.5) / 4000
    total = sum(np.exp(density.log(np.column_stack([middles, np.full(4000, kind)]))).mean() for kind in range(4))
    assert total == pytest.approx(1.0, abs=1e-3)


def test_bandwidths_follow_the_normal_reference_rule():
    points = np.array([[0.1, 0.5], [0.3, 0.5], [0.8, 0.5], [0.4, 0.5]])
    wide, narrow = Density(points, NUMBERS, 1e-3).bandwidths
    assert wide == pytest.approx(1.06 * points[:, 0].std() * 4 ** (-1 / 6))
    assert narrow == 1e-3


def test_the_bandwidth_of_choices_does_not_depend_on_their_order():
    column = np.array([0.0, 0.0, 1.0, 3.0, 3.0, 3.0])
    renamed = np.array([2.0, 2.0, 3.0, 1.0, 1.0, 1.0])
    widths = [Density(one[:, None], np.array([4]), 1e-3).bandwidths[0] for one in (column, renamed)]
    assert widths[0] == widths[1]
    two = np.array([0.0, 1.0, 1.0, 1.0])
    assert (
        Density(two[:, None], np.array([2]), 1e-3).bandwidths[0]
        == Density(two[:, None], np.array([0]), 1e-3).bandwidths[0]
    )
    assert Density(np.array([[0.0], [1.0]]), np.array([2]), 0.9).bandwidths[0] == 0.5, "uniform at most"


@given(seed=st.integers(0, 2**32), widened=st.floats(0.1, 50))
@settings(deadline=None, max_examples=30)
def test_samples_stay_inside(seed, widened):
    generator = np.random.default_rng(seed)
    points = np.array([[0.0, 0.0], [1.0, 2.0], [1e-9, 1.0]])
    drawn = Density(points, np.array([0, 3]), 1e-3).sample(50, widened, generator)
    assert ((drawn[:, 0] >= 0) & (drawn[:, 0] <= 1)).all()
    assert set(drawn[:, 1]) <= {0.0, 1.0, 2.0}


def test_samples_are_spread_as_the_density_says():
    points = np.array([[0.05, 0.0], [0.2, 0.0], [0.9, 2.0], [0.3, 1.0]])
    density = Density(points, np.array([0, 3]), 1e-3)
    drawn = density.sample(40_000, 1.0, np.random.default_rng(0))
    middles = (np.arange(1000) + 0.5) / 1000
    for kind in range(3):
        expected = np.exp(density.log(np.column_stack([middles, np.full(1000, kind)]))).reshape(4, 250).mean(axis=1) / 4
        own = drawn[drawn[:, 1] == kind, 0]
        shares = np.histogram(own, bins=4, range=(0, 1))[0] / len(drawn)
        assert shares == pytest.approx(expected, abs=0.01)


def test_gaps_are_filled_with_values_of_the_same_axis():
    gap = math.nan
    points = np.array([[0.1, gap, gap, 2.0], [0.2, 0.7, gap, gap], [0.3, 0.9, gap, gap], [gap, gap, gap, gap]])
    choices = np.array([0, 0, 4, 3])
    filled = impute(points, choices, np.random.default_rng(1))
    known = ~np.isnan(points)
    assert np.array_equal(filled[known], points[known])
    assert filled[3, 0] in (0.1, 0.2, 0.3)
    assert set(filled[:, 1]) <= {0.7, 0.9}
    assert set(filled[:, 2]) <= {0.0, 1.0, 2.0, 3.0}, "no point has it: any value will do"
    assert set(filled[:, 3]) == {2.0}


# --- good and bad ones -----------------------------------------------------------------------------------------------


def split(losses, least=2, top=15):
    """The positions that are good and those that are bad."""
    several = any(isinstance(one, tuple) for one in losses)
    results = _Results(several)
    for place, one in enumerate(losses):
        results.add(np.array([float(place)]), one if several or one is None else (one,))
    sets = results.split(least, top)
    return sets and tuple([int(point[0]) for point in one] for one in sets)


def test_the_best_percent_are_good_and_the_others_bad():
    losses = [float(place + 1) for place in range(40)]
    random.Random(0).shuffle(losses)
    good, bad = split(losses)
    ordered = sorted(range(40), key=losses.__getitem__)
    assert good == ordered[:6]
    assert bad == ordered[6:]


def test_both_sets_have_the_least_number_of_points():
    assert split([3.0, 2.0, 1.0]) is None
    assert split([4.0, 3.0, 2.0, 1.0]) == ([3, 2], [1, 0])
    assert split([float(1 + place) for place in range(10)], top=99) is None
    assert split([float(1 + place) for place in range(10)], least=5) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])


def test_what_has_no_value_is_bad_and_never_good():
    assert split([None, 2.0, None, 1.0, None]) == ([3, 1], [0, 2, 4])
    assert split([None, 2.0, None, None, None]) is None
    assert split([None] * 9) is None
    assert split([None, 3.0, 1.0, *[None] * 90]) == ([2, 1], [0, *range(3, 81)])


def test_several_objectives_rank_by_front():
    assert split([(3.0, 3.0), (1.0, 2.0), None, (4.0, 4.0), (2.0, 1.0), None]) == ([1, 4], [0, 3, 2, 5])


# --- the searcher ----------------------------------------------------------------------------------------------------


def test_it_draws_as_hyperband_does_until_there_is_a_model():
    bohb, hyperband = started(trials=12, max_budget=27), HyperBand()
    hyperband.start(bohb.problem)
    outcome = valued(lambda job: job.trial / 100)
    assert run(bohb, outcome) == run(hyperband, outcome)
    assert bohb._current_models() is not None


def test_without_a_model_s_share_it_is_hyperband():
    bohb, hyperband = started(random_fraction=1.0), HyperBand()
    hyperband.start(bohb.problem)
    outcome = valued(lambda job: job.trial % 7)
    assert run(bohb, outcome) == run(hyperband, outcome)


def test_the_model_is_that_of_the_largest_budget_with_enough_results():
    searcher = started(trials=40)
    budgets = []
    fit = searcher._fit
    searcher._fit = lambda budget, *sets: budgets.append(budget) or fit(budget, *sets)
    jobs = run(searcher, valued(lambda job: job.trial))
    enough = 2 * (5 + 1)
    counts = {budget: sum(job.to_budget == budget for job in jobs) for budget in (1, 3, 9)}
    assert sorted(set(budgets)) == [budget for budget, count in counts.items() if count > enough]
    assert budgets == sorted(budgets)


def test_nothing_is_fitted_while_nothing_is_told():
    searcher = started(trials=60, max_budget=81)
    for trial in range(20):
        job = searcher.ask(trial)
        searcher.tell(job, Outcome("done", 1, values=(float(trial),)))
    models = searcher._current_models()
    for trial in range(20, 30):
        searcher.ask(trial)
        assert searcher._current_models() is models
    assert models is not None


def test_proposals_gather_where_the_good_ones_are():
    def accuracy(job):
        one = job.configuration
        return -abs(math.log10(one["rate"]) + 2) - (one["kind"] != "adam") - abs(one["width"] - 32) / 32

    def mean(searcher):
        return np.mean([accuracy(job) for job in run(searcher, valued(accuracy)) if job.from_budget == 0][-60:])

    hyperband = HyperBand()
    hyperband.start(started().problem)
    assert mean(started()) > mean(hyperband) + 1.0


def test_several_objectives_gather_on_the_front():
    def outcome(job):
        quality = -abs(math.log10(job.configuration["rate"]) + 2)
        return Outcome("done", job.to_budget, values=(quality, job.configuration["width"]))

    jobs = run(started(objectives=SEVERAL, random_fraction=0.0), outcome)
    new = [job.configuration for job in jobs if job.from_budget == 0][-60:]
    assert np.mean([1e-3 < one["rate"] < 1e-1 for one in new]) > 0.75, "uniform draws would be a half"


def test_failed_trials_are_avoided():
    def outcome(job):
        if job.configuration["kind"] == "adam":
            return Outcome("failed", 0, error="it raised")
        return Outcome("done", job.to_budget, values=(0.5 + job.trial % 5 / 10,))

    jobs = run(started(random_fraction=0.0), outcome)
    new = [job.configuration for job in jobs if job.from_budget == 0]
    assert np.mean([one["kind"] == "adam" for one in new[-100:]]) < 0.1


def test_a_proposal_is_never_drawn_again():
    space = ToySpace(digits=2, choices=6)
    jobs = run(started(space, trials=100), valued(lambda job: sum(job.configuration.values())))
    keys = [space.canonical(job.configuration) for job in jobs if job.from_budget == 0]
    assert len(keys) == len(set(keys)) == 20


def test_a_space_without_a_choice():
    space = PlainSpace(ConfigurationSpace({"kind": ["only"]}))
    assert [job.to_budget for job in run(started(space), valued(lambda job: 0.5))] == [1, 3, 9]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random_fraction": 1.1}, r"random_fraction of searcher bohb must lie in \[0, 1\], but got 1.1"),
        ({"top_n_percent": 0}, r"top_n_percent of searcher bohb must lie in \[1, 99\], but got 0"),
        ({"num_samples": 0}, "num_samples of searcher bohb must be at least 1, but got 0"),
        ({"bandwidth_factor": 0.0}, "bandwidth_factor of searcher bohb must be positive"),
        ({"min_bandwidth": 0.0}, "min_bandwidth of searcher bohb must lie in"),
        ({"min_points_in_model": 5}, "min_points_in_model of searcher bohb must be at least 6, .*, but got 5"),
        ({"eta": 1}, "eta of searcher bohb must be at least 2"),
        ({"max_budget": 2}, "searcher bohb compares trials"),
    ],
)
def test_bad_requests_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        started(**options)
