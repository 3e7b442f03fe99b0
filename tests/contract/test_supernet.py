"""The evaluator of supernets keeps the contract of evaluators, over a search of two cycles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from automl_core.interfaces import Context, Dataset, Description, Evaluation, Evaluator, SearchSpace
from automl_core.testing import EvaluatorContract
from automl_core.types import Job, Json, Observation, Split
from automl_prdarts.evaluator import SupernetEvaluator
from automl_prdarts.plan import KINDS, ArchitectureSettings, Cycle, Origin, SupernetPlan
from automl_spaces.cells import CellsDL
from automl_vision import TrainerSettings
from automl_vision.data.digits import Digits

PLAIN = ("skip_connect",)
ORIGINS = tuple(Origin(kind, 0, "conv_5x5", "conv_3x3", "grow") for kind in KINDS)


def cycle_of(number: int, begins: int, epochs: int, first: Sequence[str], origins: tuple[Origin, ...] = ()) -> Cycle:
    pools = (tuple(first), *[PLAIN] * 13)
    return Cycle(number, begins, epochs, 0, pools, pools, origins)


CYCLES = (
    cycle_of(0, 0, 2, ("max_pool_3x3", "conv_3x3")),
    cycle_of(1, 2, 1, ("conv_3x3", "conv_5x5"), ORIGINS),
)


class Instructed(Evaluation):
    """Gives the jobs their cycles, as a searcher does."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    def advance(self, job: Job) -> Iterator[Observation]:
        for cycle in CYCLES:
            end = cycle.begins + cycle.epochs
            if cycle.begins < job.to_budget and job.from_budget < end:
                told = {"cycle": json.loads(json.dumps(cycle.to_json()))}
                reached = max(job.from_budget, cycle.begins)
                yield from self._evaluation.advance(
                    replace(job, from_budget=reached, to_budget=min(end, job.to_budget), instruction=told)
                )

    def save(self, directory: Path) -> None:
        self._evaluation.save(directory)

    def load(self, directory: Path) -> None:
        self._evaluation.load(directory)

    def report(self) -> Json:
        return self._evaluation.report()


class InstructedEvaluator(SupernetEvaluator):
    def start(self, description: Description, context: Context) -> Evaluation:
        return Instructed(super().start(description, context))


class TestSupernetEvaluator(EvaluatorContract):
    max_budget = 3

    def make_evaluator(self) -> Evaluator:
        return InstructedEvaluator(TrainerSettings(batch=15, pad=1, schedule="cosine", final_lr=0.01))

    def make_space(self) -> SearchSpace:
        return CellsDL()

    def make_dataset(self) -> Dataset:
        return Digits(limit=60)

    def make_description(self, split: Split = "search") -> Description:
        return SupernetPlan(cells=3, channels=2, architecture=ArchitectureSettings(lr=0.05))
