"""Executors: where jobs run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from automl_core.types import Job, Outcome

if TYPE_CHECKING:
    from automl_core.engine.worker import Task, Worker


class Executor(ABC):
    """Runs tasks and gives their outcomes back. It takes no decision. Constructor keywords are its options.

    One whose constructor has an option ``workers`` is given ``--workers``; all others run in this process.
    """

    remote: ClassVar[bool] = False
    """Whether jobs run in other processes: a worker is then sent there, and the devices that count are theirs."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs it runs at once; once started, this may rise and fall as workers come and go."""

    def check(self) -> None:  # noqa: B027 - most can begin at any time
        """Refuses to begin, before anything is written.

        Raises:
            RequestError: When ``start`` would raise it.
        """

    @abstractmethod
    def start(self, worker: Worker, since: float = 0.0) -> None:
        """Begins, also again after ``close``.

        Args:
            worker: What performs tasks. It can be pickled, and arrives elsewhere as it is, its cache left behind.
            since: What the clock showed when the study last recorded something; 0 for a new study.

        Raises:
            RequestError: When it cannot begin, such as for want of a scheduler; within 10 seconds.
        """

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Takes a task; it runs at the latest during the next ``wait``."""

    @abstractmethod
    def wait(self) -> Sequence[tuple[Job, Outcome]]:
        """Blocks until at least one job has ended; gives all that have, in the order in which they ended.

        A job whose worker died ends ``lost``: handing it out again is the engine's decision. An executor whose slots
        have become more may give none, so that it is handed more.

        Raises:
            AutomlError: When what runs the jobs is lost as a whole; the study can be resumed.
        """

    @abstractmethod
    def cut(self) -> None:
        """Asks running jobs to stop at their next unit and to report ``interrupted``. Safe in a signal handler."""

    @abstractmethod
    def close(self) -> None:
        """Ends; jobs still running are abandoned."""

    def forget(self, trial: int) -> None:  # noqa: B027 - an executor that keeps nothing has nothing to drop
        """Drops what is kept of a trial that no job will come for any more."""

    def now(self) -> float:
        """Seconds on this executor's clock: since the epoch, or since the study began where time is simulated."""
        return time.time()
