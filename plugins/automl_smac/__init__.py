"""SMAC3 as a searcher."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_searchers(register: Register) -> None:
    register("smac", "automl_smac.searcher:SMAC", summary="Bayesian optimisation by SMAC3, black-box or multi-fidelity")
