"""A cluster on this machine that belongs to one run: a scheduler in this process, and one process per worker.

The worker processes are fresh interpreters in sessions of their own. So a script needs no
``if __name__ == "__main__"``, each process has its own environment from its first import on, Ctrl-C in the terminal
does not reach them (they stop at the next unit when told to), and whatever they started is ended with their session.
Each holds on to a pipe from this process and ends when that closes, however this process ends.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from automl_core.errors import AutomlError

if TYPE_CHECKING:
    from distributed import LocalCluster

log = logging.getLogger(__name__)

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
NOT_BEGUN = 77
"""Exit code of a worker process that could not begin."""
STILLBORN = 3
"""Worker processes in a row that never reached the scheduler, after which a place is given up."""

BEGIN = f"""
import json, sys
try:
    told = json.loads(sys.stdin.readline())
    sys.path[:] = told.pop("path")
    from automl_dask.process import serve
except Exception:
    sys.excepthook(*sys.exc_info())
    sys.exit({NOT_BEGUN})
serve(**told)
"""


class LocalWorkers:
    """The scheduler and the worker processes.

    Args:
        count: How many workers.
        threads: Threads each of them may use.
        gpus: Identifiers of the GPUs to deal out; empty for none.
    """

    def __init__(self, count: int, threads: int, gpus: list[str]) -> None:
        self._threads = threads
        self._gpus = gpus
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stillborn = [0] * count
        self._registered: set[int] = set()
        self._directory = tempfile.TemporaryDirectory(prefix="automl-dask-", ignore_cleanup_errors=True)
        self.cluster = _scheduler(self._registered)
        if count > len(gpus) > 0:
            log.warning("%d workers share %d GPU(s); as many workers as GPUs are usually faster", count, len(gpus))
        try:
            for number in range(count):
                self._processes.append(self._begin(number))
        except BaseException:
            self.close()
            raise

    def tend(self) -> None:
        """Replaces worker processes that have died.

        Those that had reached the scheduler are replaced however many they are: of jobs that end their workers, the
        engine keeps count.

        Raises:
            AutomlError: When one could not even begin, or several in a row did not live long enough to take a job.
        """
        for number, process in enumerate(self._processes):
            code = process.poll()
            if code is None:
                continue
            if code == NOT_BEGUN:
                raise AutomlError(
                    f"a worker process must be able to begin, but number {number} ended with exit code {code}; what it "
                    "said stands above; 'automl resume' goes on"
                )
            self._stillborn[number] = 0 if process.pid in self._registered else self._stillborn[number] + 1
            self._registered.discard(process.pid)
            if self._stillborn[number] == STILLBORN:
                raise AutomlError(
                    f"a worker process must live until it can take jobs, but {STILLBORN} in a row at place {number} "
                    f"did not, the last of which ended with {_ending(code)}; what it said, if anything, stands above; "
                    "give it more memory (raise 'ulimit -v', or pass fewer --workers) or run with --executor serial; "
                    "'automl resume' goes on"
                )
            log.warning("worker process %d ended with %s; another one takes its place", number, _ending(code))
            _end(process)
            self._processes[number] = self._begin(number)

    def close(self) -> None:
        """Ends all of it at once, also processes that hang."""
        for process in self._processes:
            _end(process)
        self._processes.clear()
        with suppress(Exception):  # whatever it stumbles over there, its scheduler lives in this process
            self.cluster.close(timeout=2)
        self._directory.cleanup()

    def environment(self, number: int) -> dict[str, str]:
        """Gives a worker's environment: as many threads as it may use, one GPU, a place for temporary files."""
        changed = dict.fromkeys(THREADS, str(self._threads)) | {"TMPDIR": self._directory.name}
        if self._gpus:
            changed["CUDA_VISIBLE_DEVICES"] = self._gpus[number % len(self._gpus)]
        return os.environ | changed

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN],
            stdin=subprocess.PIPE,
            stdout=2,  # standard output is for results
            env=self.environment(number),
            start_new_session=True,
        )
        told = {"path": sys.path, "address": self.cluster.scheduler_address, "directory": self._directory.name}
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has died already, and is found so
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        return process


def visible_gpus(device: str) -> list[str]:
    """Finds the GPUs to deal out to workers, without importing torch.

    Args:
        device: The device as asked for; one that is named is everybody's, and nothing is dealt out.
    """
    if device not in ("auto", "cuda"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [one.strip() for one in visible.split(",")]
        return [one for one in named if one and one != "-1"]
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip().isdigit()]


def _scheduler(registered: set[int]) -> LocalCluster:
    """Starts a scheduler that only this machine reaches, and that leaves retries and lost workers to the engine.

    Args:
        registered: Where it puts the identifier of every process that registers as a worker.
    """
    import dask
    from distributed import LocalCluster, Scheduler, SchedulerPlugin

    class Registrations(SchedulerPlugin):
        def add_worker(self, scheduler: Scheduler, worker: str) -> None:
            registered.add(scheduler.workers[worker].pid)

    settings: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-ttl": None,  # a job may keep its process from answering for long
        "distributed.scheduler.http.routes": [],
    }
    # There is no dashboard, but Dask opens a port for one all the same: any, rather than the usual one.
    options = {"dashboard": False, "dashboard_address": "127.0.0.1:0", "plugins": [Registrations()]}
    with dask.config.set(settings):
        return LocalCluster(
            n_workers=0, threads_per_worker=1, host="127.0.0.1", scheduler_kwargs=options, silence_logs=None
        )


def _ending(code: int) -> str:
    """Says how a process ended, by what ``Popen`` gives as its exit code."""
    if code >= 0:
        return f"exit code {code}"
    names = {one.value: one.name for one in signal.Signals}
    return f"signal {names.get(-code, -code)}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process with everything that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    process.wait()
