"""Refinement of a design space as a search: sample, compare choices, fix the best one, go on; at last take everything.

Source: Iwata et al., "Refining Design Spaces in Knowledge Distillation for Deep Collaborative Learning", algorithm 1,
with its third step done by rule instead of by hand. All that it has found follows from what it was told, so replaying a
study's journal gives the refinement again (:mod:`automl_refine.refining`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Literal

from automl_core.engine.state import trial_key
from automl_core.errors import RequestError, StudyFailed, reason
from automl_core.interfaces import Problem, Searcher, SearchSpace
from automl_core.randomness import derive_seed
from automl_core.restricting import Condition
from automl_core.types import Configuration, Job, Json, Outcome
from automl_refine.areas import BELOW, DEAD, Member, area_table, check_floor, error_of, span_of
from automl_refine.categories import Category
from automl_refine.choosing import choose
from automl_refine.conditions import divides, open_conditions
from automl_refine.rounds import RawSpace, Round, Step, Taken

BATCHES = 4
"""In how many parts further trials are drawn when intervals are not separate yet."""


@dataclass(frozen=True)
class _Out:
    """A job under way: its configuration, its canonical key, and whether it is the reference."""

    configuration: Configuration
    key: str
    is_reference: bool


class RefineSearcher(Searcher):
    """Narrows the search space step by step to where errors are small, then takes all of what is left.

    Each step samples configurations uniformly, trains each completely, and fixes the choice with the largest area under
    the empirical distribution of errors (over 0 to 100 %, that is the mean accuracy). What was trained in a wider space
    and lies in the narrower one counts there too. Iwata et al., algorithm 1.

    Args:
        per_step: Configurations sampled of each design space.
        lower_limit: A space of at most so many configurations, up to symmetries, is searched exhaustively (D).
        choose: ``separated`` fixes the best choice only if its interval lies above those of its alternatives;
            ``auc`` fixes it in any case, as published; ``ask`` leaves each decision to a person.
        max_extra: How many further configurations ``separated`` may draw in a step; as many as ``per_step`` when none.
        conditions: What to compare, in order: labels of the space's own conditions, hyperparameters, or groups of
            them joined by ``+``. The space's own when empty.
        min_group: Fewest trials of a choice with which it is compared; with fewer the area is noise.
        floor: Accuracy below which a trial counts as dead and is left out; half of that of the space's reference (for
            knowledge-transfer graphs the target taught by labels alone) when none.
        low: Where the range of errors begins, in percent for accuracies; 0 when none.
        high: Where it ends; 100 for accuracies, the largest error of the sample for other metrics when none.
    """

    multi_fidelity = False
    plans_trials = True

    def __init__(
        self,
        per_step: int = 2500,
        lower_limit: int = 500,
        choose: Literal["separated", "auc", "ask"] = "separated",
        max_extra: int | None = None,
        conditions: tuple[str, ...] = (),
        min_group: int = 30,
        floor: float | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        for name, value, least in (
            ("lower_limit", lower_limit, 1),
            ("min_group", min_group, 2),
            ("per_step", per_step, min_group),
            ("max_extra", max_extra if max_extra is not None else 0, 0),
        ):
            if value < least:
                below = " (min_group, fewer give no interval)" if name == "per_step" else ""
                raise RequestError(
                    f"{name} of searcher refine must be at least {least}{below}, but got {value}; raise "
                    f"--{name.replace('_', '-')}"
                )
        if (low is None) != (high is None) or (low is not None and high is not None and low >= high):
            raise RequestError(
                f"low < high must hold for the range of errors, and both be given, but got {low} and {high}; pass "
                "--range LOW HIGH"
            )
        self.per_step = per_step
        self.lower_limit = lower_limit
        self.choose = choose
        self.max_extra = per_step if max_extra is None else max_extra
        self.conditions = conditions
        self.min_group = min_group
        self.floor = floor
        self.span = None if low is None or high is None else (low, high)

    def start(self, problem: Problem) -> None:
        super().start(problem)
        if len(problem.objectives) != 1:
            raise RequestError(
                "searcher refine compares areas of one objective, but got "
                f"{', '.join(map(str, problem.objectives))}; name one --objective"
            )
        if problem.trials is not None and problem.trials < 1:
            raise RequestError(f"trials must be at least 1, but got {problem.trials}; raise --trials")
        self._objective = problem.objectives[0]
        check_floor(self.floor, self._objective)
        if self.span is not None and self._objective.direction == "max" and not 0 <= self.span[0] < self.span[1] <= 100:
            raise RequestError(
                f"errors of {self._objective.metric} are percent, so their range must lie between 0 and 100, but got "
                f"{self.span[0]:g} to {self.span[1]:g}; mend --range"
            )
        space = problem.space
        size = space.orbits()
        if size is not None and size <= self.lower_limit:
            raise RequestError(
                f"a space to refine must hold more than lower_limit = {self.lower_limit} configurations, but "
                f"{space.name!r} holds {size:,}; lower --lower-limit, or take all of it with --searcher grid"
            )
        self._conditions = open_conditions(space, self.conditions)
        self.steps: list[Step] = []
        self.over = ""
        """Why nothing follows; empty while something does."""
        self._failure = ""
        self._span = self.span
        self.waiting: Step | None = None
        """The step that a person is to decide on."""
        self._reference = space.reference() if self.floor is None and self._objective.direction == "max" else None
        self._reference_value: float | None = None
        self._taken: dict[Hashable, Taken] = {}
        self._raw = RawSpace(space)
        self._fixed: set[str] = set()
        self._out: dict[int, _Out] = {}
        self._begun = 0
        self._next: Configuration | None = None
        self._begin(space)
        self._settle()

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def planned_trials(self) -> int | None:
        return self.problem.trials

    def extend(self, trials: int) -> None:
        if self.problem.trials is None or trials < self.problem.trials:
            has = "no limit" if self.problem.trials is None else str(self.problem.trials)
            raise RequestError(
                f"a refinement takes as many trials as it needs up to a limit, which can only be raised, but it has "
                f"{has} and {trials} were asked for; leave --trials out"
            )
        super().extend(trials)
        self._settle()

    def ask(self, next_trial: int) -> Job | None:
        if self._failure:  # told here, where what was trained has been journalled
            raise StudyFailed(self._failure)
        configuration = self._next
        if configuration is None:
            return None
        is_reference = configuration is self._reference
        self._begun += 1
        self._out[next_trial] = _Out(configuration, self._key(configuration), is_reference)
        self._next = None
        if is_reference:
            self._reference = None
        self._settle()
        return Job(next_trial, configuration, 0, self.problem.max_budget)

    def finished(self) -> bool:
        return self._next is None and not self._out and not self._failure

    def may_continue(self, trial: int) -> bool:
        return False

    @property
    def space(self) -> SearchSpace:
        """The design space that is being looked at, or was last."""
        return self._round.space

    @property
    def status(self) -> Literal["sampling", "waiting", "searching all", "done", "stopped"]:
        """How far it is."""
        if self.waiting is not None:
            return "waiting"
        if self.over or (self.finished() and self._capped):
            return "done" if self.exhausted else "stopped"
        return "searching all" if math.isinf(self._round.wanted) else "sampling"

    @property
    def exhausted(self) -> bool:
        """Whether all of the last space has been taken."""
        return bool(self.steps) and self.steps[-1].exhaustive

    @property
    def reason(self) -> str:
        """Why nothing follows, or what is waited for."""
        if self.waiting is not None:
            return "a person is to choose"
        if not self.over and self.finished() and self._capped:
            return f"the limit of {self.problem.trials:,} trials is reached; 'automl resume STUDY --trials N' goes on"
        return self.over

    @property
    def _capped(self) -> bool:
        return self.problem.trials is not None and self._begun >= self.problem.trials

    # -- being told ------------------------------------------------------------------------------------------------

    def tell(self, job: Job, outcome: Outcome) -> None:
        out = self._out.pop(job.trial)
        value = outcome.values[0] if outcome.status == "done" and outcome.values else None
        if value is not None:
            try:
                error_of(self._objective, value)
            except RequestError as error:
                self._failure = str(error)
        if out.is_reference:
            self._reference_value = value
            if value is None:
                self._failure = (
                    f"the space's reference must end with a value, half of which is the floor, but trial {job.trial} "
                    f"{outcome.status}: {reason(outcome.error)}; pass --floor"
                )
        else:
            why = "" if value is not None else outcome.status
            orbit = self._raw.canonical(out.configuration)
            self._taken[orbit] = Taken(out.configuration, out.key, job.trial, value, why)
        self._settle()

    def instruct(self, instruction: Json) -> None:
        """Takes a person's decision: ``{"condition": label, "category": label}``, or ``{"stop": true}``."""
        if self.waiting is None:
            raise RequestError(
                f"a refinement takes a decision when it waits for one, but is {self.status}; run it with choose=ask, "
                "and decide after each step"
            )
        step = self.waiting
        if instruction == {"stop": True}:
            self.waiting = None
            self._stop(step, "stopped by hand")
        else:
            self._narrow(step, step.find(instruction), "chosen by hand")  # raises before anything is changed
        self._settle()

    # -- a step ----------------------------------------------------------------------------------------------------

    def _begin(self, space: SearchSpace) -> None:
        """Begins the step of a design space, with what is known of it."""
        size = space.orbits()
        takes_all = size is not None and size <= self.lower_limit
        seed = derive_seed(self.problem.seed, "refine", len(self.steps))
        self._round = Round.of(space, seed, self._inside(space), math.inf if takes_all else self.per_step)
        if takes_all or self._open_conditions():
            return
        if self.exhausted:  # all of a wider space was taken, so all of this one
            self._round.wanted = math.inf
        elif size is None:
            self.over = (
                "no condition is left to compare, but the space still holds infinitely many configurations, so all of "
                "it cannot be taken; narrow its numbers to lists of values, or search it with another searcher"
            )
        else:
            self.over = (
                f"no condition is left to compare, but the space still holds {size:,} configurations, more than "
                f"lower_limit = {self.lower_limit:,}; search its file with --searcher grid or random, or begin again "
                "with a larger --lower-limit"
            )

    def _settle(self) -> None:
        """Draws ahead, and ends steps whose outcomes are all there.

        Called at the end of whatever is journalled, and nowhere else: what is drawn may depend on what is under way.
        """
        while self._next is None and not (self.over or self.waiting or self._failure):
            try:
                self._next = self._draw()
            except StudyFailed as error:  # told when it is asked for: what has just been told must not be lost
                self._failure = str(error)
                return
            if self._next is not None or self._out or not self._round.complete:
                return
            self._conclude()

    def _draw(self) -> Configuration | None:
        """Gives what is to be trained next; None where something has to end first, or nothing more may begin."""
        if self._capped:
            return None
        if self._reference is not None:
            return self._reference
        under_way = {out.key for out in self._out.values()}
        return self._round.draw(self._key, under_way)

    def _conclude(self) -> None:
        """Judges a complete sample: fixes a choice, draws more, asks, or ends."""
        now = self._round
        step = self._step()
        if math.isinf(now.wanted):
            self._stop(step, "all of the last space has been taken")
        elif self.choose == "ask":
            self.waiting = step
        else:
            verdict = choose(step.table, self.choose, self.min_group)
            more = min(-(-self.max_extra // BATCHES), self.max_extra - now.extra)
            if verdict.row is not None:
                self._narrow(step, verdict.row.category, verdict.reason)
            elif self.choose == "separated" and more > 0 and not now.used_up:
                now.wanted += more
                now.extra += more
            else:
                drawn = f" (after {now.extra} more)" if now.extra else ""
                self._stop(step, verdict.reason + drawn)

    def _narrow(self, step: Step, chosen: Category, why: str) -> None:
        space = step.space.restrict(chosen.restriction)
        self.waiting = None
        self.steps.append(replace(step, chosen=chosen, reason=why))
        self._fixed.update(chosen.condition.names)
        self._begin(space)

    def _stop(self, step: Step, why: str) -> None:
        self.steps.append(replace(step, reason=why))
        self.over = why

    def _step(self) -> Step:
        now, members = self._round, self.members()
        # One span for all steps, so that their areas compare.
        self._span = self._span or span_of(self._objective, members)
        table = area_table(
            now.space,
            members,
            self._open_conditions(),
            span=self._span,
            floor=self._floor,
            seed=self.problem.seed,
        )
        return Step(now.space, members, table, None, self.over, now.migrated, now.extra, now.used_up)

    def members(self) -> tuple[Member, ...]:
        """Gives what is known of the present space, in the order in which it was told."""
        return tuple(map(self._member, self._inside(self._round.space)))

    def _inside(self, space: SearchSpace) -> list[Taken]:
        return [one for one in self._taken.values() if space.violation(one.configuration) is None]

    def _member(self, one: Taken) -> Member:
        error, why = None, one.reason
        if one.value is not None and self._floor is not None and one.value < self._floor:
            why = BELOW
        elif one.value is not None:
            error = error_of(self._objective, one.value)
        return Member(one.configuration, one.key, error, one.trial, why)

    @property
    def _floor(self) -> float | None:
        if self.floor is not None:
            return self.floor
        return None if self._reference_value is None else DEAD * self._reference_value

    def _open_conditions(self) -> list[Condition]:
        """Gives the conditions about which nothing has been fixed yet, and which say something of every configuration.

        Fixing a hyperparameter that is inactive in some configurations would leave all of these, whose errors are not
        among those that it is compared by; so it is compared once what activates it is fixed.
        """
        space = self._round.space.config_space
        return [one for one in self._conditions if not self._fixed & set(one.names) and divides(space, one)]

    def _key(self, configuration: Configuration) -> str:
        return trial_key(self.problem.space, configuration)
