"""The engine: interfaces, hooks, study, journal, artefact store, executors.

Importing this package imports nothing heavy; names are loaded at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from automl_core.drawing import DrawingSearcher
    from automl_core.errors import AutomlError, ReplayError, RequestError, StudyFailed
    from automl_core.hookspecs import hookimpl
    from automl_core.interfaces import (
        ArtefactRequest,
        Context,
        Dataset,
        Description,
        Estimator,
        Evaluation,
        Evaluator,
        Executor,
        FeatureSizes,
        PartialSpace,
        Problem,
        Searcher,
        SearchSpace,
        Segment,
        Stage,
    )
    from automl_core.restricting import Condition, Range, Restriction
    from automl_core.study import Study
    from automl_core.types import Estimate, Job, Objective, Observation, Outcome, Point

_HOMES = {
    "automl_core.drawing": ("DrawingSearcher",),
    "automl_core.errors": ("AutomlError", "ReplayError", "RequestError", "StudyFailed"),
    "automl_core.hookspecs": ("hookimpl",),
    "automl_core.interfaces": (
        "ArtefactRequest",
        "Context",
        "Dataset",
        "Description",
        "Estimator",
        "Evaluation",
        "Evaluator",
        "Executor",
        "FeatureSizes",
        "PartialSpace",
        "Problem",
        "SearchSpace",
        "Searcher",
        "Segment",
        "Stage",
    ),
    "automl_core.restricting": ("Condition", "Range", "Restriction"),
    "automl_core.study": ("Study",),
    "automl_core.types": ("Estimate", "Job", "Objective", "Observation", "Outcome", "Point"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArtefactRequest",
    "AutomlError",
    "Condition",
    "Context",
    "Dataset",
    "Description",
    "DrawingSearcher",
    "Estimate",
    "Estimator",
    "Evaluation",
    "Evaluator",
    "Executor",
    "FeatureSizes",
    "Job",
    "Objective",
    "Observation",
    "Outcome",
    "PartialSpace",
    "Point",
    "Problem",
    "Range",
    "ReplayError",
    "RequestError",
    "Restriction",
    "SearchSpace",
    "Searcher",
    "Segment",
    "Stage",
    "Study",
    "StudyFailed",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'automl_core' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
