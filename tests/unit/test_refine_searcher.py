"""The refining searcher, driven without an engine."""

from random import Random

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Integer

from automl_core.errors import RequestError, StudyFailed
from automl_core.functions import PlainSpace
from automl_core.interfaces import Problem
from automl_core.randomness import derive_seed
from automl_core.restricting import Restriction
from automl_core.testing import SearcherContract
from automl_core.testing.doubles import ToySpace
from automl_core.types import Job, Objective, Outcome, Point
from automl_refine.searcher import RefineSearcher
from automl_spaces.ktg import KTGSpace

WIDE = "wrn-28-2"


def published_space():
    return KTGSpace(models=("resnet32", WIDE), gates=("through", "cutoff", "linear"))


def accuracy(configuration, noise=0.01):
    """Better with wide auxiliaries, then with taught ones, then with their knowledge coming in slowly."""
    value = 0.5
    value += 0.06 * sum(configuration[name] == WIDE for name in ("model_2", "model_3"))
    value += 0.03 * sum(configuration[name] == "through" for name in ("gate_label_2", "gate_label_3"))
    value += 0.015 * sum(configuration[name] == "linear" for name in ("gate_2_1", "gate_3_1"))
    generator = Random(derive_seed("noise", sorted(configuration.items())))
    return value + noise * generator.random()


def done(job, value):
    return Outcome("done", job.to_budget, (Point(job.to_budget, {"accuracy": value}),), (value,), cost=1.0)


def begin(searcher, space=None, trials=None, seed=0, objective=Objective("accuracy")):  # noqa: B008 - frozen
    searcher.start(Problem(space or published_space(), (objective,), 1, 1, trials, seed))
    return searcher


def drive(searcher, value=accuracy, workers=1, most=100_000):
    """Trains what is asked for, ``workers`` at once; gives the jobs in the order in which they were asked for."""
    running, jobs = [], []
    while len(jobs) < most:
        while len(running) < workers and (job := searcher.ask(len(jobs))) is not None:
            running.append(job)
            jobs.append(job)
        if not running:
            break
        job = running.pop(0)
        answer = value(job.configuration)
        searcher.tell(job, answer if isinstance(answer, Outcome) else done(job, answer))
    return jobs


def path(searcher):
    return [(step.chosen.condition.label, step.chosen.label) for step in searcher.steps if step.chosen is not None]


PUBLISHED_PATH = [
    ("auxiliary node", f"{WIDE} & {WIDE}"),
    ("edge from label to auxiliary", "through & through"),
    ("edge from auxiliary to target", "linear & linear"),
]


@pytest.mark.parametrize(
    ("lower_limit", "sizes", "everything"),
    [(500, [39_609, 9_963, 1_134, 135], 135), (2_000, [39_609, 9_963, 1_134], 1_089)],
)
def test_refines_until_the_space_is_small_enough_and_takes_all_of_that(lower_limit, sizes, everything):
    searcher = begin(RefineSearcher(per_step=270, lower_limit=lower_limit, choose="auc", min_group=20))
    jobs = drive(searcher)
    assert path(searcher) == PUBLISHED_PATH[: len(sizes) - 1]
    assert [step.space.orbits() for step in searcher.steps] == sizes
    assert searcher.status == "done" and searcher.exhausted and searcher.finished()
    last = searcher.steps[-1]
    assert last.exhaustive and last.chosen is None and len(last.members) == everything
    # What was trained in a wider space counts in the narrower one, and is not asked for again.
    assert all(step.migrated > 0 for step in searcher.steps[1:])
    assert all(len(step.members) == 270 for step in searcher.steps[:-1])
    assert len(jobs) == 1 + sum(step.drawn for step in searcher.steps)  # the reference is no member
    assert len({tuple(sorted(job.configuration.items())) for job in jobs[1:]}) == len(jobs) - 1


def test_the_sample_lies_in_the_design_space_and_is_uniform_over_raw_configurations():
    searcher = begin(RefineSearcher(per_step=600, lower_limit=500, choose="auc"))
    drive(searcher)
    for step in searcher.steps:
        assert all(step.space.violation(member.configuration) is None for member in step.members)
    pairs = [{member.configuration["model_2"], member.configuration["model_3"]} for member in searcher.steps[0].members]
    mixed = sum(len(pair) == 2 for pair in pairs)
    assert 240 < mixed < 360  # half of the raw configurations


def test_members_are_raw_configurations_although_equal_ones_are_trained_once():
    """Auxiliaries that the target does not learn from mean nothing, but the choice made there is counted."""
    searcher = begin(RefineSearcher(per_step=600, lower_limit=500, choose="auc"))
    drive(searcher, most=601)
    members = searcher.members() if not searcher.steps else searcher.steps[0].members
    assert len(members) == 600 and len({member.key for member in members}) < 600


