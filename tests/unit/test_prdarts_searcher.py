import json
import logging
import math
from random import Random

import pytest

from automl_core.constraints import ConstrainedSpace
from automl_core.errors import RequestError, StudyFailed
from automl_core.interfaces import Problem
from automl_core.options import describe
from automl_core.randomness import derive_seed
from automl_core.testing.doubles import ToySpace
from automl_core.types import Constraint, Job, Objective, Outcome
from automl_prdarts.plan import KINDS, Cycle, CycleReport, SupernetPlan
from automl_prdarts.searcher import DARTSSearcher, PRDARTSSearcher
from automl_spaces.cell_costs import CellCosts
from automl_spaces.cells import CellsDL, CellsDR, CellsUR
from automl_spaces.darts import DARTSSpace
from automl_spaces.genotype import EDGES
from automl_spaces.operations import START


def problem(space=None, trials=None, seed=0, max_budget=5):
    return Problem(space or CellsDL(), (Objective("accuracy"),), 1, max_budget, trials, seed)


def begin(searcher=None, **options):
    searcher = searcher or PRDARTSSearcher()
    searcher.start(problem(**options))
    return searcher


def respond(job, image_size=(32, 32), spread=1.0):
    """Gives what a job might give: a supernet's report of random probabilities that follow from its instruction."""
    if job.role == "candidate":
        return Outcome("done", job.to_budget, values=(0.5,))
    cycle, rows = Cycle.from_json(job.instruction["cycle"]), {}
    generator = Random(derive_seed(job.instruction))
    for kind in KINDS:
        weights = [[math.exp(generator.gauss(0, spread)) for _ in pool] for pool in getattr(cycle, kind)]
        rows[kind] = tuple(tuple(one / sum(row) for one in row) for row in weights)
    report = CycleReport(rows["normal"], rows["reduction"], 3, 10, image_size)
    return Outcome("done", job.to_budget, report=json.loads(json.dumps(report.to_json())))


def search(searcher, give=respond):
    """Runs with one worker; gives all jobs."""
    jobs, next_trial = [], 0
    while (job := searcher.ask(next_trial)) is not None:
        next_trial = max(next_trial, job.trial + 1)
        assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
        jobs.append(job)
        searcher.tell(job, give(job))
    return jobs


@pytest.mark.parametrize("make", [CellsDL, CellsDR, CellsUR])
def test_a_process_is_nine_cycles_and_then_its_genotype(make):
    space = make()
    jobs = search(begin(space=space))
    *cycles, candidate = jobs
    assert [(job.from_budget, job.to_budget) for job in cycles] == [
        (0, 15), (15, 30), (30, 40), (40, 50), (50, 60), (60, 70), (70, 80), (80, 90), (90, 100),
    ]  # fmt: skip
    assert {(job.trial, job.role) for job in cycles} == {(0, "support")}
    assert all(job.configuration == {} and job.instruction["max_budget"] == 100 for job in cycles)
    assert {job.instruction["label"] for job in cycles} == {"supernet 0"}
    assert all(job.instruction["description"] == cycles[0].instruction["description"] for job in cycles)
    told = [Cycle.from_json(job.instruction["cycle"]) for job in cycles]
    assert [Cycle.from_json(one) for one in cycles[-1].instruction["before"]] == told[:-1]
    assert told[0].normal == told[0].reduction == (START,) * len(EDGES)
    assert [(cycle.number, cycle.begins, cycle.epochs) for cycle in told] == [
        (number, job.from_budget, job.to_budget - job.from_budget) for number, job in enumerate(cycles)
    ]
    assert (candidate.trial, candidate.role, candidate.from_budget, candidate.to_budget) == (1, "candidate", 0, 5)
    assert space.violation(candidate.configuration) is None
    chosen = space.genotype(candidate.configuration)
    for kind in KINDS:
        for node, applications in enumerate(getattr(chosen, kind), start=2):
            for name, source in applications:
                assert name in getattr(told[-1], kind)[EDGES.index((source, node))]


