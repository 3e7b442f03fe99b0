"""Directories that are there whole or not at all: checkpoints and artefacts, on this machine or at a URL.

What is to be kept is written into a temporary directory and listed in a manifest of names, sizes and hashes. A
directory without a fitting manifest is not there.
"""

from __future__ import annotations

from pathlib import Path

from automl_core.storage.local import MANIFEST, TEMPORARY, DamagedError, Store

__all__ = ["MANIFEST", "TEMPORARY", "DamagedError", "Store", "open_store"]


def open_store(location: str | Path) -> Store:
    """Gives the store at a local directory, or at a URL of any protocol that fsspec knows.

    Args:
        location: ``automl-workspace``, ``s3://bucket/study``, ``gs://bucket/study``, ``sftp://host/directory``...

    Raises:
        RequestError: When the protocol is unknown or its package is missing.
    """
    if isinstance(location, Path) or "://" not in location:
        return Store(Path(location))
    from automl_core.storage.remote import UrlStore  # brings fsspec along

    return UrlStore(location)