def test_a_twin_of_what_is_under_way_waits_for_it():
    space = published_space()
    searcher = begin(RefineSearcher(per_step=600, lower_limit=500, choose="auc"), space)
    running = {}
    for number in range(300):
        job = searcher.ask(number)
        key = space.canonical(job.configuration)
        assert key not in running.values(), "a training was begun twice at once"
        running[number] = key
        if number % 3 == 2:  # the oldest ends
            oldest = min(running)
            searcher.tell(Job(oldest, {}, 0, 1), done(job, 0.6))
            del running[oldest]


def test_the_first_trial_is_the_reference_and_sets_the_floor():
    searcher = begin(RefineSearcher(per_step=270, lower_limit=500, choose="auc"))
    values = iter([0.6] + [0.31, 0.29] * 135)
    jobs = drive(searcher, value=lambda _: next(values), most=271)
    assert jobs[0].configuration["gate_label_1"] == "through"
    assert {jobs[0].configuration[f"gate_{other}_1"] for other in (2, 3)} == {"cutoff"}
    table = searcher.steps[0].table
    assert table.floor == 0.3
    assert dict(table.left_out) == {"below the floor": 135}
    assert table.overall == pytest.approx(31)


def test_failed_and_diverged_trials_are_left_out_and_counted():
    searcher = begin(RefineSearcher(per_step=270, lower_limit=500, choose="auc", floor=0.1))
    answers = iter(["failed", "diverged", "infeasible"])

    def respond(configuration):
        status = next(answers, None)
        return accuracy(configuration) if status is None else Outcome(status, 0, error="it was told to")

    drive(searcher, value=respond, most=270)
    assert dict(searcher.steps[0].table.left_out) == {"failed": 1, "diverged": 1, "infeasible": 1}


def test_separate_intervals_are_asked_for_and_more_is_drawn_for_them():
    def flat(configuration):
        return 0.6 + 0.1 * Random(derive_seed("flat", sorted(configuration.items()))).random()

    searcher = begin(RefineSearcher(per_step=120, lower_limit=500, max_extra=60, min_group=10))
    jobs = drive(searcher, value=flat)
    (step,) = searcher.steps
    assert step.chosen is None and step.extra == 60 and len(step.members) == 180 and len(jobs) == 181
    assert searcher.status == "stopped" and "60 more" in searcher.reason
    clear = begin(RefineSearcher(per_step=270, lower_limit=500, min_group=20))
    drive(clear)
    assert path(clear)[0] == PUBLISHED_PATH[0]


def test_a_person_decides_and_can_stop():
    searcher = begin(RefineSearcher(per_step=100, lower_limit=500, choose="ask", min_group=5))
    drive(searcher)
    assert searcher.status == "waiting" and searcher.finished() and searcher.ask(101) is None
    for wrong in ({"condition": "auxiliary nod", "category": "x"}, {"stop": False}, "auxiliary node", None):
        with pytest.raises(RequestError):
            searcher.instruct(wrong)
    searcher.instruct({"condition": "edge from label to target", "category": "linear"})
    assert searcher.status == "sampling" and not searcher.finished()
    assert searcher.space.restriction.allows({"gate_label_1": "linear"})
    assert not searcher.space.restriction.allows({"gate_label_1": "through"})
    with pytest.raises(RequestError, match="is sampling"):
        searcher.instruct({"stop": True})
    drive(searcher)
    searcher.instruct({"stop": True})
    assert searcher.status == "stopped" and searcher.reason == "stopped by hand" and searcher.finished()


