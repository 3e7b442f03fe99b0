"""PR-DARTS: differentiable cell search that prunes candidate operations and replaces them by morphisms of others.

This module is loaded as a plugin at start-up, so it imports nothing heavy.
"""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_searchers(register: Register) -> None:
    register(
        "pr-darts",
        "automl_prdarts.searcher:PRDARTSSearcher",
        summary="a supernet whose operations are pruned and replaced by morphisms in cycles",
    )
    register("darts", "automl_prdarts.searcher:DARTSSearcher", summary="a supernet of all operations of the space")


@hookimpl
def automl_evaluators(register: Register) -> None:
    register("supernet", "automl_prdarts.evaluator:SupernetEvaluator", summary="trains the supernet of a cell search")


@hookimpl
def automl_models(register: Register) -> None:
    register("supernet", "automl_prdarts.supernet:Supernet", summary="stacked cells of weighted candidate operations")
