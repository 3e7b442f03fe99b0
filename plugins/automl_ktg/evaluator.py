"""The evaluator of knowledge-transfer graphs: the collaborative trainer, with what to compare a found graph with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from automl_core.interfaces import ArtefactRequest, Dataset, Description, SearchSpace
from automl_core.plugins import get_registry
from automl_core.types import Json
from automl_ktg.drawing import draw
from automl_ktg.picture import picture
from automl_ktg.presets import presets
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, all_through
from automl_vision.evaluator import GraphEvaluator


class KTGEvaluator(GraphEvaluator):
    """Trains knowledge-transfer graphs; draws them; compares the best with its target alone and with all gates through.

    Source: Minami et al., "Knowledge Transfer Graph for Deep Collaborative Learning" (ACCV 2020).

    Args:
        trainer: How every node is trained; the paper's settings when None.
    """

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:
        """Refuses what the graph evaluator refuses, and models of auxiliaries that are not registered."""
        super().check(space, dataset)
        for model in getattr(space.whole, "models", ()):
            get_registry().entry("model", model)

    def presets(self, dataset: Dataset | None) -> Mapping[str, Mapping[str, Json]]:
        """``quick`` is sized from the data set, ``paper`` is the published recipe."""
        return presets(None if dataset is None else dataset.describe())

    def baselines(self, description: Description, budget: int) -> Sequence[ArtefactRequest]:
        """Names the target network trained with labels alone on the same budget."""
        target = self._graph(description).node(TARGET)
        graph = KnowledgeTransferGraph((target,), (Edge(LABEL, TARGET),))
        return [ArtefactRequest("target alone", graph, budget)]

    def controls(self, description: Description) -> Mapping[str, Description]:
        """Names the same networks with every gate through: mutual learning, the paper's control."""
        return {"all gates through": all_through(self._graph(description))}

    def draw(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Draws the graph in at most 80 columns."""
        return draw(self._graph(description), metrics)

    def picture(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Draws the graph as an SVG document."""
        return picture(self._graph(description), metrics)
