"""Executors: where jobs run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_core.types import Job, Outcome

if TYPE_CHECKING:
    from automl_core.engine.worker import Task, Worker


class Executor(ABC):
    """Runs tasks and gives their outcomes back. It takes no decision. Constructor keywords are its options."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs it runs at once."""

    @abstractmethod
    def start(self, worker: Worker) -> None:
        """Begins, also again after ``close``; ``worker`` is what performs tasks, here or sent to where they run."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Takes a task; it runs at the latest during the next ``wait``."""

    @abstractmethod
    def wait(self) -> Sequence[tuple[Job, Outcome]]:
        """Blocks until at least one job has ended; gives all that have, in the order in which they ended."""

    @abstractmethod
    def cut(self) -> None:
        """Asks running jobs to stop at their next unit and to report ``interrupted``. Safe in a signal handler."""

    @abstractmethod
    def close(self) -> None:
        """Ends; jobs still running are abandoned."""

    def now(self) -> float:
        """Seconds on this executor's clock."""
        import time

        return time.monotonic()
