"""Recipes as search spaces of one configuration, the empty one: whatever takes a search space takes a recipe.

The study in which a recipe is retrained is found again by its name, which tells all that its trainings follow from.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_core.building import build_evaluator
from automl_core.errors import RequestError
from automl_core.interfaces import Description, SearchSpace
from automl_core.journal.study import rows
from automl_core.plugins import get_registry
from automl_core.randomness import digest
from automl_core.recipes import RECIPE, TrainingRecipe, read_recipe
from automl_core.records import Workspace, plain
from automl_core.spec import Part, StudySpec, check_name
from automl_core.types import EMPTY, Configuration, Json

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from automl_core.study import Study


class RecipeSpace(SearchSpace):
    """The search space of a recipe: one configuration, which has no hyperparameters.

    A study of it takes evaluator, data set, trainer, objective and maximum budget from the recipe where it is not given
    others. Its preset ``recipe`` adds nothing to these.

    Args:
        recipe: The recipe as JSON text; the path of a recipe's file in place of the space's name fills it in.

    Raises:
        RequestError: When it is no recipe, its evaluator is not installed, or does not take its description.
    """

    name = RECIPE

    def __init__(self, recipe: str) -> None:
        try:
            data = json.loads(recipe)
        except json.JSONDecodeError as error:
            raise RequestError(
                f"the option 'recipe' of space recipe must be a recipe as JSON, but {error}; name a recipe's file in "
                "place of the space"
            ) from None
        self.recipe = TrainingRecipe.from_json(data)
        self._description = _parsed(self.recipe)

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import ConfigurationSpace

        return ConfigurationSpace(name=RECIPE)

    def decode(self, configuration: Configuration) -> Description:
        """Gives what the recipe describes, for the empty configuration."""
        if configuration:
            raise RequestError(f"a recipe has no hyperparameters, but got {dict(configuration)}; give none")
        return self._description

    def canonical(self, configuration: Configuration) -> Hashable:
        return ()

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """Names the preset that leaves all as the recipe has it."""
        return {RECIPE: {}}


def completed(
    space: SearchSpace, request: StudySpec, wanted: Mapping[str, int | None]
) -> tuple[StudySpec, Mapping[str, int | None]]:
    """Fills a request for a study of a recipe with what the recipe says; one for another space stays as it is."""
    if not isinstance(space.whole, RecipeSpace):
        return request, wanted
    recipe = space.whole.recipe
    if not request.evaluator.given:
        mine = request.evaluator.name in ("", recipe.evaluator.name)
        options = {**recipe.evaluator.options, **request.evaluator.options}
        evaluator = Part(recipe.evaluator.name, options) if mine else request.evaluator
        request = replace(request, evaluator=evaluator, trainer={**recipe.trainer, **request.trainer})
    if request.dataset is None or not request.dataset.given:
        named = request.dataset or Part("")
        request = replace(request, dataset=recipe.on(named.name, named.options))
    if recipe.objective and not request.objectives:
        request = replace(request, objectives=(recipe.objective,))
    return request, {**wanted, "max_budget": recipe.budget if wanted["max_budget"] is None else wanted["max_budget"]}


def recipe_study(
    path: Path,
    dataset: str | None = None,
    seed: int | None = None,
    options: Mapping[str, Mapping[str, Json]] = EMPTY,
    workspace: str | Path | None = None,
    **where: Any,
) -> Study:
    """Gives the study in which a recipe is retrained on a data set; the same one whenever it is asked for.

    Args:
        path: The recipe's file.
        dataset: Another data set than the recipe's.
        seed: Everything random follows from it; 0 when None.
        options: Options of ``dataset`` and ``executor``.
        workspace: As for a new study.
        where: ``executor``, ``device``, ``threads``, ``workers``, as for a new study; None for what is there as before.

    Raises:
        RequestError: When the recipe cannot be read, or does not work here.
    """
    from automl_core.study import Study

    recipe, seed, place = read_recipe(path), seed or 0, Workspace(workspace)
    data = recipe.on(dataset, options.get("dataset", EMPTY))
    name = _study_name(recipe, data, seed)
    own = {"executor": options.get("executor", EMPTY)}
    if place.exists() and any(one.name == name for one in rows(place.database())):
        return Study.load(name, workspace=workspace, options=own, **where)
    return Study(
        recipe.part.name,
        dataset=data.name or None if data is not None else None,
        options={"space": recipe.part.options, "dataset": data.options if data is not None else {}, **own},
        min_budget=recipe.budget,
        preset=RECIPE,
        name=name,
        seed=seed,
        workspace=workspace,
        **{given: value for given, value in where.items() if value is not None},
    )


def _study_name(recipe: TrainingRecipe, data: Part | None, seed: int) -> str:
    """Names a recipe's study after where it comes from, the data set, and all that its trainings follow from."""
    origin = recipe.provenance if isinstance(recipe.provenance, Mapping) else {}
    words = [origin.get("study", RECIPE), origin.get("trial", ""), f"on-{data.name}" if data and data.name else ""]
    told = digest(recipe.part.options[RECIPE], None if data is None else plain(asdict(data)), seed)
    name = "-".join(str(word).strip().replace("/", "-") for word in (*words, told[:6]) if word != "")
    check_name(name)
    return name


def _parsed(recipe: TrainingRecipe) -> Description:
    """Reads the description as the evaluator does; whatever else comes up there says that it does not."""
    evaluator = build_evaluator(recipe.evaluator, recipe.trainer, {}, get_registry())
    try:
        return evaluator.parse(recipe.description)
    except RequestError:
        raise
    except Exception as error:  # a file that people edit reaches code that expects what it wrote itself
        raise RequestError(
            f"'description' of a recipe must be one that evaluator {recipe.evaluator.name!r} reads, but it says "
            f"{type(error).__name__}: {error}; mend it"
        ) from error
