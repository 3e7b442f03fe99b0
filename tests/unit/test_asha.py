import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.testing.doubles import ToySpace
from automl_core.types import Job, Objective, Outcome
from automl_searchers.asha import ASHA, _rung_budgets

ACCURACY = (Objective("accuracy"),)

# Whole trials, one after another: accuracy in percent at epochs 1 to 8.
CURVES = {
    "a": (10, 20, 30, 40, 45, 50, 55, 60),
    "b": (12, 18, 25, 35, 40, 42, 44, 46),
    "c": (9, 30, 50, 60, 70, 80, 85, 90),
    "d": (13, 25, 28, 45, 50, 55, 58, 61),
    "e": (14, 26, 33, 30, 20, 10, 5, 2),
    "f": (14, 27, 33, 47, 50, 52, 54, 62),
}


def problem(min_budget=1, max_budget=8, trials=10, seed=0, objectives=ACCURACY, space=None):
    return Problem(space or ToySpace(), objectives, min_budget, max_budget, trials, seed)


def started(kind="stop", eta=2, **options):
    searcher = ASHA(kind, eta)
    searcher.start(problem(**options))
    return searcher


def done(job, value):
    return Outcome("done", job.to_budget, values=(value,))


def jobs_to_the_end(searcher, next_trial=0):
    """Asks and tells, one job at a time, every accuracy 0."""
    jobs = []
    while (job := searcher.ask(next_trial)) is not None:
        jobs.append(job)
        next_trial = max(next_trial, job.trial + 1)
        searcher.tell(job, done(job, 0.0))
    assert searcher.finished()
    return jobs


def failed(job):
    return Outcome("failed", job.from_budget, error="it raised")


# --- rungs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "greatest", "eta", "budgets"),
    [
        (1, 8, 2, (1, 2, 4, 8)),
        (1, 200, 2, (1, 2, 4, 8, 16, 32, 64, 128, 200)),
        (1, 243, 3, (1, 3, 9, 27, 81, 243)),
        (2, 7, 3, (2, 6, 7)),
        (1, 10**18, 10, tuple(10**i for i in range(19))),
    ],
)
def test_rungs(least, greatest, eta, budgets):
    assert started(eta=eta, min_budget=least, max_budget=greatest).rungs() == budgets


@given(least=st.integers(1, 100), factor=st.integers(1, 10**6), eta=st.integers(2, 10))
def test_rungs_grow_by_eta_and_end_at_the_maximum(least, factor, eta):
    greatest = least * factor
    *below, last = _rung_budgets(least, greatest, eta)
    assert last == greatest
    assert below == [least * eta**i for i in range(len(below))]
    assert all(budget < greatest for budget in below)
    assert least * eta ** len(below) >= greatest


# --- the rule "stop" -------------------------------------------------------------------------------------------------


def test_stop_rule_at_one_rung():
    searcher = started(trials=8, max_budget=2)
    jobs = [searcher.ask(trial) for trial in range(8)]
    goes_on = []
    for job, accuracy in zip(jobs, (10, 12, 8, 11, 9, 15, 11.5, 12), strict=True):
        searcher.tell(job, done(job, accuracy))
        goes_on.append(searcher.may_continue(job.trial))
    assert goes_on == [True, True, False, True, False, True, True, True]
    assert [searcher.ask(8).trial for _ in range(6)] == [0, 1, 3, 5, 6, 7]


def test_stop_rule_over_whole_trials():
    searcher = started(trials=6)
    epochs = dict.fromkeys(CURVES, 0)
    names = list(CURVES)
    next_trial = 0
    while (job := searcher.ask(next_trial)) is not None:
        next_trial = max(next_trial, job.trial + 1)
        name = names[job.trial]
        assert job.from_budget == epochs[name]
        epochs[name] = job.to_budget
        searcher.tell(job, done(job, CURVES[name][job.to_budget - 1]))
    assert searcher.finished()
    assert epochs == {"a": 8, "b": 2, "c": 1, "d": 8, "e": 4, "f": 8}


