"""BOHB: HyperBand whose configurations are proposed by kernel density estimates of good and bad ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_core.randomness import derive_seed
from automl_core.ranking import Losses
from automl_core.types import Configuration, Job, Outcome
from automl_searchers.brackets import Formula
from automl_searchers.cube import Points, UnitCube
from automl_searchers.density import Density, impute
from automl_searchers.fronts import Fronts
from automl_searchers.hyperband import HyperBand

LEAST_DENSITY = np.log(1e-32)
"""Densities below count as equal: where neither set has points, their ratio would be meaningless."""


class BOHB(HyperBand):
    """HyperBand that draws most of its configurations from a model of what was good.

    Falkner, Klein and Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018), algorithm
    2, with the settings of its implementation HpBandSter as defaults. The model belongs to the largest budget that has
    enough results: one density of its good configurations (l) and one of its bad ones (g), equations 3 and 4. Of
    ``num_samples`` points drawn from l, widened, the one with the greatest l / g is taken that is allowed and new; a
    random configuration where there is none.

    Kernels are products (:class:`automl_searchers.density.Density`): truncated normal for numbers and ordinal
    hyperparameters, Aitchison's and Aitken's for categorical ones. An inactive hyperparameter counts with a random one
    of the values that it has where it is active. Trials that end without a value are bad, never good.

    Several objectives rank by non-dominated front, then by crowding distance. Brackets are those of HyperBand.

    Args:
        eta: Reduction factor: one trial in ``eta`` goes on. At least 2.
        formula: Configurations that bracket s begins. ``floor``: floor((s_max + 1) / (s + 1)) * eta**s; ``ceil``:
            ceil((s_max + 1) * eta**s / (s + 1)).
        random_fraction: Share of configurations that are drawn uniformly, whatever the model says; rho in the paper.
        top_n_percent: Percentage of results that are good; q in the paper.
        num_samples: Points drawn from the density of the good ones; N_s in the paper.
        min_points_in_model: Least number of points in each of both sets; N_min in the paper. None: one more than
            there are hyperparameters.
        bandwidth_factor: Factor by which the bandwidths of numbers are widened for drawing; b_w in the paper.
        min_bandwidth: Smallest bandwidth, on axes from 0 to 1.

    Raises:
        RequestError: For an option out of its range.
    """

    name = "bohb"

    def __init__(
        self,
        eta: int = 3,
        formula: Formula = "floor",
        random_fraction: float = 1 / 3,
        top_n_percent: int = 15,
        num_samples: int = 64,
        min_points_in_model: int | None = None,
        bandwidth_factor: float = 3.0,
        min_bandwidth: float = 1e-3,
    ) -> None:
        super().__init__(eta, formula)
        _check("random_fraction", random_fraction, 0.0 <= random_fraction <= 1.0, "lie in [0, 1]")
        _check("top_n_percent", top_n_percent, 1 <= top_n_percent <= 99, "lie in [1, 99]")
        _check("num_samples", num_samples, num_samples >= 1, "be at least 1")
        _check("bandwidth_factor", bandwidth_factor, 0.0 < bandwidth_factor < math.inf, "be positive and finite")
        _check("min_bandwidth", min_bandwidth, 0.0 < min_bandwidth <= 1.0, "lie in (0, 1]")
        self.random_fraction = random_fraction
        self.top_n_percent = top_n_percent
        self.num_samples = num_samples
        self.min_points_in_model = min_points_in_model
        self.bandwidth_factor = bandwidth_factor
        self.min_bandwidth = min_bandwidth

    def start(self, problem: Problem) -> None:
        super().start(problem)
        self._cube = UnitCube(problem.space.config_space)
        least = len(self._cube.choices) + 1
        self._least = least if self.min_points_in_model is None else self.min_points_in_model
        rule = f"be at least {least}, one more than there are hyperparameters with a choice"
        _check("min_points_in_model", self._least, self._least >= least, rule)
        self._results = {budget: _Results(len(problem.objectives) > 1) for budget in self.rungs()}
        self._models: tuple[Density, Density] | None = None  # of the good and the bad ones
        self._is_current = True

    def tell(self, job: Job, outcome: Outcome) -> None:
        self._results[job.to_budget].add(self._cube.encode(job.configuration), self._comparable(outcome))
        self._is_current = False
        super().tell(job, outcome)

    def _take(self) -> Configuration | None:
        # The random draw comes first in any case, so that it does not depend on who asked what before.
        drawn = self._peek()
        if drawn is None:
            return None
        generator = np.random.default_rng(derive_seed(self.problem.seed, self.name, self._begun))
        if generator.random() >= self.random_fraction:
            proposal = self._propose(generator, drawn)
            if proposal is not None:
                self._know(proposal)
                self._begun += 1
                return proposal
        return super()._take()

    def _propose(self, generator: np.random.Generator, drawn: Configuration) -> Configuration | None:
        """Gives the model's best proposal that is allowed and new, or None: then ``drawn`` is to be taken."""
        models = self._current_models()
        if models is None:
            return None
        good, bad = models
        points = self._cube.snap(good.sample(self.num_samples, self.bandwidth_factor, generator))
        ratios = np.maximum(good.log(points), LEAST_DENSITY) - np.maximum(bad.log(points), LEAST_DENSITY)
        space = self.problem.space
        for proposal in self._cube.decode(points[np.argsort(-ratios, kind="stable")]):
            if space.violation(proposal) is None:
                key = space.canonical(proposal)
                if key not in self._sampler.known:
                    return proposal
                if key == space.canonical(drawn):
                    return None
        return None

    def _current_models(self) -> tuple[Density, Density] | None:
        """Gives the densities of the largest budget with enough results, fitted anew if there are new ones."""
        if not self._is_current:
            self._is_current = True
            for budget in reversed(self.rungs()):
                sets = self._results[budget].split(self._least, self.top_n_percent)
                if sets is not None:
                    self._models = self._fit(budget, *sets)
                    break
        return self._models

    def _fit(self, budget: int, good: Points, bad: Points) -> tuple[Density, Density]:
        seed = derive_seed(self.problem.seed, self.name, "impute", budget, len(self._results[budget].points))
        generator = np.random.default_rng(seed)
        choices = self._cube.choices
        filled = [impute(points, choices, generator) for points in (good, bad)]
        return Density(filled[0], choices, self.min_bandwidth), Density(filled[1], choices, self.min_bandwidth)


