"""SMAC3 through its ask-and-tell interface."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import replace
from typing import get_args

from ConfigSpace import Configuration as Proposal
from smac.facade.abstract_facade import AbstractFacade
from smac.intensifier.hyperband_utils import determine_HB
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from automl_core.drawing import DrawingSearcher, check_eta
from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.sampling import VectorDecoder
from automl_core.types import Configuration, Job, Outcome, Value
from automl_smac.facades import FacadeName, build_facade, contained
from automl_smac.parts import BoundedHyperband, NothingToDo


class SMAC(DrawingSearcher):
    """Bayesian optimisation by SMAC3.

    Lindauer et al., "SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter Optimization" (JMLR 2022).

    SMAC3 itself decides, through its ask-and-tell interface; for one study and one seed it is asked and told the same
    in the same order, so a study that is resumed repeats it. A proposal that the search space does not allow is told
    to SMAC3 as a crash; one that behaves the same as a known trial is told that trial's results, and neither is
    trained. After 16 of them in a row a configuration is drawn at random, and told as well. Several objectives are
    brought together by ParEGO (Knowles 2006).

    ``black-box`` models with a Gaussian process, which suits up to some hundred trials and numbers;
    ``hyperparameter-optimization`` with a random forest, which suits many hyperparameters, categorical and
    conditional ones; both train every trial up to the maximum budget. ``multi-fidelity`` has the random forest choose
    configurations for the brackets of Hyperband (Li et al. 2018), whose budgets are rounded to whole units. SMAC3's
    last bracket is cut to the trials that are left.

    Without a number of trials, 100 are begun; a space with fewer configurations ends the search earlier.

    Args:
        facade: Which of SMAC3's set-ups decides.
        eta: Reduction factor of ``multi-fidelity``: one trial in ``eta`` goes on. At least 2.
        initial: How many configurations are tried before a model is asked; none leaves it to SMAC3, which takes a
            quarter of the trials at most.

    Raises:
        RequestError: For an unknown facade, ``eta`` below 2 or ``initial`` below 1.
    """

    facade: AbstractFacade
    """SMAC3's own facade, which is asked and told; there once the search has started."""

    def __init__(self, facade: FacadeName = "black-box", eta: int = 3, initial: int | None = None) -> None:
        if facade not in get_args(FacadeName):
            raise RequestError(f"facade of searcher smac must be one of {', '.join(get_args(FacadeName))}: {facade!r}")
        check_eta("smac", eta)
        if initial is not None and initial < 1:
            raise RequestError(f"initial of searcher smac must be at least 1, but got {initial}; raise it")
        self.multi_fidelity = facade == "multi-fidelity"
        self._name = facade
        self._eta = eta
        self._initial = initial

    def start(self, problem: Problem) -> None:
        super().start(problem)
        self._lowest, self._budgets = self._smac_budgets()
        self._decode = VectorDecoder(problem.space.config_space)
        self._results: dict[Hashable, list[tuple[TrialInfo, TrialValue]]] = {}
        """What was told of every canonical key that is known."""
        self._numbers: dict[Proposal, int] = {}
        self._proposals: dict[int, Proposal] = {}
        self._reached: dict[int, int] = {}
        """Trials that may be asked for again, each with the budget that it has reached."""
        self._out: dict[int, TrialInfo] = {}
        self._continuing: deque[TrialInfo] = deque()
        """What SMAC3 has asked for already, once no further trial may be begun."""
        self.facade = build_facade(
            self._name,
            problem,
            int(self._trials),
            eta=self._eta,
            initial=self._initial,
            admit=self._admit,
            draw=lambda: self._drawn() if self._ahead is not None else None,
            left=lambda: self._left,
        )

    def ask(self, next_trial: int) -> Job | None:
        info = self._next_info()
        if info is None:
            return None
        if info.config not in self._numbers:
            self._begun += 1
            self._numbers[info.config] = next_trial
            self._proposals[next_trial] = info.config
            self._reached[next_trial] = 0
        trial = self._numbers[info.config]
        self._out[trial] = info
        self._look_ahead()
        return Job(trial, self._plain(info.config), self._reached[trial], self._whole(info.budget))

    def tell(self, job: Job, outcome: Outcome) -> None:
        info = self._out.pop(job.trial)
        losses = self._comparable(outcome)
        value = self._crash() if losses is None else TrialValue(_cost(losses), status=StatusType.SUCCESS)
        self._results[self.problem.space.canonical(job.configuration)].append((info, value))
        self._tell_smac(info, value)
        if losses is not None and job.to_budget < self.problem.max_budget:
            self._reached[job.trial] = job.to_budget
        else:
            del self._reached[job.trial]
        self._look_ahead()

    def finished(self) -> bool:
        decided = all(self._whole(info.budget) == self.problem.max_budget for info in self._out.values())
        return decided and not self._continuing and not self._left

    def may_continue(self, trial: int) -> bool:
        if trial not in self._reached:
            return False
        hyperband = self.facade.intensifier
        return (
            not isinstance(hyperband, BoundedHyperband) or trial in self._out or hyperband.holds(self._proposals[trial])
        )

    def rungs(self) -> tuple[int, ...]:
        return self._budgets

    @property
    def _left(self) -> int:
        """How many trials may still be begun: as if none, once every configuration is known."""
        return 0 if self._peek() is None else int(self._trials) - self._begun

    def _next_info(self) -> TrialInfo | None:
        if self._continuing:
            return self._continuing.popleft()
        return self._ask_smac() if self._left else None

    def _look_ahead(self) -> None:
        """Collects what can be gone on with once no trial may be begun.

        SMAC3 changes by being asked, even if it has nothing to ask for. So it is asked where something else has changed
        anyway, never because of a question or an ``ask`` that gives None.
        """
        if self.multi_fidelity and not self._left:
            while (info := self._ask_smac()) is not None:
                self._continuing.append(info)

    def _ask_smac(self) -> TrialInfo | None:
        """Asks SMAC3; a trial that failed and is asked for again is answered as failed, without running."""
        while True:
            try:
                with contained():
                    info = self.facade.ask()
            except NothingToDo:
                return None
            except StopIteration:  # it has given up, although configurations are left
                return TrialInfo(self._drawn(), seed=0)
            trial = self._numbers.get(info.config)
            if trial is None or trial in self._reached:
                return info
            self._tell_smac(info, self._crash())

    def _tell_smac(self, info: TrialInfo, value: TrialValue) -> None:
        with contained():
            self.facade.tell(info, value, save=False)

    def _admit(self, proposal: Proposal) -> bool:
        """Takes a proposal that is allowed and new; what is known of any other, SMAC3 is told at once."""
        configuration = self._plain(proposal)
        if self.problem.space.violation(configuration) is not None:
            self.facade.runhistory.add_trial(TrialInfo(proposal, seed=0, budget=self._lowest), self._crash())
            return False
        known = self._results.get(self.problem.space.canonical(configuration))
        if known is None:
            self._know(configuration)
            return True
        for info, value in known:
            self.facade.runhistory.add_trial(replace(info, config=proposal), value)
        return False

    def _drawn(self) -> Proposal:
        """Gives SMAC3 the configuration that was drawn ahead."""
        assert self._ahead is not None
        configuration = self._ahead
        self._know(configuration)
        return Proposal(self.facade.scenario.configspace, values=dict(configuration))

    def _know(self, configuration: Configuration) -> None:
        super()._know(configuration)
        self._results[self.problem.space.canonical(configuration)] = []

    def _plain(self, proposal: Proposal) -> dict[str, Value]:
        return next(self._decode(proposal.get_array()[:, None]))

    def _crash(self) -> TrialValue:
        return TrialValue(_cost((math.inf,) * len(self.problem.objectives)), status=StatusType.CRASHED)

    def _smac_budgets(self) -> tuple[float | None, tuple[int, ...]]:
        """Gives SMAC3's lowest budget, if it has any, and all of them in whole units.

        Raises:
            RequestError: When there is but one.
        """
        problem = self.problem
        if not self.multi_fidelity:
            return None, (problem.max_budget,)
        brackets = determine_HB(problem.min_budget, problem.max_budget, self._eta)["budgets_in_stage"]
        if len(brackets) < 2:
            raise RequestError(
                f"multi-fidelity needs max_budget >= eta * min_budget, but got {problem.max_budget}, {self._eta} and "
                f"{problem.min_budget}; raise --max-budget, lower --min-budget or eta, or use another facade"
            )
        budgets = {budget for bracket in brackets.values() for budget in bracket}
        return min(budgets), tuple(sorted({self._whole(budget) for budget in budgets}))

    def _whole(self, budget: float | None) -> int:
        """Rounds SMAC3's budget to whole units."""
        return self.problem.max_budget if budget is None else max(self.problem.min_budget, round(budget))


def _cost(losses: tuple[float, ...]) -> float | list[float]:
    return losses[0] if len(losses) == 1 else list(losses)
