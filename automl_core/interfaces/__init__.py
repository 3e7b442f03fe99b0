"""The interfaces between the engine and what plugins bring."""

from automl_core.interfaces.dataset import Dataset, NamedDataset
from automl_core.interfaces.estimator import Estimator, Segment
from automl_core.interfaces.evaluator import ArtefactRequest, Context, Evaluation, Evaluator, FeatureSizes
from automl_core.interfaces.executor import Executor
from automl_core.interfaces.searcher import Problem, Searcher
from automl_core.interfaces.space import Description, PartialSpace, SearchSpace
from automl_core.interfaces.stage import Stage

__all__ = [
    "ArtefactRequest",
    "Context",
    "Dataset",
    "Description",
    "Estimator",
    "Evaluation",
    "Evaluator",
    "Executor",
    "FeatureSizes",
    "NamedDataset",
    "PartialSpace",
    "Problem",
    "SearchSpace",
    "Searcher",
    "Segment",
    "Stage",
]
