"""The parts of a study, put together; what does not fit is refused before anything is started or written."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_core.building import Objects, build_dataset, build_evaluator, build_space
from automl_core.constraints import ConstrainedSpace
from automl_core.errors import RequestError
from automl_core.functions import FunctionEvaluator
from automl_core.interfaces import (
    Dataset,
    Estimator,
    Evaluator,
    Executor,
    Problem,
    Searcher,
)
from automl_core.plugins import Registry, get_registry
from automl_core.spec import Part, StudySpec, check_numbers, parse_constraint, parse_objective
from automl_core.types import Constraint, Json, Objective

if TYPE_CHECKING:
    from automl_core.records import Workspace


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
        self._check_evaluator(spec)
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
        self.own_setting: Mapping[str, Json] = {"evaluator": searcher.evaluator} if searcher.evaluator else {}
        """Setting of the searcher's own support trials."""
        if self.own_setting:
            self.workbench(self.own_setting).evaluator.check(self.problem.space, self.dataset)
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

    def _check_evaluator(self, spec: StudySpec) -> None:
        if not self.evaluator.takes_candidates:
            raise RequestError(
                f"an evaluator must train what a search space decodes to, but {spec.evaluator.name!r} trains what "
                "searchers ask for of their own; leave --evaluator out"
            )
        self.evaluator.check(self.space, self.dataset)

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
        return {part.name: self.estimator(part.name, part.options) for part in self.spec.estimators}

    def estimator(self, name: str, options: Mapping[str, Json]) -> Estimator:
        """Builds and starts an estimator; its problem's least budget is the one at which trials are compared first."""
        built: Estimator = self.registry.create("estimator", name, options)
        built.start(replace(self.problem, min_budget=self.spec.rungs[0]))
        return built

    def curve_estimators(self) -> Mapping[str, Estimator]:
        """Builds those estimators that need nothing but curves."""
        return {name: one for name, one in self.estimators().items() if not one.needs}

    def workbench(self, setting: Mapping[str, Json]) -> Bench:
        """Gives evaluator and data set under a setting; ``{}`` means the study's.

        ``{"dataset": {...}, "trainer": {...}}`` is a retraining's, ``{"evaluator": name}`` that of the searcher's own
        support trials, which are trained on the study's data and, where their description does not say otherwise, with
        the study's trainer.
        """
        key = repr(sorted(setting.items())) if setting else "{}"
        if key not in self._benches:
            self._benches[key] = self._own_bench(setting) if "evaluator" in setting else self._other_bench(setting)
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

    def _own_bench(self, setting: Mapping[str, Json]) -> Bench:
        """Builds the evaluator of the searcher's own support trials, beside the study's data set.

        Raises:
            RequestError: When it does not take that data set.
        """
        factory: type[Evaluator] = self.registry.load("evaluator", setting["evaluator"])
        # Settings of another kind are not what the study's trainer options are meant for.
        trainer = self.spec.trainer if factory.settings is self.evaluator.settings else {}
        evaluator = build_evaluator(Part(setting["evaluator"]), trainer, {}, self.registry)
        evaluator.attach(self.workspace, self.space)
        if evaluator.dataset_kinds and (self.dataset is None or self.dataset.kind not in evaluator.dataset_kinds):
            raise RequestError(
                f"searcher {self.spec.searcher.name!r} trains by evaluator {setting['evaluator']!r}, which takes "
                f"{' or '.join(sorted(evaluator.dataset_kinds))}, but the study has "
                f"{'no data set' if self.dataset is None else f'data set {self.dataset.name!r}'}; choose another "
                "--searcher, or an --evaluator and --dataset that train"
            )
        return Bench(evaluator, self.dataset, dict)

    def _other_bench(self, setting: Mapping[str, Json]) -> Bench:
        dataset = Part(**setting["dataset"]) if setting.get("dataset") else None
        return self._bench(self.spec, dataset, setting["trainer"])

    def _bench(self, spec: StudySpec, dataset: Part | None, trainer: Mapping[str, Json]) -> Bench:
        evaluator = build_evaluator(spec.evaluator, trainer, self.objects, self.registry)
        evaluator.attach(self.workspace, self.space)
        return Bench(
            evaluator, build_dataset(dataset, evaluator, self.space, self.objects, self.registry), self.estimators
        )


def _rebuild(spec: StudySpec, objects: Objects, workspace: Path) -> Assembly:
    from automl_core.records import Workspace

    return Assembly(spec, objects, get_registry(), Workspace(workspace))
