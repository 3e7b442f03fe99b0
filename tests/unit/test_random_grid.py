from collections import Counter

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float

from automl_core.errors import RequestError
from automl_core.functions import PlainSpace
from automl_core.interfaces import Problem
from automl_core.sampling import RandomSampler
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Outcome
from automl_searchers.complete import GridSearch, RandomSearch


def started(searcher, space=None, trials=None, max_budget=4, seed=0):
    searcher.start(Problem(space or ToySpace(), (Objective("accuracy"),), 1, max_budget, trials, seed))
    return searcher


def run(searcher, next_trial=0):
    jobs = []
    while (job := searcher.ask(next_trial + len(jobs))) is not None:
        jobs.append(job)
        searcher.tell(job, Outcome("failed", 0) if job.trial % 2 else Outcome("done", job.to_budget, values=(0.1,)))
        assert not searcher.may_continue(job.trial)
    assert searcher.finished()
    return jobs


def test_random_draws_what_the_sampler_draws_and_trains_it_completely():
    jobs = run(started(RandomSearch(), trials=20, seed=3))
    sampler = RandomSampler(ToySpace(), 3)
    assert [job.configuration for job in jobs] == [sampler.draw() for _ in range(20)]
    assert {(job.from_budget, job.to_budget) for job in jobs} == {(0, 4)}


def test_random_begins_a_hundred_trials_unless_told_otherwise():
    assert len(run(started(RandomSearch()))) == 100


def test_random_takes_a_single_budget_and_an_infinite_space():
    space = PlainSpace(ConfigurationSpace({"rate": (0.0, 1.0)}))
    rates = [job.configuration["rate"] for job in run(started(RandomSearch(), space, trials=400, max_budget=1))]
    shares = Counter(int(4 * rate) for rate in rates)
    assert all(70 <= shares[quarter] <= 130 for quarter in range(4)), shares


@pytest.mark.parametrize("trials", [None, 10**6])
def test_grid_is_exhaustive(trials):
    space = ToySpace(digits=3, choices=3)
    jobs = run(started(GridSearch(), space, trials))
    assert [job.configuration for job in jobs] == list(space.enumerate(0))
    assert len({space.canonical(job.configuration) for job in jobs}) == len(jobs) == 6 * 3 - 1
    assert {(job.from_budget, job.to_budget) for job in jobs} == {(0, 4)}


def test_grid_stops_at_its_trials_and_goes_on_when_given_more():
    space = ToySpace(digits=3, choices=3)
    searcher = started(GridSearch(), space, trials=5)
    jobs = run(searcher)
    assert len(jobs) == 5
    searcher.extend(9)
    jobs += run(searcher, next_trial=5)
    assert [job.configuration for job in jobs] == list(space.enumerate(0))[:9]


def test_an_exhaustive_grid_takes_no_more_trials():
    rule = "takes every configuration of its space, and 500 were asked for; leave --trials"
    with pytest.raises(RequestError, match=rule):
        started(GridSearch(), ToySpace(digits=2)).extend(500)


def test_grid_refuses_an_infinite_space_naming_what_is_infinite():
    config_space = ConfigurationSpace()
    config_space.add(Categorical("kind", ["a", "b"]), Float("rate", (0.0, 1.0)), Float("decay", (0.0, 1.0)))
    with pytest.raises(RequestError, match=r"but 'decay', 'rate' of 'configspace' .*restrict.*--searcher random"):
        started(GridSearch(), PlainSpace(config_space))


def test_both_need_no_budget_below_the_maximum():
    for searcher in (RandomSearch(), GridSearch()):
        assert not searcher.multi_fidelity
        assert started(searcher, max_budget=1).rungs() == (1,)