def test_the_plan_is_that_of_the_options():
    searcher = PRDARTSSearcher(cells=5, channels=4, batch=8, largest_batch=0, architecture_lr=0.1, clip=1.0, noise=0.5)
    plan = SupernetPlan.from_json(begin(searcher).ask(0).instruction["description"])
    assert (plan.number, plan.cells, plan.channels) == (0, 5, 4)
    assert plan.trainer == {
        "batch": 8, "largest_batch": 0, "batch_every": 5, "lr": 0.025, "final_lr": 0.01, "momentum": 0.9,
        "nesterov": False, "weight_decay": 3e-4, "schedule": "cosine", "clip": 1.0, "drop_last": False, "cutout": 0,
        "augmentations": 0,
    }  # fmt: skip
    told = plan.architecture
    assert (told.lr, told.betas, told.weight_decay) == (0.1, (0.5, 0.999), 1e-3)
    assert (told.clip, told.second_order, told.noise) == (1.0, False, 0.5)


def test_equal_seeds_give_one_genotype_and_others_give_others():
    def found(seed):
        return search(begin(space=CellsUR(), seed=seed))[-1].configuration

    assert found(3) == found(3)
    assert len({tuple(found(seed).items()) for seed in range(4)}) == 4


def test_processes_of_one_study_differ():
    jobs = search(begin(trials=3))
    assert [job.instruction["label"] for job in jobs if job.from_budget == 0 and job.role == "support"] == [
        "supernet 0", "supernet 1", "supernet 2",
    ]  # fmt: skip
    candidates = [job for job in jobs if job.role == "candidate"]
    assert len({tuple(job.configuration.items()) for job in candidates}) == 3


def test_with_one_worker_a_process_ends_before_the_next_begins():
    jobs = search(begin(trials=3))
    assert [job.trial for job in jobs] == [*[0] * 9, 1, *[2] * 9, 3, *[4] * 9, 5]


def test_processes_run_side_by_side_and_keep_apart():
    searcher, alone = begin(trials=2), search(begin(trials=2))
    first, second = searcher.ask(0), searcher.ask(1)
    assert (first.trial, second.trial) == (0, 1)
    assert searcher.ask(2) is None
    assert not searcher.finished()
    jobs, next_trial = [first, second], 2
    out = [first, second]
    while out:
        job = out.pop(Random(len(jobs)).randrange(len(out)))
        searcher.tell(job, respond(job))
        while (new := searcher.ask(next_trial)) is not None:
            next_trial = max(next_trial, new.trial + 1)
            out.append(new)
            jobs.append(new)
    assert searcher.finished()

    def configurations(of):
        return {tuple(job.configuration.items()) for job in of if job.role == "candidate"}

    assert configurations(jobs) == configurations(alone), "a process must not depend on those beside it"


def test_a_recorded_search_is_repeated():
    searcher = begin(space=CellsDR(), trials=2)
    jobs = search(searcher)
    again = begin(space=CellsDR(), trials=2)
    next_trial = 0
    for job in jobs:
        again.replay(Job.from_json(json.loads(json.dumps(job.to_json()))), next_trial)
        next_trial = max(next_trial, job.trial + 1)
        again.tell(job, Outcome.from_json(json.loads(json.dumps(respond(job).to_json()))))
    assert again.finished()


def test_a_supernet_may_continue_until_its_last_cycle_is_told():
    searcher = begin(trials=1)
    for number in range(9):
        job = searcher.ask(0)
        assert searcher.may_continue(0)
        searcher.tell(job, respond(job))
        assert searcher.may_continue(0) == (number < 8)
    assert not searcher.finished()
    assert searcher.ask(1).role == "candidate"
    assert not searcher.may_continue(1)
    assert searcher.finished()


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_supernet_that_ends_early_gives_no_candidate(status):
    def give(job):
        if job.trial == 0 and job.from_budget == 15:
            return Outcome(status, 15, error="it was told to")
        return respond(job)

    searcher = begin(trials=2)
    jobs = search(searcher, give)
    assert [job.trial for job in jobs] == [0, 0, *[1] * 9, 2]
    assert searcher.finished()
    assert not searcher.may_continue(0)


