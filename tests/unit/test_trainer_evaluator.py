"""The evaluator of graphs: what it asks for, what it refuses before anything starts, what it starts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from automl_core import Context, RequestError, SearchSpace
from automl_core.options import validate
from automl_core.plugins import get_registry
from automl_core.types import Configuration, Job
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node, alone
from automl_vision import GraphEvaluator, TrainerSettings
from automl_vision.data.digits import Digits

SMALL, OTHER = Node("resnet8", {"width": 2}), Node("resnet8", {"width": 3})
# Node 3 is frozen and teaches nodes 1 and 2; node 4 is frozen and teaches nobody who counts.
GRAPH = KnowledgeTransferGraph(
    (SMALL, SMALL, OTHER, OTHER, SMALL),
    (Edge(0, 1), Edge(2, 1), Edge(3, 1), Edge(3, 2), Edge(4, 5), Edge(4, 1, "cutoff")),
)
SETTINGS = TrainerSettings(batch=20, pad=1)


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def test_it_is_registered_and_takes_the_options_of_the_trainer() -> None:
    evaluator = get_registry().create("evaluator", "supervised", {}, trainer=SETTINGS)
    assert isinstance(evaluator, GraphEvaluator)
    assert evaluator.trainer is SETTINGS
    assert GraphEvaluator().trainer == TrainerSettings()


def test_it_asks_for_one_teacher_per_frozen_node_that_counts() -> None:
    requests = GraphEvaluator().requires(GRAPH, 7, "final")
    assert [(one.label, one.budget, one.split) for one in requests] == [("teacher resnet8", 7, "final")]
    assert requests[0].description == KnowledgeTransferGraph((OTHER,), (Edge(0, 1),))
    assert GraphEvaluator().requires(alone("resnet8"), 7, "search") == []


def test_what_it_asks_for_is_what_it_starts_with(dataset: Digits, tmp_path: Any) -> None:
    evaluator = GraphEvaluator(SETTINGS)
    context = Context(seed=5, max_budget=1, dataset=dataset)
    directories = []
    for number, request in enumerate(evaluator.requires(GRAPH, 1, "search")):
        directory = tmp_path / str(number)
        directory.mkdir()
        teacher = evaluator.start(request.description, context)
        list(teacher.advance(Job(0, {}, 0, request.budget)))
        teacher.export(directory)
        directories.append(directory)
    evaluation = evaluator.start(
        evaluator.parse(GRAPH.to_json()), Context(seed=5, max_budget=1, dataset=dataset, artefacts=tuple(directories))
    )
    last = list(evaluation.advance(Job(1, {}, 0, 1)))[-1]
    assert {f"accuracy_{number}" for number in (1, 2, 3)} < set(last.metrics)
    assert "accuracy_4" not in last.metrics


def test_it_measures_what_an_epoch_costs(dataset: Digits) -> None:
    seconds = GraphEvaluator(SETTINGS).seconds_per_unit(GRAPH, Context(seed=5, max_budget=1, dataset=dataset))
    assert seconds is not None
    assert seconds > 0


class OneGraph(SearchSpace):
    """A space of nothing but one description."""

    name = "one"

    def __init__(self, description: Any) -> None:
        self.description = description

    @property
    def config_space(self) -> Any:
        from ConfigSpace import ConfigurationSpace

        return ConfigurationSpace({"unused": [0, 1]})

    def decode(self, configuration: Configuration) -> Any:
        return self.description


@dataclass(frozen=True)
class Genotype:
    def to_json(self) -> Any:
        return {}


def test_what_works_is_not_refused(dataset: Digits) -> None:
    GraphEvaluator(SETTINGS).check(OneGraph(GRAPH), dataset)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (Genotype(), "must be given knowledge-transfer graphs or what says how it is trained, but got a Genotype"),
        (alone("resnet9"), "unknown model 'resnet9'; did you mean"),
        (KnowledgeTransferGraph((SMALL,), (Edge(0, 1, "trough"),)), "did you mean 'through'"),
        (KnowledgeTransferGraph((SMALL,), (Edge(0, 1, loss="cross-entrpy"),)), "did you mean 'cross-entropy'"),
        (KnowledgeTransferGraph((Node("resnet8", {"wdth": 2}),), (Edge(0, 1),)), "did you mean 'width'"),
        (KnowledgeTransferGraph((SMALL,), (Edge(0, 1, loss="kl"),)), "an edge from the label must carry"),
        (
            KnowledgeTransferGraph((SMALL, SMALL), (Edge(2, 1, options={"temperature": "hot"}),)),
            "'temperature' of loss kl must be float",
        ),
    ],
)
def test_spaces_that_it_cannot_take_are_refused(dataset: Digits, description: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        GraphEvaluator(SETTINGS).check(OneGraph(description), dataset)


@pytest.mark.parametrize(
    ("settings", "message"),
    [(TrainerSettings(batch=20, pad=8), "padding must be smaller"), (TrainerSettings(pad=1), "at most the number")],
)
def test_settings_that_do_not_fit_the_data_are_refused(
    dataset: Digits, settings: TrainerSettings, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        GraphEvaluator(settings).check(OneGraph(GRAPH), dataset)


def test_presets_are_valid_and_fit_the_data(dataset: Digits) -> None:
    presets = GraphEvaluator().presets(dataset)
    assert set(presets) == {"quick", "paper"}
    for preset in presets.values():
        validate(TrainerSettings, preset.get("trainer", {}), "trainer")
    quick = TrainerSettings(**presets["quick"]["trainer"])
    GraphEvaluator(quick).check(OneGraph(GRAPH), dataset)
    assert presets["paper"]["max_budget"] == 200
    assert GraphEvaluator().presets(None)["quick"]["max_budget"] > 0


def test_naming_parts_imports_no_torch() -> None:
    code = (
        "import sys, automl_vision, automl_vision.evaluator, automl_vision.trainer.settings; "
        "sys.exit('torch' in sys.modules or 'ConfigSpace' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_recipes_options_of_the_trainer_replace_the_studys(dataset: Digits) -> None:
    from automl_spaces.recipe import Recipe

    evaluator = GraphEvaluator(SETTINGS)
    recipe = Recipe(KnowledgeTransferGraph((SMALL,), (Edge(0, 1),)), {"lr": 0.25, "milestones": [0.5]})
    trainer: Any = evaluator.start(recipe, Context(seed=5, max_budget=1, dataset=dataset))
    assert (trainer.settings.lr, trainer.settings.milestones, trainer.settings.batch) == (0.25, (0.5,), 20)
    assert evaluator.parse(recipe.to_json()) == recipe
    assert evaluator.translated(Recipe(recipe.graph)) == recipe.graph == evaluator.parse(recipe.graph.to_json())
    wrong = Recipe(recipe.graph, {"rate": 1})
    with pytest.raises(RequestError, match="rate"):
        evaluator.start(wrong, Context(seed=5, max_budget=1, dataset=dataset))
    with pytest.raises(RequestError, match="must be JSON values"):
        Recipe(recipe.graph, {"lr": object()})


def test_teachers_of_a_recipe_are_trained_by_it_too() -> None:
    from automl_spaces.recipe import Recipe

    (request,) = GraphEvaluator(SETTINGS).requires(Recipe(GRAPH, {"lr": 0.25}), 7, "search")
    assert request.description == Recipe(KnowledgeTransferGraph((OTHER,), (Edge(0, 1),)), {"lr": 0.25})


def test_descriptions_that_say_how_they_are_trained_are_taken(dataset: Digits) -> None:
    from automl_spaces.recipe import Recipe

    @dataclass(frozen=True)
    class Wide:
        width: int

        def to_json(self) -> Any:
            return {"width": self.width}

        def recipe(self) -> Recipe:
            return Recipe(KnowledgeTransferGraph((Node("resnet8", {"width": self.width}),), (Edge(0, 1),)), {"lr": 0.2})

    evaluator = GraphEvaluator(SETTINGS)
    trainer: Any = evaluator.start(Wide(3), Context(seed=5, max_budget=1, dataset=dataset))
    assert trainer.target.head.in_features == 12
    assert trainer.settings.lr == 0.2
    assert evaluator.parse(evaluator.translated(Wide(3)).to_json()) == Wide(3).recipe()


def test_presets_of_a_space_reach_searchers_that_have_the_option(tmp_path: Any) -> None:
    from automl_core import Study

    def found(name: str, **options: Any) -> Any:
        study = Study(
            space="randaugment",
            searcher=name,
            preset="paper",
            dataset="digits",
            options={"dataset": {"validation": 0.2, "limit": 60}, "trainer": {"batch": 20, "cutout": 2, "pad": 1}}
            | options,
            workspace=tmp_path,
        )
        return study.spec

    halving = found("hyperband")
    assert halving.rungs == (1, 2, 4, 8, 16, 32, 64, 128)
    assert (halving.searcher.options, halving.trials) == ({"eta": 2}, None)
    assert found("hyperband", searcher={"eta": 4}).rungs == (2, 8, 32, 128)
    assert found("random").searcher.options == {}
