"""Reading a workspace: studies, trials and the best of them, as the journal's tables tell them. Nothing is replayed."""

from __future__ import annotations

import contextlib
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from automl_core.auditing import audit
from automl_core.errors import RequestError
from automl_core.journal import Database, StudyJournal, TrialUpdate
from automl_core.journal.study import rows
from automl_core.ranking import Losses, pareto_front
from automl_core.spec import StudySpec, parse_objective
from automl_core.storage import Store, open_store
from automl_core.types import OVER, Configuration, Json, Metrics, Objective, Point

WORKSPACE_VARIABLE = "AUTOML_WORKSPACE"
DEFAULT_WORKSPACE = "automl-workspace"
JOURNAL = "journal.sqlite"
IDENTITY = "identity"
INFEASIBLE = "infeasible"
RETRAINING = "retraining"
"""What support trials of a retraining are for, and what stands where studies that are one would name a searcher."""

UNDER_WAY = ("running", "waiting")
"""What trials are while their study runs; in one that does not, they were interrupted."""


@dataclass(frozen=True)
class StudySummary:
    """One line of ``automl studies``.

    ``front`` counts the trials of the Pareto front, at most 1 with one objective; ``searcher`` is ``retraining`` where
    nothing is searched.
    """

    name: str
    space: str
    searcher: str
    dataset: str | None
    status: str
    trials: int
    best_value: float | None
    front: int
    objective: str
    created: float


@dataclass(frozen=True)
class TrialRow:
    """One line of ``automl show``.

    ``rung`` counts the rungs reached; ``value`` and, by metric, ``objectives`` are what ranked; ``metrics`` are raw.
    """

    number: int
    role: str
    label: str
    status: str
    configuration: Configuration
    budget: int
    rung: int
    value: float | None
    objectives: Metrics
    metrics: Metrics
    cost: float
    attempts: int
    error: str


@dataclass(frozen=True)
class Best:
    """The best candidate: the best value among those that got furthest.

    ``value`` is that of the first objective; ``objectives`` holds all of them by metric.
    """

    trial: int
    configuration: Configuration
    budget: int
    metrics: Metrics
    value: float
    objectives: Metrics

    def to_json(self) -> Json:
        return plain(asdict(self))


