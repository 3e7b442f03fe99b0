"""Jobs on several processes and machines, by Dask."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_executors(register: Register) -> None:
    register("dask", "automl_dask.executor:DaskExecutor", summary="one job per Dask worker, here or on a cluster")
