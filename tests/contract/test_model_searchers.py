"""Searchers that leave their decisions to another library keep the contract like any other."""

import pytest
from smac import BlackBoxFacade, HyperparameterOptimizationFacade
from smac.model.gaussian_process import GaussianProcess

from automl_core.interfaces import SearchSpace
from automl_core.testing import SearcherContract
from automl_core.testing.doubles import ToyDescription, ToySpace
from automl_core.types import Objective
from automl_optuna.searcher import Optuna
from automl_smac.searcher import SMAC


class ConditionalSpace(SearchSpace):
    """Every kind of hyperparameter, with conditions, a forbidden clause and a rule beside the ConfigurationSpace."""

    name = "conditional"

    def __init__(self):
        from ConfigSpace import (
            Categorical,
            ConfigurationSpace,
            Constant,
            EqualsCondition,
            Float,
            ForbiddenEqualsClause,
            InCondition,
            Integer,
            OrdinalHyperparameter,
        )

        kind = Categorical("kind", ["tree", "net", 3])
        depth = Integer("depth", (1, 9))
        width = Float("width", (1e-3, 1.0), log=True)
        size = OrdinalHyperparameter("size", ["s", "m", "l"])
        flag = Categorical("flag", [True, False, None])
        self._config_space = ConfigurationSpace()
        self._config_space.add(
            kind, depth, width, size, flag, Constant("constant", 2), Integer("units", (1, 1000), log=True),
            EqualsCondition(depth, kind, "tree"), InCondition(width, kind, ["net", 3]),
            EqualsCondition(size, flag, True), ForbiddenEqualsClause(depth, 7),
        )  # fmt: skip

    @property
    def config_space(self):
        return self._config_space

    def decode(self, configuration):
        return ToyDescription((), 0.0)

    def violation(self, configuration):
        return "a net must not be small" if (configuration["kind"], configuration.get("size")) == ("net", "s") else None


class ModelSearcherContract(SearcherContract):
    """Few trials in a small space, since every question costs a model."""

    trials = 7

    def make_space(self):
        return ToySpace(digits=4)

    def make_small_space(self):
        return ToySpace(digits=2, choices=2)


class SMACContract(ModelSearcherContract):
    """With models and searches for candidates of the smallest size."""

    facade = "black-box"

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _small_models():
        def get_model(scenario):
            kernel = BlackBoxFacade.get_kernel(scenario)
            return GaussianProcess(scenario.configspace, kernel, n_restarts=0, seed=scenario.seed)

        forest = HyperparameterOptimizationFacade.get_model
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                HyperparameterOptimizationFacade,
                "get_model",
                staticmethod(lambda scenario: forest(scenario, n_trees=2, max_depth=9)),
            )
            patch.setattr(BlackBoxFacade, "get_model", staticmethod(get_model))
            for facade in (BlackBoxFacade, HyperparameterOptimizationFacade):
                get = facade.get_acquisition_maximizer
                patch.setattr(
                    facade,
                    "get_acquisition_maximizer",
                    staticmethod(lambda scenario, get=get: get(scenario, challengers=30, local_search_iterations=1)),
                )
            yield

    def make_searcher(self):
        return SMAC(facade=self.facade, initial=3)


class TestBlackBoxSMAC(SMACContract):
    pass


class TestRandomForestSMACOnAConditionalSpaceWithTwoObjectives(SMACContract):
    facade = "hyperparameter-optimization"
    objectives = (Objective("accuracy"), Objective("flops", "min"))

    def make_space(self):
        return ConditionalSpace()


class TestMultiFidelitySMAC(SMACContract):
    facade = "multi-fidelity"
    trials = 14
    max_budget = 9


class TestMultiFidelitySMACWithTwoObjectives(SMACContract):
    facade = "multi-fidelity"
    objectives = (Objective("accuracy"), Objective("flops", "min"))

    def make_space(self):
        return ConditionalSpace()


class TestOptuna(ModelSearcherContract):
    trials = 16

    def make_searcher(self):
        return Optuna(arguments={"n_startup_trials": 4})


class TestOptunaOnAConditionalSpaceWithTwoObjectives(ModelSearcherContract):
    trials = 16
    objectives = (Objective("accuracy"), Objective("flops", "min"))

    def make_searcher(self):
        return Optuna(arguments={"n_startup_trials": 4, "multivariate": True, "group": True})

    def make_space(self):
        return ConditionalSpace()


class TestOptunaBreeding(ModelSearcherContract):
    trials = 24

    def make_searcher(self):
        return Optuna("NSGAIISampler", {"population_size": 4})


class TestOptunaDrawingAtRandom(ModelSearcherContract):
    trials = 24

    def make_searcher(self):
        return Optuna("RandomSampler")

    def make_space(self):
        return ConditionalSpace()
