"""Searches of cells on the tables of NAS-Bench-201: refinement, random search and SMAC, counted in paid trainings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import product
from random import Random
from typing import Any

from resumable import Line
from virtual import Truth, workspace

from automl_core import Study
from automl_core.counting import values_of
from automl_core.engine.progress import Progress
from automl_core.engine.simulated import SimulatedExecutor
from automl_core.interfaces import SearchSpace
from automl_core.randomness import derive_seed, digest
from automl_core.types import Configuration, Job, Json, Outcome
from automl_refine.edf import area
from automl_refine.refining import Refinement

NEAR = (0.005, 0.001)
"""What a cell may lack to the best accuracy; a search by random draws or by SMAC ends at the first of them."""

FLOORS = {"cifar10": 0.2, "cifar100": 0.02, "imagenet16-120": 2 / 120}
"""Accuracies below which a cell is dead: twice what guessing gives. The space has no reference to take half of."""

EDGES = tuple(f"edge_{source}_{node}" for node in (1, 2, 3) for source in range(node))

SINGLE: Mapping[str, Json] = {"per_step": 200, "min_group": 20, "lower_limit": 150, "conditions": EDGES}
"""40 of 200 have each operation of an edge. Fixing three edges leaves 125 of 15,625 cells, so it pays for about 500."""

PAIRS: Mapping[str, Json] = {"per_step": 1000, "min_group": 30, "lower_limit": 150, "conditions": ()}
"""Pairs of edges have 25 categories, so 40 a category take 1,000: five times as many."""

FRESH = 200
"""Configurations of a space on which its area is measured again, drawn apart from the search."""


@dataclass(frozen=True)
class Contender:
    """A searcher as it takes part.

    Args:
        searcher: Its name.
        most: How many different trainings it may pay for; a refinement ends by itself.
        options: Its options.
    """

    searcher: str
    most: int | None = None
    options: Mapping[str, Json] = field(default_factory=dict)


CONTENDERS: Mapping[str, Contender] = {
    "refine, auc": Contender("refine", None, {"choose": "auc", **SINGLE}),
    "refine, separated": Contender("refine", None, {"choose": "separated", **SINGLE}),
    "refine, auc, pairs": Contender("refine", None, {"choose": "auc", **PAIRS}),
    "random": Contender("random", 500),
    "smac": Contender("smac", 200, {"facade": "hyperparameter-optimization"}),  # a proposal takes seconds by then
}


FEW = 6
"""Seeds of SMAC on all tables but the first: it takes most of the time."""


@dataclass(frozen=True)
class Search:
    """One search of cells.

    Args:
        dataset: Which table.
        contender: Who searches.
        seed: Of the study.
    """

    dataset: str
    contender: str
    seed: int

    @property
    def key(self) -> str:
        """Changes with everything that decides what comes out."""
        contender = CONTENDERS[self.contender]
        options = {name: list(one) if isinstance(one, tuple) else one for name, one in contender.options.items()}
        return digest(
            asdict(self), contender.searcher, contender.most, options, FLOORS[self.dataset], list(NEAR), FRESH
        )


class Paid(Progress):
    """Counts trainings that were paid for, and notes what the best of them lacks to the best there is."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.trainings = 0
        self.trace: list[tuple[int, float]] = []
        self._running: set[int] = set()

    def job_started(self, job: Job, label: str) -> None:
        self.trainings += 1
        self._running.add(job.trial)

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        if job.trial not in self._running:
            return  # known before, and told at no cost
        self._running.remove(job.trial)
        regret = self.truth.regret(job.configuration)
        if not self.trace or regret < self.trace[-1][1]:
            self.trace.append((self.trainings, regret))

    def until(self, near: float) -> int | None:
        """After how many trainings a configuration was found that lacks so little; None if none was."""
        return next((count for count, regret in self.trace if regret <= near + 1e-9), None)


class Found(Exception):  # noqa: N818 - no error: the search may end here
    """What was looked for is found."""


