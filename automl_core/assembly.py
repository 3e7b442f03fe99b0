"""Turns a request into parts that fit together, or refuses it before anything is started or written."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_core.constraints import ConstrainedSpace
from automl_core.errors import RequestError, unknown
from automl_core.functions import FunctionEvaluator, PlainSpace
from automl_core.interfaces import (
    Dataset,
    Estimator,
    Evaluator,
    Executor,
    NamedDataset,
    Problem,
    Searcher,
    SearchSpace,
)
from automl_core.options import validate
from automl_core.plugins import Registry, get_registry
from automl_core.spec import PARTS, Part, StudySpec, check_numbers, parse_constraint, parse_objective
from automl_core.types import EMPTY, Constraint, Json, Objective

if TYPE_CHECKING:
    from automl_core.records import Workspace

HALVING, PLAIN = "asha", "random"
"""The searcher where none is named: where trials can be compared at smaller budgets, and where they cannot."""

Objects = Mapping[str, Any]
"""Parts that were given as Python objects, by kind."""


@dataclass
class Bench:
    """Evaluator and data set under one setting."""

    evaluator: Evaluator
    dataset: Dataset | None
    make_estimators: Callable[[], Mapping[str, Estimator]]

    def estimators(self) -> Mapping[str, Estimator]:
        return {name: one for name, one in self.make_estimators().items() if one.needs}


class Assembly:
    """The parts of one study, built from its spec.

    Args:
        spec: What the study is made of.
        objects: Parts given as objects.
        registry: Where names are looked up.
        workspace: Where recorded studies are.

    Raises:
        RequestError: When a part is unknown, an option is wrong, or the parts do not fit together.
    """

    def __init__(self, spec: StudySpec, objects: Objects, registry: Registry, workspace: Workspace) -> None:
        self.registry = registry
        self.objects = objects
        self.workspace = workspace
        self.space = build_space(spec.space, objects, registry)
        base = self._bench(spec, spec.dataset, spec.trainer)
        self._benches: dict[str, Bench] = {"{}": base}
        self.evaluator, self.dataset = base.evaluator, base.dataset
        check_numbers(spec)
        self.evaluator.check(self.space, self.dataset)
        self.space = self.evaluator.narrowed(self.space)
        self.objectives, self.constraints = self._parsed(spec)
        space = (
            ConstrainedSpace(self.space, self.constraints, self.evaluator.foresee) if self.constraints else self.space
        )
        self.problem = Problem(space, self.objectives, spec.min_budget, spec.max_budget, spec.trials, spec.seed)
        self.workers = self._workers(spec)
        self.threads = spec.threads or max(1, (os.cpu_count() or 1) // self.workers)
        self.spec = replace(
            spec,
            objectives=tuple(str(objective) for objective in self.objectives),
            constraints=tuple(str(constraint) for constraint in self.constraints),
            unit=self.evaluator.unit,
        )
        searcher = self._new_searcher()
        self._check_fidelity(searcher)  # first, for it has the better reason than what a start refuses
        searcher.start(self.problem)
        self.evaluator.check_budgets(searcher.rungs())
        self.planned_trials = searcher.planned_trials
        self.spec = replace(self.spec, rungs=searcher.rungs())
        self.notes = self._check_estimators()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels as what it was built from; elsewhere it is put together with the plugins that are there."""
        return _rebuild, (self.spec, dict(self.objects), self.workspace.path)

    @property
    def device(self) -> str:
        """The device in this process."""
        return self.evaluator.resolve_device(self.spec.device)

    @property
    def named_metrics(self) -> frozenset[str]:
        """Metrics that objectives and constraints name."""
        return frozenset({one.metric for one in self.objectives} | {one.metric for one in self.constraints})

    def _parsed(self, spec: StudySpec) -> tuple[tuple[Objective, ...], tuple[Constraint, ...]]:
        if not spec.objectives:
            raise RequestError("a study must have an objective")
        metrics, open_ended = self.evaluator.metrics, isinstance(self.evaluator, FunctionEvaluator)
        objectives = tuple(parse_objective(text, metrics, open_ended) for text in spec.objectives)
        named = [one.metric for one in objectives]
        doubled = [metric for metric in named if named.count(metric) > 1]
        if doubled:
            raise RequestError(
                f"objectives must be different metrics, but {doubled[0]!r} is named twice; leave one out"
            )
        return objectives, tuple(parse_constraint(text, metrics, open_ended) for text in spec.constraints)

    def _workers(self, spec: StudySpec) -> int:
        """How many jobs run at once: as many as asked for, or as the executor runs."""
        executor = self.executor(spec)
        slots = executor.slots
        if not executor.remote:
            self.evaluator.resolve_device(spec.device)
        executor.close()
        if spec.workers is not None and spec.workers > slots:
            raise RequestError(
                f"workers must be at most what the executor runs at once, but got {spec.workers} and executor "
                f"{spec.executor.name!r} runs {slots}; leave --workers out or choose another --executor"
            )
        return spec.workers or slots

    def _check_fidelity(self, searcher: Searcher) -> None:
        reason = self.evaluator.complete_only(self.space)
        if reason is not None and searcher.multi_fidelity:
            raise RequestError(
                f"searcher {self.spec.searcher.name!r} compares trials at smaller budgets, but {reason}; choose one "
                "that asks for complete trainings alone: random, grid, optuna, or smac with another facade"
            )

    def _check_estimators(self) -> list[str]:
        """Refuses estimators that cannot work, and gives what those that can have to say."""
        notes: list[str] = []
        for name, estimator in self.estimators().items():
            lacking = sorted(estimator.needs - self.evaluator.offers)
            if lacking:
                raise RequestError(
                    f"an estimator must get what it needs, but {name!r} needs {', '.join(lacking)} and evaluator "
                    f"{self.spec.evaluator.name!r} offers {', '.join(sorted(self.evaluator.offers)) or 'nothing'}; "
                    "choose another --estimator or --evaluator"
                )
            notes += (f"estimator {name}: {note}" for note in estimator.check(self.evaluator))
        return notes

    def searcher(self) -> Searcher:
        """Builds and starts a searcher."""
        searcher = self._new_searcher()
        searcher.start(self.problem)
        return searcher

    def _new_searcher(self) -> Searcher:
        """Builds a searcher; one given as an object is copied, since a start happens once."""
        if "searcher" not in self.objects:
            built: Searcher = self.registry.create("searcher", self.spec.searcher.name, self.spec.searcher.options)
            return built
        copied = deepcopy(self.objects["searcher"])
        if not isinstance(copied, Searcher):
            raise RequestError(f"a searcher must be a name or a Searcher, but got {copied!r}; derive from Searcher")
        return copied

    def executor(self, spec: StudySpec | None = None) -> Executor:
        """Builds the executor."""
        spec = spec or self.spec
        given: Executor | None = self.objects.get("executor")
        if given is not None:
            return given
        options = dict(spec.executor.options)
        takes_workers = "workers" in inspect.signature(self.registry.load("executor", spec.executor.name)).parameters
        if spec.workers is not None and takes_workers:
            options["workers"] = spec.workers
        built: Executor = self.registry.create("executor", spec.executor.name, options)
        return built

    def estimators(self) -> Mapping[str, Estimator]:
        """Builds and starts all estimators, fresh, the ranking one first."""
        built: dict[str, Estimator] = {}
        for part in self.spec.estimators:
            built[part.name] = self.registry.create("estimator", part.name, part.options)
            built[part.name].start(self.problem)
        return built

    def curve_estimators(self) -> Mapping[str, Estimator]:
        """Builds those estimators that need nothing but curves."""
        return {name: one for name, one in self.estimators().items() if not one.needs}

    def workbench(self, setting: Mapping[str, Json]) -> Bench:
        """Gives evaluator and data set under ``{"dataset": {...}, "trainer": {...}}``; ``{}`` means the study's."""
        key = repr(sorted(setting.items())) if setting else "{}"
        if key not in self._benches:
            dataset = Part(**setting["dataset"]) if setting.get("dataset") else None
            self._benches[key] = self._bench(self.spec, dataset, setting["trainer"])
        return self._benches[key]

    def identity(self, setting: Mapping[str, Json]) -> Json:
        """Says what a training follows from, apart from its description, as JSON."""
        bench = self.workbench(setting)
        trainer = getattr(bench.evaluator, "trainer", None)
        given = self.spec.evaluator.given
        return {
            # What an object was built from cannot be told: its artefacts belong to this study alone.
            "evaluator": [self.spec.evaluator.name, self.spec.name if given else dict(self.spec.evaluator.options)],
            "trainer": asdict(trainer) if is_dataclass(trainer) and not isinstance(trainer, type) else None,
            "dataset": bench.dataset.fingerprint() if bench.dataset is not None else None,
        }

    def _bench(self, spec: StudySpec, dataset: Part | None, trainer: Mapping[str, Json]) -> Bench:
        evaluator = build_evaluator(spec.evaluator, trainer, self.objects, self.registry)
        evaluator.attach(self.workspace, self.space)
        return Bench(
            evaluator, build_dataset(dataset, evaluator, self.space, self.objects, self.registry), self.estimators
        )


