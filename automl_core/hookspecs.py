"""The hooks that plugins implement: eleven that register parts, four that observe.

A plugin is any module that an entry point of the group ``automl`` names; its functions marked with ``hookimpl`` are
found there. Registering names an import path and imports nothing, so that listing parts stays instant::

    from automl_core import hookimpl

    @hookimpl
    def automl_searchers(register):
        register("mine", "my_package.searcher:MySearcher", summary="asks for what I would try")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from automl_core.study import Study
    from automl_core.types import Job, Outcome

PROJECT = "automl"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """What the registering hooks are given."""

    def __call__(self, name: str, path: str, *, summary: str) -> None:
        """Registers one part.

        Args:
            name: What users call it; unique among the parts of its kind, over all plugins.
            path: ``package.module:attribute``, imported at first use.
            summary: One line for ``automl plugins``.
        """


@hookspec
def automl_search_spaces(register: Register) -> None:
    """Registers search spaces: classes derived from ``automl_core.SearchSpace``."""


@hookspec
def automl_searchers(register: Register) -> None:
    """Registers searchers: classes derived from ``automl_core.Searcher``."""


@hookspec
def automl_evaluators(register: Register) -> None:
    """Registers evaluators: classes derived from ``automl_core.Evaluator``."""


@hookspec
def automl_estimators(register: Register) -> None:
    """Registers estimators: classes derived from ``automl_core.Estimator``."""


@hookspec
def automl_datasets(register: Register) -> None:
    """Registers data sets: classes derived from ``automl_core.Dataset``."""


@hookspec
def automl_models(register: Register) -> None:
    """Registers models: callables ``(channels, classes, **options)`` that give a module with ``forward_features``."""


@hookspec
def automl_gates(register: Register) -> None:
    """Registers gates of knowledge-transfer graphs: classes derived from ``automl_spaces.gates.Gate``."""


@hookspec
def automl_losses(register: Register) -> None:
    """Registers edge losses of the collaborative trainer: classes derived from ``automl_vision.losses.EdgeLoss``."""


@hookspec
def automl_executors(register: Register) -> None:
    """Registers executors: classes derived from ``automl_core.Executor``."""


@hookspec
def automl_stages(register: Register) -> None:
    """Registers stages: classes derived from ``automl_core.Stage``, run by ``study.then(name)``."""


@hookspec
def automl_commands(register: Register) -> None:
    """Registers commands: click commands that ``automl`` offers beside its own."""


@hookspec
def automl_study_started(study: Study) -> None:
    """Observes that a study starts or resumes; called before its first job."""


@hookspec
def automl_job_finished(study: Study, job: Job, outcome: Outcome) -> None:
    """Observes an outcome; called after it was journalled."""


@hookspec
def automl_incumbent_changed(study: Study, trial: int, value: float) -> None:
    """Observes that another candidate is now the best; ``value`` is in the first objective's own direction."""


@hookspec
def automl_study_finished(study: Study) -> None:
    """Observes that a study has no job left; not called when it is interrupted."""
