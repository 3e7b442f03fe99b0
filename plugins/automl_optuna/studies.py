"""A study of Optuna that lives in memory and is asked and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.types import Value
from automl_optuna.samplers import lacking, make_sampler, quiet
from automl_optuna.suggesting import Suggestions

REHEARSED = 2
"""Trials after which a sampler that does not take a problem has said so."""


class SilentStudy:
    """Optuna's study, without its remarks.

    Args:
        problem: Its objectives give the directions, its seed the sampler's.
        sampler: A sampler's name.
        arguments: What it is built with.

    Raises:
        RequestError: When the sampler does not take the problem, or needs a package that is missing.
    """

    def __init__(self, problem: Problem, sampler: str, arguments: Mapping[str, Value]) -> None:
        self.suggestions = Suggestions(problem.space.config_space)
        self._directions = [
            StudyDirection.MAXIMIZE if objective.direction == "max" else StudyDirection.MINIMIZE
            for objective in problem.objectives
        ]
        self._rehearse(problem, sampler, make_sampler(sampler, arguments, problem.seed))
        self._study = self._make(make_sampler(sampler, arguments, problem.seed))

    def ask(self, parameters: Mapping[str, Any] | None = None) -> tuple[Trial, dict[str, Value] | None]:
        """Gives a new trial and its configuration, None for a forbidden one; with parameters, the trial has these."""
        with quiet():
            if parameters is not None:
                self._study.enqueue_trial(dict(parameters))
            trial = self._study.ask()
            return trial, self.suggestions.configuration(trial)

    def complete(self, trial: Trial, values: Sequence[float]) -> None:
        with quiet():
            self._study.tell(trial, list(values))

    def fail(self, trial: Trial) -> None:
        """Tells that nothing is known of a trial."""
        with quiet():
            self._study.tell(trial, state=TrialState.FAIL)

    def forbid(self, trial: Trial) -> None:
        """Tells that a trial is worse than all others, as far as the sampler takes that in."""
        with quiet():
            self._study.tell(trial, state=TrialState.PRUNED)

    def _make(self, sampler: BaseSampler) -> optuna.Study:
        with quiet():
            return optuna.create_study(sampler=sampler, directions=self._directions)

    def _rehearse(self, problem: Problem, name: str, sampler: BaseSampler) -> None:
        """Tries another study of the kind, since a sampler says what it does not take only when it is used."""
        study = self._make(sampler)
        try:
            with quiet():
                for _ in range(REHEARSED):
                    trial = study.ask()
                    self.suggestions.configuration(trial)
                    study.tell(trial, [0.0] * len(self._directions))
        except ImportError as error:
            raise lacking(name, error) from error
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise RequestError(
                f"{name} must take the search space {problem.space.name!r} and {len(self._directions)} objective(s), "
                f"but says: {error}; use another sampler (--set searcher.sampler=...)"
            ) from error
