"""The simulated executor: a virtual clock and any number of virtual workers, for searches over known results."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import count

from automl_core.engine.serial import InProcess
from automl_core.engine.worker import Task, Worker
from automl_core.errors import RequestError
from automl_core.types import Job, Outcome


class SimulatedExecutor(InProcess):
    """Runs jobs in this process, one after another, and dates them as if ``workers`` ran side by side.

    A job lasts as long as its outcome says that it cost: what an evaluator looks up, or else what it took here. A
    study that is resumed goes on at the time of its last event; what was running then begins anew.

    Args:
        workers: How many virtual workers there are.

    Raises:
        RequestError: For less than one worker.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise RequestError(f"workers must be at least 1, but got {workers}; pass --workers 1 or more")
        super().__init__()
        self.workers = workers
        self._clock = 0.0
        self._order = count()
        self._running: list[tuple[float, int, Job, Outcome]] = []

    @property
    def slots(self) -> int:
        return self.workers

    def start(self, worker: Worker, since: float = 0.0) -> None:
        super().start(worker)
        self._clock = since
        self._running.clear()

    def submit(self, task: Task) -> None:
        """Performs the task at once; its outcome is held back until the clock has come that far."""
        outcome = self._perform(task)
        heapq.heappush(self._running, (self._clock + outcome.cost, next(self._order), task.job, outcome))

    def wait(self) -> Sequence[tuple[Job, Outcome]]:
        """Moves the clock on to the next end; jobs that end at the same moment come together."""
        self._clock = self._running[0][0]
        ended = []
        while self._running and self._running[0][0] <= self._clock:
            _, _, job, outcome = heapq.heappop(self._running)
            ended.append((job, outcome))
        return ended

    def close(self) -> None:
        self._running.clear()

    def now(self) -> float:
        return self._clock
