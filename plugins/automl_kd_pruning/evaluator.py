"""The evaluator of trainings that build on other trainings: teachers, students, and what pruning leaves of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from automl_core.errors import RequestError
from automl_core.interfaces import ArtefactRequest, Context, Dataset, Description, SearchSpace
from automl_core.sampling import RandomSampler
from automl_core.types import Direction, Json, Split
from automl_kd_pruning.drawing import draw
from automl_spaces.graph import Node
from automl_spaces.recipe import Recipe, recipe_of
from automl_spaces.trainings import Distillation, Training, kind_of, named, titled, undistilled
from automl_vision.evaluator import GraphEvaluator, check_parts
from automl_vision.trainer.settings import TrainerSettings

if TYPE_CHECKING:
    from automl_core.interfaces import Evaluation
    from automl_vision.costs import Sizes
    from automl_vision.data import ImageDataset

CHECKED = 500
"""Configurations of a space that are looked at before anything starts; they differ in few models and methods."""

PRUNED_METRICS = frozenset({"size", "sparsity"})


class KDPruningEvaluator(GraphEvaluator):
    """Trains sequences of graphs: those that others build on as artefacts, once for all that name them, then the last.

    Its budget is that of the last training, after pruning; the first observation, at 0, is the pruned network before
    any fine-tuning. Metrics of pruned networks are, besides the graph evaluator's, ``size`` (bytes of the network's
    weights as written down by :mod:`automl_kd_pruning.encoding`) and ``sparsity`` (share of zeros among the weights of
    convolutions). ``params``, ``flops``, ``size`` and, with ``latency``, the latency are always reported where channels
    were removed, with the whole network's beside them as ``params_before`` and so on. Where single weights were put to
    zero nothing is faster, so there are only ``size``, ``size_before`` and ``sparsity`` then.

    Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques" (2020).

    Args:
        epochs: Epochs of the trainings that others build on; 0: as many as that which builds on them is planned for, in
            a search the maximum budget.
        lr: Learning rate of fine-tunings, which are the trainings that go on from another one.
        schedule: How it goes over the maximum budget in fine-tunings.
        latency: Whether the latency is measured where channels were removed, whole network and pruned one in turn.
        trainer: How everything is trained; of fine-tunings, all but the learning rate.

    Raises:
        RequestError: For numbers out of range.
    """

    metrics: Mapping[str, Direction] = {**GraphEvaluator.metrics, "size": "min", "sparsity": "max"}
    fixed_metrics: frozenset[str] = GraphEvaluator.fixed_metrics | PRUNED_METRICS
    settings: ClassVar[type[TrainerSettings] | None] = TrainerSettings

    def __init__(
        self,
        epochs: int = 0,
        lr: float = 0.001,
        schedule: Literal["step", "cosine", "linear", "constant"] = "constant",
        latency: bool = True,
        trainer: TrainerSettings | None = None,
    ) -> None:
        super().__init__(trainer)
        if epochs < 0:
            raise RequestError(
                f"the trainings that others build on must take at least 0 epochs (0: as many as the study's maximum "
                f"budget), but got {epochs}; raise --set evaluator.epochs"
            )
        self.epochs, self.latency = epochs, latency
        self._sizes_in_bytes: dict[str, float] = {}
        # Slimming's penalty belongs to the training before pruning; so does a floor of its learning rate.
        self._fine = {"lr": lr, "schedule": schedule, "final_lr": 0.0, "sparsity": 0.0}
        self.trainer.replaced(self._fine)  # refuses a wrong learning rate now

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:
        """Refuses what the graph evaluator refuses, and anything of the space that cannot be pruned or trained so."""
        super().check(space, dataset)
        checked, sampler = set(), RandomSampler(space, seed=0)
        for _ in range(CHECKED):
            configuration = sampler.draw()
            if configuration is None:
                break
            training = self._training(space.decode(configuration))
            for one in (training, *training.before()):
                # How large shares are decides nothing here; how many there are, and which layers are spared, does.
                removed = [(gone.method, len(gone.remaining), gone.spared) for gone in one.prunings]
                key = one.model.signature, str(removed), str(one.recipe.trainer), kind_of(one.graph)
                if key not in checked:
                    checked.add(key)
                    self._check(one, dataset)

    def _check(self, training: Training, dataset: Dataset | None) -> None:
        check_parts(training.graph)
        settings = self._settings_of(training)
        if dataset is not None:
            self._check_sizes(settings, cast("ImageDataset", dataset))
        self._foreseen_node(training)

    def requires(self, description: Description, max_budget: int, split: Split) -> Sequence[ArtefactRequest]:
        """Names the origin's training, where there is one, and then that of each teacher."""
        training = self._training(description)
        needed = [training.origin] if training.origin is not None else []
        epochs = self.epochs or max_budget
        needed += training.needed_teachers()
        return [ArtefactRequest(named(one), one, epochs, split, schedule=epochs) for one in needed]

    def baselines(self, description: Description, budget: int) -> Sequence[ArtefactRequest]:
        """Names the same pruning of a network that never had a teacher, where the description has one."""
        training = self._training(description)
        without = undistilled(training)
        return [] if without == training else [ArtefactRequest("without distillation", without, budget)]

    def repeated(self, description: Description, repeat: int) -> Training:
        """Gives the training with all that it builds on as another repetition: one network pruned again is no other."""
        return self._training(description).repeated(repeat)

    def controls(self, description: Description) -> Mapping[str, Description]:
        """Names the same training without any teacher, where the description has one."""
        training = self._training(description)
        without = undistilled(training)
        return {} if without == training else {"without distillation": without}

    def start(self, description: Description, context: Context) -> Evaluation:
        """Builds the trainer of a training's graph, its target pruned from the origin's where there is one."""
        from automl_kd_pruning.evaluation import Sequel

        training = self._training(description)
        return Sequel(training, self._settings_of(training), context, self.latency)

    def foresee(self, description: Description) -> Mapping[str, float]:
        """Counts ``flops``, ``params`` and ``size``; of a pruned target where they follow from the ratios alone."""
        training = self._training(description)
        node = self._foreseen_node(training)
        if node is None or self._sizes is None:
            return {}
        found = dict(super().foresee(Distillation().graph(node)))
        if found and all(pruning.structured for pruning in training.prunings):
            found["size"] = self._bytes(node, self._sizes)
        return found

    def _bytes(self, node: Node, sizes: Sizes) -> float:
        if node.signature not in self._sizes_in_bytes:
            from automl_kd_pruning.encoding import dense_size
            from automl_vision.costs import build_empty

            self._sizes_in_bytes[node.signature] = float(dense_size(build_empty(node, sizes)))
        return self._sizes_in_bytes[node.signature]

    def stand_in(self, artefact: Description) -> Description:
        """Gives the artefact's network trained with labels alone, which needs no artefacts itself."""
        return Training(Recipe(Distillation().graph(self._training(artefact).model)))

    def translated(self, description: Description) -> Training:
        """Gives the training that a description is; a graph or a recipe builds on nothing."""
        return self._training(description)

    def parse(self, data: Json) -> Training:
        """Builds a training from its JSON."""
        return Training.from_json(data)

    def title(self, description: Description) -> str:
        """Gives model, pruning, distillation and what else the training decides."""
        return titled(self._training(description))

    def draw(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Says step by step what is trained, and what pruning gains."""
        return draw(self._training(description), metrics)

    def picture(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Draws nothing."""
        return None

    def _foreseen_node(self, training: Training) -> Node | None:
        """Gives the target's node after pruning, where it can be told before; None where it cannot."""
        node = training.model if training.origin is None else self._foreseen_node(training.origin)
        if training.pruning is None or node is None:
            return node
        if self._sizes is None:
            return None
        from automl_kd_pruning.pruning import foreseen

        return foreseen(node, training.pruning, self._sizes)

    def _recipe(self, description: Description) -> Recipe:
        return self._training(description).recipe

    def _settings_of(self, training: Training) -> TrainerSettings:
        settings = self.trainer if training.origin is None else self.trainer.replaced(self._fine)
        return settings.replaced(training.recipe.trainer)

    @staticmethod
    def _training(description: Description) -> Training:
        if isinstance(description, Training):
            return description
        recipe = recipe_of(description)
        if recipe is None:
            raise RequestError(
                "KDPruningEvaluator must be given trainings, recipes or graphs, but got a "
                f"{type(description).__name__}; choose the space's own evaluator, or another space"
            )
        return Training(recipe)
