"""A recorded study as a table: every candidate's curve, with every unit of it."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING

from automl_core.building import build_space
from automl_core.counting import OrbitKeys
from automl_core.errors import RequestError, reason
from automl_core.interfaces import Context, Description, Evaluation, Evaluator, PartialSpace, SearchSpace
from automl_core.plugins import get_registry
from automl_core.randomness import derive_seed
from automl_core.spec import StudySpec, parse_objective
from automl_core.types import OVER, Configuration, Direction, Job, Json, Metrics, Observation, Outcome
from automl_tabular.lookup import Lookup, Results

if TYPE_CHECKING:
    from automl_core.records import StudyRecord

SMALL = 100_000
"""A part of a recorded space with at most so many configurations is looked through for what was recorded."""


@dataclass
class Curve:
    """What is recorded of a configuration, over all trials that had its canonical key.

    Args:
        configuration: The configuration, of the first of these trials.
        points: Budget to metrics.
        costs: (from budget, to budget, seconds) of each stretch, rising and without overlap.
        error: How its trial ended, if it failed, diverged or violated a constraint.
    """

    configuration: Configuration
    points: dict[int, Metrics] = field(default_factory=dict)
    costs: list[tuple[int, int, float]] = field(default_factory=list)
    error: str = ""

    def add(self, job: Job, outcome: Outcome) -> None:
        """Takes in an outcome; what is known already stays, since equal configurations have equal curves."""
        for point in outcome.curve:
            self.points.setdefault(point.unit, point.metrics)
        begins = max(job.from_budget, self.costs[-1][1] if self.costs else 0)
        if outcome.budget > begins:
            share = (outcome.budget - begins) / (outcome.budget - job.from_budget)
            self.costs.append((begins, outcome.budget, outcome.cost * share))
        if outcome.status in OVER:
            self.error = f"it {outcome.status} at budget {outcome.budget}: {reason(outcome.error)}"

    def seconds(self, begins: int, ends: int) -> float:
        """Gives what it cost to get from one budget to another; within a stretch every unit costs the same."""
        return math.fsum(
            cost * (min(ends, to) - max(begins, since)) / (to - since)
            for since, to, cost in self.costs
            if min(ends, to) > max(begins, since)
        )


class RecordedStudy(Results):
    """The candidates of a recorded study.

    Args:
        record: The study.
        space: The search space, equal to the recorded one.

    Raises:
        RequestError: When the study holds no curve, or one of a configuration that is not of this space.
    """

    def __init__(self, record: StudyRecord, space: SearchSpace) -> None:
        self.spec = spec = record.spec
        self.unit = spec.unit
        space = space.space if isinstance(space, RecordedSpace) else space
        self.curves: dict[Hashable, Curve] = {}
        for job, outcome in _candidates(record):
            if not self.curves:
                _refuse_other_space(spec, space, job.configuration)
            key = space.canonical(job.configuration)
            self.curves.setdefault(key, Curve(job.configuration)).add(job, outcome)
        self.budgets = sorted({budget for curve in self.curves.values() for budget in curve.points if budget > 0})
        if not self.budgets:
            raise RequestError(
                f"a study must hold a candidate's results to be looked up, but {spec.name!r} holds none; choose "
                "another with --set evaluator.study=NAME ('automl studies' lists them)"
            )
        evaluator = _evaluator(spec)
        points = [metrics for curve in self.curves.values() for metrics in curve.points.values()]
        declared = _declared(spec, evaluator)
        self.metrics = {name: way for name, way in declared.items() if all(name in metrics for metrics in points)}
        if evaluator is not None:
            self.fixed_metrics = evaluator.fixed_metrics & self.metrics.keys()
        self.space = RecordedSpace(space, spec.name, {key: one.configuration for key, one in self.curves.items()})

    def preset(self) -> Mapping[str, Json]:
        spec, budgets = self.spec, self.budgets
        return {
            "min_budget": spec.min_budget if spec.min_budget in budgets else budgets[0],
            "max_budget": spec.max_budget if spec.max_budget in budgets else budgets[-1],
            "trials": len(self.curves),
        }

    def check_budgets(self, rungs: tuple[int, ...]) -> None:
        lacking = [budget for budget in rungs if budget not in self.budgets]
        if lacking:
            raise RequestError(
                f"study {self.spec.name!r} must hold a candidate at every budget that is compared at, but has none at "
                f"{listed(lacking)} {self.unit}, only at {listed(self.budgets)}; choose budgets and --set searcher.eta "
                "so that the rungs are among these, or record a study that observes every unit"
            )

    def require(self, dataset: str | None) -> None:
        """Everything has been read already."""

    def evaluation(self, description: Description, context: Context) -> Evaluation:
        if not isinstance(description, RecordedDescription):
            raise RequestError(f"study {self.spec.name!r} holds no trial of {description.to_json()}")
        return _Replay(self.spec.name, self.curves[description.key])


def _refuse_other_space(spec: StudySpec, space: SearchSpace, configuration: Configuration) -> None:
    """Refuses a search space in which a recorded configuration does not mean what it meant in its own."""
    if _means_the_same(spec, space, configuration):
        return
    options = "".join(f" --set space.{name}={value}" for name, value in spec.space.options.items())
    raise RequestError(
        f"a recorded study must be looked up in its own search space, but {spec.name!r} was not recorded in this one, "
        f"{space.name!r}; pass --space {spec.space.name}{options or ' without options'}"
    )


def _means_the_same(spec: StudySpec, space: SearchSpace, configuration: Configuration) -> bool:
    if spec.space.given:  # its own space is not recorded
        from ConfigSpace import Configuration as Checked

        try:
            Checked(space.whole.config_space, values=dict(configuration))
        except ValueError:
            return False
        return True
    own = build_space(spec.space, {}, get_registry())
    return (
        own.name == space.name
        and own.whole.config_space == space.whole.config_space
        and own.decode(configuration).to_json() == space.decode(configuration).to_json()
    )


def _candidates(record: StudyRecord) -> Iterator[tuple[Job, Outcome]]:
    """Yields the outcomes of a study's candidates, in the order in which they were told."""
    asked: dict[int, Job] = {}
    for kind, payload in record.journal.events():
        if kind == "ask":
            job = Job.from_json(payload["job"])
            asked[job.trial] = job
        elif kind == "tell" and asked[payload["trial"]].role == "candidate":
            yield asked[payload["trial"]], Outcome.from_json(payload["outcome"])


