"""Files that are fetched once into a folder of the user's, checked, and moved into place whole."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from automl_core import RequestError
from automl_vision.data.base import ImageDataset

TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Download:
    """One file on the net.

    Args:
        url: Where it is.
        md5: Its checksum, hexadecimal.
    """

    url: str
    md5: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


class DownloadedImages(ImageDataset):
    """Images that are downloaded at first use.

    Args:
        root: Folder for the files; empty for ``automl/data`` in the user's cache folder.
    """

    def __init__(
        self,
        root: str = "",
        limit: int | None = None,
        resize: int | None = None,
        validation: int | float = 0.2,
        split_seed: int = 0,
    ) -> None:
        super().__init__(limit=limit, resize=resize, validation=validation, split_seed=split_seed)
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        self.root = (Path(root) if root else Path(cache) / "automl" / "data").expanduser()

    def _fetch(self, download: Download, folder: Path) -> Path:
        """Gives the downloaded file in ``folder``, fetched if it is not there.

        Raises:
            RequestError: When it cannot be fetched or is damaged, with the way to bring it by hand.
        """
        file = folder / download.name
        try:
            if not file.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                log.info("downloading %s to %s", download.url, folder)
                with tempfile.TemporaryDirectory(dir=folder) as scratch:
                    partial = Path(scratch) / download.name
                    with urllib.request.urlopen(download.url, timeout=TIMEOUT) as answer, partial.open("wb") as out:
                        shutil.copyfileobj(answer, out)
                    partial.replace(file)
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except (OSError, HTTPException) as error:
            raise RequestError(
                f"data set {self.name} needs {download.name}, but it cannot be had from {download.url} ({error}); "
                f"put that file into {folder}, or name the folder that has it with dataset.root"
            ) from None
        if found != download.md5:
            raise RequestError(
                f"{file} must have the checksum {download.md5}, but has {found}: it is damaged; delete it to have it "
                "downloaded again"
            )
        return file

    def _unpack(self, archive: Path, members: Sequence[str]) -> None:
        """Extracts the named files of a tar archive into the root, each whole or not at all.

        Raises:
            RequestError: When the archive is damaged or lacks one.
        """
        try:
            with tempfile.TemporaryDirectory(dir=self.root) as scratch, tarfile.open(archive) as opened:
                copies = [Path(scratch) / str(number) for number in range(len(members))]
                for member, copy in zip(members, copies, strict=True):
                    # Copied by content: names, links and modes of the archive decide nothing here.
                    content = opened.extractfile(member)
                    if content is None:
                        raise KeyError(f"{member} is no file")
                    with content, copy.open("wb") as target:
                        shutil.copyfileobj(content, target)
                for member, copy in zip(members, copies, strict=True):
                    (self.root / member).parent.mkdir(parents=True, exist_ok=True)
                    copy.replace(self.root / member)
        except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
            raise RequestError(
                f"data set {self.name} must find {', '.join(members)} in {archive}, but: {error}; delete the archive "
                "to have it downloaded again"
            ) from None
