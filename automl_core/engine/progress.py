"""What a caller of :meth:`automl_core.Study.run` can watch while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_core.engine.keeping import Dropped
from automl_core.types import Job, Observation, Outcome

if TYPE_CHECKING:
    from automl_core.study import Study


class Progress:
    """Watches one run; every method may be overridden, none needs to be. Unlike hooks it sees live observations."""

    def started(self, study: Study) -> None:
        """The study starts or resumes."""

    def job_started(self, job: Job, label: str) -> None:
        """A job is handed to the executor; ``label`` says what a support trial trains, and is empty otherwise."""

    def observed(self, job: Job, observation: Observation) -> None:
        """A running job has finished a unit. Jobs in other processes are not seen."""

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        """An outcome was journalled."""

    def incumbent(self, trial: int, value: float) -> None:
        """Another candidate is the best now."""

    def dropped(self, checkpoints: Sequence[Dropped]) -> None:
        """Checkpoints were given up to keep the disk budget."""

    def stopping(self) -> None:
        """The run was interrupted and ends at the next unit. Called within a signal handler: do little."""

    def finished(self, study: Study) -> None:
        """The run ends, for whatever reason; ``study.status`` says which."""
