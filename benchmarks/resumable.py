"""Long work in pieces: each finished piece is a line in a file; killed and started again, it goes on.

A piece is hashable, can be sent to another process, and has a ``key`` that changes with everything that decides what
comes out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

Line = dict[str, Any]


class Piece(Protocol):
    @property
    def key(self) -> str: ...

    def __hash__(self) -> int: ...


P = TypeVar("P", bound=Piece)


def read(path: Path) -> dict[str, Line]:
    """Reads what is done, by key; a line that a kill cut short does not count."""
    done = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        done[one["key"]] = one
    return done


def carry_on(
    record: Path,
    pieces: Sequence[P],
    perform: Callable[[P], Line],
    told: Callable[[P, Line], str],
    processes: int,
    deadline: float,
    what: str = "pieces of work",
) -> tuple[dict[str, Line], dict[P, Exception]]:
    """Performs the pieces that a record lacks, and appends a line for each.

    Args:
        record: Where the lines are.
        pieces: All pieces.
        perform: Gives a piece's line, without its key; a function that other processes can import.
        told: Says what came of one.
        processes: How many at once; with 1, in this process.
        deadline: Of ``time.monotonic()``: no piece begins later.
        what: What pieces are, in the plural.

    Returns:
        What is done now, by key, and what failed.
    """
    record.parent.mkdir(parents=True, exist_ok=True)
    done = read(record)
    left = [piece for piece in pieces if piece.key not in done]
    print(f"{len(pieces)} {what}, {len(pieces) - len(left)} of them done before; {record}")
    began = time.monotonic()
    failed: dict[P, Exception] = {}
    with record.open("a", encoding="utf-8") as file:
        if record.stat().st_size and not record.read_bytes().endswith(b"\n"):
            file.write("\n")  # a kill cut the last line short
        for count, (piece, found) in enumerate(work_off(left, perform, processes, deadline), start=1):
            if isinstance(found, Exception):
                failed[piece] = found
                print(f"failed: {piece}: {found}", file=sys.stderr)
                continue
            line = {"key": piece.key, **found}
            file.write(json.dumps(line) + "\n")
            file.flush()
            done[piece.key] = line
            minutes = (time.monotonic() - began) / 60
            print(f"{count:>5} of {len(left)}  {minutes:5.1f} min  {told(piece, line)}", flush=True)
    return done, failed


def work_off(
    pieces: Sequence[P], perform: Callable[[P], Line], processes: int, deadline: float
) -> Iterator[tuple[P, Line | Exception]]:
    """Performs pieces and yields each as it ends; none begins after the deadline."""
    left = iter(pieces)
    if processes == 1:
        for piece in left:
            if time.monotonic() > deadline:
                return
            yield piece, _attempt(perform, piece)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_stay_quiet) as pool:
        running: dict[Future[Any], P] = {}
        while True:
            while len(running) < processes and time.monotonic() < deadline and (piece := next(left, None)):
                running[pool.submit(_attempt, perform, piece)] = piece
            if not running:
                return
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(ended), ended.result()


def _attempt(perform: Callable[[P], Line], piece: P) -> Line | Exception:
    try:
        return perform(piece)
    except Exception as error:  # noqa: BLE001 - one failed piece is named at the end and takes no other along
        return RuntimeError(f"{type(error).__name__}: {error}")


def _stay_quiet() -> None:
    """Leaves Ctrl-C to the process that began this one, and ends when that one is gone, however it went."""
    import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.WARNING)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
