"""The evaluators of trainings, on a few small images."""

from functools import cache

from automl_core.testing import EvaluatorContract
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_spaces.ktg import KTGSpace
from automl_spaces.nas_bench_201 import NASBench201Space
from automl_spaces.randaugment import RandAugmentSpace
from automl_vision.data.digits import Digits
from automl_vision.evaluator import GraphEvaluator
from automl_vision.trainer import TrainerSettings


@cache
def small_digits():
    return Digits(limit=100)


class TestSupervisedEvaluator(EvaluatorContract):
    max_budget = 2

    def make_evaluator(self):
        return GraphEvaluator(TrainerSettings(batch=32, pad=1))

    def make_space(self):
        return KTGSpace(nodes=2, target="resnet8", models=("resnet8",), gates=("through", "cutoff", "linear"))

    def make_dataset(self):
        return small_digits()


class TestSupervisedEvaluatorWithCells(TestSupervisedEvaluator):
    """Descriptions that say how they are trained."""

    def make_space(self):
        return NASBench201Space(cells=1, channels=4)


class TestSupervisedEvaluatorWithRecipes(TestSupervisedEvaluator):
    """Configurations that decide options of the trainer."""

    def make_space(self):
        return RandAugmentSpace()


class TestSupervisedEvaluatorWithATeacher(TestSupervisedEvaluator):
    """A frozen node, whose teacher is an artefact, beside one that learns."""

    def make_description(self, split="search"):
        edges = (Edge(LABEL, TARGET), Edge(2, TARGET), Edge(3, TARGET, "linear"), Edge(LABEL, 3, "linear"))
        return KnowledgeTransferGraph((Node("resnet8"),) * 3, edges)

    def test_the_teacher_is_required(self):
        requests = self.make_evaluator().requires(self.make_description(), self.max_budget, "search")
        assert [request.label for request in requests] == ["teacher resnet8"]
