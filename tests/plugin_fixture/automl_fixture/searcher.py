"""The searcher: decides which trial runs next."""

from __future__ import annotations

from automl_core import Job, Outcome, Problem, RequestError, Searcher
from automl_core.sampling import RandomSampler
from automl_core.types import Configuration


class FullBudgetSearcher(Searcher):
    """Draws configurations at random and takes each to the maximum budget at once.

    Args:
        default_trials: How many trials to begin when the study does not say.
    """

    multi_fidelity = False

    def __init__(self, default_trials: int = 10) -> None:
        if default_trials < 1:
            raise RequestError(
                f"default_trials must be at least 1, but got {default_trials}; raise --set searcher.default_trials"
            )
        self.default_trials = default_trials

    def start(self, problem: Problem) -> None:
        super().start(problem)
        self._sampler = RandomSampler(problem.space, problem.seed)
        self._begun = 0
        self._next: Configuration | None = None

    def ask(self, next_trial: int) -> Job | None:
        configuration = self._upcoming()
        if configuration is None:
            return None
        self._next = None
        self._begun += 1
        return Job(next_trial, configuration, from_budget=0, to_budget=self.problem.max_budget)

    def tell(self, job: Job, outcome: Outcome) -> None:
        """Learns nothing: every draw is as good as the last."""

    def finished(self) -> bool:
        return self._upcoming() is None

    def may_continue(self, trial: int) -> bool:
        return False

    def _upcoming(self) -> Configuration | None:
        """Draws one ahead, so that a question asked twice has one answer."""
        trials = self.default_trials if self.problem.trials is None else self.problem.trials
        if self._next is None and self._begun < trials:
            self._next = self._sampler.draw()
        return self._next
