"""What another estimator makes of a recorded study's curves: what it made of them at the time, or makes of them now."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from automl_core.engine.state import Trial
from automl_core.errors import RequestError, reason, unknown
from automl_core.estimating import estimate_curve
from automl_core.interfaces import Estimator, Segment
from automl_core.resolving import split_options
from automl_core.types import Json, Metrics, Outcome

if TYPE_CHECKING:
    from automl_core.plugins import Registry
    from automl_core.study import Study

Values = tuple[float, ...]
"""One number per objective."""


class Reestimator:
    """Gives what would have ranked a recorded outcome.

    Args:
        study: The study.
        name: The estimator's name.
        make: Builds a started estimator; None takes what is recorded.
    """

    def __init__(self, study: Study, name: str, make: Callable[[], Estimator] | None) -> None:
        self.computed = make is not None
        self._checked: Sequence[str] = ()
        self._failures: list[str] = []
        self._name = name
        self._make = make
        self._objectives = study.assembly.objectives
        self._fixed = study.assembly.evaluator.fixed_metrics
        self._known: dict[tuple[str, int], Values] = {}
        if make is not None:
            self._checked = make().check(study.assembly.evaluator)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to know, a line each."""
        if not self._failures:
            return tuple(self._checked)
        return *self._checked, f"it failed {len(self._failures)} times, first for {self._failures[0]}"

    def __call__(self, trial: Trial, outcome: Outcome, history: Sequence[Segment]) -> Values:
        """Gives the values of an outcome that is about to be told; not finite where the estimator raises.

        Args:
            trial: A candidate, as it was before.
            outcome: What came of its job, done.
            history: What was told of all candidates before.

        Raises:
            RequestError: When an objective is not estimated.
        """
        stop = trial.key, outcome.budget
        if outcome.cost == 0.0 and stop in self._known:  # it was told what was known
            return self._known[stop]
        estimated = outcome.estimates.get(self._name, {})
        if self._make is not None:
            try:
                curve = (*trial.curve, *outcome.curve)
                estimated = estimate_curve(self._make(), trial.job.configuration, curve, history)
            except Exception:  # noqa: BLE001 - a stranger's estimator would have failed the trial alone
                why = reason(traceback.format_exc())
                self._failures.append(f"trial {trial.number} at budget {outcome.budget}: {why}")
                return (math.nan,) * len(self._objectives)
        values = self._values({**estimated, **_of(self._fixed, outcome.metrics)})
        return self._known.setdefault(stop, values)

    def _values(self, metrics: Metrics) -> Values:
        for objective in self._objectives:
            if objective.metric not in metrics:
                raise RequestError(
                    f"an estimator must estimate every objective to rank by it, but {self._name!r} gives "
                    f"{', '.join(sorted(metrics)) or 'nothing'} and not {objective.metric!r}; choose another"
                )
        return tuple(metrics[objective.metric] for objective in self._objectives)


def _of(names: frozenset[str], metrics: Metrics) -> Metrics:
    return {name: value for name, value in metrics.items() if name in names}


def reestimator(study: Study, name: str, options: Mapping[str, Mapping[str, Json]]) -> Reestimator:
    """Finds out how a study's curves can be estimated anew.

    Args:
        study: The study.
        name: The estimator's name.
        options: Its options, ``{"estimator": {...}}``; with any of them, nothing recorded is taken.

    Raises:
        RequestError: For no or an unknown estimator, wrong options, and one that needs more than curves and was not
            recorded.
    """
    by_part = split_options(options)
    misplaced = [part for part, values in by_part.items() if values and part != "estimator"]
    if misplaced:
        raise RequestError(
            f"a replay takes options of the estimator alone, but got some of {misplaced[0]}; leave them out, or run a "
            "new study"
        )
    assembly, given = study.assembly, by_part["estimator"]
    recorded = [part.name for part in study.spec.estimators]
    if not name:
        raise RequestError(f"a replay needs an estimator, but got none; pass --estimator NAME: {_others(study)}")
    if name in recorded and not given:
        return Reestimator(study, name, None)
    if name not in assembly.registry.names("estimator"):
        raise unknown(
            "estimator", name, sorted({*assembly.registry.names("estimator"), *recorded}), "'automl plugins' lists all"
        )

    def make() -> Estimator:
        return assembly.estimator(name, given)

    needs = sorted(make().needs)
    if needs:
        was = "is recorded without these options" if name in recorded else "was not recorded"
        raise RequestError(
            f"an estimator must need nothing but curves to be computed from a journal, but {name!r} needs "
            f"{', '.join(needs)} and {was}; choose {_others(study)}"
        )
    return Reestimator(study, name, make)


def _others(study: Study) -> str:
    """Lists the estimators that a study can be replayed with."""
    recorded = [part.name for part in study.spec.estimators]
    registry = study.assembly.registry
    curves = [name for name in registry.names("estimator") if name not in recorded and _needs_nothing(registry, name)]
    told = [f"{', '.join(recorded)} (recorded)"] if recorded else []
    told += [f"{', '.join(curves)} (from the curves)"] if curves else []
    return " or ".join(told) or "none is recorded, and none that needs curves alone is installed"


def _needs_nothing(registry: Registry, name: str) -> bool:
    try:
        return getattr(registry.load("estimator", name), "needs", None) == frozenset()
    except RequestError:
        return False  # a broken one is not to be recommended