class Until(SimulatedExecutor):
    """One virtual worker that stops once a search has found what counts."""

    def __init__(self, paid: Paid) -> None:
        super().__init__(1)
        self.paid = paid

    def wait(self) -> Any:
        if self.paid.until(NEAR[0]) is not None:
            raise Found
        return super().wait()


def search(piece: Search) -> Line:
    """Does one search of cells and gives its line."""
    began = time.perf_counter()
    contender = CONTENDERS[piece.contender]
    truth = Truth("nas-bench-201", piece.dataset)
    refines = contender.searcher == "refine"
    paid = Paid(truth)
    options = {**contender.options, **({"floor": FLOORS[piece.dataset]} if refines else {})}
    with workspace() as directory:
        study = Study(
            space=truth.space,
            searcher=contender.searcher,
            evaluator="tabular",
            dataset=piece.dataset,
            executor=SimulatedExecutor(1) if refines else Until(paid),
            trials=contender.most,
            seed=piece.seed,
            options={"searcher": options},
            workspace=directory,
        )
        with suppress(Found):
            study.run(progress=paid)
        found = refined(piece, Refinement.of(study)) if refines else {}
    return {
        **asdict(piece),
        "paid": paid.trainings,
        "until": [paid.until(near) for near in NEAR],
        "trace": paid.trace,
        **found,
        "seconds": time.perf_counter() - began,
    }


def refined(piece: Search, refinement: Refinement) -> Line:
    """Measures a refinement's spaces: what the search saw, what a fresh sample shows, and what is true."""
    floor, cells = FLOORS[piece.dataset], all_cells(piece.dataset)
    best = max(value for _, value in cells)
    spaces = []
    for place, (letter, space) in enumerate(zip(refinement.letters, refinement.spaces, strict=True)):
        values = [value for configuration, value in cells if space.violation(configuration) is None]
        draws = Random(derive_seed(piece.seed, "fresh", place))
        fresh = draws.sample(values, min(FRESH, len(values)))
        spaces.append(
            {
                "space": letter,
                "size": len(values),
                "seen": _seen(refinement, place),
                "fresh": _area(fresh, floor),
                "true": _area(values, floor),
                "lacks": best - max(values),
            }
        )
    return {"status": refinement.status, "reason": refinement.reason, "spaces": spaces}


def _seen(refinement: Refinement, place: int) -> float | None:
    """Gives the area for which a space was chosen: that of a category of the space before it."""
    if place == 0:
        return refinement.steps[0].table.overall if refinement.steps else None
    before = refinement.steps[place - 1]
    return next(row.area for _, row in before.table.rows() if row.category == before.chosen)


def _area(values: list[float], floor: float) -> float:
    return area([100 * (1 - value) for value in values if value >= floor])


@cache
def all_cells(dataset: str) -> list[tuple[Configuration, float]]:
    """Lists all cells with their true accuracies."""
    truth = Truth("nas-bench-201", dataset)
    space: SearchSpace = truth.instance
    names = list(space.config_space)
    choices = product(*(values_of(space.config_space[name]) for name in names))
    cells = [dict(zip(names, chosen, strict=True)) for chosen in choices]
    return [(cell, -(truth.regret(cell) + truth.optimum)) for cell in cells]


def planned(repeats: int, datasets: list[str], contenders: list[str]) -> list[Search]:
    """Lists all searches: the first table's, then the others' without SMAC, and then those."""
    pieces = [Search(data, one, seed) for seed in range(repeats) for data in datasets for one in contenders]

    def turn(piece: Search) -> int:
        return 0 if piece.dataset == datasets[0] else 2 if piece.contender == "smac" else 1

    return sorted((piece for piece in pieces if turn(piece) < 2 or piece.seed < FEW), key=turn)


def told(piece: Search, line: Line) -> str:
    near = line["until"][0] or "never"
    return f"{piece.dataset}, {piece.contender}, seed {piece.seed}: {near} of {line['paid']}, {line['seconds']:.1f} s"
