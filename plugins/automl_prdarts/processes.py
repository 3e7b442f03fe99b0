"""What searchers by supernets share: search processes side by side, each a supernet and then its genotype."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

from automl_core.constraints import ConstrainedSpace
from automl_core.errors import RequestError, StudyFailed
from automl_core.interfaces import Problem, Searcher, SearchSpace
from automl_core.randomness import derive_seed
from automl_core.types import Configuration, Constraint, Job, Json, Outcome
from automl_prdarts.cycles import Schedule
from automl_prdarts.derivation import bounds_of, derive
from automl_prdarts.plan import ArchitectureSettings, Cycle, CycleReport, Kind, Pool, Pools, SupernetPlan
from automl_prdarts.pools import next_cycle, read_report
from automl_spaces.cells import FEWEST_CELLS, CellSpace
from automl_spaces.genotype import EDGES

log = logging.getLogger(__name__)


@dataclass
class Process:
    """One search process: a supernet, cycle by cycle, and then its genotype.

    Args:
        number: Number of the process, from 0.
        trial: Its support trial.
        cycles: Those begun so far.
        out: Whether a job of it is out.
        configuration: The genotype, once it is derived.
    """

    number: int
    trial: int
    cycles: list[Cycle]
    out: bool = True
    configuration: Configuration | None = None


class SupernetSearcher(Searcher):
    """What both searchers share: search processes side by side, each a supernet and the genotype derived of it.

    Args:
        cells: Cells of the supernet.
        channels: Channels of each node in its first cells.
        batch: Images in each batch at the beginning of a cycle.
        largest_batch: To what it grows as memory allows; 0: it stays.
        lr: Learning rate at the beginning of a cycle.
        final_lr: What it falls to in a cycle, along a cosine.
        momentum: Of the network's weights.
        weight_decay: Of the network's weights.
        clip: Norm to which gradients are clipped; 0: they are not.
        architecture_lr: Learning rate of the operations' weights.
        architecture_betas: Decay rates of their optimiser, Adam.
        architecture_weight_decay: Their weight decay.
        second_order: Whether their gradient looks one step of the network ahead.
        noise: Standard deviation of the operations' weights at the beginning of a cycle; 0: they begin equal.

    Raises:
        RequestError: For an option that is out of range.
    """

    evaluator = "supernet"
    multi_fidelity = False
    plans_trials = True

    name: str
    spaces: str
    """Spaces that it searches, to name them."""

    compatible_draws: bool = False

    def __init__(
        self,
        cells: int,
        channels: int,
        architecture: ArchitectureSettings,
        batch: int,
        largest_batch: int,
        lr: float,
        final_lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        self._require("cells", cells, cells >= FEWEST_CELLS, f"at least {FEWEST_CELLS}, for both kinds of cells")
        self._require("channels", channels, channels >= 1, "at least 1")
        self._require("batch", batch, batch >= 1, "at least 1")
        fixed = largest_batch == 0
        self._require("largest_batch", largest_batch, fixed or largest_batch >= batch, "0 or at least batch")
        self._require("momentum", momentum, 0 <= momentum < 1, "at least 0 and below 1")
        betas = architecture.betas
        self._require("architecture_betas", betas, all(0 <= one < 1 for one in betas), "at least 0 and below 1")
        for name, value in (("lr", lr), ("architecture_lr", architecture.lr)):
            self._require(name, value, 0 < value < math.inf, "a number above 0")
        self._require("final_lr", final_lr, 0 <= final_lr <= lr, f"from 0 to lr, {lr}")
        for name, value in (
            ("weight_decay", weight_decay),
            ("clip", architecture.clip),
            ("architecture_weight_decay", architecture.weight_decay),
            ("noise", architecture.noise),
        ):
            self._require(name, value, 0 <= value < math.inf, "a number of at least 0")
        trainer = {
            "batch": batch,
            "largest_batch": largest_batch,
            "batch_every": 5,  # steps, as published
            "lr": lr,
            "final_lr": final_lr,
            "momentum": momentum,
            "nesterov": False,
            "weight_decay": weight_decay,
            "schedule": "cosine",
            "clip": architecture.clip,
            "drop_last": False,  # as published; so small data need no smaller batch
            "cutout": 0,
            "augmentations": 0,
        }
        self._plan = SupernetPlan(0, cells, channels, trainer, architecture)

    def start(self, problem: Problem) -> None:
        super().start(problem)
        self._constraints: list[Constraint] = []
        space: SearchSpace = problem.space
        while isinstance(space, ConstrainedSpace):
            self._constraints += space.constraints
            space = space.space
        if space.restriction:
            raise RequestError(
                f"searcher {self.name} derives cells from a network of every choice, so it must be given a whole "
                f"space, but {space.name!r} is restricted to {space.restriction}; leave the restriction out, or choose "
                "another --searcher"
            )
        if not isinstance(space, CellSpace):
            raise RequestError(
                f"searcher {self.name} searches for cells, but space {space.name!r} has none; choose --space "
                f"{self.spaces}, or another --searcher"
            )
        self._space = space
        pool = self._pool(space)
        self._schedule = self._table(len(pool))
        self._pools: Pools = (pool,) * len(EDGES)
        self._begun = 0
        self._alive: list[Process] = []
        self._derived = 0
        self._refused = ""

    @property
    def planned_trials(self) -> int:
        return self.problem.trials or 1

    def extend(self, trials: int) -> None:
        if trials < self.planned_trials:
            raise RequestError(
                f"a study can only be given more trials, but it has {self.planned_trials} and {trials} were asked for; "
                f"give at least {self.planned_trials}"
            )
        super().extend(trials)

    def ask(self, next_trial: int) -> Job | None:
        for process in self._alive:
            if not process.out:
                return self._go_on(process, next_trial)
        if self._begun < self.planned_trials:
            process = Process(self._begun, next_trial, [self._first_cycle()])
            self._begun += 1
            self._alive.append(process)
            return self._train(process)
        if not self._alive and not self._derived and self._refused:
            raise StudyFailed(self._refused)
        return None

    def tell(self, job: Job, outcome: Outcome) -> None:
        process = next((one for one in self._alive if one.trial == job.trial), None)
        if process is None:
            return  # nothing is learned of candidates
        process.out = False
        if outcome.status != "done":
            self._alive.remove(process)
            return
        try:
            self._take_in(process, read_report(process.cycles[-1], outcome.report))
        except StudyFailed as error:
            # The other processes may do better; only when all have ended without a candidate the study has failed.
            self._alive.remove(process)
            self._refused = str(error)
            log.warning("%s ends without a candidate: %s", _label(process.number), error)

    def finished(self) -> bool:
        return not self._alive and self._begun >= self.planned_trials

    def may_continue(self, trial: int) -> bool:
        return any(process.trial == trial and process.configuration is None for process in self._alive)

    def imagine(self, job: Job) -> Json:
        """Gives a report in which all candidates are equally probable; it knows of no images."""
        cycle = Cycle.from_json(job.instruction["cycle"])
        normal, reduction = (
            tuple((1 / len(pool),) * len(pool) for pool in pools) for pools in (cycle.normal, cycle.reduction)
        )
        return CycleReport(normal, reduction, channels=0, classes=0, image_size=(0, 0)).to_json()

    @abstractmethod
    def _pool(self, space: CellSpace) -> Pool:
        """Gives the candidates of each edge in the first cycle.

        Raises:
            RequestError: For a space that this searcher cannot search.
        """

    @abstractmethod
    def _table(self, start: int) -> Schedule:
        """Gives the cycles, for so many candidates in the first.

        Raises:
            RequestError: For options that give none.
        """

    def _require(self, name: str, value: object, holds: bool, rule: str) -> None:
        if not holds:
            raise RequestError(
                f"option {name!r} of searcher {self.name} must be {rule}, but got {value!r}; give another value with "
                f"--set searcher.{name}=VALUE"
            )

    def _first_cycle(self) -> Cycle:
        return Cycle(0, 0, self._schedule.epochs[0], self._schedule.grace[0], self._pools, self._pools)

    def _go_on(self, process: Process, next_trial: int) -> Job:
        """Gives a process's next job: another cycle, or its candidate, with which it ends."""
        if process.configuration is None:
            process.out = True
            return self._train(process)
        self._alive.remove(process)
        return Job(next_trial, process.configuration, 0, self.problem.max_budget)

    def _train(self, process: Process) -> Job:
        cycle = process.cycles[-1]
        instruction = {
            "label": _label(process.number),
            "description": replace(self._plan, number=process.number).to_json(),
            "max_budget": self._schedule.total,
            "cycle": cycle.to_json(),
            "before": [one.to_json() for one in process.cycles[:-1]],
        }
        return Job(
            process.trial, {}, cycle.begins, cycle.begins + cycle.epochs, role="support", instruction=instruction
        )

    def _take_in(self, process: Process, report: CycleReport) -> None:
        """Decides what follows a cycle.

        Raises:
            StudyFailed: When nothing can, because bounds leave no genotype.
        """
        cycle = process.cycles[-1]
        pools: Mapping[Kind, Pools] = {"normal": cycle.normal, "reduction": cycle.reduction}
        imagined = not report.classes
        sizes = report.channels, report.classes, report.image_size
        bounds = [] if imagined else bounds_of(self._space, self._constraints, *sizes)
        if self._schedule.is_last(cycle.number):
            allowed = self._space if imagined else self.problem.space
            process.configuration = derive(self._space, pools, report, bounds, allowed)
            self._derived += 1
            return
        operations = self._space.operation_set
        assert operations is not None, "more than one cycle needs morphisms"
        seed = derive_seed(self.problem.seed, self.name, process.number)
        process.cycles.append(
            next_cycle(process.cycles, report, self._schedule, operations.children, seed, self.compatible_draws, bounds)
        )


def _label(number: int) -> str:
    return f"supernet {number}"
