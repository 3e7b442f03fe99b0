"""Single parts of a study, built from their names and options or taken as objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from automl_core.errors import RequestError, unknown
from automl_core.functions import FunctionEvaluator, PlainSpace
from automl_core.interfaces import Dataset, Evaluator, NamedDataset, SearchSpace
from automl_core.options import validate
from automl_core.plugins import Registry
from automl_core.restricting import Restriction
from automl_core.spec import Part
from automl_core.types import Json

RESTRICT = "restrict"
"""The option that every space has beside its own: what is left of it, see :mod:`automl_core.restricting`."""

Objects = Mapping[str, Any]
"""Parts that were given as Python objects, by kind."""


def build_space(part: Part, objects: Objects, registry: Registry) -> SearchSpace:
    """Builds the search space, restricted by the option ``restrict`` that each has; a plain ConfigSpace is wrapped."""
    given = objects.get("space")
    if given is None:
        options = {name: value for name, value in part.options.items() if name != RESTRICT}
        built: SearchSpace = registry.create("space", part.name, options)
        restriction = part.options.get(RESTRICT)
        return built if restriction is None else built.restrict(Restriction.from_json(restriction))
    if isinstance(given, SearchSpace):
        return given
    if not hasattr(given, "sample_configuration"):
        raise RequestError(
            f"a space must be a name, a SearchSpace or a ConfigurationSpace, but got {given!r}; "
            "ConfigSpace.ConfigurationSpace({...}) makes one from a mapping"
        )
    return PlainSpace(given)


def build_evaluator(part: Part, trainer: Mapping[str, Json], objects: Objects, registry: Registry) -> Evaluator:
    """Builds the evaluator with its trainer's settings; a plain function is wrapped."""
    given = objects.get("evaluator")
    if given is not None:
        if trainer:
            raise RequestError("options of the trainer must go into the evaluator object itself when one is given")
        return given if isinstance(given, Evaluator) else FunctionEvaluator(_checked_function(given))
    factory: type[Evaluator] = registry.load("evaluator", part.name)
    extra = {}
    if factory.settings is not None:
        extra["trainer"] = factory.settings(**validate(factory.settings, trainer, "trainer"))
    elif trainer:
        raise RequestError(
            f"evaluator {part.name!r} has no trainer, but trainer.{next(iter(trainer))} was set; leave it out"
        )
    built: Evaluator = registry.create("evaluator", part.name, part.options, **extra)
    return built


def _checked_function(given: Any) -> Any:
    """Refuses what cannot be called with (configuration, budget, seed)."""
    try:
        inspect.signature(given).bind({}, 1, 0)
    except ValueError:
        return given  # some callables have no signature to look at
    except TypeError as error:
        raise RequestError(
            "an evaluator must be a name, an Evaluator or a function (configuration, budget, seed) -> float | dict, "
            f"but got {given!r} ({error}); change its parameters"
        ) from None
    return given


def build_dataset(
    part: Part | None, evaluator: Evaluator, space: SearchSpace, objects: Objects, registry: Registry
) -> Dataset | None:
    """Builds and loads the data set, and refuses one that the evaluator does not take."""
    if part is None:
        return None
    names = evaluator.dataset_names(space)
    if names is not None:
        if part.name not in names:
            raise unknown(f"data set of space {space.name!r} with this evaluator", part.name, names)
        if part.options:
            raise RequestError(
                f"data set {part.name!r} is looked up, so it takes no options, but dataset.{next(iter(part.options))} "
                "was set; leave it out"
            )
        return NamedDataset(part.name)
    dataset: Dataset = objects["dataset"] if part.given else registry.create("dataset", part.name, part.options)
    if dataset.kind not in evaluator.dataset_kinds:
        takes = " or ".join(sorted(evaluator.dataset_kinds)) or "no data set at all"
        raise RequestError(
            f"the evaluator takes {takes}, but data set {part.name!r} is of kind {dataset.kind!r}; choose another "
            "--dataset or --evaluator"
        )
    dataset.load()
    return dataset
