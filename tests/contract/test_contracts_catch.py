"""A contract is worth what it catches: each broken part here must fail the test that is named beside it."""

import json
import math
import time
from dataclasses import replace

import pytest

from automl_core.errors import ReplayError
from automl_core.testing import EstimatorContract, EvaluatorContract, SearcherContract, SearchSpaceContract
from automl_core.testing.doubles import ToyEstimator, ToyEvaluation, ToyEvaluator, ToySpace
from automl_core.types import Estimate
from automl_searchers.asha import ASHA


class ForgetfulOfItsSeed(ASHA):
    def start(self, problem):
        super().start(replace(problem, seed=0))


class Unrepeatable(ASHA):
    counter = 0

    def start(self, problem):
        Unrepeatable.counter += 1
        super().start(replace(problem, seed=Unrepeatable.counter))


class Repetitive(ASHA):
    def ask(self, next_trial):
        job = super().ask(next_trial)
        return job and replace(job, configuration={f"digit_{n}": 1 for n in range(1, len(job.configuration) + 1)})


class Lawless(ASHA):
    def ask(self, next_trial):
        job = super().ask(next_trial)
        return job and replace(job, configuration=dict.fromkeys(job.configuration, 0))


class Lazy(ASHA):
    """Makes idle workers wait."""

    def ask(self, next_trial):
        return None if self._undecided > 3 else super().ask(next_trial)


class Stubborn(ASHA):
    """Goes on with trials that failed."""

    def tell(self, job, outcome):
        done = replace(outcome, status="done", values=(1.0,))
        super().tell(job, outcome if outcome.status == "done" else done)


class Endless(ASHA):
    def finished(self):
        return False


class Restless(ASHA):
    """Draws even when it gives None."""

    def ask(self, next_trial):
        job = super().ask(next_trial)
        if job is None:
            self._sampler.draw()
        return job


class Skipping(ASHA):
    """Begins a trial's second job at budget 0."""

    def ask(self, next_trial):
        job = super().ask(next_trial)
        return job and replace(job, from_budget=0)


class Greedy(ASHA):
    def ask(self, next_trial):
        self._trials = 10**6 if self._begun < 100 else self._trials
        return super().ask(next_trial)


class Deaf(ASHA):
    def extend(self, trials):
        pass


class Amnesic(ASHA):
    def replay(self, job, next_trial):
        pass


SEARCHERS = [
    (ForgetfulOfItsSeed, "test_another_seed_gives_another_search"),
    (Unrepeatable, "test_is_deterministic_from_its_seed"),
    (Repetitive, "test_ends_with_well_formed_jobs"),
    (Lawless, "test_ends_with_well_formed_jobs"),
    (Lazy, "test_ends_with_well_formed_jobs"),
    (Skipping, "test_ends_with_well_formed_jobs"),
    (Greedy, "test_ends_with_well_formed_jobs"),
    (Stubborn, "test_survives_failed_and_diverged_trials"),
    (Endless, "test_ends_with_well_formed_jobs"),
    (Restless, "test_none_and_questions_change_nothing"),
    (Deaf, "test_extends_a_search_that_has_finished"),
    (Amnesic, "test_repeats_its_decisions_on_replay"),
    (Unrepeatable, "test_repeats_its_decisions_on_replay"),
]


class Unhashable(ToySpace):
    def canonical(self, configuration):
        return (*super().canonical(configuration), 1j)


class OrderBound(ToySpace):
    def canonical(self, configuration):
        return tuple(configuration.values())


class Credulous(ToySpace):
    """Decodes anything."""

    def decode(self, configuration):
        return super().decode({f"digit_{n}": 1 for n in range(1, 12)})


class Doubling(ToySpace):
    """Enumerates equal configurations twice."""

    def enumerate(self, seed=0):
        for configuration in super().enumerate(seed):
            yield configuration
            yield configuration


class Unseeded(ToySpace):
    def enumerate(self, seed=0):
        return super().enumerate(0)


class Mute(ToySpace):
    """Gives an empty reason."""

    def violation(self, configuration):
        return "" if configuration["digit_1"] == 0 else None


class Unpicklable(ToySpace):
    def __init__(self):
        super().__init__()
        self.key = lambda configuration: configuration


