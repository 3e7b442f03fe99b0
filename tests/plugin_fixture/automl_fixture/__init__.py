"""A plugin: gradient descent on a parabola, searched over its step size and momentum."""

from automl_core import hookimpl
from automl_core.hookspecs import Register


@hookimpl
def automl_search_spaces(register: Register) -> None:
    register("fixture", "automl_fixture.space:DescentSpace", summary="step size and momentum of gradient descent")


@hookimpl
def automl_searchers(register: Register) -> None:
    register("fixture", "automl_fixture.searcher:FullBudgetSearcher", summary="random trials, each to the full budget")


@hookimpl
def automl_evaluators(register: Register) -> None:
    register("fixture", "automl_fixture.evaluator:DescentEvaluator", summary="descends a parabola")


@hookimpl
def automl_gates(register: Register) -> None:
    register("fixture", "automl_fixture.gate:Quadratic", summary="rises with the square of the progress")