def test_more_trials_are_more_processes():
    searcher = begin()
    assert searcher.planned_trials == 1
    jobs = search(searcher)
    assert searcher.finished()
    searcher.extend(3)
    assert not searcher.finished()
    assert searcher.planned_trials == 3
    job = searcher.ask(2)
    assert (job.trial, job.instruction["label"]) == (2, "supernet 1")
    assert len(jobs) == 10
    with pytest.raises(RequestError, match="it has 3 and 2 were asked for"):
        searcher.extend(2)


def test_bounds_on_costs_are_kept():
    space = CellsUR(cells=6, channels=8, max_skips=1)
    costs = CellCosts(6, 8, 3, 10, (32, 32))
    free = costs.total(space.genotype(search(begin(space=CellsUR(cells=6, channels=8)))[-1].configuration))
    foresee = {"params": lambda total: total.params, "flops": lambda total: total.flops}
    bounds = [Constraint("params", "<=", 0.9 * free.params), Constraint("flops", "<=", 0.9 * free.flops)]
    allowed = ConstrainedSpace(
        space, bounds, lambda network: {name: read(costs.total(network)) for name, read in foresee.items()}
    )
    found = space.genotype(search(begin(space=allowed))[-1].configuration)
    total = costs.total(found)
    assert total.params <= 0.9 * free.params
    assert total.flops <= 0.9 * free.flops
    assert sum(name == "skip_connect" for node in found.normal for name, _ in node) <= 1


def test_bounds_that_the_space_cannot_keep_end_the_process(caplog):
    space = ConstrainedSpace(CellsDL(), [Constraint("params", "<=", 1000)], lambda _: {"params": 2000})
    searcher = begin(space=space, trials=2)
    jobs = []
    with caplog.at_level(logging.WARNING), pytest.raises(StudyFailed, match="at most 1,000 and the nearest"):
        search(searcher, lambda job: jobs.append(job) or respond(job))
    assert [job.trial for job in jobs] == [0] * 9 + [1] * 9
    assert "supernet 0 ends without a candidate" in caplog.text
    with pytest.raises(StudyFailed, match="nearest"):  # asking again tells the same
        searcher.ask(2)
    searcher.extend(3)
    assert searcher.ask(2).instruction["label"] == "supernet 2"


@pytest.mark.parametrize(("make", "most"), [(CellsDL, 2_500_000), (CellsUR, 4_000_000)])
@pytest.mark.parametrize("seed", range(3))
def test_a_bound_that_the_first_candidates_keep_is_kept_in_the_end(make, most, seed):
    space = make(cells=20, channels=36)
    costs = CellCosts(20, 36, image_channels=3, classes=10, image_size=(32, 32))

    def params(network):
        return {"params": costs.total(network).params}

    bounded = ConstrainedSpace(space, [Constraint("params", "<=", most)], params)
    *jobs, candidate = search(begin(space=bounded, seed=seed))
    assert costs.total(space.genotype(candidate.configuration)).params <= most
    last = Cycle.from_json(jobs[-1].instruction["cycle"])
    assert any(len(pool) > 2 for pool in (*last.normal, *last.reduction)), "it took more than the table leaves"


def test_one_process_without_a_genotype_does_not_end_the_others(caplog):
    searcher = begin(trials=2)
    jobs = search(searcher, lambda job: respond(job) if job.trial else Outcome("done", job.to_budget, report={"no": 1}))
    assert [job.trial for job in jobs] == [0, *[1] * 9, 2]
    assert "a supernet must report" in caplog.text


