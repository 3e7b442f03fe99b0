"""A registry of toy parts, with a toy evaluator whose trials need a teacher and get a baseline and a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automl_core import hookimpl
from automl_core.hookspecs import Register
from automl_core.interfaces import ArtefactRequest, Context, Description, Evaluation
from automl_core.plugins import Registry
from automl_core.testing.doubles import ToyDescription, ToyEvaluator
from automl_core.types import Split

TEACHER = ToyDescription((9,), 0.9)


class TaughtEvaluator(ToyEvaluator):
    """Every toy of odd digits needs a teacher; the teacher trains like any toy.

    Args:
        fail: As for a toy.
        diverge: As for a toy.
        at: As for a toy.
        noise: As for a toy.
    """

    def requires(self, description: Description, max_budget: int, split: Split) -> Sequence[ArtefactRequest]:
        assert isinstance(description, ToyDescription)
        if description == TEACHER or sum(description.digits) % 2 == 0:
            return ()
        return [ArtefactRequest("teacher", TEACHER, max_budget, split)]

    def baselines(self, description: Description, budget: int) -> Sequence[ArtefactRequest]:
        return [ArtefactRequest("alone", ToyDescription((0,), 0.5), budget)]

    def controls(self, description: Description) -> Mapping[str, Description]:
        return {"plain": ToyDescription((1,), 0.4)}

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        if description != TEACHER and sum(description.digits) % 2:
            assert len(context.artefacts) == (1 if self.requires(description, 1, "search") else 0)
        return super().start(description, context)


class ToyPlugin:
    """Registers the toys and, by test path, the taught one."""

    @hookimpl
    def automl_search_spaces(self, register: Register) -> None:
        register("toy", "automl_core.testing.doubles:ToySpace", summary="digits")

    @hookimpl
    def automl_evaluators(self, register: Register) -> None:
        register("toy", "automl_core.testing.doubles:ToyEvaluator", summary="noisy curves")
        register("taught", f"{__name__}:TaughtEvaluator", summary="noisy curves with a teacher")

    @hookimpl
    def automl_estimators(self, register: Register) -> None:
        register("toy", "automl_core.testing.doubles:ToyEstimator", summary="best so far")

    @hookimpl
    def automl_searchers(self, register: Register) -> None:
        register("asha", "automl_searchers.asha:ASHA", summary="halving")
        register("random", "automl_searchers.complete:RandomSearch", summary="uniform draws")


def toy_registry(*extra: Any) -> Registry:
    """A registry of the toys alone, and of plugins given."""
    registry = Registry(found=[])
    for number, plugin in enumerate((ToyPlugin(), *extra)):
        registry.add(f"toys-{number}", plugin)
    return registry
