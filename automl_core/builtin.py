"""What the core itself brings, registered through the same hooks as everybody's."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_search_spaces(register: Register) -> None:
    register(
        "recipe", "automl_core.recipe_space:RecipeSpace", summary="what one exported network was trained as, and how"
    )


@hookimpl
def automl_executors(register: Register) -> None:
    register("serial", "automl_core.engine.serial:SerialExecutor", summary="one job at a time, in this process")
    register(
        "simulated",
        "automl_core.engine.simulated:SimulatedExecutor",
        summary="any number of virtual workers on a virtual clock, for results that are looked up",
    )