def test_a_mixed_choice_leaves_both_orders_and_is_not_looked_at_again():
    searcher = begin(RefineSearcher(per_step=60, lower_limit=500, choose="ask", min_group=5))
    drive(searcher)
    searcher.instruct({"condition": "edge from label to auxiliary", "category": "through & linear"})
    space = searcher.space
    assert (space.size(), space.orbits()) == (2 * 78_732 // 9, 78_732 // 9)
    drive(searcher)
    assert "edge from label to auxiliary" not in [condition.label for condition, _ in searcher.waiting.table.conditions]


def test_ends_with_a_notice_when_everything_is_fixed_and_the_space_is_still_large():
    searcher = begin(RefineSearcher(per_step=100, lower_limit=10, choose="auc", min_group=5))
    drive(searcher)
    assert len(searcher.steps) == 4
    assert searcher.status == "stopped" and "no condition is left" in searcher.reason


def test_a_space_with_less_than_a_sample_is_used_up():
    space = ToySpace(digits=3, choices=4)
    searcher = begin(RefineSearcher(per_step=500, lower_limit=20, choose="auc", min_group=2), space)
    jobs = drive(searcher, value=lambda configuration: 0.5 + 0.01 * next(iter(configuration.values())))
    assert len(jobs) == 63  # all digits 0 is not allowed
    assert searcher.steps[0].exhaustive and searcher.steps[0].space.size() == 64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"per_step": 20}, "per_step of searcher refine must be at least 30"),
        ({"min_group": 1}, "min_group of searcher refine must be at least 2"),
        ({"lower_limit": 0}, "lower_limit of searcher refine must be at least 1"),
        ({"lower_limit": 50_000}, "holds 39,609; lower --lower-limit"),
        ({"low": 1.0}, "--range LOW HIGH"),
        ({"conditions": ("gate_label_2",)}, "gate_label_3"),
        ({"conditions": ("gate_labl_1",)}, "did you mean 'gate_label_1'"),
    ],
)
def test_refuses_what_cannot_work(options, words):
    with pytest.raises(RequestError) as caught:
        begin(RefineSearcher(**options))
    assert words in str(caught.value)


def test_refuses_several_objectives_and_values_that_are_no_fractions():
    searcher = RefineSearcher(per_step=40, lower_limit=500)
    with pytest.raises(RequestError, match="one --objective"):
        searcher.start(Problem(published_space(), (Objective("accuracy"), Objective("flops", "min")), 1, 1, None, 0))
    begin(searcher)
    with pytest.raises(StudyFailed, match=r"fraction.*71\.5"):
        drive(searcher, value=lambda _: 71.5)
    assert not searcher.finished()


def test_errors_of_a_loss_are_its_own_values():
    searcher = begin(
        RefineSearcher(per_step=300, lower_limit=500, choose="auc", min_group=20), objective=Objective("loss", "min")
    )
    drive(searcher, value=lambda configuration: 3 - 2 * accuracy(configuration))
    assert path(searcher) == PUBLISHED_PATH
    assert searcher.steps[0].table.span[0] == 0.0


def test_a_reference_that_fails_ends_it_since_there_is_no_floor():
    searcher = begin(RefineSearcher(per_step=100, lower_limit=500, choose="auc", min_group=5))
    job = searcher.ask(0)
    searcher.tell(job, Outcome("failed", 0, error="no memory"))
    with pytest.raises(StudyFailed, match=r"trial 0 failed: no memory; pass --floor"):
        searcher.ask(1)


def momentum_space():
    """``momentum`` counts with sgd alone."""
    optimiser = Categorical("optimiser", ["sgd", "adam"])
    momentum = Categorical("momentum", ["low", "high"])
    space = ConfigurationSpace()
    space.add(optimiser, momentum, Integer("width", (1, 8)), Integer("depth", (1, 8)))
    space.add(EqualsCondition(momentum, optimiser, "sgd"))
    return PlainSpace(space)


def test_what_is_inactive_in_some_is_compared_once_it_is_active_in_all():
    def value(configuration):
        base = 0.3 if configuration["optimiser"] == "adam" else 0.5
        return base + {"low": 0.0, "high": 0.4}.get(configuration.get("momentum"), 0.0) + 0.001 * configuration["width"]

    searcher = begin(
        RefineSearcher(per_step=60, lower_limit=16, choose="auc", conditions=("momentum", "optimiser", "width")),
        momentum_space(),
    )
    searcher.min_group = 5
    drive(searcher, value=value)
    assert path(searcher)[:2] == [("optimiser", "sgd"), ("momentum", "high")]
    with pytest.raises(RequestError, match="'momentum' is inactive in some"):
        begin(RefineSearcher(per_step=60, lower_limit=16, conditions=("momentum",)), momentum_space())


def test_conditions_on_what_is_fixed_already_compare_the_rest():
    space = published_space().restrict(Restriction.fix(model_2=WIDE, gate_label_2="through"))
    conditions = ("auxiliary node", "gate_label_2+gate_label_3", "gate_label_1")
    searcher = begin(RefineSearcher(per_step=90, lower_limit=500, choose="auc", conditions=conditions), space)
    drive(searcher)
    names = [condition.names for condition, _ in searcher.steps[0].table.conditions]
    assert names == [("model_3",), ("gate_label_3",), ("gate_label_1",)]
    both = published_space().restrict(Restriction.fix(model_2=WIDE, model_3=WIDE))
    with pytest.raises(RequestError, match=r"'auxiliary node' everything has one value|model_2"):
        begin(RefineSearcher(lower_limit=500, conditions=("model_2+model_3",)), both)