def test_a_smaller_value_is_better_when_minimised():
    searcher = started(trials=2, max_budget=2, objectives=(Objective("loss", "min"),))
    first, second = searcher.ask(0), searcher.ask(1)
    searcher.tell(first, done(first, 0.5))
    searcher.tell(second, done(second, 0.7))
    assert searcher.may_continue(0)
    assert not searcher.may_continue(1)


@pytest.mark.parametrize("kind", ["stop", "promote"])
def test_continuations_come_before_new_trials(kind):
    searcher = started(kind)
    jobs = [searcher.ask(trial) for trial in range(3)]
    for job in jobs:
        searcher.tell(job, done(job, 0.1 * job.trial))
    assert searcher.ask(3).from_budget == 1


# --- the rule "promote" ----------------------------------------------------------------------------------------------


def test_promotion_takes_the_highest_rung_first():
    searcher = started("promote", trials=20)
    jobs = [searcher.ask(trial) for trial in range(4)]
    for job in jobs:
        searcher.tell(job, done(job, job.trial / 10))
    first, second = searcher.ask(4), searcher.ask(4)
    assert [(job.trial, job.from_budget, job.to_budget) for job in (first, second)] == [(3, 1, 2), (2, 1, 2)]
    new = [searcher.ask(trial) for trial in (4, 5)]
    for job in (*new, first, second):
        searcher.tell(job, done(job, job.trial / 10))
    # Trial 3 can go from rung 2 to 4, and trial 5 from rung 1 to 2: the highest comes first.
    assert [(job.trial, job.to_budget) for job in (searcher.ask(6), searcher.ask(6))] == [(3, 4), (5, 2)]


def test_a_paused_trial_is_promoted_when_the_rung_has_grown():
    searcher = started("promote", trials=20)
    best, good, bad, worse = (searcher.ask(trial) for trial in range(4))
    searcher.tell(best, done(best, 0.9))
    searcher.tell(good, done(good, 0.8))
    assert searcher.ask(4).trial == 0
    searcher.tell(bad, done(bad, 0.2))
    assert searcher.ask(4).trial == 4
    assert searcher.may_continue(1)
    searcher.tell(worse, done(worse, 0.1))
    assert searcher.ask(5) == Job(1, good.configuration, 1, 2)


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stop", "promote"])
def test_failed_trials_rank_worst_and_never_go_on(kind):
    searcher = started(kind, trials=4, max_budget=2)
    jobs = [searcher.ask(trial) for trial in range(4)]
    for job in jobs[:3]:
        searcher.tell(job, failed(job))
        assert not searcher.may_continue(job.trial)
    assert searcher.ask(4) is None
    searcher.tell(jobs[3], done(jobs[3], -1000.0))
    assert searcher.ask(4).trial == 3


@pytest.mark.parametrize("kind", ["stop", "promote"])
def test_a_diverged_value_is_not_taken(kind):
    searcher = started(kind, trials=2, max_budget=2)
    first, second = searcher.ask(0), searcher.ask(1)
    searcher.tell(first, Outcome("diverged", 1, values=(9.0,)))
    searcher.tell(second, done(second, math.nan))
    assert searcher.ask(2) is None
    assert searcher.finished()


# --- ends, extensions and bad requests -------------------------------------------------------------------------------


def test_the_default_number_of_trials_is_a_hundred():
    searcher = started(trials=None, max_budget=2)
    assert sum(job.from_budget == 0 for job in jobs_to_the_end(searcher)) == 100


def test_a_used_up_space_ends_the_search():
    space = ToySpace(digits=2, choices=2)
    jobs = jobs_to_the_end(started(trials=50, max_budget=2, space=space))
    assert {space.canonical(job.configuration) for job in jobs} == {(0, 1), (1, 1)}


def test_a_last_job_out_cannot_reopen_the_search():
    searcher = started(trials=1, max_budget=2)
    first = searcher.ask(0)
    assert not searcher.finished()
    searcher.tell(first, done(first, 1.0))
    second = searcher.ask(1)
    assert second.to_budget == 2
    assert searcher.finished()
    searcher.tell(second, done(second, 1.0))
    assert searcher.finished()


