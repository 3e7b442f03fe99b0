"""Studies: what people run, resume and ask for the best of.

::

    from automl_core import Study

    study = Study(space="ktg", searcher="asha", dataset="digits", trials=20, seed=0).run()
    print(study.best.value, study.best.configuration)
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import automl_core
from automl_core.assembly import Assembly
from automl_core.design_files import named_or_read
from automl_core.engine.progress import Progress
from automl_core.errors import RequestError
from automl_core.interfaces import Dataset, Evaluator, Executor, Searcher, SearchSpace, Stage
from automl_core.journal.study import StudyJournal, rows, taken
from automl_core.plugins import get_registry
from automl_core.records import Best, StudyRecord, TrialRow, Workspace
from automl_core.resolving import resolve, split_options
from automl_core.spec import Part, Retention, StudySpec, check_name, parse_size
from automl_core.storage import Store, open_store
from automl_core.types import EMPTY, Json

if TYPE_CHECKING:
    import pandas
    from ConfigSpace import ConfigurationSpace

    from automl_core.functions import Function
    from automl_core.replaying import Replay

FIRST = ("amber", "brisk", "calm", "clear", "deft", "eager", "fair", "gentle", "keen", "lucid", "quiet", "swift")
SECOND = ("alder", "birch", "cedar", "comet", "ember", "finch", "harbor", "heron", "maple", "otter", "river", "tern")


class Study:
    """One search with its journal. Building one checks everything and writes nothing.

    Any part may be a registered name or an object. A study that holds Python objects is resumed from Python, with
    the same objects: ``Study.resume(name, evaluator=function)``.

    Args:
        space: A search space, the path of a YAML file that has a design space or a recipe, or a plain
            ``ConfigSpace.ConfigurationSpace``.
        searcher: A searcher; ``asha`` when None, or ``random`` where there are no smaller budgets to compare at.
        evaluator: An evaluator, or a function ``(configuration, budget, seed) -> float | dict``; the space's own one
            when None.
        estimator: Names of estimators; the first one ranks, the others are recorded.
        dataset: A data set; the evaluator's default when None.
        executor: An executor; ``serial`` when None, or ``dask`` for more than one worker.
        objective: ``metric`` or ``metric:max|min``, or several for a Pareto front; the evaluator's first metric when
            None.
        constraint: ``metric<=number`` or ``metric>=number``; one or several.
        min_budget: Smallest budget at which trials are compared, in the evaluator's unit.
        max_budget: Budget of a complete trial. The preset decides when None; 1 where it does not.
        trials: How many candidates to start. The preset, or else the searcher, decides when None.
        seed: Everything random follows from it.
        preset: ``quick`` or ``paper``, or another that the evaluator has.
        options: Options by part: ``{"searcher": {"eta": 3}, "trainer": {"batch": 32}}``.
        name: The study's name; made up when None.
        workspace: Directory; ``$AUTOML_WORKSPACE`` or ``./automl-workspace`` when None.
        device: ``auto``, ``cpu`` or ``cuda:0``.
        threads: Threads per worker; the cores divided by the workers when None.
        workers: How many jobs run at once; as many as the executor can when None.
        checkpoint: ``needed`` keeps checkpoints of trials that may go on and of the best, ``all`` keeps all.
        disk_budget: Bytes (``5_000_000_000`` or ``"5GB"``) that this study's checkpoints and artefacts may take.
        store: Where checkpoints and artefacts are kept: a directory or an fsspec URL that all workers reach; the
            workspace when None.

    Raises:
        RequestError: When something is unknown, out of range or does not fit together.
    """

    def __init__(
        self,
        space: str | SearchSpace | ConfigurationSpace,
        searcher: str | Searcher | None = None,
        *,
        evaluator: str | Evaluator | Function | None = None,
        estimator: str | Sequence[str] = (),
        dataset: str | Dataset | None = None,
        executor: str | Executor | None = None,
        objective: str | Sequence[str] | None = None,
        constraint: str | Sequence[str] = (),
        min_budget: int | None = None,
        max_budget: int | None = None,
        trials: int | None = None,
        seed: int = 0,
        preset: str = "quick",
        options: Mapping[str, Mapping[str, Json]] = EMPTY,
        name: str | None = None,
        workspace: str | Path | None = None,
        device: str = "auto",
        threads: int | None = None,
        workers: int | None = None,
        checkpoint: Retention = "needed",
        disk_budget: int | str | None = None,
        store: str | None = None,
    ) -> None:
        if name is not None:
            check_name(name)
        registry = get_registry()
        by_part = split_options(options)
        given = {"space": space, "searcher": searcher, "evaluator": evaluator, "dataset": dataset, "executor": executor}
        objects = {kind: one for kind, one in given.items() if one is not None and not isinstance(one, str)}
        parts = {kind: _part(kind, one, by_part[kind]) for kind, one in given.items()}
        parts["space"] = named_or_read(parts["space"])
        if executor is None:
            parts["executor"] = replace(parts["executor"], name=_default_executor(workers))
        estimators = _names_of_estimators(estimator)
        request = StudySpec(
            name=name or "",
            space=parts["space"],
            searcher=parts["searcher"],
            evaluator=parts["evaluator"],
            estimators=tuple(Part(one, by_part["estimator"] if one == estimators[0] else {}) for one in estimators),
            executor=parts["executor"],
            dataset=None if dataset is None and not by_part["dataset"] else parts["dataset"],
            trainer=by_part["trainer"],
            objectives=(objective,) if isinstance(objective, str) else tuple(objective or ()),
            min_budget=0,
            max_budget=0,
            trials=None,
            seed=_whole(seed),
            preset=preset,
            device=device,
            threads=threads,
            workers=workers,
            checkpoint=checkpoint,
            constraints=(constraint,) if isinstance(constraint, str) else tuple(constraint),
            disk_budget=None if disk_budget is None else parse_size(disk_budget),
            store=store,
            version=automl_core.__version__,
        )
        wanted = {"min_budget": _whole(min_budget), "max_budget": _whole(max_budget), "trials": _whole(trials)}
        self.workspace = Workspace(workspace)
        if store is not None:
            open_store(store)  # refuses what cannot be opened, before anything is written
        spec, self.notes = resolve(request, objects, registry, self.workspace, wanted)
        spec = replace(spec, name=self._free_name(spec))
        self.assembly = Assembly(spec, objects, registry, self.workspace)
        self.notes += self.assembly.notes
        self.status = "new"
        self._journal: StudyJournal | None = None

    # -- running -------------------------------------------------------------------------------------------------

    def run(self, time_limit: float | None = None, progress: Progress | None = None, instruction: Json = None) -> Self:
        """Searches, or goes on with a search that was cut short.

        Args:
            time_limit: Seconds after which to stop at the next unit; the study can be resumed.
            progress: Watches the run.
            instruction: What a person decides in the place of a searcher that waits for it; journalled.

        Returns:
            The study itself; ``status`` is ``finished``, ``interrupted`` (Ctrl-C) or ``time-limit``.

        Raises:
            RequestError: When the name is taken, or another process runs the study.
            StudyFailed: When every candidate failed.
        """
        from automl_core.running import check_time_limit, run_study

        check_time_limit(time_limit)  # before the study's row is written
        with self.begun():
            self.status = run_study(self, time_limit, progress or Progress(), instruction=instruction)
        return self

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Writes the study's row, unless it is there, for what is done within the block.

        Where that is refused before anything is done, nothing is left of a row that was written here.

        Raises:
            RequestError: When the name is taken.
        """
        begins = self._journal is None
        if begins:
            self.assembly.executor().check()
            database = self.workspace.database(create=True)
            self._journal = StudyJournal.create(database, self.name, self.spec.to_json())
        try:
            yield
        except RequestError:
            if begins and self._journal is not None and next(self._journal.events(), None) is None:
                self.workspace.delete(self.name)
                self._journal = None
            raise

    @classmethod
    def load(
        cls,
        name: str,
        *,
        workspace: str | Path | None = None,
        device: str | None = None,
        threads: int | None = None,
        workers: int | None = None,
        executor: str | Executor | None = None,
        options: Mapping[str, Mapping[str, Json]] = EMPTY,
        disk_budget: int | str | None = None,
        **objects: Any,
    ) -> Self:
        """Builds a recorded study again, without running it.

        Where and on how many workers a study runs may change from one run to the next: its journal says what was
        decided.

        Args:
            name: The study's name.
            workspace: As for a new study.
            device: Another device than the recorded one.
            threads: Another number of threads than the recorded one. Bit-equal results need the same number.
            workers: Another number of workers than the recorded one.
            executor: Another executor than the recorded one.
            options: Options of the executor, ``{"executor": {...}}``; those recorded are kept for the same executor.
            disk_budget: Another disk budget than the recorded one.
            objects: The parts that were given as objects, by kind: ``evaluator=function``.

        Raises:
            RequestError: When there is no such study, or an object is missing.
        """
        study = cls.__new__(cls)
        study.workspace = Workspace(workspace)
        record = study.workspace.record(name)
        recorded, objects = _elsewhere(record.spec, objects, workers, executor, options)
        lacking = [kind for kind in recorded.objects if kind not in objects]
        if lacking:
            arguments = ", ".join(f"{kind}=..." for kind in lacking)
            raise RequestError(
                f"study {name!r} holds Python objects ({', '.join(lacking)}), which no journal can hold; go on with it "
                f"from Python: Study.resume({name!r}, {arguments})"
            )
        unexpected = sorted(set(objects) - set(recorded.objects))
        if unexpected:
            raise RequestError(
                f"study {name!r} was begun with {unexpected[0]} given by name, but an object was passed; leave it out"
            )
        spec = replace(
            recorded,
            device=device or recorded.device,
            threads=threads or recorded.threads,
            disk_budget=recorded.disk_budget if disk_budget is None else parse_size(disk_budget),
        )
        study.assembly = Assembly(spec, objects, get_registry(), study.workspace)
        study.notes = []
        study.status = record.status
        study._journal = record.journal
        return study

    @classmethod
    def resume(
        cls,
        name: str,
        *,
        workspace: str | Path | None = None,
        trials: int | None = None,
        time_limit: float | None = None,
        progress: Progress | None = None,
        instruction: Json = None,
        **changed: Any,
    ) -> Self:
        """Goes on with a study; with ``trials`` also extends one, finished or not, to that many candidates in all.

        ``instruction`` is what a person decides, as for :meth:`run`; ``changed`` is what :meth:`load` takes: device,
        threads, workers, executor, and parts that are objects.

        Raises:
            RequestError: As :meth:`load`, and when ``trials`` is below what the study has.
        """
        from automl_core.running import run_study

        study = cls.load(name, workspace=workspace, **changed)
        study.status = run_study(study, time_limit, progress or Progress(), trials=trials, instruction=instruction)
        return study

    # -- results -------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def spec(self) -> StudySpec:
        return self.assembly.spec

    @property
    def record(self) -> StudyRecord:
        """The study as the journal's tables tell it.

        Raises:
            RequestError: When it has not been run.
        """
        if self._journal is None:
            raise RequestError(f"study {self.name!r} must have been run first; call run()")
        return StudyRecord(self.workspace, self._journal)

    @property
    def searched(self) -> bool:
        """Whether a candidate was begun."""
        return self._journal is not None and self._journal.candidates() > 0

    @property
    def best(self) -> Best:
        """The best candidate; ``value`` is what ranked it, ``metrics`` are raw.

        Raises:
            RequestError: When no candidate has a value.
        """
        best = self.record.best()
        if best is None:
            raise RequestError(f"study {self.name!r} must hold a candidate with a value, but has none; resume it")
        return best

    @property
    def front(self) -> list[Best]:
        """The Pareto front among the candidates that got furthest; with one objective the best candidate alone."""
        return self.record.front()

    @property
    def store(self) -> Store:
        """Where checkpoints and artefacts are kept."""
        return self.workspace.store_for(self.spec)

    @property
    def trials(self) -> pandas.DataFrame:
        """One row per trial, support trials included.

        Metrics stand in columns ``metric_NAME``, hyperparameters in columns of their own names (or, where such a
        column is there already, ``configuration_NAME``).
        """
        import pandas

        return pandas.DataFrame([_frame_row(row) for row in self.record.trials()])

    @property
    def baselines(self) -> list[dict[str, Json]]:
        """What was trained to stand beside the best: label, budget, value and metrics, each of one seed."""
        return [
            {"label": row.label, "trial": row.number, "budget": row.budget, "value": row.value, "metrics": row.metrics}
            for row in self.record.baselines(self.best.budget)
        ]

    def draw_best(self) -> str | None:
        """Draws the best description as text; None when its evaluator draws nothing."""
        best = self.best
        description = self.assembly.space.decode(best.configuration)
        return self.assembly.evaluator.draw(description, best.metrics)

    def picture_best(self) -> str | None:
        """Draws the best description as SVG; None when its evaluator draws nothing."""
        best = self.best
        description = self.assembly.space.decode(best.configuration)
        return self.assembly.evaluator.picture(description, best.metrics)

    # -- before and after ----------------------------------------------------------------------------------------

    def plan(self) -> dict[str, Json]:
        """Says what a run would do: sizes, rungs, estimated time. Trains a few steps to measure, writes nothing."""
        from automl_core.planning import plan

        return plan(self)

    def retrain(
        self,
        trial: int | None = None,
        epochs: int | None = None,
        repeats: int | None = None,
        dataset: str | None = None,
        preset: str | None = None,
        options: Mapping[str, Mapping[str, Json]] = EMPTY,
        progress: Progress | None = None,
        time_limit: float | None = None,
        average: int | None = None,
    ) -> dict[str, Json]:
        """Trains a candidate anew on training + validation data and measures it on the test data.

        A study over a space of one configuration, such as a recipe, need not have been run. See
        :func:`automl_core.retraining.retrain`.
        """
        from automl_core.retraining import retrain

        watched = progress or Progress()
        return retrain(self, trial, epochs, repeats, dataset, preset, options, watched, time_limit, average)

    def replay(self, estimator: str, options: Mapping[str, Mapping[str, Json]] = EMPTY) -> Replay:
        """Says which decisions would have changed with another estimator. See :func:`automl_core.replaying.replay`."""
        from automl_core.replaying import replay

        return replay(self, estimator, options)

    def export(self, directory: str | Path, trial: int | None = None) -> dict[str, Json]:
        """Writes a candidate's weights, description and numbers. See :func:`automl_core.exporting.export`."""
        from automl_core.exporting import export

        return export(self, Path(directory), trial)

    def then(self, stage: str | Stage, **options: Any) -> Json:
        """Runs a stage on this study and gives its report.

        Raises:
            RequestError: For an unknown stage or option.
        """
        built: Stage = stage if isinstance(stage, Stage) else get_registry().create("stage", stage, options)
        return built.run(self)

    def _free_name(self, spec: StudySpec) -> str:
        known = {row.name for row in rows(self.workspace.database())} if self.workspace.exists() else set()
        if spec.name:
            if spec.name in known:
                raise taken(spec.name)
            return spec.name
        for _ in range(100):
            made_up = f"{spec.space.name}-{secrets.choice(FIRST)}-{secrets.choice(SECOND)}"
            if made_up not in known:
                return made_up
        return f"{spec.space.name}-{secrets.token_hex(6)}"


