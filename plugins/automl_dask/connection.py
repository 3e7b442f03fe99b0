"""What goes between this process and a scheduler, and what can go wrong there."""

from __future__ import annotations

import logging
import warnings
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import automl_core
from automl_core.errors import RequestError

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

CONNECTING = 3.0
"""Seconds for each of the three exchanges that make a connection."""
FETCHING = 10.0
"""Seconds after which an outcome that is there, but does not arrive, counts as lost with its worker."""


def connect(address: str) -> Client:
    """Connects to a running scheduler.

    Raises:
        RequestError: When there is none, within 10 seconds.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            client = new_client(address)
        except Exception as error:  # a stranger at the other end can make it stumble over anything
            raise RequestError(
                f"a Dask scheduler must answer at the address given, but {address!r} does not "
                f"({type(error).__name__}: {error}); pass --dask with the address that 'dask scheduler' printed, "
                "such as tcp://host:8786, or --workers N for workers on this machine"
            ) from error
    for warning in caught:
        log.warning("%s", warning.message)
    return client


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
