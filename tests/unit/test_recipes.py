"""Recipes as files, as search spaces of one configuration, and as requests for studies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from automl_core import RequestError, Study
from automl_core.design_files import named_or_read
from automl_core.plugins import get_registry
from automl_core.recipe_space import RecipeSpace
from automl_core.recipes import FORMAT, TrainingRecipe, is_recipe, read_recipe
from automl_core.sampling import RandomSampler
from automl_core.spec import Part
from automl_core.testing import SearchSpaceContract
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node

GRAPH = KnowledgeTransferGraph(
    (Node("resnet8"), Node("wrn-10-1")), (Edge(0, 1), Edge(2, 1, "linear", options={"temperature": 2.0}))
)
RECIPE = TrainingRecipe(
    evaluator=Part("ktg"),
    budget=3,
    description=GRAPH.to_json(),
    unit="epochs",
    objective="loss:min",
    dataset=Part("digits", {"limit": 60}),
    trainer={"batch": 20, "pad": 1},
    provenance={"study": "first", "trial": 7, "metrics": {"accuracy": 0.5}},
)
NEEDED = {"recipe": FORMAT, "evaluator": "ktg", "budget": 3, "description": GRAPH.to_json()}


def written(directory: Path, recipe: TrainingRecipe = RECIPE) -> Path:
    path = directory / "recipe.yaml"
    recipe.write(path)
    return path


class TestRecipeSpace(SearchSpaceContract):
    def make_space(self) -> RecipeSpace:
        return RecipeSpace(**RECIPE.part.options)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert read_recipe(path) == RECIPE
    assert is_recipe(path)
    lines = path.read_text().splitlines()
    assert "  - {model: resnet8, options: {}}" in lines, "what has no further content takes one line"
    assert "automl retrain" in lines[0]


def test_names_do_for_parts_without_options(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump({**NEEDED, "dataset": "digits"}))
    recipe = read_recipe(path)
    assert recipe.evaluator == Part("ktg", {})
    assert recipe.dataset == Part("digits", {})
    assert recipe.trainer == {}


def test_a_recipe_is_a_space_of_one_configuration() -> None:
    space = get_registry().create("space", "recipe", RECIPE.part.options)
    assert space.size() == space.orbits() == 1
    assert list(space.enumerate()) == [{}]
    sampler = RandomSampler(space, 0)
    assert sampler.draw() == {}
    assert sampler.draw() is None
    assert space.decode({}) == GRAPH
    with pytest.raises(RequestError, match="no hyperparameters"):
        space.decode({"gate_1_2": "through"})


def test_a_path_in_place_of_a_space_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    assert named_or_read(Part(str(written(tmp_path)))) == RECIPE.part
    other = tmp_path / "design.yaml"
    other.write_text("space: ktg\n")
    assert named_or_read(Part(str(other))) == Part("ktg")


def test_provenance_is_no_part_of_what_is_trained() -> None:
    assert replace(RECIPE, provenance=None).part == RECIPE.part
    assert "provenance" not in json.loads(RECIPE.part.options["recipe"])


def study(tmp_path: Path, **given: Any) -> Study:
    return Study(str(written(tmp_path)), workspace=tmp_path / "workspace", **given)


def test_a_study_takes_what_it_is_not_given_from_the_recipe(tmp_path: Path) -> None:
    spec = study(tmp_path).spec
    assert (spec.evaluator.name, spec.max_budget, spec.objectives) == ("ktg", 3, ("loss:min",))
    assert spec.dataset is not None
    assert (spec.dataset.name, dict(spec.dataset.options)) == ("digits", {"limit": 60})
    assert (spec.trainer["batch"], spec.trainer["pad"]) == (20, 1)
    assert not (tmp_path / "workspace").exists()


def test_what_a_study_is_given_wins_over_the_recipe(tmp_path: Path) -> None:
    options: Mapping[str, Any] = {"dataset": {"limit": 80}, "trainer": {"batch": 10}}
    spec = study(tmp_path, objective="accuracy", max_budget=1, options=options).spec
    assert (spec.max_budget, spec.objectives) == (1, ("accuracy:max",))
    assert spec.dataset is not None
    assert dict(spec.dataset.options) == {"limit": 80}
    assert (spec.trainer["batch"], spec.trainer["pad"]) == (10, 1)


def test_options_of_a_data_set_hold_for_it_alone() -> None:
    assert RECIPE.on("digits", {"resize": 16}) == Part("digits", {"limit": 60, "resize": 16})
    assert RECIPE.on("other", {"resize": 16}) == Part("other", {"resize": 16})
    assert RECIPE.on(None, {}) == Part("digits", {"limit": 60})
    assert replace(RECIPE, dataset=None).on(None, {}) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": 2}, "must be of format 1, but is of 2"),
        ({"recipe": True}, "must be of format 1"),
        ({"recipe": None}, "must be of format 1"),
        ({"epochs": 3}, "unknown key in recipe .* 'epochs'"),
        ({"budgets": 3}, "did you mean 'budget'"),
        ({"description": None}, "must have the key 'description'"),
        ({"budget": 0}, "whole number above 0"),
        ({"budget": "3"}, "whole number above 0"),
        ({"objective": 3}, "'objective' .* must be text"),
        ({"trainer": [1]}, "'trainer' .* must map"),
        ({"dataset": 3}, "'dataset' .* must be a name, or map"),
        ({"dataset": {"name": "digits", "limit": 3}}, "unknown key of 'dataset' .* 'limit'"),
        ({"evaluator": "ktgg"}, "unknown evaluator 'ktgg'; did you mean 'ktg'"),
        ({"evaluator": {"name": "ktg", "options": {"epochs": 3}}}, "unknown option of evaluator ktg"),
        ({"evaluator": "closed-form"}, "must be one that evaluator 'closed-form' reads"),
        ({"description": {"nodes": []}}, "a graph must be"),
        ({"description": [1]}, "a graph must be"),
        ({"description": {"nodes": [{"model": 3}], "edges": []}}, "names must be text"),
        ({"description": {"nodes": [{"model": "resnet9"}], "edges": []}}, "unknown model 'resnet9'"),
        ({"trainer": {"btch": 3}}, "unknown option of trainer 'btch'; did you mean 'batch'"),
        ({"dataset": "digitz"}, "unknown dataset 'digitz'"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(change: Mapping[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({**NEEDED, **change}))
    with pytest.raises(RequestError, match=says):
        Study(str(path), workspace=tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recipe: [", "must be YAML, but is not in line"),
        ("space: ktg", "write 'recipe: 1'"),
        ("- 1", "write 'recipe: 1'"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(RequestError, match=says):
        read_recipe(path)


def test_a_missing_file_and_other_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="a recipe must be a readable YAML file"):
        read_recipe(tmp_path / "missing.yaml")
    with pytest.raises(RequestError, match="must be a recipe as JSON"):
        RecipeSpace("recipe: 1")


def test_the_preset_of_recipes_is_theirs_alone(tmp_path: Path) -> None:
    assert study(tmp_path, preset="recipe").spec.trials is None
    with pytest.raises(RequestError, match="unknown preset 'recipe'"):
        Study("ktg", preset="recipe", workspace=tmp_path)
