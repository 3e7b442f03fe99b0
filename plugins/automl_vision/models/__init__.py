"""Models: a feature extractor and a linear head each."""

from automl_vision.models.base import ClassifierModule, build_model, count_parameters

__all__ = ["ClassifierModule", "build_model", "count_parameters"]