def test_darts_is_one_cycle_of_all_operations():
    for space in (DARTSSpace(), DARTSSpace(none=True), CellsDL()):
        *supernet, candidate = search(begin(DARTSSearcher(epochs=7, grace=2), space=space))
        (job,) = supernet
        cycle = Cycle.from_json(job.instruction["cycle"])
        assert (job.from_budget, job.to_budget, job.instruction["max_budget"]) == (0, 7, 7)
        assert (cycle.epochs, cycle.grace) == (7, 2)
        assert cycle.normal == cycle.reduction == (space.operations,) * len(EDGES)
        assert "none" not in str(space.genotype(candidate.configuration))


def test_darts_trains_as_published():
    plan = SupernetPlan.from_json(begin(DARTSSearcher(), space=DARTSSpace()).ask(0).instruction["description"])
    assert (plan.cells, plan.channels) == (8, 16)
    wanted = {"batch": 64, "largest_batch": 0, "lr": 0.025, "final_lr": 0.001, "momentum": 0.9, "weight_decay": 3e-4}
    assert wanted.items() <= plan.trainer.items()
    assert (plan.architecture.lr, plan.architecture.weight_decay, plan.architecture.noise) == (3e-4, 1e-3, 1e-3)


@pytest.mark.parametrize(
    ("searcher", "space"), [(PRDARTSSearcher(), CellsUR(max_skips=2)), (DARTSSearcher(), DARTSSpace(max_skips=0))]
)
def test_can_be_rehearsed(searcher, space):
    def imagine(job):
        report = searcher.imagine(job) if job.role == "support" else None
        return Outcome("done", job.to_budget, values=(0.5,), report=report)

    allowed = ConstrainedSpace(space, [Constraint("params", "<=", 1)], lambda _: {"params": 2})
    searcher.start(problem(allowed))
    assert [job.role for job in search(searcher, imagine)].count("candidate") == 1


@pytest.mark.parametrize(
    ("searcher", "space", "told"),
    [
        (PRDARTSSearcher(), ToySpace(), "searches for cells, but space 'toy' has none"),
        (DARTSSearcher(), ToySpace(), "searcher darts searches for cells"),
        (PRDARTSSearcher(), DARTSSpace(), "by morphisms, but those of space 'darts' have none; .* --searcher darts"),
    ],
)
def test_spaces_that_do_not_fit_are_refused(searcher, space, told):
    with pytest.raises(RequestError, match=told):
        searcher.start(problem(space))
    with pytest.raises(RequestError, match=told):
        searcher.start(problem(ConstrainedSpace(space, [], dict)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cells": 2}, "'cells' of searcher pr-darts must be at least 3"),
        ({"channels": 0}, "'channels'"),
        ({"batch": 0}, "'batch'"),
        ({"largest_batch": 23}, "'largest_batch' .* 0 or at least batch"),
        ({"lr": 0.0}, "'lr' of searcher"),
        ({"final_lr": 0.1}, r"'final_lr' .* from 0 to lr, 0.025"),
        ({"momentum": 1.0}, "'momentum'"),
        ({"weight_decay": -1.0}, "'weight_decay'"),
        ({"clip": -1.0}, "'clip'"),
        ({"architecture_lr": 0.0}, "'architecture_lr'"),
        ({"architecture_betas": (0.5, 1.0)}, "'architecture_betas'"),
        ({"architecture_weight_decay": math.inf}, "'architecture_weight_decay'"),
        ({"noise": -0.1}, "'noise'"),
        ({"cycle_epochs": (1, 2)}, "2 of cycle_epochs, 2 of cycle_grace, 9 of cycle_candidates"),
    ],
)
def test_options_out_of_range_are_refused(options, told):
    with pytest.raises(RequestError, match=told):
        PRDARTSSearcher(**options)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"grace": 50}, {"grace": -1}])
def test_darts_needs_epochs_after_its_grace(options):
    with pytest.raises(RequestError, match="'grace' of searcher darts"):
        DARTSSearcher(**options)


@pytest.mark.parametrize("searcher", [PRDARTSSearcher, DARTSSearcher])
def test_every_option_is_explained(searcher):
    assert [one.name for one in describe(searcher) if not one.meaning] == []
