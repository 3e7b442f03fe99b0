import math
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Outcome
from automl_searchers.hyperband import HyperBand

ACCURACY = (Objective("accuracy"),)


def started(min_budget=1, max_budget=9, trials=None, space=None, objectives=ACCURACY, seed=0, **options):
    searcher = HyperBand(**options)
    searcher.start(Problem(space or ToySpace(), objectives, min_budget, max_budget, trials, seed))
    return searcher


def done(job, *values):
    return Outcome("done", job.to_budget, values=values)


def failed(job):
    return Outcome("failed", job.from_budget, error="it raised")


def run(searcher, value=lambda trial, budget: trial, workers=1, next_trial=0, seed=0):
    """Asks and tells to the end, jobs ending in random order; a value of None makes a job fail. Gives all jobs."""
    generator, running, jobs = random.Random(seed), [], []
    while True:
        while len(running) < workers and (job := searcher.ask(next_trial)) is not None:
            next_trial = max(next_trial, job.trial + 1)
            running.append(job)
            jobs.append(job)
        if not running:
            break
        job = running.pop(generator.randrange(len(running)))
        one = value(job.trial, job.to_budget)
        searcher.tell(job, failed(job) if one is None else done(job, one))
    assert searcher.finished()
    return jobs


def counts(jobs):
    return Counter((job.from_budget, job.to_budget) for job in jobs)


# --- brackets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 8])
def test_one_round_is_the_default(workers):
    searcher = started(max_budget=81)
    jobs = run(searcher, workers=workers)
    assert len({job.trial for job in jobs}) == 81 + 27 + 9 + 6 + 5
    assert counts(jobs) == {
        (0, 1): 81,
        (1, 3): 27,
        (3, 9): 9 + 9,
        (9, 27): 3 + 3 + 3,
        (27, 81): 1 + 1 + 1 + 2,
        (0, 3): 27,
        (0, 9): 9,
        (0, 27): 6,
        (0, 81): 5,
    }
    assert sum(job.to_budget - job.from_budget for job in jobs) == 1404
    assert searcher.rungs() == (1, 3, 9, 27, 81)


def test_the_other_formula():
    assert counts(run(started(max_budget=81, formula="ceil"))) == {
        (0, 1): 81,
        (1, 3): 27,
        (3, 9): 9 + 11,
        (9, 27): 3 + 3 + 5,
        (27, 81): 1 + 1 + 1 + 2,
        (0, 3): 34,
        (0, 9): 15,
        (0, 27): 8,
        (0, 81): 5,
    }


def test_243_and_3_has_six_brackets():
    searcher = started(max_budget=243)
    assert searcher.rungs() == (1, 3, 9, 27, 81, 243)
    beginnings = {job.to_budget for job in run(searcher) if job.from_budget == 0}
    assert beginnings == {1, 3, 9, 27, 81, 243}


def test_the_minimum_budget_bounds_the_rungs():
    assert started(min_budget=2, max_budget=53).rungs() == (5, 17, 53)


def test_the_best_of_a_rung_go_on_best_first():
    searcher = started(trials=9)
    jobs = [searcher.ask(trial) for trial in range(9)]
    assert searcher.ask(9) is None
    for job, value in zip(jobs, (3, 8, 1, 7, 2, 9, 4, 6, 5), strict=True):
        assert searcher.may_continue(job.trial)
        searcher.tell(job, done(job, value))
    assert [searcher.may_continue(trial) for trial in range(9)] == [trial in (1, 3, 5) for trial in range(9)]
    going_on = [searcher.ask(9) for _ in range(3)]
    assert [(job.trial, job.from_budget, job.to_budget) for job in going_on] == [(5, 1, 3), (1, 1, 3), (3, 1, 3)]
    for job in going_on:
        searcher.tell(job, done(job, 0.5))
    last = searcher.ask(9)
    assert (last.trial, last.to_budget) == (1, 9), "of equal ones the trial that began first goes on"
    assert searcher.finished()
    searcher.tell(last, done(last, 0.5))
    assert not any(searcher.may_continue(trial) for trial in range(9))


