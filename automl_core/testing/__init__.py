"""Contract tests for plugins, and small doubles of every part.

A stranger's searcher is tested like ours (pytest is needed, nothing else)::

    from automl_core.testing import SearcherContract

    class TestMySearcher(SearcherContract):
        def make_searcher(self):
            return MySearcher(option=3)

``SearchSpaceContract``, ``EvaluatorContract`` and ``EstimatorContract`` work alike. The doubles live in
:mod:`automl_core.testing.doubles`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_core.testing.estimator import EstimatorContract
    from automl_core.testing.evaluator import EvaluatorContract
    from automl_core.testing.searcher import SearcherContract
    from automl_core.testing.space import SearchSpaceContract

_HOMES = {
    "EstimatorContract": "automl_core.testing.estimator",
    "EvaluatorContract": "automl_core.testing.evaluator",
    "SearchSpaceContract": "automl_core.testing.space",
    "SearcherContract": "automl_core.testing.searcher",
}

__all__ = ["EstimatorContract", "EvaluatorContract", "SearchSpaceContract", "SearcherContract"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'automl_core.testing' has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite(_HOMES[name])  # so that a failing assertion shows its values
    return getattr(import_module(_HOMES[name]), name)
