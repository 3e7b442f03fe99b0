"""Optuna's samplers through its ask-and-tell interface."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from automl_core.drawing import TRIES, DrawingSearcher
from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.types import Configuration, Job, Outcome, Value

if TYPE_CHECKING:
    from optuna.trial import Trial


class Optuna(DrawingSearcher):
    """Any sampler of Optuna; every trial is trained up to the maximum budget.

    Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework" (KDD 2019).

    A proposal that the search space does not allow is told to Optuna as a pruned trial; one that behaves the same as a
    known trial is told that trial's values, and neither is trained. After 16 of them in a row a configuration is drawn
    at random, and told as well. Failed trials are told as failed. Several objectives are several directions of
    Optuna's study.

    Hyperparameters become Optuna's distributions within their bounds; conditions are kept, logarithmic scales too, but
    normal and beta distributions and weights of categorical values are not: Optuna's are uniform. Nothing is stored
    beside this study's journal, and Optuna's pruners have no say.

    Without a number of trials, 100 are begun; a space with fewer configurations ends the search earlier.

    Args:
        sampler: Name of a class in optuna.samplers, such as TPESampler, CmaEsSampler, GPSampler or NSGAIISampler.
        arguments: The sampler's keyword arguments, for example {multivariate: true, n_startup_trials: 5}; its seed is
            the study's.

    Raises:
        RequestError: When Optuna is not installed, for an unknown sampler or argument, or one that cannot work here.
    """

    multi_fidelity = False

    def __init__(self, sampler: str = "TPESampler", arguments: dict[str, Value] | None = None) -> None:
        try:
            from automl_optuna.samplers import make_sampler
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise RequestError(
                "searcher optuna needs the package optuna, which is not installed; install it with "
                "pip install 'automl-graph[optuna]', or use another --searcher"
            ) from error
        self._sampler_name = sampler
        self._arguments = arguments or {}
        make_sampler(sampler, self._arguments, seed=0)

    def start(self, problem: Problem) -> None:
        from automl_optuna.studies import SilentStudy

        super().start(problem)
        self._study = SilentStudy(problem, self._sampler_name, self._arguments)
        self._values: dict[Hashable, tuple[float, ...] | None] = {}
        """Values of every canonical key that is known; None while there are none."""
        self._out: dict[int, Trial] = {}

    def ask(self, next_trial: int) -> Job | None:
        if self.finished():
            return None
        trial, configuration = self._proposal() or self._drawn()
        self._know(configuration)
        self._begun += 1
        self._out[next_trial] = trial
        return Job(next_trial, configuration, 0, self.problem.max_budget)

    def tell(self, job: Job, outcome: Outcome) -> None:
        trial = self._out.pop(job.trial)
        if self._comparable(outcome) is not None:
            self._values[self.problem.space.canonical(job.configuration)] = outcome.values
            self._study.complete(trial, outcome.values)
        else:
            self._study.fail(trial)

    def finished(self) -> bool:
        return self._peek() is None

    def may_continue(self, trial: int) -> bool:
        return trial in self._out

    def _proposal(self) -> tuple[Trial, Configuration] | None:
        """Asks Optuna until a proposal is allowed and new; gives None when none of a few is."""
        space = self.problem.space
        for _ in range(TRIES):
            trial, configuration = self._study.ask()
            if configuration is None or space.violation(configuration) is not None:
                self._study.forbid(trial)
                continue
            key = space.canonical(configuration)
            if key not in self._values:
                return trial, configuration
            values = self._values[key]
            if values is None:
                self._study.fail(trial)
            else:
                self._study.complete(trial, values)
        return None

    def _drawn(self) -> tuple[Trial, Configuration]:
        """Gives Optuna the configuration that was drawn ahead."""
        assert self._ahead is not None
        parameters: dict[str, Any] = self._study.suggestions.parameters(self._ahead)
        return self._study.ask(parameters)[0], self._ahead

    def _know(self, configuration: Configuration) -> None:
        super()._know(configuration)
        self._values[self.problem.space.canonical(configuration)] = None