def test_only_what_is_drawn_counts_as_further_samples():
    """Most of a sample lies in what is chosen: more than a step is known there from the start."""
    whole = ConfigurationSpace()
    whole.add(
        Categorical("kind", ["good", "bad"], weights=[0.8, 0.2]), Integer("one", (1, 30)), Integer("two", (1, 30))
    )

    def value(configuration):
        generator = Random(derive_seed("flat", sorted(configuration.items())))
        return 0.4 + 0.2 * (configuration["kind"] == "good") + 0.2 * generator.random()

    searcher = begin(
        RefineSearcher(per_step=100, lower_limit=50, max_extra=40, conditions=("kind", "one", "two"), min_group=5),
        PlainSpace(whole),
    )
    drive(searcher, value=value)
    second = searcher.steps[1]
    assert second.migrated > 60 and second.extra == 40
    assert second.drawn == max(100 - second.migrated, 0) + 40


def test_a_part_of_what_was_taken_as_a_whole_is_known():
    searcher = begin(
        RefineSearcher(per_step=300, lower_limit=10, choose="auc", min_group=5, conditions=("digit_3",)),
        ToySpace(digits=3, choices=6),
    )
    jobs = drive(searcher, value=lambda configuration: 0.5 + 0.01 * configuration["digit_3"])
    assert len(jobs) == len(searcher.steps[0].members) and searcher.steps[0].exhaustive
    last = searcher.steps[-1]
    assert searcher.status == "done" and searcher.reason == "all of the last space has been taken"
    assert last.space.restriction.to_json() == {"fixed": {"digit_3": 5}} and last.drawn == 0 and len(last.members) == 36


def test_a_space_without_end_says_why_it_is_not_taken():
    endless = ConfigurationSpace({"rate": (0.0, 1.0), "kind": ["a", "b"]})
    searcher = begin(
        RefineSearcher(per_step=60, lower_limit=20, choose="auc", min_group=5, conditions=("rate", "kind")),
        PlainSpace(endless),
    )
    drive(searcher, value=lambda configuration: 0.9 * configuration["rate"])
    assert (
        searcher.status == "stopped" and "infinitely many" in searcher.reason and "lists of values" in searcher.reason
    )


def test_areas_of_a_loss_are_over_one_span_in_all_steps():
    searcher = begin(
        RefineSearcher(per_step=300, lower_limit=500, choose="auc", min_group=20), objective=Objective("loss", "min")
    )
    drive(searcher, value=lambda configuration: 3 - 2 * accuracy(configuration))
    assert len({step.table.span for step in searcher.steps}) == 1


def test_percent_end_at_a_hundred():
    with pytest.raises(RequestError, match="between 0 and 100"):
        begin(RefineSearcher(low=0.0, high=200.0))


def test_what_is_all_one_training_is_not_chosen():
    """Without an open edge from an auxiliary the target is alone, whatever else is chosen; here that would be best."""

    def value(configuration):
        cut = configuration["gate_2_1"] == configuration["gate_3_1"] == "cutoff"
        return 0.9 if cut else 0.5 + 0.001 * (configuration["model_2"] == WIDE)

    space = published_space().restrict(Restriction.fix(gate_label_1="through"))
    searcher = begin(RefineSearcher(per_step=120, lower_limit=500, choose="auc", min_group=2), space)
    drive(searcher, value=value, most=121)
    rows = {row.category.label: row for _, row in searcher.steps[0].table.rows()}
    assert rows["cutoff & cutoff"].distinct >= 1
    assert ("edge from auxiliary to target", "cutoff & cutoff") not in path(searcher)


def test_a_design_space_is_refined_further():
    space = published_space().restrict(Restriction.fix(gate_label_1="through"))
    searcher = begin(RefineSearcher(per_step=270, lower_limit=100, choose="auc", min_group=15), space)
    drive(searcher)
    assert [label for label, _ in path(searcher)] == [label for label, _ in PUBLISHED_PATH]
    assert all(member.configuration["gate_label_1"] == "through" for member in searcher.steps[-1].members)


class OddSpace(ToySpace):
    """Every raw configuration has a key of its own, so that no twin stands in for another."""

    def canonical(self, configuration):
        return tuple(sorted(configuration.items()))


class TestRefine(SearcherContract):
    synchronous = True  # a step ends before the next one begins
    max_budget = 1

    def make_searcher(self):
        return RefineSearcher(per_step=12, lower_limit=5, choose="auc", min_group=2)

    def make_space(self):
        return OddSpace()

    def make_small_space(self):
        return OddSpace(digits=2, choices=4)


class TestRefineBySeparateIntervals(TestRefine):
    def make_searcher(self):
        return RefineSearcher(per_step=10, lower_limit=5, choose="separated", max_extra=8, min_group=2, floor=0.05)
