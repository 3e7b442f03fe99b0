"""Stages: steps of a pipeline that follow a study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from automl_core.types import Json

if TYPE_CHECKING:
    from automl_core.study import Study


class Stage(ABC):
    """Something done with a study that has run: ``study.then("name", option=1)``. Constructor keywords are options."""

    @abstractmethod
    def run(self, study: Study) -> Json:
        """Does it and gives a report."""