def _rebuild(spec: StudySpec, objects: Objects, workspace: Path) -> Assembly:
    from automl_core.records import Workspace

    return Assembly(spec, objects, get_registry(), Workspace(workspace))


def build_space(part: Part, objects: Objects, registry: Registry) -> SearchSpace:
    """Builds the search space; a plain ConfigSpace is wrapped."""
    given = objects.get("space")
    if given is None:
        built: SearchSpace = registry.create("space", part.name, part.options)
        return built
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
    request = _with_default_evaluator(request, objects, registry)
    evaluator = build_evaluator(request.evaluator, request.trainer, objects, registry)
    evaluator.attach(workspace, space)
    names = evaluator.dataset_names(space)
    published = space.presets(request.evaluator.name).get(request.preset, EMPTY).get("dataset", EMPTY).get("name")
    default = (published or evaluator.default_dataset) if names is None else next(iter(names), None)
    if default is not None and (request.dataset is None or not request.dataset.name):
        options = request.dataset.options if request.dataset is not None else {}
        request = replace(request, dataset=Part(default, options))
    if request.dataset is not None and not evaluator.dataset_kinds and not names:
        raise RequestError(f"this evaluator takes no data set, but got {request.dataset.name!r}; leave --dataset out")
    dataset = build_dataset(request.dataset, evaluator, space, objects, registry)
    preset = choose_preset(evaluator, dataset, request.preset, space, request.evaluator.name)
    numbers = {name: wanted[name] if wanted[name] is not None else preset.get(name) for name in wanted}
    max_budget = 1 if numbers["max_budget"] is None else numbers["max_budget"]
    min_budget = 1 if numbers["min_budget"] is None else numbers["min_budget"]
    if wanted["min_budget"] is None and type(max_budget) is int:
        min_budget = max(1, min(min_budget, max_budget))  # a preset's yields to what the user wants
    searcher = request.searcher
    if not searcher.name:
        halves = min_budget != max_budget and evaluator.complete_only(space) is None
        searcher = replace(searcher, name=HALVING if halves else PLAIN)
    plans = objects["searcher"] if searcher.given else registry.load("searcher", searcher.name)
    trials = wanted["trials"] if getattr(plans, "plans_trials", False) else numbers["trials"]
    spec = replace(
        request,
        space=_merged(request.space, preset, "space"),
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


def choose_preset(
    evaluator: Evaluator, dataset: Dataset | None, name: str, space: SearchSpace, evaluator_name: str
) -> Mapping[str, Any]:
    """Gives a preset's defaults: the evaluator's, and over them those of the space with that evaluator.

    Raises:
        RequestError: For an unknown preset or an unknown part in it.
    """
    presets = evaluator.presets(dataset)
    if name not in presets:
        raise unknown("preset", name, presets)
    preset = dict(presets[name])
    if space.default_evaluator != evaluator_name:
        preset.pop("space", None)  # an evaluator knows the options of its own space alone
    return _deep_merged(preset, space.presets(evaluator_name).get(name, EMPTY))


def _deep_merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Puts one nested mapping over another: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _deep_merged(merged[name], value) if both else value
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
