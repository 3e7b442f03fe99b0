"""Searchers: they emit jobs and are told outcomes, and do no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from automl_core.errors import ReplayError, RequestError
from automl_core.interfaces.space import SearchSpace
from automl_core.types import Job, Json, Objective, Outcome


@dataclass(frozen=True)
class Problem:
    """What a searcher is to solve.

    Args:
        space: The search space.
        objectives: What ranks; several of them give a Pareto front (:mod:`automl_core.ranking`).
        min_budget: Smallest budget at which trials are compared, in the evaluator's unit.
        max_budget: Budget of a complete trial.
        trials: How many candidate trials may be started; None leaves it to the searcher.
        seed: The study's seed.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    min_budget: int
    max_budget: int
    trials: int | None
    seed: int

    def losses(self, outcome: Outcome) -> tuple[float, ...]:
        """Gives the outcome's values turned so that smaller is better; infinity where there is none."""
        if not outcome.values:
            return (float("inf"),) * len(self.objectives)
        return tuple(objective.loss(value) for objective, value in zip(self.objectives, outcome.values, strict=True))


class Searcher(ABC):
    """Decides which trial advances next. Constructor keywords are its options.

    A searcher is deterministic: from the problem's seed and the order of its ``ask`` and ``tell`` calls follow all
    its decisions. It draws random numbers through :mod:`automl_core.sampling` or :mod:`automl_core.randomness`,
    never from a global generator.

    One that trains something of its own, such as a supernet, names an :attr:`evaluator` and asks for it in support
    trials: jobs with the role ``support``, no configuration, and an instruction that holds

    - ``description``: JSON for that evaluator's ``parse``; what follows from it is seeded by it and by the study;
    - ``max_budget``: the budget at which the trial will be complete, in that evaluator's unit;
    - ``label``: what it is, for ``show``;
    - whatever else the evaluation's ``advance`` reads from its job, which may change from job to job.

    What the evaluation reports comes back in ``Outcome.report``.
    """

    problem: Problem

    evaluator: str = ""
    """Registered name of the evaluator that trains its own support trials; empty when it has none."""

    multi_fidelity: bool = True
    """Whether it compares trials at budgets below the maximum; an option may decide it in the constructor."""

    plans_trials: bool = False
    """Whether a number of trials follows from the budgets, so that a preset's own number is left aside."""

    def start(self, problem: Problem) -> None:
        """Begins; called once, before anything else. Raises RequestError for a problem it cannot solve."""
        self.problem = problem

    @property
    def planned_trials(self) -> int | None:
        """How many candidates it will begin at most, once started; None when that is not known."""
        return self.problem.trials

    def extend(self, trials: int) -> None:
        """Allows more trials in all; called between ``ask`` and ``tell``, also after ``finished``."""
        self.problem = replace(self.problem, trials=trials)

    def instruct(self, instruction: Json) -> None:
        """Takes in what a person decides in its place; called like :meth:`extend`, and journalled before it acts.

        Raises:
            RequestError: When it leaves nothing to decide, or cannot follow.
        """
        raise RequestError(
            f"searcher {type(self).__name__} decides everything of its own, but was told "
            f"{instruction!r}; leave the instruction out"
        )

    @abstractmethod
    def ask(self, next_trial: int) -> Job | None:
        """Gives the next job.

        Args:
            next_trial: The number that a job for a new trial must carry. (Numbers run over both roles, so only the
                engine knows it.)

        Returns:
            A job, or None when a running job has to end first or when nothing is left. A call that gives None must
            change nothing: it may be repeated any number of times and is not journalled.
        """

    @abstractmethod
    def tell(self, job: Job, outcome: Outcome) -> None:
        """Takes in what came of a job: ``done``, or one of :data:`automl_core.types.OVER`, which ends the trial."""

    @abstractmethod
    def finished(self) -> bool:
        """Whether no further job will ever be asked for, apart from those still out."""

    def imagine(self, job: Job) -> Json:
        """Gives a report that one of its own support trials might give, for rehearsals without any training."""
        return None

    def may_continue(self, trial: int) -> bool:
        """Whether a job for this trial may still come, so that its checkpoint must be kept."""
        return True

    def rungs(self) -> tuple[int, ...]:
        """The budgets at which trials are compared, rising; the last is the maximum budget."""
        return (self.problem.max_budget,)

    def replay(self, job: Job, next_trial: int) -> None:
        """Repeats a recorded decision.

        Args:
            job: What is recorded.
            next_trial: What ``ask`` was given then.

        Raises:
            ReplayError: When asking again gives another job.
        """
        again = self.ask(next_trial)
        if again != job:
            raise ReplayError(
                "replaying a journal must repeat its decisions, but "
                f"{type(self).__name__} asked for {again} where {job} is recorded; the code, an option or a "
                "dependency has changed since: finish the study with the version that began it"
            )
