"""A stranger's tests: the contracts that its parts must keep, and what is its own."""

from pathlib import Path

import torch
from automl_fixture.evaluator import DescentEvaluator
from automl_fixture.gate import Quadratic
from automl_fixture.searcher import FullBudgetSearcher
from automl_fixture.space import DescentSpace

from automl_core import Study
from automl_core.testing import EvaluatorContract, SearcherContract, SearchSpaceContract
from automl_spaces.gates import GateInput


class TestSearcher(SearcherContract):
    def make_searcher(self) -> FullBudgetSearcher:
        return FullBudgetSearcher()


class TestSpace(SearchSpaceContract):
    def make_space(self) -> DescentSpace:
        return DescentSpace()


class TestEvaluator(EvaluatorContract):
    def make_evaluator(self) -> DescentEvaluator:
        return DescentEvaluator()

    def make_space(self) -> DescentSpace:
        return DescentSpace()


def test_gate_is_small_early_and_whole_at_the_end() -> None:
    divergence, correct = torch.tensor([1.0, 3.0]), torch.tensor([True, False])
    assert Quadratic()(GateInput(divergence, correct, progress=0.5)).item() == 0.5
    assert Quadratic()(GateInput(divergence, correct, progress=1.0)).item() == 2.0


def test_the_search_finds_a_better_descent_than_the_slowest(tmp_path: Path) -> None:
    study = Study("fixture", "fixture", trials=10, max_budget=8, workspace=tmp_path).run()
    assert study.best.value < study.trials["value"].max()
