"""The store at a URL of any protocol that fsspec knows, for workers that share no file system.

Nothing can be renamed there. So each writing uploads its files below a name of its own, ``KEY/.data-ID/``, and then
writes ``KEY/manifest.json``, which names that ID: writing this one small file is the commit. Two that write one key at
the same time never mix their files, and what no manifest names is not there.
"""

from __future__ import annotations

import errno
import json
import logging
import shutil
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from automl_core import faults
from automl_core.errors import AutomlError, RequestError, unknown
from automl_core.storage.local import MANIFEST, DamagedError, Files, Store, listed, refuse_differences, total

log = logging.getLogger(__name__)

DATA = ".data-"
TRANSIENT = (ConnectionError, TimeoutError)
PAUSES = (1.0, 4.0)
"""Seconds to wait before trying again what failed for one of ``TRANSIENT``."""

Result = TypeVar("Result")


class StoreError(AutomlError, OSError):
    """A store cannot be reached (exit code 1). An input/output error: no trial's fault, so it ends the run."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EIO, message)

    def __str__(self) -> str:
        return str(self.args[-1])

    def __reduce__(self) -> tuple[type[StoreError], tuple[str]]:
        return StoreError, (str(self),)


@dataclass(frozen=True)
class _Manifest:
    """What was committed: where its files are, all its directories, all its files."""

    data: str
    directories: list[str]
    files: Files

    def __post_init__(self) -> None:
        """Refuses what would reach out of the directory that it is downloaded into."""
        names = [PurePosixPath(name) for name in (self.data, *self.directories, *self.files)]
        if any(name.is_absolute() or ".." in name.parts for name in names):
            raise ValueError("a manifest must name files below its key")


class UrlStore(Store):
    """Keeps directories at a URL; what is read is downloaded into a directory that ends with this process.

    Errors of the connection are tried again twice; many protocols' packages try more often themselves. Any other
    error ends the run, which can be resumed.

    Args:
        url: Such as ``s3://bucket/study``. Credentials come from where the protocol's package looks for them.

    Raises:
        RequestError: When the protocol is unknown or its package is missing.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._remote, base = _filesystem(url)
        self._base = base.rstrip("/")
        self._downloads: tempfile.TemporaryDirectory[str] | None = None

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[Any, ...]]:
        """Arrives as a new one: with a connection and with downloads of its own."""
        return UrlStore, (self._url,)

    @property
    def location(self) -> str:
        return self._url

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="automl-") as name:
            directory = Path(name)
            yield directory
            faults.point("store.filled")
            below = sorted(path for path in directory.rglob("*") if path.is_dir())
            directories = [path.relative_to(directory).as_posix() for path in below]
            manifest = _Manifest(DATA + uuid.uuid4().hex, directories, listed(directory))
            self._reach(key, lambda: self._upload(directory, key, manifest), absent=False)
            faults.point("store.manifest")
            if self.has(key):
                self._delete([self._path(key, manifest.data)])
            else:
                text = json.dumps(asdict(manifest), indent=1).encode()
                self._reach(key, lambda: self._put(self._path(key, MANIFEST), text), absent=False)
        faults.point("store.renamed")

    def has(self, key: str) -> bool:
        return self._manifest(key) is not None

    def directory(self, key: str) -> Path:
        where, manifest = f"{self._url}/{key}", self._manifest(key)
        if manifest is None:
            raise DamagedError(f"{where} must hold what its manifest lists, but there is no manifest that can be read")
        target = self._downloaded(key)
        if target.is_dir() and listed(target) == manifest.files:
            return target
        shutil.rmtree(target, ignore_errors=True)
        for name in ("", *manifest.directories):
            (target / name).mkdir(parents=True, exist_ok=True)
        names = list(manifest.files)
        sources = [self._path(key, manifest.data, name) for name in names]
        try:
            if names:
                self._reach(key, lambda: self._remote.get(sources, [str(target / name) for name in names]))
        except FileNotFoundError as error:
            raise DamagedError(f"{where} must hold what its manifest lists, but lacks {error}") from error
        refuse_differences(where, listed(target), manifest.files)
        return target

    def children(self, prefix: str) -> list[str]:
        def look() -> list[dict[str, Any]]:
            self._remote.invalidate_cache()  # others write there too
            found: list[dict[str, Any]] = self._remote.ls(self._path(prefix), detail=True)
            return found

        try:
            found = self._reach(prefix, look)
        except FileNotFoundError:
            return []
        names = {one["name"].rstrip("/").rpartition("/")[2] for one in found if one["type"] == "directory"}
        return sorted(name for name in names if not name.startswith(DATA))

    def size(self, key: str) -> int:
        manifest = self._manifest(key)
        return 0 if manifest is None else total(manifest.files)

    def remove(self, key: str) -> None:
        files = self._find(key)
        if files:
            self._delete([path for path in files if f"/{DATA}" not in path.removeprefix(self._base)])  # the manifests
            self._delete([self._path(key)])
        if self._downloads is not None:
            shutil.rmtree(self._downloaded(key), ignore_errors=True)

    def sweep(self, prefix: str) -> None:
        below = defaultdict(set)
        for path in self._find(prefix):
            key, _, rest = path.partition(f"/{DATA}")
            if rest:
                below[key].add(DATA + rest.partition("/")[0])
        for path, data in below.items():
            manifest = self._manifest(path.removeprefix(self._base).lstrip("/"))
            self._delete([f"{path}/{name}" for name in data if manifest is None or name != manifest.data])

    def _manifest(self, key: str) -> _Manifest | None:
        """Reads the manifest of a key; one that cannot be read was never written to its end."""
        try:
            content: bytes = self._reach(key, lambda: self._remote.cat_file(self._path(key, MANIFEST)))
            return _Manifest(**json.loads(content))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _upload(self, directory: Path, key: str, manifest: _Manifest) -> None:
        sources = [str(directory / name) for name in manifest.files]
        targets = [self._path(key, manifest.data, name) for name in manifest.files]
        if not self._remote.async_impl:  # those that are asynchronous have no directories to be made
            for parent in {target.rpartition("/")[0] for target in targets}:
                self._remote.makedirs(parent, exist_ok=True)
        if sources:
            self._remote.put(sources, targets)

    def _put(self, path: str, content: bytes) -> None:
        if not self._remote.async_impl:
            self._remote.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._remote.pipe_file(path, content)

    def _find(self, prefix: str) -> list[str]:
        def look() -> list[str]:
            self._remote.invalidate_cache()
            return list(self._remote.find(self._path(prefix)))

        try:
            return self._reach(prefix, look)
        except FileNotFoundError:
            return []

    def _delete(self, paths: list[str]) -> None:
        """Removes files and directories, gone already or not."""
        for path in paths:
            with suppress(FileNotFoundError):
                self._reach(path, lambda: self._remote.rm(path, recursive=True))  # noqa: B023 - called at once

    def _path(self, *parts: str) -> str:
        return "/".join((self._base, *parts))

    def _downloaded(self, key: str) -> Path:
        if self._downloads is None:
            self._downloads = tempfile.TemporaryDirectory(prefix="automl-downloads-", ignore_cleanup_errors=True)
        return Path(self._downloads.name) / key

    def _reach(self, what: str, call: Callable[[], Result], absent: bool = True) -> Result:
        """Calls what goes over the network.

        Args:
            what: What is read or written, for messages.
            call: The call; safe to repeat.
            absent: Whether a file that is not there is for the caller to judge.

        Raises:
            FileNotFoundError: When something is not there, and may be.
            StoreError: Whatever else happens.
        """
        for pause in (*PAUSES, None):
            try:
                return call()
            except Exception as error:
                if absent and isinstance(error, FileNotFoundError):
                    raise
                if pause is None or not isinstance(error, TRANSIENT):
                    raise StoreError(
                        f"the store must be reachable, but {self._url} ({what}): {type(error).__name__}: {error}; see "
                        "to it, then 'automl resume' goes on"
                    ) from error
                log.warning("the store at %s does not answer and is asked again in %g s: %s", self._url, pause, error)
                time.sleep(pause)
        raise AssertionError("the last pause is None")


def _filesystem(url: str) -> tuple[Any, str]:
    """Gives fsspec's file system for a URL, and the path within it."""
    import fsspec

    protocol = url.partition("://")[0].rpartition("::")[2]
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise RequestError(
            f"a store at {protocol}:// needs a package that is missing here: {error}; install it, on every worker too"
        ) from error
    except ValueError:
        raise unknown("protocol of a store", protocol, fsspec.available_protocols()) from None
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # each protocol's package has errors of its own
        raise RequestError(f"a store must be a URL that can be opened, but {url}: {error}; pass another") from error
    return filesystem, path
