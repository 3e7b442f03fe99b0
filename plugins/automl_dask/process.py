"""A worker process of a run's own cluster."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

from automl_dask.quiet import quiet


def serve(address: str, directory: str) -> None:
    """Works for a scheduler until the process that began this one is gone.

    Args:
        address: The scheduler's.
        directory: For what Dask writes.
    """
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what runs here has no input
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    with quiet():
        asyncio.run(_serve(address, directory))


async def _serve(address: str, directory: str) -> None:
    import dask
    from distributed import Worker

    dask.config.set({"distributed.worker.http.routes": []})
    # No limit of memory: Dask would pause a worker that trains something large, and nothing would go on.
    async with Worker(
        address, nthreads=1, host="127.0.0.1", memory_limit=0, dashboard=False, local_directory=directory
    ) as worker:
        await worker.finished()


def _end_with_parent(pipe: int) -> None:
    """Waits for the pipe from the parent to close, which the system does however the parent ends."""
    while os.read(pipe, 1024):
        pass
    os.killpg(0, signal.SIGKILL)  # this process leads its session: what it started ends with it
