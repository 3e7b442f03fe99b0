"""The evaluator that trains knowledge-transfer graphs, and with them everything else, on images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, cast

from automl_core.errors import RequestError
from automl_core.interfaces import (
    ArtefactRequest,
    Context,
    Dataset,
    Description,
    Evaluation,
    Evaluator,
    FeatureSizes,
    SearchSpace,
)
from automl_core.options import validate
from automl_core.plugins import get_registry
from automl_core.types import Direction, Json, Split
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph
from automl_spaces.recipe import DrawsItself, KnowsCosts, Recipe, recipe_of
from automl_vision.presets import presets
from automl_vision.trainer.settings import TrainerSettings

if TYPE_CHECKING:
    from automl_vision.costs import Sizes
    from automl_vision.data import ImageDataset

log = logging.getLogger(__name__)


class GraphEvaluator(Evaluator):
    """Trains knowledge-transfer graphs with the collaborative trainer; a network on labels alone is the smallest one.

    It takes graphs, recipes (a graph with options of the trainer that the configuration decides), and descriptions that
    say how they are trained, by a method ``recipe``.

    Metrics are those of the target, which is what is kept: ``accuracy`` (a fraction) and ``loss`` on validation data;
    ``flops``, the multiply-accumulates of convolutions and matrix products for one image of the data set's size;
    ``params``, its trainable numbers; ``latency``, the median seconds of a forward pass of one image on the study's
    device and threads. The last three are reported where an objective or a constraint names them.

    Args:
        trainer: How everything is trained; the defaults when None.
    """

    unit: str = "epochs"
    metrics: Mapping[str, Direction] = {
        "accuracy": "max",
        "loss": "min",
        "flops": "min",
        "params": "min",
        "latency": "min",
    }
    fixed_metrics: frozenset[str] = frozenset({"flops", "params", "latency"})
    dataset_kinds: ClassVar[frozenset[str]] = frozenset({"image-classification"})
    offers: ClassVar[frozenset[str]] = frozenset({"features", "network"})
    default_dataset: ClassVar[str | None] = "digits"
    settings: ClassVar[type[Any] | None] = TrainerSettings

    def __init__(self, trainer: TrainerSettings | None = None) -> None:
        self.trainer = trainer or TrainerSettings()
        self._sizes: Sizes | None = None
        self._images = 0, 0
        self._foreseen: dict[tuple[str, Sizes], Mapping[str, float]] = {}

    def resolve_device(self, device: str) -> str:
        """Gives ``cpu`` or ``cuda:i``; ``auto`` takes the first GPU that torch sees, or else the CPU."""
        from automl_vision.devices import resolve_device

        return resolve_device(device)

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:
        """Refuses spaces that give no graphs, parts that are not registered, and data that do not do."""
        recipe = self._recipe(space.decode(dict(space.config_space.get_default_configuration())))
        check_parts(recipe.graph)
        settings = self._settings(recipe)
        if dataset is not None:
            dataset.load()
            self._check_sizes(settings, cast("ImageDataset", dataset))

    def _check_sizes(self, settings: TrainerSettings, dataset: ImageDataset) -> None:
        from automl_vision.costs import Sizes
        from automl_vision.trainer.batches import check_image_size

        check_image_size(settings, dataset.image_size)
        settings.batches(len(dataset.split("train")))
        self._sizes = Sizes.of(dataset)
        self._images = len(dataset.split("train")), len(dataset.split("validation"))

    def feature_sizes(self, description: Description) -> FeatureSizes | None:
        """Tells the sizes of the target's features, for the data set last checked; None before, or if it has none."""
        if self._sizes is None:
            return None
        from automl_vision.costs import build_empty

        recipe = self._recipe(description)
        settings = self._settings(recipe)
        train, validation = self._images
        seen = settings.images(train)
        head = build_empty(recipe.graph.node(TARGET), self._sizes).head
        return FeatureSizes(seen, validation, head.in_features, head.out_features)

    def foresee(self, description: Description) -> Mapping[str, float]:
        """Counts ``flops`` and ``params`` of the target, once for each model, for the data set last checked.

        Descriptions that tell them in closed form are asked. Gives nothing before a data set was checked, nor for a
        target that cannot be counted: its training says why.
        """
        if self._sizes is None:
            return {}
        if isinstance(description, KnowsCosts):
            return description.costs(self._sizes.channels, self._sizes.classes, self._sizes.image_size)
        target = self._graph(description).node(TARGET)
        key = (target.signature, self._sizes)
        if key not in self._foreseen:
            from automl_vision.costs import count_costs

            try:
                self._foreseen[key] = count_costs(target, self._sizes)
            except Exception as error:  # noqa: BLE001 - a stranger's model may fail in any way, as it will in its trial
                log.warning("flops and params of %s cannot be told before training: %r", target.signature, error)
                self._foreseen[key] = {}
        return self._foreseen[key]

    def presets(self, dataset: Dataset | None) -> Mapping[str, Mapping[str, Json]]:
        """``quick`` is a few epochs, sized from the data set; ``paper`` is Minami et al.'s recipe."""
        if dataset is not None:
            dataset.load()
        return presets(None if dataset is None else dataset.describe())

    def requires(self, description: Description, max_budget: int, split: Split) -> Sequence[ArtefactRequest]:
        """Names one teacher for each frozen node: the same model, trained with labels only on the same data."""
        recipe = self._recipe(description)
        graph = recipe.graph.canonical()
        requests = []
        for number in sorted(graph.frozen):
            teacher = KnowledgeTransferGraph((graph.node(number),), (Edge(LABEL, TARGET),))
            trained = self.translated(Recipe(teacher, recipe.trainer))
            requests.append(ArtefactRequest(f"teacher {graph.node(number).model}", trained, max_budget, split))
        return requests

    def start(self, description: Description, context: Context) -> Evaluation:
        """Builds the trainer of a graph."""
        from automl_vision.trainer.loop import CollaborativeTrainer

        recipe = self._recipe(description)
        return CollaborativeTrainer(recipe.graph, self._settings(recipe), context)

    def translated(self, description: Description) -> Description:
        """Gives a description's recipe; where it decides no option of the trainer, its graph alone."""
        recipe = self._recipe(description)
        return recipe if recipe.trainer else recipe.graph

    def parse(self, data: Json) -> Description:
        """Builds a recipe or a graph from its JSON."""
        return self.translated(Recipe.from_json(data))

    def seconds_per_unit(self, description: Description, context: Context) -> float | None:
        """Times a few real batches of an epoch; untrained networks stand in for artefacts."""
        from automl_vision.trainer.loop import CollaborativeTrainer
        from automl_vision.trainer.timing import seconds_per_epoch

        requests = self.requires(description, context.max_budget, context.split)
        with TemporaryDirectory() as scratch:
            directories = tuple(Path(scratch) / str(number) for number in range(len(requests)))
            for request, directory in zip(requests, directories, strict=True):
                directory.mkdir()
                self.start(self.stand_in(request.description), replace(context, artefacts=())).export(directory)
            evaluation = self.start(description, replace(context, artefacts=directories))
            return seconds_per_epoch(cast(CollaborativeTrainer, evaluation))

    def stand_in(self, artefact: Description) -> Description:
        """Gives what needs no artefacts and exports the same files as an artefact of some description does."""
        return artefact

    def draw(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Draws descriptions that can draw themselves, such as cells."""
        return description.draw() if isinstance(description, DrawsItself) else None

    def picture(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Draws, as an SVG document, descriptions that can draw themselves."""
        return description.picture() if isinstance(description, DrawsItself) else None

    def _graph(self, description: Description) -> KnowledgeTransferGraph:
        return self._recipe(description).graph

    def _recipe(self, description: Description) -> Recipe:
        recipe = recipe_of(description)
        if recipe is None:
            raise RequestError(
                f"{type(self).__name__} must be given knowledge-transfer graphs or what says how it is trained, but "
                f"got a {type(description).__name__}; choose the space's own evaluator, or another space"
            )
        return recipe

    def _settings(self, recipe: Recipe) -> TrainerSettings:
        """Gives the study's settings with those that a recipe decides in their place."""
        return self.trainer.replaced(recipe.trainer)


def check_parts(graph: KnowledgeTransferGraph) -> None:
    """Refuses a graph with models, gates or losses that are not registered, or with options that they do not take.

    Raises:
        RequestError: Naming the nearest ones that would do.
    """
    from automl_vision.trainer.nodes import build_gate, build_loss

    registry = get_registry()
    for node in graph.nodes:
        factory = registry.load("model", node.model)
        validate(factory, node.options, f"model {node.model}", given=frozenset({"channels", "classes"}))
    for edge in graph.edges:
        build_gate(edge)
        build_loss(edge)
