from math import inf

import pytest
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrdinalHyperparameter,
)

from automl_core.functions import PlainSpace
from automl_core.testing import SearcherContract
from automl_core.testing.doubles import ToySpace
from automl_searchers.asha import ASHA
from automl_searchers.bohb import BOHB
from automl_searchers.complete import GridSearch, RandomSearch
from automl_searchers.hyperband import HyperBand


class TangledSpace(PlainSpace):
    """Conditions, a forbidden clause, a canonical form that merges, and a constraint that refuses about half.

    Args:
        most: Largest depth.
        endless: Whether one hyperparameter is continuous.
        largest: Largest product of depth and width.
    """

    name = "tangled"

    def __init__(self, most=6, endless=False, largest=64):
        kind = CategoricalHyperparameter("kind", ["plain", "residual", "dense"])
        depth = Integer("depth", (1, most))
        width = OrdinalHyperparameter("width", [8, 16, 32])
        rate = Float("rate", (1e-3, 1.0), log=True) if endless else Integer("rate", (1, 9), log=True)
        flag = CategoricalHyperparameter("flag", [True, False])
        config_space = ConfigurationSpace()
        config_space.add(kind, depth, width, rate, flag, Constant("unit", "epochs"))
        config_space.add(
            InCondition(width, kind, ["plain", "residual"]),
            GreaterThanCondition(rate, depth, 2),
            EqualsCondition(flag, width, 16),
        )
        config_space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "dense"), ForbiddenEqualsClause(depth, 2)))
        super().__init__(config_space)
        self._largest = largest

    def canonical(self, configuration):
        dropped = {"flag"} if configuration["depth"] == 1 else set()
        return tuple(sorted((name, value) for name, value in configuration.items() if name not in dropped))

    def violation(self, configuration):
        product = configuration["depth"] * configuration.get("width", 24)
        return None if product <= self._largest else f"depth * width must be at most {self._largest}, but is {product}"


class Tangled:
    """Runs a contract on spaces with conditions and constraints."""

    def make_space(self):
        return TangledSpace()

    def make_small_space(self):
        return TangledSpace(most=3, largest=32)


class TestRandomSearch(SearcherContract):
    def make_searcher(self):
        return RandomSearch()


class TestRandomSearchTangled(Tangled, TestRandomSearch):
    pass


class TestGridSearch(SearcherContract):
    def make_searcher(self):
        return GridSearch()


class TestGridSearchTangled(Tangled, TestGridSearch):
    pass


class TestStoppingASHA(SearcherContract):
    def make_searcher(self):
        return ASHA(kind="stop")


class TestStoppingASHATangled(Tangled, TestStoppingASHA):
    pass


class TestPromotingASHA(SearcherContract):
    def make_searcher(self):
        return ASHA(kind="promote", eta=3)


class TestHyperBand(SearcherContract):
    """Asks for None at the end alone: while a rung waits, the next bracket begins."""

    max_budget = 9

    def make_searcher(self):
        return HyperBand()


class TestHyperBandTangled(Tangled, TestHyperBand):
    def make_searcher(self):
        return HyperBand(eta=2, formula="ceil")


class TestBOHB(SearcherContract):
    """Few hyperparameters and many trials, so that the model has its say."""

    trials = 50
    max_budget = 9

    def make_searcher(self):
        return BOHB(random_fraction=0.2)

    def make_space(self):
        return ToySpace(digits=4, choices=6)


class TestBOHBTangled(Tangled, TestBOHB):
    pass


class TestBOHBEndless(TestBOHBTangled):
    def make_space(self):
        return TangledSpace(endless=True)


@pytest.mark.parametrize("most", [3, 6])
def test_the_tangled_space_is_as_tangled_as_it_says(most):
    space = TangledSpace(most, largest=32 if most == 3 else 64)
    raw = list(PlainSpace(space.config_space).enumerate(0))
    allowed = [one for one in raw if space.violation(one) is None]
    keys = {space.canonical(one) for one in allowed}
    assert len(keys) < len(allowed) < 0.75 * len(raw)
    assert len({frozenset(one) for one in raw}) >= 4, "conditions must make some hyperparameters inactive"
    assert (len(keys) < TestBOHB.trials) == (most == 3)
    assert space.size() < inf
