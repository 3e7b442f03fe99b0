"""Optuna's samplers as a searcher."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_searchers(register: Register) -> None:
    register("optuna", "automl_optuna.searcher:Optuna", summary="any sampler of Optuna, TPE by default (extra: optuna)")
