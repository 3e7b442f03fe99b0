"""Tells plugins' observer hooks and the caller's progress what happened. A failing observer is logged, never fatal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from automl_core.engine.progress import Progress
from automl_core.plugins import Registry
from automl_core.types import Job, Outcome

if TYPE_CHECKING:
    from automl_core.study import Study

log = logging.getLogger(__name__)


class Observers:
    """Everyone who watches one run.

    Args:
        study: What hooks are given.
        registry: Whose plugins are told.
        progress: The caller's own watcher.
    """

    def __init__(self, study: Study, registry: Registry, progress: Progress) -> None:
        self.study = study
        self.progress = progress
        self._hooks = {
            name: getattr(registry.manager.hook, name).get_hookimpls()
            for name in (
                "automl_study_started",
                "automl_job_finished",
                "automl_incumbent_changed",
                "automl_study_finished",
            )
        }

    def started(self) -> None:
        self._tell("automl_study_started", study=self.study)
        self.progress.started(self.study)

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        self._tell("automl_job_finished", study=self.study, job=job, outcome=outcome)
        self.progress.job_finished(job, outcome, label)

    def incumbent_changed(self, trial: int, value: float) -> None:
        self._tell("automl_incumbent_changed", study=self.study, trial=trial, value=value)
        self.progress.incumbent(trial, value)

    def finished(self) -> None:
        self._tell("automl_study_finished", study=self.study)

    def _tell(self, hook: str, **facts: Any) -> None:
        # One implementation at a time: pluggy's own call ends at the first exception, and the others would not hear.
        for implementation in self._hooks[hook]:
            try:
                implementation.function(**{name: facts[name] for name in implementation.argnames})
            except Exception:
                log.exception("observer %s of plugin %r failed; the study goes on", hook, implementation.plugin_name)
