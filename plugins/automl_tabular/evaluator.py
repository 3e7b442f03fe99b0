"""The evaluator that looks results up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from automl_core.errors import RequestError
from automl_core.interfaces import Context, Dataset, Description, Evaluation, Evaluator, SearchSpace
from automl_core.types import Json
from automl_tabular.benchmarks import BENCHMARKS
from automl_tabular.lookup import Results
from automl_tabular.recorded import RecordedStudy
from automl_tabular.trained import TrainedTable

if TYPE_CHECKING:
    from automl_core.records import StudyRecord, Workspace


class TabularEvaluator(Evaluator):
    """Looks results up in place of training, in the table of the search space or in a recorded study.

    Nothing is random, and what a training costs is what it cost when it was trained, so that searches in simulated
    time mean something.

    Args:
        study: Name of a study of this workspace to take results from; empty for the search space's own table. The
            search space must be the recorded one, options included, and only recorded configurations are drawn.
        repeats: What a configuration's repeated trainings in a table stand for. ``mean``: their mean, the nearest
            there is to the truth, so that a regret of 0 can be reached. ``one``: one of them, drawn by the
            evaluation's seed, as if it had been trained once; a study sees the same one whenever it asks.

    Raises:
        RequestError: When no results are known of the search space, or the study does not hold any.
    """

    unit = "trainings"
    trains = False

    def __init__(self, study: str = "", repeats: Literal["mean", "one"] = "mean") -> None:
        self.study = study
        self.repeats = repeats
        self._record: StudyRecord | None = None
        self._results: Results | None = None
        self._space: SearchSpace | None = None
        self._dataset: str | None = None

    def __reduce__(self) -> tuple[type[TabularEvaluator], tuple[str, Literal["mean", "one"]]]:
        """Travels as its options; what it has read stays here."""
        return TabularEvaluator, (self.study, self.repeats)

    def attach(self, workspace: Workspace, space: SearchSpace) -> None:
        if self.study:
            self._record = workspace.record(self.study)
        self.results(space)

    def dataset_names(self, space: SearchSpace) -> tuple[str, ...] | None:
        return self.results(space).dataset_names

    def complete_only(self, space: SearchSpace) -> str | None:
        return self.results(space).complete_only

    def narrowed(self, space: SearchSpace) -> SearchSpace:
        """Gives the space itself for a table, which holds all of it; of a recorded study, what was recorded."""
        return self.results(space).space

    def results(self, space: SearchSpace) -> Results:
        """Finds the results of a search space and declares their metrics as this evaluator's.

        Raises:
            RequestError: When there are none.
        """
        if self._results is None or (space is not self._space and space is not self._results.space):
            self._space, self._results = space, (found := self._find(space))
            # On the class there are none, since they are the results' own.
            self.unit, self.metrics, self.fixed_metrics = found.unit, found.metrics, found.fixed_metrics
        return self._results

    def _find(self, space: SearchSpace) -> Results:
        if self.study:
            if self._record is None:
                raise RequestError(
                    f"evaluator tabular must be attached to a workspace to read study {self.study!r}; call attach()"
                )
            return RecordedStudy(self._record, space)
        if space.name not in BENCHMARKS:
            raise RequestError(
                f"evaluator tabular must know a table of the search space, but there is none of {space.name!r}, only "
                f"of {', '.join(BENCHMARKS)}; choose one of these with --space, or a recorded study with "
                "--set evaluator.study=NAME"
            )
        return TrainedTable(BENCHMARKS[space.name], space, self.repeats)

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:
        self._dataset = None if dataset is None else dataset.name
        self.results(space).require(self._dataset)

    def check_budgets(self, rungs: tuple[int, ...]) -> None:
        assert self._results is not None, "the search space comes first"
        self._results.check_budgets(rungs)

    def presets(self, dataset: Dataset | None) -> Mapping[str, Mapping[str, Json]]:
        preset = {} if self._results is None else self._results.preset()
        return {"quick": preset, "paper": preset}

    def foresee(self, description: Description) -> Mapping[str, float]:
        return {} if self._results is None else self._results.foresee(description, self._dataset)

    def start(self, description: Description, context: Context) -> Evaluation:
        assert self._results is not None, "the search space comes first"
        return self._results.evaluation(description, context)

    def optimum(self, space: SearchSpace, metric: str, dataset: str | None = None) -> float:
        """Gives the best value of a metric that a table holds, over all of its space; regret is measured from it.

        Args:
            space: The search space.
            metric: One of the metrics.
            dataset: The data set; the default one when None.

        Raises:
            RequestError: For an unknown metric or data set, and for a recorded study, whose best is no optimum.
        """
        results = self.results(space)
        if not isinstance(results, TrainedTable):
            raise RequestError(f"only a whole table has a known optimum, but {self.study!r} is a recorded study")
        return results.optimum(metric, dataset)