class Workspace:
    """A directory with a journal, checkpoints and artefacts.

    Args:
        path: The directory; ``$AUTOML_WORKSPACE`` or ``./automl-workspace`` when None.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path or os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE)
        self.store = Store(self.path)
        self._database: Database | None = None

    def database(self, create: bool = False) -> Database:
        """Opens the journal, once.

        Raises:
            RequestError: When there is none and ``create`` is False.
        """
        if self._database is None:
            if self.path.exists() and not self.path.is_dir():
                raise RequestError(f"a workspace must be a directory, but {self.path} is a file; pass --workspace DIR")
            self._database = Database(self.path / JOURNAL, create)
        return self._database

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def exists(self) -> bool:
        return (self.path / JOURNAL).exists()

    def store_for(self, spec: StudySpec) -> Store:
        """Gives the store of a study: the workspace itself, or what its ``store`` names.

        There, this workspace keeps to a folder of its own, since studies are numbered within a workspace.
        """
        if spec.store is None:
            return self.store
        return open_store(f"{spec.store.rstrip('/')}/{self._identity()}")

    def _identity(self) -> str:
        """A name that no other workspace has, made up once."""
        path = self.path / IDENTITY
        if not path.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            written = path.with_name(f"{IDENTITY}.{os.getpid()}")
            written.write_text(f"workspace-{uuid.uuid4().hex[:12]}")
            with contextlib.suppress(FileExistsError):
                os.link(written, path)  # the first one stays
            written.unlink()
        return path.read_text()

    def studies(self) -> list[StudySummary]:
        """Lists the studies, oldest first; none where there is no workspace yet."""
        if not self.exists():
            return []
        return [self.record(row.name).summary for row in rows(self.database())]

    def record(self, name: str) -> StudyRecord:
        """Finds a study.

        Raises:
            RequestError: When there is none of that name, with the nearest names.
        """
        return StudyRecord(self, StudyJournal.open(self.database(), name))

    def delete(self, name: str) -> None:
        """Forgets a study and removes its checkpoints, and those of its artefacts that no other study has asked for.

        Raises:
            RequestError: When there is none, or another process runs it.
        """
        journal = StudyJournal.open(self.database(), name)
        with self.lock(journal):
            orphans = journal.own_addresses()
            store = self.store_for(StudySpec.from_json(journal.row.spec))
            journal.delete()
            store.remove(f"checkpoints/{journal.row.id}")
            for address in orphans:
                store.remove(f"artefacts/{address}")
        self._lock_path(journal).unlink(missing_ok=True)

    @contextmanager
    def lock(self, journal: StudyJournal) -> Iterator[None]:
        """Makes this process the study's only writer.

        Raises:
            RequestError: When another process is, naming it.
        """
        self.database().require_writable()
        lock = self._try_lock(journal)
        if lock is None:
            raise RequestError(
                f"a study must be written by one process, but {journal.row.name!r} is being run by "
                f"{journal.owner() or 'another process'}; wait for it, or end it"
            )
        try:
            yield
        finally:
            lock.release()

    def is_running(self, journal: StudyJournal) -> bool:
        """Whether some process runs the study now; in a workspace that can only be read, none is taken to."""
        if self.database().read_only:
            return False
        lock = self._try_lock(journal)
        if lock is not None:
            lock.release()
        return lock is None

    def _try_lock(self, journal: StudyJournal) -> BaseFileLock | None:
        path = self._lock_path(journal)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _lock_path(self, journal: StudyJournal) -> Path:
        return self.path / "locks" / f"{journal.row.id}.lock"


class StudyRecord:
    """A study as recorded.

    Args:
        workspace: Where it is.
        journal: Its part of the journal.
    """

    def __init__(self, workspace: Workspace, journal: StudyJournal) -> None:
        self.workspace = workspace
        self.journal = journal
        self.spec = StudySpec.from_json(journal.row.spec)

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``interrupted``, ``time-limit`` or ``failed``."""
        status = self.journal.status()
        if status == "running" and not self.workspace.is_running(self.journal):
            return "interrupted"  # its process was killed before it could say so
        return status

    @property
    def retrains(self) -> bool:
        """Whether nothing is searched: the only configuration of the space, a recipe's for example, is retrained."""
        if self.journal.candidates():
            return False
        return any((trial.instruction or {}).get("purpose") == RETRAINING for trial in self.journal.trials())

    @property
    def summary(self) -> StudySummary:
        front = self.front()
        return StudySummary(
            name=self.journal.row.name,
            space=self.spec.space.name,
            searcher=RETRAINING if self.retrains else self.spec.searcher.name,
            dataset=self.spec.dataset.name if self.spec.dataset else None,
            status=self.status,
            trials=self.journal.candidates(),
            best_value=front[0].value if front else None,
            front=len(front),
            objective=", ".join(self.spec.objectives),
            created=self.journal.row.created,
        )

    def trials(self) -> list[TrialRow]:
        """Lists the trials of both roles by number."""
        rows = [self._row(trial) for trial in self.journal.trials()]
        if all(row.status not in UNDER_WAY for row in rows) or self.status == "running":
            return rows
        return [replace(row, status="interrupted") if row.status in UNDER_WAY else row for row in rows]

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        return tuple(parse_objective(text, {}, open_ended=True) for text in self.spec.objectives)

    @property
    def ranking(self) -> str | None:
        """Name of the estimator whose estimates rank; None where measured values do."""
        return self.spec.estimators[0].name if self.spec.estimators else None

    def best(self) -> Best | None:
        """Gives the best candidate, or None when none has a value yet; of a front, the best in the first objective."""
        if len(self.spec.objectives) > 1:
            return next(iter(self.front()), None)
        trial = self.journal.best()
        return None if trial is None else self._best(trial)

    def front(self) -> list[Best]:
        """Gives the Pareto front among the candidates that got furthest, by the first objective, best first."""
        if len(self.spec.objectives) == 1:
            best = self.best()
            return [] if best is None else [best]
        furthest = [self._best(trial) for trial in self.journal.furthest()]
        losses = [self._losses(one) for one in furthest]
        members = sorted(pareto_front(losses), key=lambda place: (losses[place], place))
        return [furthest[place] for place in members]

    def ended(self, number: int) -> Best | None:
        """Gives a candidate that ended with a value, whatever its rank; None for any other trial."""
        for trial in self.journal.trials():
            if trial.number == number and trial.role == "candidate" and trial.value is not None:
                return self._best(trial) if trial.status not in {*OVER, *UNDER_WAY} else None
        return None

    def _best(self, trial: TrialUpdate) -> Best:
        assert trial.value is not None, "only trials with a value are ranked"
        by_metric = self._by_metric(trial)
        return Best(trial.number, trial.configuration, trial.budget, trial.metrics, trial.value, by_metric)

    def _by_metric(self, trial: TrialUpdate) -> Metrics:
        """Gives what ranks a trial by metric; the table holds the first value apart, and all where there are more."""
        if trial.role == "support":  # ranked by nothing, and free to report less
            named = [objective.metric for objective in self.objectives]
            return {metric: trial.metrics[metric] for metric in named if metric in trial.metrics}
        values = trial.objectives or (() if trial.value is None else (trial.value,))
        return {objective.metric: value for objective, value in zip(self.objectives, values, strict=False)}

    def _losses(self, best: Best) -> Losses:
        return tuple(objective.loss(best.objectives[objective.metric]) for objective in self.objectives)

    def baselines(self, budget: int) -> list[TrialRow]:
        """Lists finished support trials of the search that trained something for comparison at a budget."""
        return [
            self._row(trial)
            for trial in self.journal.trials()
            if trial.role == "support"
            and trial.status == "completed"
            and trial.budget == budget
            and (trial.instruction or {}).get("purpose") == "baseline"
        ]

    def rungs(self) -> list[dict[str, int]]:
        """Counts, per rung budget, the candidates that reached it."""
        budgets = [row.budget for row in self.trials() if row.role == "candidate"]
        return [{"budget": rung, "reached": sum(1 for budget in budgets if budget >= rung)} for rung in self.spec.rungs]

    def failures(self) -> list[TrialRow]:
        """Lists the trials that failed or diverged."""
        return [self._row(trial) for trial in self.journal.trials() if trial.status in OVER - {INFEASIBLE}]

    def infeasible(self) -> list[TrialRow]:
        """Lists the trials that violate a constraint."""
        return [self._row(trial) for trial in self.journal.trials() if trial.status == INFEASIBLE]

    def own_curves(self) -> dict[int, tuple[Point, ...]]:
        """Gives the learning curves of the searcher's own support trials, as far as they have been told, by number."""
        own = {trial.number for trial in self.journal.trials() if trial.role == "support"}
        own -= self.journal.addressed() if own else set()
        points: dict[int, list[Point]] = {number: [] for number in sorted(own)}
        for number, curve in self.journal.curves() if own else ():
            if number in points:
                points[number] += (Point(unit, metrics) for unit, metrics in curve)
        return {number: tuple(curve) for number, curve in points.items() if curve}

    @property
    def simulated_seconds(self) -> float | None:
        """How much simulated time the study took; None where it runs in real time."""
        return self.journal.last_at() if self.spec.executor.name == "simulated" else None

    def to_json(self, times: bool = True) -> Json:
        """Gives all of it as JSON; without times, two runs of the same study give the same."""
        trials = [asdict(row) for row in self.trials()]
        best = self.best()
        document = {
            "study": self.journal.row.name,
            "status": self.status,
            "spec": self.spec.to_json(),
            "trials": trials,
            "rungs": self.rungs(),
            "best": best.to_json() if best else None,
        }
        if len(self.spec.objectives) > 1:
            document["front"] = [one.to_json() for one in self.front()]
        if len(self.spec.rungs) > 1:
            document["audit"] = [one.to_json() for one in audit(self)]
        if curves := self.own_curves():
            document["curves"] = {
                number: [{"unit": point.unit, **point.metrics} for point in curve] for number, curve in curves.items()
            }
        if times:
            document["created"] = self.journal.row.created
        else:
            for trial in trials:
                del trial["cost"]
        return plain(document)

    def _row(self, trial: TrialUpdate) -> TrialRow:
        return TrialRow(
            number=trial.number,
            role=trial.role,
            label=trial.label,
            status=trial.status,
            configuration=trial.configuration,
            budget=trial.budget,
            rung=sum(1 for rung in self.spec.rungs if trial.budget >= rung) if trial.role == "candidate" else 0,
            value=trial.value,
            objectives=self._by_metric(trial),
            metrics=trial.metrics,
            cost=trial.cost,
            attempts=trial.attempts,
            error=trial.error,
        )


def plain(value: Json) -> Json:
    """Makes a value that strict JSON can hold: mappings and sequences plain, numbers that are not finite None."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