class _Results:
    """What has been told at one budget.

    Args:
        several: Whether there are several objectives.
    """

    def __init__(self, several: bool) -> None:
        self.points: list[NDArray[np.float64]] = []
        self._losses: list[float] = []  # by the first objective; infinity for what has no value
        self._fronts = Fronts() if several else None
        self._comparable = 0

    def add(self, point: NDArray[np.float64], losses: Losses | None) -> None:
        """Takes in a point; losses are None for what has no value."""
        if losses is not None:
            self._comparable += 1
            if self._fronts is not None:
                self._fronts.add(len(self.points), losses)
        self.points.append(point)
        self._losses.append(math.inf if losses is None else losses[0])

    def split(self, least: int, top: int) -> tuple[Points, Points] | None:
        """Gives the good and the bad points, or None when there are not ``least`` of both (equations 3 and 4)."""
        count = len(self.points)
        good = min(max(least, top * count // 100), self._comparable)
        bad = min(max(least, (100 - top) * count // 100), count - good)
        if good < least or bad < least:
            return None
        points, order = np.array(self.points), self._best_first()
        return points[order[:good]], points[order[good : good + bad]]

    def _best_first(self) -> list[int]:
        order: list[int] = np.argsort(self._losses, kind="stable").tolist()
        return order if self._fronts is None else self._fronts.best_first() + order[self._comparable :]


def _check(option: str, value: float | None, holds: bool, rule: str) -> None:
    if not holds:
        raise RequestError(f"{option} of searcher bohb must {rule}, but got {value}; change it")
