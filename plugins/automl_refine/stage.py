"""The stage ``refinement``: what a refinement has come to, and its files, in a pipeline in Python."""

from __future__ import annotations

from automl_core.interfaces import Stage
from automl_core.study import Study
from automl_core.types import Json
from automl_refine.refining import Refinement


class RefinementStage(Stage):
    """Reports on a study of searcher ``refine``: ``study.then("refinement", directory="refined")``.

    Args:
        directory: Where design spaces, tables and pictures are written; nowhere when empty.
    """

    def __init__(self, directory: str = "") -> None:
        self.directory = directory

    def run(self, study: Study) -> Json:
        """Gives the refinement as JSON, with the names of the files written."""
        found = Refinement.of(study)
        files = found.write(self.directory) if self.directory else []
        return {**found.to_json(), "files": files}