def _names_of_estimators(given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) or not isinstance(given, Sequence) else tuple(given)
    for one in names:
        if not isinstance(one, str):
            raise RequestError(
                f"an estimator must be given by its name, since one is built for every trial, but got {one!r}; "
                "register it in a plugin (automl_estimators) and pass its name, with options={'estimator': {...}}"
            )
    return names


def _whole(number: Any) -> Any:
    """Makes whole numbers of other libraries plain; anything else is left for the check to refuse."""
    return number if isinstance(number, bool) or not hasattr(number, "__index__") else number.__index__()


def _frame_row(row: TrialRow) -> dict[str, Any]:
    told: dict[str, Any] = {
        "trial": row.number,
        "role": row.role,
        "label": row.label,
        "status": row.status,
        "budget": row.budget,
        "rung": row.rung,
        "value": row.value,
        "cost": row.cost,
        "error": row.error,
        **{f"metric_{name}": value for name, value in row.metrics.items()},
    }
    return told | {f"configuration_{name}" if name in told else name: one for name, one in row.configuration.items()}


def _elsewhere(
    spec: StudySpec,
    objects: dict[str, Any],
    workers: int | None,
    executor: str | Executor | None,
    options: Mapping[str, Mapping[str, Json]],
) -> tuple[StudySpec, dict[str, Any]]:
    """Gives a recorded study's spec and objects with another executor."""
    by_part = split_options(options)
    misplaced = [part for part, values in by_part.items() if values and part != "executor"]
    if misplaced:
        raise RequestError(f"only the executor's options can change on resuming, but got some of {misplaced[0]}")
    if workers is not None:
        spec = replace(spec, workers=_whole(workers))
        if executor is None and spec.executor.name == "serial":
            executor = _default_executor(workers)
    if executor is not None and not isinstance(executor, str):
        objects = {**objects, "executor": executor}
    if executor is not None:
        changed = _part("executor", executor, by_part["executor"])
        if SIMULATED in (changed.name, spec.executor.name) and changed.name != spec.executor.name:
            raise RequestError(
                f"a study must keep to one clock, but {spec.name!r} was begun with executor {spec.executor.name!r} and "
                f"is to go on with {changed.name!r}; leave --executor out, or run a new study"
            )
        if workers is None and changed.name != spec.executor.name:
            spec = replace(spec, workers=None)  # that number was the other executor's
        kept = spec.executor.options if changed.name == spec.executor.name and not changed.given else {}
        spec = replace(spec, executor=replace(changed, options={**kept, **changed.options}))
    elif by_part["executor"]:
        spec = replace(spec, executor=replace(spec.executor, options={**spec.executor.options, **by_part["executor"]}))
    return spec, objects


SIMULATED = "simulated"


def _default_executor(workers: int | None) -> str:
    return "dask" if workers is not None and _whole(workers) > 1 else "serial"


def _part(kind: str, given: Any, options: Mapping[str, Json]) -> Part:
    if given is None or isinstance(given, str):
        return Part(given or "", options)
    if options:
        raise RequestError(f"options of {kind} must go into the object itself when one is given, but got {options}")
    return Part(getattr(given, "name", "") or getattr(given, "__name__", type(given).__name__), given=True)
