"""The store on this machine or on a shared file system: directories are renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automl_core import faults
from automl_core.errors import AutomlError

MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"

Files = dict[str, list[Any]]
"""File names below a directory, each with its size in bytes and its SHA-256."""


class DamagedError(AutomlError):
    """A kept directory is not what its manifest says (exit code 1)."""


class Store:
    """Keeps directories under keys such as ``checkpoints/3/12/unit-000004``. It can be sent to another process.

    Args:
        root: Directory to keep them in; made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[Any, ...]]:
        """Another process may have another working directory."""
        return Store, (self.root.absolute(),)

    @property
    def location(self) -> str:
        """What :func:`automl_core.storage.open_store` makes this store of again."""
        return str(self.root)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Gives an empty directory to fill; on leaving the block it appears under ``key``.

        When the key is there already (another study made the same artefact meanwhile), the first one stays.
        """
        final = self.root / key
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.parent / f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}"
        temporary.mkdir()
        try:
            yield temporary
            faults.point("store.filled")
            (temporary / MANIFEST).write_text(json.dumps(listed(temporary), indent=1))
            faults.point("store.manifest")
            try:
                temporary.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        faults.point("store.renamed")

    def has(self, key: str) -> bool:
        return (self.root / key / MANIFEST).is_file()

    def directory(self, key: str) -> Path:
        """Gives the directory under a key, after holding it against its manifest.

        Raises:
            DamagedError: When it is missing or differs from its manifest.
        """
        directory = self.root / key
        try:
            expected = json.loads((directory / MANIFEST).read_text())
            actual = listed(directory)
        except (OSError, ValueError) as error:
            raise DamagedError(f"{directory} must hold what its manifest lists, but: {error}") from error
        refuse_differences(str(directory), actual, expected)
        return directory

    def keys(self, prefix: str) -> list[str]:
        """Lists the complete directories right below a prefix, sorted by name."""
        return [key for key in (f"{prefix}/{name}" for name in self.children(prefix)) if self.has(key)]

    def children(self, prefix: str) -> list[str]:
        """Lists the names of what is right below a prefix, sorted, whether complete or only on the way to a key."""
        try:
            with os.scandir(self.root / prefix) as found:
                return sorted(one.name for one in found if not one.name.startswith(TEMPORARY) and one.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def size(self, key: str) -> int:
        """Gives the bytes of the files under a key as its manifest lists them; 0 where there is none."""
        try:
            return total(json.loads((self.root / key / MANIFEST).read_text()))
        except (OSError, ValueError):
            return 0

    def remove(self, key: str) -> None:
        """Removes a directory, or everything below a prefix; nothing happens when it is not there."""
        # Renamed first: a kill in between must not leave half a directory under the key.
        parent, _, name = key.rpartition("/")
        gone = f"{self.root}/{parent}/{TEMPORARY}gone-{os.getpid()}-{name}-{time.monotonic_ns()}"
        try:
            os.rename(f"{self.root}/{key}", gone)  # noqa: PTH104 - called after every job: no Path, no look first
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self, prefix: str) -> None:
        """Removes what killed processes left half-written below a prefix. Call while holding the study's lock."""
        parent = self.root / prefix
        for left in parent.rglob(f"{TEMPORARY}*") if parent.is_dir() else ():
            shutil.rmtree(left, ignore_errors=True)


def listed(directory: Path) -> Files:
    """Maps each file below a directory, but the manifest, to its size in bytes and its SHA-256."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / MANIFEST)
    return {
        path.relative_to(directory).as_posix(): [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in files
    }


def refuse_differences(where: str, actual: Files, expected: Files) -> None:
    """Holds what is there against what a manifest lists.

    Raises:
        DamagedError: Naming the files that differ.
    """
    if actual == expected:
        return
    changed = sorted(name for name in actual.keys() | expected.keys() if actual.get(name) != expected.get(name))
    raise DamagedError(f"{where} must hold what its manifest lists, but {', '.join(changed)} differ; it is not used")


def total(files: Files) -> int:
    """Adds up the sizes that a manifest lists."""
    return sum(int(size) for size, _ in files.values())