def test_a_smaller_value_is_better_when_minimised():
    searcher = started(trials=3, max_budget=3, objectives=(Objective("loss", "min"),))
    jobs = [searcher.ask(trial) for trial in range(3)]
    for job, value in zip(jobs, (0.3, 0.1, 0.2), strict=True):
        searcher.tell(job, done(job, value))
    assert searcher.ask(3).trial == 1


def test_several_objectives_rank_by_front_then_by_crowding():
    searcher = started(trials=9, objectives=(Objective("accuracy"), Objective("flops", "min")))
    jobs = [searcher.ask(trial) for trial in range(9)]
    front = [(0.9, 9.0), (0.5, 1.0), (0.85, 8.8), (0.7, 5.0)]
    for job, values in zip(jobs, [*front, *[(0.4, 9.0)] * 5], strict=True):
        searcher.tell(job, done(job, *values))
    assert [searcher.ask(9).trial for _ in range(3)] == [0, 1, 3]


# --- while a rung waits ----------------------------------------------------------------------------------------------


def test_while_a_rung_waits_the_next_bracket_begins():
    searcher = started()
    jobs = [searcher.ask(trial) for trial in range(9)]
    assert {job.to_budget for job in jobs} == {1}
    later = searcher.ask(9)
    assert (later.trial, later.to_budget) == (9, 3)
    for job in jobs:
        searcher.tell(job, done(job, job.trial))
    assert [searcher.ask(10).trial for _ in range(3)] == [8, 7, 6], "the earlier bracket comes first"
    assert searcher.ask(10).trial == 10


def test_none_comes_only_when_all_trials_have_begun():
    searcher = started()
    trials = 0
    while (job := searcher.ask(trials)) is not None:
        assert job.trial == trials
        trials += 1
    assert trials == 9 + 3 + 3
    assert not searcher.finished()


# --- trials ----------------------------------------------------------------------------------------------------------


def test_more_trials_begin_further_rounds():
    jobs = run(started(trials=30))
    assert counts(jobs) == {key: 2 * count for key, count in counts(run(started())).items()}


def test_a_cut_bracket_shrinks_with_its_later_rungs():
    assert counts(run(started(max_budget=81, trials=30))) == {
        (0, 1): 30,
        (1, 3): 10,
        (3, 9): 3,
        (9, 27): 1,
        (27, 81): 1,
    }
    assert counts(run(started(max_budget=81, trials=1))) == dict.fromkeys(
        [(0, 1), (1, 3), (3, 9), (9, 27), (27, 81)], 1
    )


@pytest.mark.parametrize("workers", [1, 8])
def test_a_used_up_space_cuts_a_bracket_as_well(workers):
    jobs = run(started(max_budget=81, space=ToySpace(digits=2, choices=4)), workers=workers)
    assert counts(jobs) == {(0, 1): 9, (1, 3): 3, (3, 9): 1, (9, 27): 1, (27, 81): 1}


def test_an_extension_fills_the_bracket_that_is_running():
    searcher = started(max_budget=81, trials=5)
    jobs = [searcher.ask(trial) for trial in range(5)]
    for job in jobs[:4]:
        searcher.tell(job, done(job, job.trial))
    assert searcher.ask(5) is None
    searcher.extend(81)
    assert searcher.ask(5).to_budget == 1
    searcher.tell(jobs[4], done(jobs[4], 4))
    assert searcher.ask(6).to_budget == 1, "the rung is not judged before it is full"


