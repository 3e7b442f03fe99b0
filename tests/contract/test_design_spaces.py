"""Design spaces keep what every search space keeps, and every searcher keeps its contract over one."""

from __future__ import annotations

from itertools import islice

import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrdinalHyperparameter,
)
from smac import BlackBoxFacade
from smac.model.gaussian_process import GaussianProcess

from automl_core.constraints import ConstrainedSpace
from automl_core.functions import PlainSpace
from automl_core.restricting import Range, Restriction
from automl_core.testing import SearcherContract, SearchSpaceContract
from automl_core.testing.doubles import ToySpace
from automl_core.types import Constraint
from automl_optuna.searcher import Optuna
from automl_searchers.asha import ASHA
from automl_searchers.bohb import BOHB
from automl_searchers.complete import GridSearch, RandomSearch
from automl_searchers.hyperband import HyperBand
from automl_smac.searcher import SMAC
from automl_spaces.closed_forms import HartmannSpace
from automl_spaces.kd_pruning import KDPruningSpace
from automl_spaces.ktg import KTGSpace
from automl_spaces.nas_bench_201 import NASBench201Space
from automl_spaces.resnet_scaling import ResNetScalingSpace
from automl_tabular.recorded import RecordedSpace

MIXED = {
    "any_of": [
        [{"gate_label_2": "through", "gate_label_3": "linear"}, {"gate_label_2": "linear", "gate_label_3": "through"}]
    ]
}


def known_beforehand(description):
    return {"accuracy": description.accuracy}


# -- spaces -----------------------------------------------------------------------------------------------------------


class TestFixedKTG(SearchSpaceContract):
    """The auxiliaries are fixed; the default has no model for them."""

    def make_space(self):
        return KTGSpace().restrict(Restriction.fix(model_2="wrn-28-2", model_3="wrn-28-2"))


class TestMixedKTG(SearchSpaceContract):
    def make_space(self):
        return KTGSpace().restrict(Restriction.from_json({"narrowed": {"gate_label_1": ["linear", "cutoff"]}, **MIXED}))


class TestLopsidedKTG(SearchSpaceContract):
    """One auxiliary alone is fixed, so the two can no longer change places."""

    samples = 20

    def make_space(self):
        return KTGSpace().restrict(Restriction.fix(model_2="resnet32")).restrict(Restriction.fix(gate_label_2="cutoff"))


class TestNarrowedNASBench201(SearchSpaceContract):
    samples = 20

    def make_space(self):
        data = {
            "fixed": {"edge_0_3": "skip_connect"},
            "narrowed": {"edge_0_1": ["nor_conv_1x1", "nor_conv_3x3"]},
            "any_of": [[{"edge_1_3": "none", "edge_2_3": "nor_conv_3x3"}, {"edge_1_3": "nor_conv_3x3"}]],
        }
        return NASBench201Space().restrict(Restriction.from_json(data))


class TestNarrowedKDPruning(SearchSpaceContract):
    """Its conditions can hold no more for some hyperparameters, and always for others."""

    samples = 10

    def make_space(self):
        data = {"fixed": {"type": "label"}, "narrowed": {"method": ["slimming", "magnitude"], "remaining": [0.3, 0.7]}}
        return KDPruningSpace().restrict(Restriction.from_json(data))


class TestNarrowedResNetScaling(SearchSpaceContract):
    samples = 10

    def make_space(self):
        data = {"narrowed": {"d2": {"min": 1.1, "max": 1.6}, "w5": [1.0, 1.25]}, "any_of": [[{"w4": 1.0}, {"d4": 1.0}]]}
        return ResNetScalingSpace(limit=2.0).restrict(Restriction.from_json(data))


class TestNarrowedNumbers(SearchSpaceContract):
    def make_space(self):
        boxes = ({"x_1": Range(0.0, 0.25), "x_2": (0.5,)}, {"x_1": Range(0.75, 1.0)})
        return HartmannSpace().restrict(Restriction((({"x_3": Range(0.2, 0.4)},), boxes)))


class TestConstrainedDesignSpace(SearchSpaceContract):
    """A restriction under a bound on what is known beforehand; restricting it keeps the bound."""

    samples = 20

    def make_space(self):
        constrained = ConstrainedSpace(
            ToySpace(digits=4),
            [Constraint("accuracy", "<=", 0.6)],
            known_beforehand,
        )
        return constrained.restrict(Restriction.from_json({"narrowed": {"digit_3": [1, 2]}}))


