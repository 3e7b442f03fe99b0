"""The evaluators that look results up."""

import pytest

from automl_core import Study
from automl_core.interfaces import NamedDataset
from automl_core.records import Workspace
from automl_core.testing import EvaluatorContract
from automl_spaces.closed_forms import CountingOnesSpace, HartmannSpace
from automl_spaces.nas_bench_201 import NASBench201Space
from automl_spaces.tables import HPOBenchSpace, HPOLibSpace
from automl_tabular.closed_form import ClosedFormEvaluator
from automl_tabular.evaluator import TabularEvaluator


class TestTableOfCells(EvaluatorContract):
    max_budget = 1  # only complete trainings are known

    def make_evaluator(self):
        evaluator = TabularEvaluator()
        evaluator.check(self.make_space(), self.make_dataset())
        return evaluator

    def make_space(self):
        return NASBench201Space()

    def make_dataset(self):
        return NamedDataset("imagenet16-120")

    def test_declarations(self):
        evaluator = self.make_evaluator()
        assert next(iter(evaluator.metrics.items())) == ("accuracy", "max")
        assert self.make_dataset().name in evaluator.dataset_names(self.make_space())


class TestOneRepeatOfATable(TestTableOfCells):
    def make_evaluator(self):
        evaluator = TabularEvaluator(repeats="one")
        evaluator.check(self.make_space(), self.make_dataset())
        return evaluator


class TestTableOfClassifiers(TestTableOfCells):
    def make_space(self):
        return HPOBenchSpace()

    def make_dataset(self):
        return NamedDataset("vehicle")


class TestTableOfRegressors(TestTableOfCells):
    def make_space(self):
        return HPOLibSpace()

    def make_dataset(self):
        return NamedDataset("naval_propulsion")

    def test_declarations(self):
        assert next(iter(self.make_evaluator().metrics.items())) == ("loss", "min")


class TestCountingOnes(EvaluatorContract):
    def make_evaluator(self):
        return ClosedFormEvaluator()

    def make_space(self):
        return CountingOnesSpace(2, 2)


class TestHartmann(TestCountingOnes):
    def make_evaluator(self):
        return ClosedFormEvaluator(curve=True)

    def make_space(self):
        return HartmannSpace()


class TestRecordedStudy(EvaluatorContract):
    """A recorded search over formulas, observed at every unit."""

    @pytest.fixture(autouse=True)
    def _recorded(self, tmp_path_factory):
        self.workspace = tmp_path_factory.mktemp("recorded")
        Study(
            HartmannSpace(),
            "random",
            evaluator=ClosedFormEvaluator(curve=True),
            max_budget=self.max_budget,
            trials=20,
            name="recorded",
            workspace=self.workspace,
        ).run()

    def make_evaluator(self):
        evaluator = TabularEvaluator(study="recorded")
        evaluator.attach(Workspace(self.workspace), HartmannSpace())
        return evaluator

    def make_space(self):
        return self.make_evaluator().narrowed(HartmannSpace())

    def make_description(self, split="search"):
        space = self.make_space()
        return space.decode(next(space.enumerate(0)))
