"""Toys for tests with several processes: they leave a trace of where they ran, take their time, kill or fill."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from automl_core.interfaces import Context, Description, Evaluation
from automl_core.testing.doubles import ToyDescription, ToyEvaluation, ToyEvaluator
from automl_core.types import Job, Observation

ACTIONS: dict[str, Callable[[], Any]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "fill": lambda: _raise(OSError(errno.ENOSPC, "no space left on this toy")),
    "hang": lambda: time.sleep(3600),
    "child": lambda: subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]),
}


class TracedEvaluator(ToyEvaluator):
    """A toy that writes a line for each unit and does something at one unit of some trials.

    Args:
        directory: Where to write.
        pause: Seconds that each unit takes.
        actions: By trial, a name of ``ACTIONS``, and how often it happens if more than once: ``kill 3``.
        at: The unit at which they happen.
    """

    def __init__(
        self, directory: Path, pause: float = 0.0, actions: Mapping[int, str] | None = None, at: int = 2
    ) -> None:
        super().__init__()
        self.directory = directory
        self.pause = pause
        self.actions = dict(actions or {})
        self.at = at

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        return _Traced(self, description, context)

    def traces(self) -> list[dict[str, str]]:
        """Gives what was written, in the order of time."""
        lines = [line for file in self.directory.glob("trace-*") for line in file.read_text().splitlines()]
        return [dict(pair.split("=") for pair in line.split()[1:]) for line in sorted(lines)]


class _Traced(ToyEvaluation):
    def __init__(self, evaluator: TracedEvaluator, description: ToyDescription, context: Context) -> None:
        super().__init__(evaluator, description, context.seed)
        self._traced = evaluator
        self._threads = context.threads

    def advance(self, job: Job) -> Iterator[Observation]:
        for observation in super().advance(job):
            traced, trial, unit = self._traced, job.trial, observation.unit
            with (traced.directory / f"trace-{os.getpid()}").open("a") as file:
                omp = os.environ.get("OMP_NUM_THREADS")
                print(
                    f"{time.time_ns()} trial={trial} unit={unit} attempt={job.attempt} process={os.getpid()} "
                    f"object={id(self)} threads={self._threads} omp={omp}",
                    file=file,
                )
            if unit == traced.at and trial in traced.actions:
                name, _, times = traced.actions[trial].partition(" ")
                for number in range(int(times or 1)):
                    try:
                        (traced.directory / f"done-{trial}-{number}").touch(exist_ok=False)
                    except FileExistsError:
                        continue
                    ACTIONS[name]()
                    break
            time.sleep(traced.pause if unit else 0.0)
            yield observation


def interrupt_when(condition: Callable[[], bool]) -> None:
    """Sends this process a Ctrl-C as soon as something is so."""

    def watch() -> None:
        eventually(condition)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def eventually(condition: Callable[[], bool], within: float = 60.0) -> None:
    """Waits until something is so."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


@contextmanager
def scheduler(directory: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A ``dask scheduler`` of its own process, on a port that the system chooses."""
    told = directory / "scheduler.json"
    told.unlink(missing_ok=True)
    arguments = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show", "--scheduler-file", str(told)]
    with dask("scheduler", *arguments) as process:
        eventually(lambda: told.exists() and told.read_text().rstrip().endswith("}"))
        yield json.loads(told.read_text())["address"], process


@contextmanager
def worker(address: str, directory: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A ``dask worker`` of its own process, which imports what these tests do."""
    options = ["--no-dashboard", "--host", "127.0.0.1", "--local-directory", str(directory), "--nthreads", "1"]
    with dask("worker", address, *options, *arguments) as process:
        yield process


@contextmanager
def dask(command: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command of Dask, and ends it with all that it started."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{command}", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def descendants(process: int) -> set[int]:
    """Numbers of the processes that one has started, directly or not."""
    return {child.pid for child in psutil.Process(process).children(recursive=True)}


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and is only waited for does not."""
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _raise(error: Exception) -> None:
    raise error
