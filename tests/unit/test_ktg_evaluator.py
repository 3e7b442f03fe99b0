"""The evaluator of knowledge-transfer graphs: presets, comparisons and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from automl_core import RequestError, Study
from automl_core.plugins import get_registry
from automl_ktg.evaluator import KTGEvaluator
from automl_ktg.presets import presets
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node, alone
from automl_spaces.ktg import KTGSpace
from automl_vision import GraphEvaluator
from automl_vision.data.digits import Digits
from automl_vision.presets import QUICK_PIXELS

GRAPH = KnowledgeTransferGraph((Node("resnet8"), Node("resnet14")), (Edge(0, 1), Edge(2, 1, "linear")))


def data(train: int, size: int, classes: int = 10) -> dict[str, Any]:
    return {"train": train, "image_size": [size, size], "classes": classes, "channels": 3}


def test_quick_is_sized_from_the_data() -> None:
    digits, cifar, large = (presets(data(*sizes))["quick"] for sizes in ((1150, 8), (40_000, 32), (90_000, 224)))
    assert digits["trainer"]["pad"] == 1 and "dataset" not in digits and "notes" not in digits
    assert cifar["trainer"]["pad"] == 4
    assert cifar["dataset"]["limit"] * 32 * 32 <= QUICK_PIXELS and cifar["dataset"]["limit"] % 10 == 0
    assert "970 of 40000 training images" in cifar["notes"][0]
    assert large["dataset"]["limit"] == 100 and large["trainer"]["batch"] == 64


def test_few_images_get_a_batch_that_they_fill() -> None:
    assert presets(data(30, 8))["quick"]["trainer"]["batch"] == 16


class Sized:
    """Stands for a data set of a size."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes

    def load(self) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return data(*self.sizes)


@pytest.mark.parametrize("sizes", [(1150, 8), (90_000, 224), (30, 8)])
def test_supervised_training_has_the_same_presets_without_a_space(sizes: tuple[int, int]) -> None:
    dataset: Any = Sized(*sizes)
    ours, plain = KTGEvaluator().presets(dataset), GraphEvaluator().presets(dataset)
    assert plain["quick"]["trainer"]["pad"] <= 4
    for name, preset in plain.items():
        assert preset == {key: value for key, value in ours[name].items() if key not in ("space", "searcher")}
    assert plain["paper"]["trials"] == 1500


@pytest.mark.parametrize("name", ["quick", "paper", "refinement"])
def test_presets_hold_only_what_parts_take(name: str) -> None:
    preset = presets(data(1150, 8))[name]
    space = get_registry().create("space", "ktg", preset["space"])
    assert space.size() == {"quick": 2_359_296, "paper": 2_359_296, "refinement": 78_732}[name]
    KTGEvaluator().check(space, None)
    known = {"min_budget", "max_budget", "trials", "space", "trainer", "dataset", "notes", "searcher", "retrain"}
    assert set(preset) <= known


def test_paper_is_the_published_recipe() -> None:
    paper = presets(None)["paper"]
    trainer = (
        get_registry()
        .load("evaluator", "ktg")
        .settings(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in paper["trainer"].items()}
        )
    )
    rates = [trainer.learning_rate(epoch, paper["max_budget"]) for epoch in (0, 59, 60, 119, 120, 179, 180, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4])
    assert (paper["trials"], paper["max_budget"], trainer.batch, trainer.weight_decay) == (1500, 200, 64, 5e-4)


def test_a_refinement_is_the_published_one_by_its_preset_and_a_short_one_without(tmp_path: Any) -> None:
    def study(searcher: str, preset: str) -> Any:
        return Study("ktg", searcher, dataset=Digits(resize=32), preset=preset, workspace=tmp_path / "w")

    published = study("refine", "refinement")
    spec, trainer = published.spec, published.assembly.evaluator.settings(**dict(published.spec.trainer))
    assert published.assembly.space.size() == 78_732
    assert spec.searcher.options == {"per_step": 2500, "lower_limit": 500}
    assert (spec.max_budget, spec.trials) == (100, None)
    assert (trainer.batch, trainer.lr, trainer.nesterov, trainer.weight_decay) == (64, 0.1, True, 5e-4)
    assert (trainer.schedule, trainer.pad, trainer.padding) == ("cosine", 4, "reflect")
    assert trainer.learning_rate(50, 100) == pytest.approx(0.05)
    assert study("refine", "quick").spec.searcher.options == {"per_step": 36, "min_group": 4, "lower_limit": 300}
    assert study("random", "refinement").spec.searcher.options == {}
    assert study("random", "refinement").spec.trials == 200


def test_the_refinements_target_is_retrained_twice_as_long_five_times() -> None:
    assert presets(None)["refinement"]["retrain"] == {"max_budget": 200, "repeats": 5}


def test_compared_with_the_target_alone_and_with_every_gate_through() -> None:
    (baseline,) = KTGEvaluator().baselines(GRAPH, 5)
    assert (baseline.label, baseline.description, baseline.budget) == ("target alone", alone("resnet8"), 5)
    (control,) = KTGEvaluator().controls(GRAPH).values()
    assert isinstance(control, KnowledgeTransferGraph)
    assert control.nodes == GRAPH.nodes and len(control.edges) == 4
    assert {edge.gate for edge in control.edges} == {"through"}


def test_a_frozen_node_gets_a_teacher_trained_to_the_end() -> None:
    (teacher,) = KTGEvaluator().requires(GRAPH, 7, "final")
    assert (teacher.label, teacher.description) == ("teacher resnet14", alone("resnet14"))
    assert (teacher.budget, teacher.split) == (7, "final")


def test_every_model_of_the_space_must_be_registered() -> None:
    with pytest.raises(RequestError, match="unknown model 'resnet9'; did you mean 'resnet8'"):
        KTGEvaluator().check(KTGSpace(target="resnet8", models=("resnet8", "resnet9")), None)


def test_a_space_without_graphs_is_refused(tmp_path: Any) -> None:
    from ConfigSpace import ConfigurationSpace

    with pytest.raises(RequestError, match=r"KTGEvaluator must be given knowledge-transfer graphs or .* got a Plain"):
        Study(space=ConfigurationSpace({"x": (0.0, 1.0)}), evaluator="ktg", workspace=tmp_path / "w")
    assert not (tmp_path / "w").exists()
