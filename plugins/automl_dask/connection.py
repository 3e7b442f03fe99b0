"""What goes between this process and a scheduler, and what can go wrong there."""

from __future__ import annotations

import asyncio
import logging
import warnings
from concurrent.futures import CancelledError
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import automl_core
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

CONNECTING = 3.0
"""Seconds for each of the exchanges that make a connection."""
ANSWERING = 6.0
"""Seconds within which a scheduler must have said who it is."""
FETCHING = 10.0
"""Seconds after which an outcome that is there, but does not arrive, counts as lost with its worker."""


def connect(address: str) -> Client:
    """Connects to a running scheduler.

    Raises:
        RequestError: When there is none, within 10 seconds.
    """
    answers: SimpleQueue[str] = SimpleQueue()
    # Aside, for what cannot be ended in time (looking up a name, a stranger who is silent) is left to itself there.
    Thread(target=lambda: answers.put(_knock(address)), daemon=True).start()
    try:
        failure = answers.get(timeout=ANSWERING)
    except Empty:
        failure = f"no answer within {ANSWERING:g} s"
    if failure:
        raise RequestError(
            f"a Dask scheduler must answer at the address given, but {address!r} does not ({failure}); pass --dask "
            "with the address that 'dask scheduler' printed, such as tcp://host:8786, or --workers N for workers on "
            "this machine"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = new_client(address)
    for warning in caught:
        log.warning("%s", warning.message)
    return client


def _knock(address: str) -> str:
    """Says why no scheduler answers at an address; nothing when one does.

    A client of Dask waits for ever when something else listens there, so none is made before this.
    """
    from distributed import Security
    from distributed.comm.core import connect as connected

    async def ask() -> Any:
        comm = await connected(address, timeout=CONNECTING, **Security().get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    try:
        answer = asyncio.run(ask())
    except Exception as error:  # noqa: BLE001 - a stranger at the other end can make it stumble over anything
        return f"{type(error).__name__}: {error}"
    kind = answer.get("type") if isinstance(answer, dict) else None
    return "" if kind == "Scheduler" else f"a {kind or 'stranger'} answers there"


def new_client(where: Any) -> Client:
    from distributed import Client

    return Client(where, timeout=CONNECTING, set_as_default=False, name="automl")


def result_of(future: Future[Any]) -> bytes | None:
    """Fetches what a call gave; empty when it was lost on the way.

    Raises:
        RequestError: When the call could not be made for want of a package.
        Exception: What the call raised.
    """
    from distributed import KilledWorker

    try:
        result: bytes | None = future.result(timeout=FETCHING)
        return result
    except (KilledWorker, CancelledError, TimeoutError):
        return b""
    except RequestError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) or "deserializ" in str(error):
            raise RequestError(
                "the scheduler and its workers must have this package, but what is sent there cannot be read: "
                f"{error}; install automl-graph {automl_core.__version__} there, with the same plugins"
            ) from error
        raise
