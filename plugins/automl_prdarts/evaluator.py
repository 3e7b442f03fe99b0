"""The evaluator of supernets: what a cell search trains before there is a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from automl_core.constraints import ConstrainedSpace
from automl_core.errors import RequestError
from automl_core.interfaces import Context, Dataset, Description, Evaluation, Evaluator, SearchSpace
from automl_core.types import Constraint, Direction, Json, Point
from automl_prdarts.derivation import bounds_of, out_of_reach
from automl_prdarts.drawing import draw_curve
from automl_prdarts.picture import plot_curve
from automl_prdarts.plan import KINDS, Pools, SupernetPlan
from automl_spaces.cells import CellSpace
from automl_spaces.genotype import EDGES
from automl_vision.trainer.settings import TrainerSettings

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset


class SupernetEvaluator(Evaluator):
    """Trains supernets, whose edges hold several candidate operations each, cycle by cycle.

    It is no evaluator of configurations: searchers such as ``pr-darts`` let it train their supernets, in support trials
    of their studies, and what they derive from these is evaluated as the search space has it.

    Args:
        trainer: How network weights are trained; the defaults when None. A supernet's plan may replace some of it.
    """

    unit: str = "epochs"
    metrics: Mapping[str, Direction] = {"accuracy": "max", "loss": "min"}
    dataset_kinds: ClassVar[frozenset[str]] = frozenset({"image-classification"})
    default_dataset: ClassVar[str | None] = "digits"
    takes_candidates: ClassVar[bool] = False
    settings: ClassVar[type[Any] | None] = TrainerSettings

    def __init__(self, trainer: TrainerSettings | None = None) -> None:
        self.trainer = trainer or TrainerSettings()

    def resolve_device(self, device: str) -> str:
        """Gives ``cpu`` or ``cuda:i``; ``auto`` takes the first GPU that torch sees, or else the CPU."""
        from automl_vision.devices import resolve_device

        return resolve_device(device)

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:
        """Refuses spaces of anything but cells, bounds out of reach, and data that cannot be halved or padded."""
        whole = space.space if isinstance(space, ConstrainedSpace) else space
        if not isinstance(whole, CellSpace):
            raise RequestError(
                f"a supernet must stand for a search space of cells, but got space {space.name!r}; choose cells-dl, "
                "cells-dr, cells-ur or darts, or another searcher"
            )
        if dataset is not None:
            from automl_prdarts.halves import halves
            from automl_vision.trainer.batches import check_image_size

            images = cast("ImageDataset", dataset)
            halves(images)
            check_image_size(self.trainer, images.image_size)
            if isinstance(space, ConstrainedSpace):
                _check_bounds(whole, space.constraints, images)

    def start(self, description: Description, context: Context) -> Evaluation:
        """Prepares the first cycle."""
        from automl_prdarts.evaluation import SupernetEvaluation

        if not isinstance(description, SupernetPlan):
            raise RequestError(
                f"the evaluator 'supernet' must be given a searcher's plan of one, but got a "
                f"{type(description).__name__}; leave --evaluator out, and choose --searcher pr-darts"
            )
        # Left out like Cutout and RandAugment, which the plan switches off; journals hold plans older than these two.
        settings = replace(self.trainer.replaced(description.trainer), auto_augment="", cutmix=0.0)
        return SupernetEvaluation(description, settings, context)

    def parse(self, data: Json) -> Description:
        """Builds a plan from its JSON."""
        try:
            return SupernetPlan.from_json(data)
        except (KeyError, TypeError) as error:
            raise RequestError(
                f"the evaluator 'supernet' must be given a searcher's plan of one, but got {data!r}; choose --searcher "
                "pr-darts"
            ) from error

    def draw_curve(self, points: Sequence[Point]) -> str | None:
        """Draws accuracies, batch size and what the candidates are as text, at most 80 columns wide."""
        return draw_curve(points)

    def plot_curve(self, points: Sequence[Point]) -> str | None:
        """Draws the same as an SVG document."""
        return plot_curve(points)


def _check_bounds(space: CellSpace, constraints: Sequence[Constraint], images: ImageDataset) -> None:
    """Refuses bounds that no genotype of the space keeps."""
    bounds = bounds_of(space, constraints, images.channels, images.classes, images.image_size)
    everything: Pools = (space.operations,) * len(EDGES)
    out = out_of_reach(dict.fromkeys(KINDS, everything), bounds)
    if out:
        raise RequestError(f"space {space.name!r} must hold what the bounds allow, but {out}; loosen that")