SPACES = [
    (Unhashable, "test_canonical_key_is_plain_and_follows_from_the_configuration_alone"),
    (OrderBound, "test_canonical_key_is_plain_and_follows_from_the_configuration_alone"),
    (Credulous, "test_decode_refuses_what_is_no_configuration"),
    (Doubling, "test_enumeration_is_allowed_unique_and_seeded"),
    (Unseeded, "test_enumeration_is_allowed_unique_and_seeded"),
    (Mute, "test_violation_is_a_reason_or_none"),
    (Unpicklable, "test_pickles"),
]


class OffByOne(ToyEvaluation):
    """Leaves out the untrained network."""

    def advance(self, job):
        return (observation for observation in super().advance(job) if observation.unit)


class Overshooting(ToyEvaluation):
    def advance(self, job):
        return super().advance(replace(job, to_budget=job.to_budget + 1))


class Partial(ToyEvaluation):
    """Saves only a part of its state."""

    def save(self, directory):
        super().save(directory)
        (directory / "state.json").write_text(json.dumps([self._unit, 0.0]))


class Careless(ToyEvaluation):
    """Is seeded by the clock."""

    def __init__(self, evaluator, description, seed):
        super().__init__(evaluator, description, time.perf_counter_ns())


class Hollow(ToyEvaluation):
    def export(self, directory):
        pass


class Sparse(ToyEvaluation):
    """Keeps back a declared metric."""

    def advance(self, job):
        for observation in super().advance(job):
            yield replace(observation, metrics={"accuracy": observation.metrics["accuracy"]})


EVALUATIONS = [
    (OffByOne, "test_yields_every_unit_with_finite_metrics"),
    (Overshooting, "test_yields_every_unit_with_finite_metrics"),
    (Sparse, "test_yields_every_unit_with_finite_metrics"),
    (Partial, "test_goes_on_from_a_checkpoint_as_if_nothing_had_happened"),
    (Careless, "test_same_seed_gives_the_same_metrics"),
    (Hollow, "test_exports_if_it_can"),
]


class Drifting(ToyEstimator):
    """Changes by being asked."""

    def estimate(self):
        self._best += 0.1
        return super().estimate()


class Blank(ToyEstimator):
    """Saves nothing that it could go on from."""

    def save(self, directory):
        (directory / "best.json").write_text("0.0")


class Boundless(ToyEstimator):
    def estimate(self):
        return Estimate({"accuracy": math.inf})


ESTIMATORS = [
    (Drifting, "test_estimating_changes_nothing"),
    (Blank, "test_goes_on_from_what_it_saved"),
    (Boundless, "test_estimates_are_finite_after_every_observation"),
]


@pytest.mark.parametrize(("broken", "test"), SEARCHERS)
def test_a_broken_searcher_is_caught(broken, test):
    class Contract(SearcherContract):
        def make_searcher(self):
            return broken()

    with pytest.raises((AssertionError, ReplayError, KeyError)):
        getattr(Contract(), test)()


@pytest.mark.parametrize(("broken", "test"), SPACES)
def test_a_broken_space_is_caught(broken, test):
    class Contract(SearchSpaceContract):
        def make_space(self):
            return broken()

    # pytest.raises reports that nothing was raised by an exception that is no AssertionError.
    with pytest.raises((AssertionError, TypeError, AttributeError, pytest.fail.Exception)):
        getattr(Contract(), test)()


@pytest.mark.parametrize(("broken", "test"), EVALUATIONS)
def test_a_broken_evaluation_is_caught(broken, test, tmp_path):
    class Evaluator(ToyEvaluator):
        def start(self, description, context):
            return broken(self, description, context.seed)

    class Contract(EvaluatorContract):
        def make_evaluator(self):
            return Evaluator()

        def make_space(self):
            return ToySpace()

    with pytest.raises(AssertionError):
        getattr(Contract(), test)(tmp_path)


@pytest.mark.parametrize(("broken", "test"), ESTIMATORS)
def test_a_broken_estimator_is_caught(broken, test, tmp_path):
    class Contract(EstimatorContract):
        def make_estimator(self):
            return broken()

    with pytest.raises(AssertionError):
        getattr(Contract(), test)(*([tmp_path] if "saved" in test else []))
