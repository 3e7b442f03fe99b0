"""What happens in a Dask worker's process: one station for each study that sends jobs there.

A station holds the study's worker, and with it the evaluation that it trained last. It comes with the first job and
is asked for again whenever it is not there, so workers that join late or were restarted need nothing special.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from distributed import get_worker
from distributed.protocol.pickle import dumps, loads

import automl_core
from automl_core.engine.worker import Worker
from automl_core.errors import RequestError


@dataclass(frozen=True)
class Equipment:
    """What a process needs before it can perform a study's jobs.

    Args:
        version: Version of the package that sends jobs.
        worker: The study's worker, pickled: what that brings along may be missing here.
        location: Where the store is, for messages.
        probe: A key in the store that every machine must find there.
    """

    version: str
    worker: bytes
    location: str
    probe: str


@dataclass
class Station:
    """A study's place in this process."""

    worker: Worker
    lock: threading.Lock = field(default_factory=threading.Lock)


_stations: dict[str, Station] = {}
_stopped: set[str] = set()
_guard = threading.Lock()


def perform(session: str, task: bytes, equipment: Equipment | None, forgotten: tuple[int, ...]) -> bytes | None:
    """Performs a job; called by Dask in one of its threads.

    Args:
        session: The run that sends it.
        task: The pickled task.
        equipment: What the run's first job here brings along.
        forgotten: Trials that no job will come for any more.

    Returns:
        The pickled outcome, or None when this process has no station for that run, and must be equipped first.

    Raises:
        RequestError: When the study cannot be worked on here.
        Exception: Whatever is no trial's fault, such as a full disk.
    """
    with _guard:
        station = _stations.get(session)
    if station is None:
        if equipment is None:
            return None
        station = _settle(session, equipment)
    with station.lock:
        for trial in forgotten:
            station.worker.forget(trial)
        return bytes(dumps(station.worker.perform(loads(task), _cut(session))))


def stop(session: str) -> None:
    """Makes a run's jobs in this process end at their next unit; safe to come before they begin."""
    _stopped.add(session)


def leave(session: str) -> None:
    """Forgets a run; a job of it that is still going ends at its next unit."""
    stop(session)
    with _guard:
        _stations.pop(session, None)


def _settle(session: str, equipment: Equipment) -> Station:
    """Makes a station; those where nothing is going on make way, since their runs may have died."""
    host = socket.gethostname()
    if equipment.version != automl_core.__version__:
        raise RequestError(
            f"workers must have the version that sends them jobs, which is {equipment.version}, but {host} has "
            f"{automl_core.__version__}; install automl-graph {equipment.version} there"
        )
    try:
        worker: Worker = loads(equipment.worker)
    except RequestError as error:
        raise RequestError(f"a worker must be able to build the study's parts, but on {host}: {error}") from error
    except Exception as error:  # whatever it means there that a package or a plugin is missing
        raise RequestError(
            f"a worker must have every plugin and package that the study uses, but on {host}: "
            f"{type(error).__name__}: {error}; install there what is installed here"
        ) from error
    if not worker.store.has(equipment.probe):
        raise RequestError(
            f"every worker must reach the store, but {host} does not see at {equipment.location} what was just "
            "written there; pass --store with a directory or URL that all machines share"
        )
    worker.threads = worker.threads or get_worker().state.nthreads
    station = Station(worker)
    with _guard:
        for other in [name for name, one in _stations.items() if not one.lock.locked()]:
            del _stations[other]
        _stations[session] = station
    return station


def _cut(session: str) -> Callable[[], bool]:
    """Gives what a job asks after each unit: whether to stop, because told to or because nobody waits any more."""
    process = get_worker()
    tasks: dict[Any, Any] = process.state.tasks
    key = process.get_current_task()

    def cut() -> bool:
        state = tasks.get(key)
        return session in _stopped or state is None or state.state == "cancelled"

    return cut
