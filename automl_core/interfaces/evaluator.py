"""Evaluators: they build and advance what is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from automl_core.errors import RequestError
from automl_core.interfaces.dataset import Dataset
from automl_core.interfaces.space import Description, SearchSpace
from automl_core.types import Direction, Job, Json, Observation, Point, Split

if TYPE_CHECKING:
    from automl_core.records import Workspace


@dataclass(frozen=True)
class ArtefactRequest:
    """Something to be trained in a support trial: a teacher, a control, a retraining.

    Equal requests within a study are trained once; the engine addresses an artefact by everything here together
    with the study's seed and the evaluator's, the data set's and the trainer's options.

    Args:
        label: What it is, for ``show``: "teacher resnet32", "target alone". Not part of the address.
        description: What to train.
        budget: How far.
        split: ``search`` or ``final``.
        repeat: Number of the repetition; other repeats have other seeds.
        schedule: Budget over which its schedules run; None: in the search that of the study, so that everything
            compares, and afterwards its own.
    """

    label: str
    description: Description
    budget: int
    split: Split = "search"
    repeat: int = 0
    schedule: int | None = None


@dataclass(frozen=True)
class Context:
    """Where and how an evaluation runs.

    Args:
        seed: Seed of this evaluation; every random number follows from it (and unit, node and so on).
        max_budget: Budget over which schedules run, whatever this job's own budget is.
        split: ``search`` or ``final``.
        dataset: The data set, or None for an evaluator that takes none.
        artefacts: Directories written by ``Evaluation.export``, one per request of ``Evaluator.requires``, in order.
        device: ``"cpu"`` or ``"cuda:0"``; already resolved.
        threads: Threads that this worker may use.
        metrics: Metrics that objectives and constraints name: those that cost time to measure (``latency``) are
            reported only when they are among them.
        needs: What the study's estimators need of ``features`` and ``network``: observations carry no more.
    """

    seed: int
    max_budget: int
    split: Split = "search"
    dataset: Dataset | None = None
    artefacts: tuple[Path, ...] = ()
    device: str = "cpu"
    threads: int = 1
    metrics: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FeatureSizes:
    """What the features of one epoch are.

    Args:
        train: Training images that an epoch sees.
        validation: Images that are measured on.
        dimension: Numbers per image (d).
        classes: Number of classes (C).
    """

    train: int
    validation: int
    dimension: int
    classes: int


class Evaluation(ABC):
    """One trial's training, advanced job by job."""

    stateless: ClassVar[bool] = False
    """True when ``advance`` can begin at any budget without ``load``; no checkpoints are written then."""

    @abstractmethod
    def advance(self, job: Job) -> Iterator[Observation]:
        """Trains from the budget reached to ``job.to_budget``.

        Yields one observation per unit; an evaluation at budget 0 first yields unit 0, the untrained network. The
        engine may stop iterating after any unit, save, and go on later in another process.

        Raises:
            Exception: Anything raised makes the trial ``failed``. Metrics that are not finite make it ``diverged``.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Writes everything that ``load`` needs into an existing empty directory."""

    @abstractmethod
    def load(self, directory: Path) -> None:
        """Goes on from what ``save`` wrote. What is read from disk is never unpickled."""

    def export(self, directory: Path) -> None:
        """Writes what is worth keeping of a finished training into an existing empty directory."""
        raise NotImplementedError(f"{type(self).__name__} has nothing to export")

    def report(self) -> Json:
        """Plain JSON for the searcher and the journal at the end of each job."""
        return None