class TestRecordedDesignSpace(SearchSpaceContract):
    samples = 10

    def make_space(self):
        space = ToySpace(digits=4)
        recorded = {space.canonical(one): one for one in islice(space.enumerate(3), 80)}
        return RecordedSpace(space, "recorded", recorded).restrict(Restriction.fix(digit_3=1))


# -- searchers --------------------------------------------------------------------------------------------------------


class TangledSpace(PlainSpace):
    """Conditions, forbidden clauses, a rule of its own, and hyperparameters of every kind.

    Args:
        endless: Whether one of them is continuous.
    """

    name = "tangled"

    def __init__(self, endless):
        kind = Categorical("kind", ["plain", "residual", "dense", "off"])
        depth, width = Integer("depth", (1, 9)), OrdinalHyperparameter("width", [8, 16, 32, 64])
        rate = Float("rate", (1e-3, 1.0), log=True) if endless else Integer("rate", (1, 99), log=True)
        space = ConfigurationSpace()
        space.add(kind, depth, width, rate, Categorical("flag", [True, False, None]), Integer("late", (1, 4)))
        space.add(
            InCondition(width, kind, ["plain", "residual"]),
            GreaterThanCondition(rate, depth, 2),
            EqualsCondition(space["flag"], width, 16),
            EqualsCondition(space["late"], kind, "off"),
        )
        space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "dense"), ForbiddenEqualsClause(depth, 2)))
        super().__init__(space)

    def violation(self, configuration):
        return "too wide" if configuration["depth"] * configuration.get("width", 24) > 200 else None


TANGLED = {
    "narrowed": {"kind": ["plain", "dense", "residual"], "width": [8, 16, 32]},
    "any_of": [[{"kind": "plain", "depth": {"min": 1, "max": 4}}, {"kind": ["dense", "residual"], "depth": [2, 3, 6]}]],
}
SMALL = {"fixed": {"depth": 2, "kind": "plain"}, "narrowed": {"flag": [True, None]}}


class OverADesignSpace(SearcherContract):
    """A large part of a tangled space, and a small one."""

    endless = False

    def make_space(self):
        return TangledSpace(self.endless).restrict(Restriction.from_json(TANGLED))

    def make_small_space(self):
        return (
            TangledSpace(self.endless).restrict(Restriction.from_json(TANGLED)).restrict(Restriction.from_json(SMALL))
        )


class TestRandomSearchOverADesignSpace(OverADesignSpace):
    endless = True

    def make_searcher(self):
        return RandomSearch()


class TestGridSearchOverADesignSpace(OverADesignSpace):
    def make_searcher(self):
        return GridSearch()


class TestStoppingASHAOverADesignSpace(OverADesignSpace):
    def make_searcher(self):
        return ASHA("stop")


class TestPromotingASHAOverADesignSpace(OverADesignSpace):
    endless = True

    def make_searcher(self):
        return ASHA("promote", eta=3)


class TestHyperBandOverADesignSpace(OverADesignSpace):
    max_budget = 9

    def make_searcher(self):
        return HyperBand()


class TestBOHBOverADesignSpace(OverADesignSpace):
    trials = 40
    max_budget = 9
    endless = True

    def make_searcher(self):
        return BOHB(random_fraction=0.2)


class TestOptunaOverADesignSpace(OverADesignSpace):
    trials = 14
    endless = True

    def make_searcher(self):
        return Optuna(arguments={"n_startup_trials": 4})


class TestSMACOverADesignSpace(OverADesignSpace):
    """With the smallest model and the shortest searches for candidates."""

    trials = 6

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _small_models():
        def get_model(scenario):
            kernel = BlackBoxFacade.get_kernel(scenario)
            return GaussianProcess(scenario.configspace, kernel, n_restarts=0, seed=scenario.seed)

        def get_acquisition_maximizer(scenario, get=BlackBoxFacade.get_acquisition_maximizer):
            return get(scenario, challengers=30, local_search_iterations=1)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BlackBoxFacade, "get_model", staticmethod(get_model))
            patch.setattr(BlackBoxFacade, "get_acquisition_maximizer", staticmethod(get_acquisition_maximizer))
            yield

    def make_searcher(self):
        return SMAC(facade="black-box", initial=3)


@pytest.mark.parametrize("endless", [False, True])
def test_the_design_space_is_as_tangled_as_it_says(endless):
    whole = TangledSpace(endless)
    design = OverADesignSpace.make_space(type("", (), {"endless": endless}))
    assert "late" in whole.config_space
    assert "late" not in design.config_space
    small = OverADesignSpace.make_small_space(type("", (), {"endless": False}))
    assert {one["depth"] for one in small.enumerate()} == {2}
    assert {one.get("flag") for one in small.enumerate()} == {True, None}