def test_extending_goes_on_with_the_same_draws():
    longer, extended = started(trials=6, max_budget=2), started(trials=3, max_budget=2)
    jobs = jobs_to_the_end(extended)
    extended.extend(6)
    jobs += jobs_to_the_end(extended, next_trial=3)
    assert jobs == jobs_to_the_end(longer)
    assert extended.problem.trials == 6


def test_the_number_of_trials_cannot_fall():
    with pytest.raises(RequestError, match="has 10, and 9"):
        started(trials=10).extend(9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_budget": 9, "max_budget": 3}, "min_budget <= max_budget must hold, but got 9 and 3"),
        ({"min_budget": 0}, "min_budget must be at least 1, but got 0"),
        ({"trials": 0}, "trials must be at least 1, but got 0"),
        (
            {"min_budget": 4, "max_budget": 4},
            "min_budget < max_budget must hold, but got min_budget 4 and max_budget 4; lower --min-budget, raise "
            "--max-budget, or use --searcher random",
        ),
        ({"max_budget": 1}, "min_budget 1 and max_budget 1; raise --max-budget"),
    ],
)
def test_bad_problems_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        started(**options)


def test_bad_options_are_refused():
    with pytest.raises(RequestError, match="eta of searcher asha must be at least 2, but got 1"):
        ASHA(eta=1)
    with pytest.raises(RequestError, match="stop or promote, but got 'halt'"):
        ASHA(kind="halt")


# --- against a plain reading of both rules ---------------------------------------------------------------------------


class Naive:
    """Both rules by scanning and sorting everything, with trials numbered in the order of their beginning."""

    def __init__(self, kind, eta, budgets, trials):
        self.kind, self.eta, self.budgets, self.trials = kind, eta, budgets, trials
        self.rungs = {budget: [] for budget in budgets}  # (loss, arrival, trial)
        self.promoted = {budget: set() for budget in budgets}
        self.queue = []
        self.begun = 0

    def ask(self):
        if self.queue:
            return self.queue.pop(0)
        if self.kind == "promote":
            for level in reversed(range(len(self.budgets) - 1)):
                budget = self.budgets[level]
                rung = sorted(self.rungs[budget])
                for loss, _, trial in rung[: len(rung) // self.eta]:
                    if loss < math.inf and trial not in self.promoted[budget]:
                        self.promoted[budget].add(trial)
                        return trial, self.budgets[level + 1]
        if self.begun == self.trials:
            return None
        self.begun += 1
        return self.begun - 1, self.budgets[0]

    def tell(self, trial, budget, loss):
        rung = self.rungs[budget]
        rung.append((loss, len(rung), trial))
        level = self.budgets.index(budget)
        if self.kind == "promote" or loss == math.inf or level + 1 == len(self.budgets):
            return
        better = sum(other < loss for other, _, _ in rung)
        if better < max(1, len(rung) // self.eta):
            self.queue.append((trial, self.budgets[level + 1]))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["stop", "promote"]),
    eta=st.integers(2, 4),
    max_budget=st.integers(2, 40),
    trials=st.integers(1, 40),
    workers=st.integers(1, 9),
    levels=st.integers(1, 30),
    seed=st.integers(0, 2**32),
)
def test_decisions_equal_those_of_the_plain_reading(kind, eta, max_budget, trials, workers, levels, seed):
    searcher = started(kind, eta, max_budget=max_budget, trials=trials)
    naive = Naive(kind, eta, searcher.rungs(), trials)
    generator = random.Random(seed)
    running, next_trial = [], 0
    while True:
        while len(running) < workers and (job := searcher.ask(next_trial)) is not None:
            assert naive.ask() == (job.trial, job.to_budget)
            next_trial = max(next_trial, job.trial + 1)
            running.append(job)
        if len(running) < workers:
            assert naive.ask() is None
        if not running:
            break
        job = running.pop(generator.randrange(len(running)))
        value = float(generator.randrange(levels))
        fails = generator.random() < 0.1
        searcher.tell(job, failed(job) if fails else done(job, value))
        naive.tell(job.trial, job.to_budget, math.inf if fails else -value)
    assert searcher.finished()
