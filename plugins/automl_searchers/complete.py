"""Searchers that train every configuration completely: random search and exhaustive search."""

from __future__ import annotations

import math

from automl_core.drawing import DrawingSearcher
from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.types import Configuration, Job, Outcome


class RandomSearch(DrawingSearcher):
    """Uniform random configurations, each trained to the maximum budget at once.

    Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization" (JMLR 2012). Without a number of trials, 100
    are begun; a space with fewer configurations ends the search earlier.
    """

    multi_fidelity = False

    def ask(self, next_trial: int) -> Job | None:
        configuration = self._take()
        return None if configuration is None else Job(next_trial, configuration, 0, self.problem.max_budget)

    def tell(self, job: Job, outcome: Outcome) -> None:
        """Learns nothing: what comes next does not depend on what was found."""

    def finished(self) -> bool:
        return self._peek() is None

    def may_continue(self, trial: int) -> bool:
        return False


class GridSearch(RandomSearch):
    """Every configuration of a finite space, one of each canonical form, each trained to the maximum budget.

    The order follows from the seed and runs through the whole space evenly, so that a search cut by ``--trials`` has
    seen all of it. Without a number of trials, the search is exhaustive.
    """

    plans_trials = True

    def start(self, problem: Problem) -> None:
        super().start(problem)
        if problem.space.size() is None:
            endless = [name for name, one in problem.space.config_space.items() if math.isinf(one.size)]
            raise RequestError(
                "searcher grid takes every configuration of a space, so it must be finite, but "
                f"{', '.join(map(repr, endless)) or 'something'} of {problem.space.name!r} can take "
                "infinitely many values; restrict the space to some of them, or use --searcher random"
            )
        if problem.trials is None:
            self._trials = math.inf
        self._configurations = problem.space.enumerate(problem.seed)

    def _draw(self) -> Configuration | None:
        return next(self._configurations, None)