def _evaluator(spec: StudySpec) -> type[Evaluator] | None:
    """Gives the recorded evaluator's class, where it has a name that is registered here."""
    registry = get_registry()
    if spec.evaluator.given or spec.evaluator.name not in registry.names("evaluator"):
        return None
    found: type[Evaluator] = registry.load("evaluator", spec.evaluator.name)
    return found


def _declared(spec: StudySpec, evaluator: type[Evaluator] | None) -> dict[str, Direction]:
    """Gives the recorded objectives, and after them the other metrics of the recorded evaluator."""
    objectives = [parse_objective(text, {}, open_ended=True) for text in spec.objectives]
    declared = {one.metric: one.direction for one in objectives}
    return declared | {
        name: way for name, way in (evaluator.metrics if evaluator else {}).items() if name not in declared
    }


@dataclass(frozen=True)
class RecordedDescription:
    """What a recorded configuration decodes to, and where its curve is found.

    Args:
        described: Its description in the whole space.
        key: Its canonical key.
    """

    described: Description
    key: Hashable

    def to_json(self) -> Json:
        return self.described.to_json()


class RecordedSpace(PartialSpace):
    """A search space of which only recorded configurations are allowed; a finite one, whatever it was.

    Args:
        space: The whole space.
        study: Name of the study, for messages.
        recorded: Configuration by canonical key.
    """

    def __init__(self, space: SearchSpace, study: str, recorded: Mapping[Hashable, Configuration]) -> None:
        super().__init__(space)
        self.study = study
        self.recorded = recorded

    def around(self, space: SearchSpace) -> RecordedSpace:
        return RecordedSpace(space, self.study, self.recorded)

    def decode(self, configuration: Configuration) -> RecordedDescription:
        described, key = self.space.decode(configuration), self.space.canonical(configuration)
        if key not in self.recorded:
            raise RequestError(self._unrecorded(configuration))
        return RecordedDescription(described, key)

    def violation(self, configuration: Configuration) -> str | None:
        own = self.space.violation(configuration)
        if own is None and self.space.canonical(configuration) not in self.recorded:
            return self._unrecorded(configuration)
        return own

    def size(self) -> int:
        """Counts the recorded configurations that lie in the space."""
        return len(self._inside)

    def orbits(self) -> int:
        """Counts the same up to the space's symmetries."""
        keys = OrbitKeys(self.symmetries())
        return len({keys(one) for one in self._inside})

    def enumerate(self, seed: int = 0) -> Iterator[Configuration]:
        configurations = list(self._inside)
        random.Random(derive_seed(seed, "recorded")).shuffle(configurations)
        return iter(configurations)

    @cached_property
    def _inside(self) -> list[Configuration]:
        """What lies in the space; where that is a part of the recorded one, something else may mean the same there."""
        size = self.space.size()
        if self.space.restriction and size is not None and size <= SMALL:
            return [one for one in self.space.enumerate() if self.space.canonical(one) in self.recorded]
        inside, symmetries = [], self.whole.symmetries()
        for recorded in self.recorded.values():
            turned = ({one.get(name, name): value for name, value in recorded.items()} for one in symmetries)
            inside += list(islice((one for one in chain([recorded], turned) if self.space.violation(one) is None), 1))
        return inside

    def _unrecorded(self, configuration: Configuration) -> str:
        return f"a configuration must be recorded in study {self.study!r} to be looked up, but got {configuration}"


class _Replay(Lookup):
    """One recorded curve, from any budget to any that was recorded."""

    def __init__(self, study: str, curve: Curve) -> None:
        self._study = study
        self._curve = curve

    def advance(self, job: Job) -> Iterator[Observation]:
        curve, reached = self._curve, job.from_budget
        budgets = sorted(curve.points)
        for budget in budgets:
            if reached < budget <= job.to_budget or budget == job.from_budget == 0:
                yield Observation(budget, curve.points[budget], seconds=curve.seconds(reached, budget))
                reached = budget
        if reached != job.to_budget:
            held = curve.error or f"holds it at {listed(budgets)}"
            raise RequestError(
                f"study {self._study!r} must hold this configuration at budget {job.to_budget} to be looked up, but "
                + held
            )


def listed(budgets: list[int]) -> str:
    """Lists budgets, runs of them by their ends."""
    if not budgets:
        return "none"
    runs: list[tuple[int, int]] = []
    for budget in budgets:
        if runs and budget == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], budget
        else:
            runs.append((budget, budget))
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in runs)
