"""Searchers that need nothing but the core."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_searchers(register: Register) -> None:
    register("asha", "automl_searchers.asha:ASHA", summary="asynchronous successive halving, stopping or promoting")
