"""Keeps Dask's own messages, meant for those who run clusters, out of the user's terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

NOISY = ("distributed", "tornado", "asyncio", "bokeh")
SILENT = logging.CRITICAL + 1


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the loggers of Dask and of what it is built on; what matters, the executor says itself."""
    import distributed  # noqa: F401 - sets up its loggers

    inner = tuple(f"{name}." for name in NOISY)
    names = [*NOISY, *(name for name in logging.root.manager.loggerDict if name.startswith(inner))]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(SILENT)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