def test_an_extension_after_the_end_begins_the_next_bracket():
    searcher = started(trials=5)
    first = run(searcher)
    searcher.extend(8)
    second = run(searcher, next_trial=5)
    assert counts(first) == {(0, 1): 5, (1, 3): 1, (3, 9): 1}
    assert counts(second) == {(0, 3): 3, (3, 9): 1}


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "diverged", "infeasible"])
def test_what_is_over_does_not_go_on_and_nothing_goes_on_in_its_place(status):
    searcher = started(trials=9)
    jobs = [searcher.ask(trial) for trial in range(9)]
    for job in jobs:
        bad = Outcome(status, job.to_budget, values=(10.0,), error="it was told to")
        searcher.tell(job, done(job, 0.5) if job.trial in (2, 4) else bad)
        assert searcher.may_continue(job.trial) == (job.trial in (2, 4))
    assert [searcher.ask(9).trial for _ in range(2)] == [2, 4]
    assert searcher.ask(9) is None


def test_a_bracket_without_survivors_gives_way_to_the_next():
    jobs = run(started(), value=lambda trial, budget: None if trial < 9 else 0.5)
    assert counts(jobs) == {(0, 1): 9, (0, 3): 3, (3, 9): 1, (0, 9): 3}


def test_a_value_that_is_no_number_does_not_go_on():
    searcher = started(trials=3, max_budget=3)
    jobs = [searcher.ask(trial) for trial in range(3)]
    for job, value in zip(jobs, (math.nan, math.inf, 0.1), strict=True):
        searcher.tell(job, done(job, value))
    assert searcher.ask(3).trial == 2


# --- bad requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"min_budget": 4, "max_budget": 10},
            "eta \\* min_budget <= max_budget with eta 3 must hold, but got min_budget 4 and max_budget 10; "
            "lower --min-budget, raise --max-budget, or use --searcher random",
        ),
        ({"max_budget": 2}, "min_budget 1 and max_budget 2; raise --max-budget"),
        ({"min_budget": 0}, "min_budget must be at least 1, but got 0"),
        ({"min_budget": 10}, "min_budget <= max_budget must hold, but got 10 and 9"),
        ({"trials": 0}, "trials must be at least 1, but got 0"),
        ({"eta": 1}, "eta of searcher hyperband must be at least 2, but got 1"),
        ({"formula": "round"}, "formula of searcher hyperband must be floor or ceil, but got 'round'"),
    ],
)
def test_bad_requests_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        started(**options)


def test_the_number_of_trials_cannot_fall():
    with pytest.raises(RequestError, match="has 15, and 14"):
        started().extend(14)


# --- laws ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    eta=st.integers(2, 4),
    formula=st.sampled_from(["floor", "ceil"]),
    factor=st.integers(4, 40),
    trials=st.one_of(st.none(), st.integers(1, 80)),
    workers=st.integers(1, 12),
    seed=st.integers(0, 2**32),
)
def test_every_rung_takes_as_many_as_the_arithmetic_says_and_none_better_stays_behind(
    eta, formula, factor, trials, workers, seed
):
    searcher = started(max_budget=factor, trials=trials, eta=eta, formula=formula)
    value = {}

    def measure(trial, budget):
        return value.setdefault((trial, budget), random.Random(f"{trial} {budget}").random())

    jobs = run(searcher, measure, workers, seed=seed)
    first = {job.trial: job.to_budget for job in jobs if job.from_budget == 0}
    assert trials is None or len(first) == trials
    # Brackets are told apart by where their trials begin; within a budget of beginning they follow one another.
    begins, bracket_of = [], {}
    for trial in sorted(first):
        size = searcher._bracket(len(begins) - 1).size if begins else 0
        if not begins or len(begins[-1]) == size:
            begins.append([])
        begins[-1].append(trial)
        bracket_of[trial] = len(begins) - 1
    for number, members in enumerate(begins):
        budgets = searcher._bracket(number).budgets
        assert {first[trial] for trial in members} == {budgets[0]}
        at = [{job.trial for job in jobs if job.to_budget == budget and job.trial in members} for budget in budgets]
        for level, (here, above) in enumerate(pairwise(at), start=1):
            assert above <= here
            assert len(above) == max(1, len(members) // eta**level)
            worst = min(measure(trial, budgets[level - 1]) for trial in above)
            assert all(measure(trial, budgets[level - 1]) < worst for trial in here - above)