class Evaluator(ABC):
    """Starts evaluations. Constructor keywords are its options.

    A class attribute ``settings`` names a dataclass whose fields are the options of the part ``trainer``; its
    instance is then passed as the keyword ``trainer``.
    """

    unit: str = "epochs"
    metrics: Mapping[str, Direction] = {}
    """Metrics that can be an objective, the default one first."""

    dataset_kinds: ClassVar[frozenset[str]] = frozenset()
    """Kinds of data set it takes; empty when it takes none."""

    fixed_metrics: frozenset[str] = frozenset()
    """Metrics that training does not change (``params``, ``flops``, ``latency``): a constraint on one of them is held
    against a trial's first outcome, one on any other against a complete trial."""

    offers: ClassVar[frozenset[str]] = frozenset()
    """What its observations carry for estimators, any of ``features`` and ``network``."""

    default_dataset: ClassVar[str | None] = None
    """Name of the data set to take when the user names none."""

    trains: ClassVar[bool] = True
    """Whether there is something to retrain and to export; False for one that looks results up or calculates them."""

    takes_candidates: ClassVar[bool] = True
    """Whether it evaluates what search spaces decode to; False for one of searchers' own support trials alone."""

    settings: ClassVar[type[Any] | None] = None

    def resolve_device(self, device: str) -> str:
        """Turns what the user asked for (``auto``, ``cpu``, ``cuda:0``) into a device that is there.

        Raises:
            RequestError: When there is no such device.
        """
        if device not in ("auto", "cpu"):
            raise RequestError(f"this evaluator runs on the cpu, but got device {device!r}; leave --device out")
        return "cpu"

    def attach(self, workspace: Workspace, space: SearchSpace) -> None:  # noqa: B027 - most look nothing up
        """Takes in the workspace and the search space, for evaluators that look results up there.

        Called before anything else is asked. What is unit and what are metrics may follow from it.
        """

    def dataset_names(self, space: SearchSpace) -> tuple[str, ...] | None:
        """Names the data sets that this evaluator looks up itself, the default first; None: it takes registered ones.

        It is then given a :class:`~automl_core.interfaces.NamedDataset`.
        """
        return None

    def complete_only(self, space: SearchSpace) -> str | None:
        """Gives the reason why only complete trainings are known, or None where any budget can be asked for."""
        return None

    def narrowed(self, space: SearchSpace) -> SearchSpace:
        """Gives the part of a search space that this evaluator can judge; for most, all of it."""
        return space

    def check_budgets(self, rungs: tuple[int, ...]) -> None:  # noqa: B027 - training knows no end
        """Refuses a search that compares at budgets at which nothing is known.

        Args:
            rungs: Where the searcher compares, rising; the last one is the maximum budget.

        Raises:
            RequestError: With those that are.
        """

    def foresee(self, description: Description) -> Mapping[str, float]:
        """Gives the metrics that are known without any training, for constraints. May cost milliseconds."""
        return {}

    def feature_sizes(self, description: Description) -> FeatureSizes | None:
        """Says how large the features of one epoch will be, without any training; None when that is not known."""
        return None

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:  # noqa: B027 - taking all is a fair default
        """Refuses what cannot work, before anything starts.

        Raises:
            RequestError: With the reason and what would work.
        """

    def presets(self, dataset: Dataset | None) -> Mapping[str, Mapping[str, Json]]:
        """Gives defaults by preset name, sized from the data set.

        Each preset is a nested mapping in the form of a study file: ``{"max_budget": 8, "trials": 20, "space":
        {"nodes": 3}, "trainer": {"batch": 64}, "dataset": {"limit": 1000}}``. Presets named ``quick`` and ``paper``
        are what ``--preset`` offers.
        """
        return {"quick": {}, "paper": {}}

    def requires(self, description: Description, max_budget: int, split: Split) -> Sequence[ArtefactRequest]:
        """Names the artefacts that must exist before ``start``; the engine trains missing ones in support trials."""
        return ()

    def baselines(self, description: Description, budget: int) -> Sequence[ArtefactRequest]:
        """Names trainings to put beside the best configuration of a search, such as the target network alone."""
        return ()

    def repeated(self, description: Description, repeat: int) -> Description:
        """Gives a description whose artefacts are those of a repetition, for retrainings that are to be independent.

        By default all repetitions share the artefacts that they require, such as teachers.

        Args:
            description: What is trained several times.
            repeat: Number of the repetition, from 0, which stands for the description itself.
        """
        return description

    def controls(self, description: Description) -> Mapping[str, Description]:
        """Names descriptions that a retraining is compared with, by label ("all gates through")."""
        return {}

    @abstractmethod
    def start(self, description: Description, context: Context) -> Evaluation:
        """Builds what is trained, at budget 0; nothing is trained yet."""

    def translated(self, description: Description) -> Description:
        """Gives what a search space's description says in the terms that :meth:`parse` reads back."""
        return description

    def parse(self, data: Json) -> Description:
        """Builds a description from what ``to_json`` gave.

        Raises:
            RequestError: When this evaluator does not take such a description.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no descriptions")

    def seconds_per_unit(self, description: Description, context: Context) -> float | None:
        """Measures roughly what a unit costs, within a few seconds, for ``run --dry-run``; None when unknown."""
        return None

    def title(self, description: Description) -> str:
        """Says in a few words what a description is, for tables; empty when its configuration says it best."""
        return ""

    def draw(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Draws a description as text for a terminal, at most 80 columns wide; None when there is nothing to draw."""
        return None

    def picture(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        """Draws a description as an SVG document; None when there is nothing to draw."""
        return None

    def draw_curve(self, points: Sequence[Point]) -> str | None:
        """Draws the learning curve of a searcher's own support trial as text of at most 80 columns; None: not at all.

        Args:
            points: The curve so far, by rising unit.
        """
        return None

    def plot_curve(self, points: Sequence[Point]) -> str | None:
        """Draws the learning curve of a searcher's own support trial as an SVG document; None: not at all."""
        return None
