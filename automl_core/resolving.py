"""Requests made complete: default parts, then what presets say."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from automl_core.building import Objects, build_dataset, build_evaluator, build_space
from automl_core.errors import RequestError, unknown
from automl_core.interfaces import Dataset, Evaluator, SearchSpace
from automl_core.plugins import Registry
from automl_core.recipe_space import completed
from automl_core.spec import PARTS, Part, StudySpec
from automl_core.types import EMPTY, Json

if TYPE_CHECKING:
    from automl_core.records import Workspace

HALVING, PLAIN = "asha", "random"
"""The searcher where none is named: where trials can be compared at smaller budgets, and where they cannot."""


def resolve(
    request: StudySpec,
    objects: Objects,
    registry: Registry,
    workspace: Workspace,
    wanted: Mapping[str, int | None],
) -> tuple[StudySpec, list[str]]:
    """Fills a request's gaps: default evaluator and data set, then the preset's budgets, trials and options.

    Args:
        request: The request; ``evaluator.name`` may be empty, ``dataset`` None.
        objects: Parts given as objects.
        registry: Where names are looked up.
        workspace: Where recorded studies are.
        wanted: ``min_budget``, ``max_budget`` and ``trials`` as the user gave them, None where not.

    Returns:
        The complete spec, and notes on what the preset decided.
    """
    space = build_space(request.space, objects, registry)  # refuses what is no space, before anything else is asked
    request, wanted = completed(space, request, wanted)
    request = _with_default_evaluator(request, objects, registry)
    evaluator = build_evaluator(request.evaluator, request.trainer, objects, registry)
    evaluator.attach(workspace, space)
    request = _with_default_dataset(request, evaluator, space)
    dataset = build_dataset(request.dataset, evaluator, space, objects, registry)
    preset = choose_preset(evaluator, dataset, request.preset, space, request.evaluator.name)
    numbers = _numbers(wanted, preset)
    min_budget, max_budget = numbers["min_budget"], numbers["max_budget"]
    searcher = request.searcher
    if not searcher.name:
        halves = min_budget != max_budget and evaluator.complete_only(space) is None
        searcher = replace(searcher, name=HALVING if halves else PLAIN)
    plans = objects["searcher"] if searcher.given else registry.load("searcher", searcher.name)
    if not searcher.given:
        taken = inspect.signature(plans).parameters
        published = {name: value for name, value in preset.get("searcher", EMPTY).items() if name in taken}
        searcher = replace(searcher, options={**published, **searcher.options})
    trials = wanted["trials"] if getattr(plans, "plans_trials", False) else numbers["trials"]
    spec = replace(
        request,
        space=_merged(request.space, preset, "space"),
        evaluator=_merged(request.evaluator, preset, "evaluator"),
        searcher=searcher,
        dataset=None if request.dataset is None else _merged(request.dataset, preset, "dataset"),
        trainer={**({} if request.evaluator.given else preset.get("trainer", EMPTY)), **request.trainer},
        objectives=request.objectives or (next(iter(evaluator.metrics), "value"),),
        min_budget=min_budget,
        max_budget=max_budget,
        trials=trials,
    )
    notes = list(preset.get("notes", ()))
    if spec.executor.name == "simulated" and evaluator.trains:
        notes.append("simulated workers take turns here: with an evaluator that trains, each job takes its real time")
    return spec, notes


def _numbers(wanted: Mapping[str, int | None], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Gives budgets and trials as the user wants them, or else as the preset has them."""
    numbers: dict[str, Any] = {name: preset.get(name) if given is None else given for name, given in wanted.items()}
    for budget in ("min_budget", "max_budget"):
        numbers[budget] = 1 if numbers[budget] is None else numbers[budget]
    if wanted["min_budget"] is None and type(numbers["max_budget"]) is int:
        # A preset's least budget yields to what the user wants.
        numbers["min_budget"] = max(1, min(numbers["min_budget"], numbers["max_budget"]))
    return numbers


def choose_preset(
    evaluator: Evaluator, dataset: Dataset | None, name: str, space: SearchSpace, evaluator_name: str
) -> Mapping[str, Any]:
    """Gives a preset's defaults: the evaluator's, and over them those of the space with that evaluator.

    A space may have presets that its evaluator does not.

    Raises:
        RequestError: For an unknown preset or an unknown part in it.
    """
    presets, own = evaluator.presets(dataset), space.presets(evaluator_name)
    if name not in {**presets, **own}:
        raise unknown("preset", name, {**presets, **own})
    preset = dict(presets.get(name, EMPTY))
    if space.default_evaluator != evaluator_name:
        preset.pop("space", None)  # an evaluator knows the options of its own space alone
    return deep_merged(preset, own.get(name, EMPTY))


def deep_merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Puts one nested mapping over another: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = deep_merged(merged[name], value) if both else value
    return merged


def split_options(options: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, Json]]:
    """Checks that options are given by part.

    Raises:
        RequestError: For an unknown part.
    """
    if not isinstance(options, Mapping):
        raise RequestError(f"options must be a mapping of parts to their options, but got {options!r}")
    for part, values in options.items():
        if part not in PARTS:
            raise unknown("part in options", part, PARTS)
        if not isinstance(values, Mapping):
            raise RequestError(f"options of {part} must be a mapping of names to values, but got {values!r}")
    return {part: dict(options.get(part, {})) for part in PARTS}


def _with_default_dataset(request: StudySpec, evaluator: Evaluator, space: SearchSpace) -> StudySpec:
    """Names the data set where the user names none: the one a preset was published with, or else the evaluator's."""
    names = evaluator.dataset_names(space)
    published = space.presets(request.evaluator.name).get(request.preset, EMPTY).get("dataset", EMPTY).get("name")
    default = (published or evaluator.default_dataset) if names is None else next(iter(names), None)
    if default is not None and (request.dataset is None or not request.dataset.name):
        options = request.dataset.options if request.dataset is not None else {}
        request = replace(request, dataset=Part(default, options))
    if request.dataset is not None and not evaluator.dataset_kinds and not names:
        named = repr(request.dataset.name) if request.dataset.name else f"dataset.{next(iter(request.dataset.options))}"
        raise RequestError(f"this evaluator takes no data set, but got {named}; leave it out")
    return request


def _with_default_evaluator(request: StudySpec, objects: Objects, registry: Registry) -> StudySpec:
    if request.evaluator.name:
        return request
    name = _default_evaluator(request.space, objects, registry)
    if not name:
        raise RequestError(
            f"space {request.space.name!r} names no evaluator of its own; pass --evaluator NAME, or evaluator=function "
            "in Python"
        )
    return replace(request, evaluator=replace(request.evaluator, name=name))


def _default_evaluator(space: Part, objects: Objects, registry: Registry) -> str:
    source = objects["space"] if "space" in objects else registry.load("space", space.name)
    return str(getattr(source, "default_evaluator", ""))


def _merged(part: Part, preset: Mapping[str, Any], kind: str) -> Part:
    preset_options = {name: value for name, value in preset.get(kind, EMPTY).items() if name != "name"}
    return part if part.given else replace(part, options={**preset_options, **part.options})
