"""Searchers that need nothing but the core."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_searchers(register: Register) -> None:
    register("random", "automl_searchers.complete:RandomSearch", summary="uniform random configurations, no rungs")
    register("grid", "automl_searchers.complete:GridSearch", summary="every configuration of a finite space, no rungs")
    register("asha", "automl_searchers.asha:ASHA", summary="asynchronous successive halving, stopping or promoting")
    register("hyperband", "automl_searchers.hyperband:HyperBand", summary="synchronous successive halving in brackets")
    register("bohb", "automl_searchers.bohb:BOHB", summary="hyperband whose configurations a density model proposes")
