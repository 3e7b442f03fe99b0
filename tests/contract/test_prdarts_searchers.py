"""Searchers that train supernets keep the contract like any other, with support trials before their candidates."""

import math
from random import Random

from automl_core.randomness import derive_seed
from automl_core.testing import SearcherContract
from automl_core.types import Objective, Outcome
from automl_prdarts.plan import KINDS, Cycle, CycleReport
from automl_prdarts.searcher import DARTSSearcher, PRDARTSSearcher
from automl_spaces.cells import CellsDL, CellsDR
from automl_spaces.darts import DARTSSpace


class SupernetContract(SearcherContract):
    """Supernets of few epochs, whose reports follow from their instruction and the study's seed."""

    synchronous = True  # a genotype waits for its supernet
    trials = 3
    max_budget = 12
    seed = 0

    def make_small_space(self):
        return CellsDL(steps=0)

    def make_problem(self, seed=0, space=None):
        self.seed = seed
        return super().make_problem(seed, space)

    def respond(self, job):
        if job.role == "candidate":
            return super().respond(job)
        cycle = Cycle.from_json(job.instruction["cycle"])
        generator = Random(derive_seed(self.seed, job.instruction))
        rows = {kind: [[generator.random() for _ in pool] for pool in getattr(cycle, kind)] for kind in KINDS}
        probabilities = {
            kind: tuple(tuple(one / math.fsum(row) for one in row) for row in found) for kind, found in rows.items()
        }
        report = CycleReport(probabilities["normal"], probabilities["reduction"], 3, 10, (32, 32))
        return Outcome("done", job.to_budget, cost=1.0, report=report.to_json())


class TestPRDARTS(SupernetContract):
    def make_searcher(self):
        return PRDARTSSearcher(cycle_epochs=(2, 3, 1, 1, 1, 1, 1, 1, 1), cycle_grace=(1, 1, 0, 0, 0, 0, 0, 0, 0))

    def make_space(self):
        return CellsDR()


class TestPRDARTSWithTwoObjectives(TestPRDARTS):
    objectives = (Objective("accuracy"), Objective("flops", "min"))

    def make_searcher(self):
        return PRDARTSSearcher(
            cycle_epochs=(3, 2, 1),
            cycle_grace=(1, 1, 0),
            cycle_candidates=(4, 2, 1),
            cycle_morphisms=(2, 0, 0),
            compatible_draws=True,
        )


class TestDARTS(SupernetContract):
    def make_searcher(self):
        return DARTSSearcher(epochs=5)

    def make_space(self):
        return DARTSSpace(none=True)
