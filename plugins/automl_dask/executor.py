"""The Dask executor: one job at a time on each worker process of a cluster."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

import automl_core
from automl_core.engine.worker import Task, Worker
from automl_core.errors import AutomlError, RequestError
from automl_core.interfaces import Executor
from automl_core.storage import Store
from automl_core.types import Job, Outcome
from automl_dask.connection import connect, new_client, result_of
from automl_dask.local import LocalWorkers, visible_gpus
from automl_dask.quiet import quiet

if TYPE_CHECKING:
    from distributed import Client, Future

    from automl_dask.station import Equipment

log = logging.getLogger(__name__)

LOOKING = 0.2
"""Seconds between two looks at whether to stop, and whether everything is still there."""
LEAVING = 2.0
"""Seconds to say good-bye."""


class ClusterLost(AutomlError, RuntimeError):  # noqa: N818 - it says what happened
    """The scheduler is gone (exit code 1)."""


@dataclass
class _Seat:
    """A worker process, as seen from here.

    Args:
        job: What it is working on.
        holds: The trial whose live evaluation it has.
        equipped: Whether it was sent what it needs.
        forgotten: Trials that its next job tells it to drop.
    """

    job: tuple[Task, Future[Any]] | None = None
    holds: int | None = None
    equipped: bool = False
    forgotten: list[int] = field(default_factory=list)


class DaskExecutor(Executor):
    """Runs jobs on Dask workers: on some of its own on this machine, or on those of any running scheduler.

    Args:
        workers: How many workers: to start, or to use at most at an address. None: all there are at an address, and
            here one for each GPU, or one for every four cores where there is none.
        address: A running scheduler, such as tcp://host:8786; empty starts workers on this machine.

    Raises:
        RequestError: For less than one worker.
    """

    remote: ClassVar[bool] = True

    def __init__(self, workers: int | None = None, address: str = "") -> None:
        if workers is not None and workers < 1:
            raise RequestError(f"workers must be at least 1, but got {workers}; pass --workers 1 or more")
        self.workers = workers
        self.address = address
        self._exit = ExitStack()
        self._client: Client | None = None
        self._local: LocalWorkers | None = None
        self._reset()

    def __reduce__(self) -> tuple[type[DaskExecutor], tuple[Any, ...]]:
        """Travels as what it was built from, with no connection."""
        return DaskExecutor, (self.workers, self.address)

    def _reset(self) -> None:
        self._session = f"automl-{uuid.uuid4().hex}"
        self._equipment: Equipment | None = None
        self._seats: OrderedDict[str, _Seat] = OrderedDict()
        self._queue: list[Task] = []
        self._events: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._cut = self._told_to_stop = self._said_waiting = False
        self._slots_seen = 0
        self._failure: Exception | None = None

    @property
    def slots(self) -> int:
        if not self.address:
            return self.workers or self._default_workers
        if self._client is None:
            return self.workers or 1
        return max(1, len(self._seats) if self.workers is None else min(len(self._seats), self.workers))

    @cached_property
    def _default_workers(self) -> int:
        return len(visible_gpus("auto")) or max(1, (os.cpu_count() or 1) // 4)

    def check(self) -> None:
        """Looks whether the scheduler answers."""
        if self.address:
            with quiet():
                connect(self.address).close(timeout=LEAVING)

    def start(self, worker: Worker, since: float = 0.0) -> None:
        self._reset()
        self._exit.enter_context(quiet())
        try:
            self._begin(worker)
        except BaseException:
            self.close()
            raise

    def submit(self, task: Task) -> None:
        self._queue.append(task)

    def wait(self) -> Sequence[tuple[Job, Outcome]]:
        """Blocks until a job has ended; also returns, with none, when workers have joined that have nothing to do.

        Raises:
            ClusterLost: When the scheduler is gone.
            AutomlError: When a worker of its own cannot begin.
            RequestError: When a worker lacks what the study needs.
            Exception: What is no trial's fault on a worker, such as a full disk.
        """
        assert self._client is not None, "start() comes before wait()"
        while True:
            if self._cut:
                left = [(task.job, _unfinished("interrupted", task.job)) for task in self._queue]
                self._queue.clear()
                self._tell_to_stop()
                if left:
                    return left
            self._place()
            ended = self._take_events()
            if not ended:  # what has ended is told first, whatever else has happened
                self._look_around()
            grown = self.slots > self._slots_seen and not self._cut
            self._slots_seen = self.slots
            if ended or grown:
                self._place()
                return ended

    def cut(self) -> None:
        self._cut = True

    def forget(self, trial: int) -> None:
        for seat in self._seats.values():
            if seat.holds == trial:
                seat.holds = None
                seat.forgotten.append(trial)

    def close(self) -> None:
        """Ends; workers of its own are killed, others stop what they do for this run at the next unit."""
        client, self._client = self._client, None
        local, self._local = self._local, None
        if local is not None:
            local.close()
        elif client is not None and client.status == "running":
            from automl_dask.station import leave

            self._broadcast(client, leave, [name for name, seat in self._seats.items() if seat.equipped])
        for seat in self._seats.values():
            seat.job = None
        self._seats.clear()
        if client is not None:
            with suppress(Exception):  # whatever it stumbles over, nothing is left to be done with it
                client.close(timeout=LEAVING)
        self._exit.close()

    # -- beginning -----------------------------------------------------------------------------------------------

    def _begin(self, worker: Worker) -> None:
        import dask
        from distributed.protocol.pickle import dumps

        from automl_dask.station import Equipment

        worker = copy(worker)
        if not self.address:
            worker.threads = worker.threads or max(1, (os.cpu_count() or 1) // self.slots)
        try:
            packed = dumps(worker)
        except Exception as error:  # whatever a stranger's object raises
            raise RequestError(
                "parts that are objects must be such that they can be sent to a worker, but "
                f"{type(error).__name__}: {error}; leave open files, locks and the like out of them, or run with "
                "--executor serial"
            ) from error
        if self.address:
            self._client = connect(self.address)
        else:
            self._local = LocalWorkers(self.slots, worker.threads or 1, visible_gpus(worker.device))
            self._client = new_client(self._local.cluster)
        # An object may be large. It is sent once to each worker, which is no reason to warn at each.
        self._exit.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}))
        probe = f"probe-{self._session}"
        self._equipment = Equipment(automl_core.__version__, packed, worker.store.location, probe)
        self._exit.callback(_remove, worker.store, probe)
        with worker.store.writing(probe):
            pass
        self._listen()

    def _listen(self) -> None:
        """Hears of every worker from here on, and takes in those that are there."""
        assert self._client is not None
        heard = threading.Event()
        self._client.subscribe_topic("all", self._hear)
        self._client.subscribe_topic(self._session, lambda event: heard.set())
        while not heard.wait(LOOKING / 10):  # who was there before is only asked for once this is heard
            self._client.log_event(self._session, "does the scheduler report?")
        for name in self._client.scheduler_info(n_workers=-1)["workers"]:
            self._events.put(("add-worker", name))
        self._slots_seen = self.slots

    def _hear(self, event: tuple[float, Any]) -> None:
        """Takes in what the scheduler says; called in the client's thread."""
        said = event[1]
        if isinstance(said, dict) and said.get("action") in ("add-worker", "remove-worker"):
            self._events.put((said["action"], said["worker"]))

    # -- going on ------------------------------------------------------------------------------------------------

    def _take_events(self) -> list[tuple[Job, Outcome]]:
        """Waits a little for something to happen; gives the jobs that have ended thereby."""
        ended: list[tuple[Job, Outcome]] = []
        with suppress(Empty):
            what, name = self._events.get(timeout=LOOKING)
            while True:
                seat = self._seats.get(name)
                if what == "add-worker":
                    self._seats.setdefault(name, _Seat())
                elif what == "remove-worker" and seat is not None:
                    ended += self._vacate(name)
                elif what.startswith(self._session) and seat is not None:
                    try:
                        ended += self._collect(name, seat, what)
                    except Exception as error:  # noqa: BLE001 - raised once what has ended beside it is told
                        self._failure = self._failure or error
                what, name = self._events.get_nowait()
        return ended

    def _vacate(self, name: str) -> list[tuple[Job, Outcome]]:
        """Gives up a worker that is gone."""
        seat = self._seats.pop(name)
        if seat.job is None:
            return []
        task, future = seat.job
        future.release()
        log.info("the worker %s is gone, and with it a job of trial %d", name, task.job.trial)
        return [(task.job, _unfinished("lost", task.job))]

    def _collect(self, name: str, seat: _Seat, key: str) -> list[tuple[Job, Outcome]]:
        """Takes the result of a finished call from a worker."""
        if seat.job is None or seat.job[1].key != key:
            return []  # of a worker that counts as lost
        task, future = seat.job
        seat.job = None
        packed = result_of(future)
        if packed is None:  # another process has taken that address
            seat.equipped = False
            self._queue.insert(0, task)
            return []
        if packed == b"":
            # Most likely the worker has died, and word of that is still on its way. To hand it the next job would
            # waste an attempt of that one.
            assert self._client is not None
            self._seats.pop(name)
            if name in self._client.scheduler_info(n_workers=-1)["workers"]:
                self._events.put(("add-worker", name))
            return [(task.job, _unfinished("lost", task.job))]
        from distributed.protocol.pickle import loads

        outcome: Outcome = loads(packed)
        seat.holds = task.job.trial if outcome.status == "done" else None
        return [(task.job, outcome)]

    def _look_around(self) -> None:
        """Sees to it that all is well, and raises what is not; see :meth:`wait`."""
        assert self._client is not None
        if self._failure is not None:
            raise self._failure
        if self._client.status != "running":
            where = self.address or "this machine"
            raise ClusterLost(
                f"the scheduler must answer until the study is done, but the one at {where} is gone; what the journal "
                "holds is safe: 'automl resume STUDY', with --dask ADDRESS for another scheduler, goes on from there"
            )
        if self._local is not None:
            self._local.tend()
        elif not self._seats and not self._said_waiting:
            self._said_waiting = True
            log.warning("the scheduler at %s has no worker yet; waiting for one", self.address)

    def _tell_to_stop(self) -> None:
        if not self._told_to_stop:
            from automl_dask.station import stop

            self._told_to_stop = True
            assert self._client is not None
            self._broadcast(self._client, stop, [name for name, seat in self._seats.items() if seat.job], wait=False)

    def _broadcast(self, client: Client, tell: Callable[[str], None], names: list[str], wait: bool = True) -> None:
        """Calls something in worker processes, without waiting long for those that do not answer."""

        def send() -> None:
            with suppress(Exception):  # who is gone has stopped
                client.run(tell, self._session, workers=names, on_error="ignore")

        if names:
            thread = threading.Thread(target=send, daemon=True)
            thread.start()
            if wait:
                thread.join(LEAVING)

    def _place(self) -> None:
        """Hands queued jobs to idle workers: first to those that hold their trials, then to those that hold none."""
        if not self._queue or self._client is None or self._client.status != "running":
            return
        idle = [name for name in list(self._seats)[: self.slots] if self._seats[name].job is None]
        holders = {self._seats[name].holds: name for name in idle if self._seats[name].holds is not None}
        for task in list(self._queue):
            name = holders.get(task.job.trial)
            if name in idle:
                idle.remove(name)
                self._queue.remove(task)
                self._hand_over(name, task)
        idle.sort(key=lambda name: self._seats[name].holds is not None)
        for name, task in zip(idle, list(self._queue), strict=False):
            self._queue.remove(task)
            self._hand_over(name, task)

    def _hand_over(self, name: str, task: Task) -> None:
        from distributed.protocol.pickle import dumps

        from automl_dask.station import perform

        assert self._client is not None
        seat = self._seats[name]
        future = self._client.submit(
            perform,
            self._session,
            dumps(task),
            None if seat.equipped else self._equipment,
            tuple(seat.forgotten),
            key=f"{self._session}-{uuid.uuid4().hex}",
            workers=[name],
            allow_other_workers=False,
            pure=False,
        )
        seat.job, seat.equipped, seat.holds = (task, future), True, None
        seat.forgotten.clear()
        events = self._events
        future.add_done_callback(lambda done: events.put((done.key, name)))


def _remove(store: Store, key: str) -> None:
    with suppress(AutomlError, OSError):  # whoever made the store unreachable has been told
        store.remove(key)


def _unfinished(status: Any, job: Job) -> Outcome:
    return Outcome(status, job.from_budget)
