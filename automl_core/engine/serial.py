"""The serial executor: one job at a time, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from automl_core.engine.worker import Task, Worker
from automl_core.interfaces import Executor
from automl_core.types import Job, Outcome


class InProcess(Executor):
    """What executors share that perform every task here."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._cut = False

    def start(self, worker: Worker, since: float = 0.0) -> None:
        self._worker = worker
        self._cut = False

    def cut(self) -> None:
        self._cut = True

    def forget(self, trial: int) -> None:
        if self._worker is not None:
            self._worker.forget(trial)

    def _perform(self, task: Task) -> Outcome:
        assert self._worker is not None, "start() comes first"
        return self._worker.perform(task, lambda: self._cut)


class SerialExecutor(InProcess):
    """Runs one job at a time in this process."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: deque[Task] = deque()

    @property
    def slots(self) -> int:
        return 1

    def start(self, worker: Worker, since: float = 0.0) -> None:
        super().start(worker, since)
        self._tasks.clear()

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def wait(self) -> Sequence[tuple[Job, Outcome]]:
        task = self._tasks.popleft()
        return [(task.job, self._perform(task))]

    def close(self) -> None:
        self._tasks.clear()
