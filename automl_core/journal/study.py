"""One study's part of the journal: its row, its events and the tables that ``show`` and ``best`` read."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal

from automl_core.errors import RequestError, unknown
from automl_core.journal.database import Database
from automl_core.spec import check_name
from automl_core.types import Json, Metrics

EventKind = Literal["ask", "tell", "extend", "instruct"]

encode = json.JSONEncoder(separators=(",", ":")).encode
"""Built once: ``json.dumps`` with separators builds an encoder at every call."""

INSERT_EVENT = "INSERT INTO events VALUES (?,?,?,?,?)"
INSERT_TRIAL = "INSERT INTO trials VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
UPDATE_TRIAL = (
    "UPDATE trials SET status = ?, budget = ?, value = ?, loss = ?, metrics = ?, cost = ?, attempts = ?, error = ?, "
    "objectives = ? "
    "WHERE study = ? AND number = ?"
)

MEASURED = (
    # Most of an outcome is its curve, of which the last point is wanted. What holds NaN is no JSON to SQLite.
    "SELECT CASE WHEN json_valid(payload) THEN json_extract(payload, '$.trial', '$.outcome.status', '$.outcome.budget',"
    " '$.outcome.cost', '$.outcome.estimates', '$.outcome.curve[#-1][1]') ELSE payload END "
    "FROM events WHERE study = ? AND kind = 'tell' ORDER BY sequence"
)

RANKED = (
    "SELECT * FROM trials WHERE study = ? AND role = 'candidate' AND loss IS NOT NULL "
    "AND status NOT IN ('failed', 'diverged', 'infeasible')"
)


@dataclass(frozen=True)
class StudyRow:
    """A study as its row tells it."""

    id: int
    name: str
    created: float
    spec: Json
    status: str
    owner: str


@dataclass(frozen=True, slots=True)
class TrialUpdate:
    """A trial's line in the table behind ``show``, as it stands after an event."""

    number: int
    role: str
    label: str
    configuration: Json
    instruction: Json
    status: str
    budget: int
    value: float | None
    loss: float | None
    metrics: Json
    cost: float
    attempts: int
    error: str
    objectives: Json = ()


class StudyJournal:
    """Appends to and reads one study's events.

    Args:
        database: The workspace's file.
        row: The study's row.
    """

    def __init__(self, database: Database, row: StudyRow) -> None:
        self.database = database
        self.row = row
        ((last,),) = database.read("SELECT coalesce(max(sequence), -1) FROM events WHERE study = ?", (row.id,))
        self._next = last + 1
        self._events: list[tuple[int, int, EventKind, str, float]] = []
        self._changed: dict[int, TrialUpdate] = {}
        self._begun: set[int] = set()
        self.clock: Callable[[], float] = time.time
        """What events are dated by; the executor's clock while a study runs."""

    @classmethod
    def create(cls, database: Database, name: str, spec: Json) -> StudyJournal:
        """Writes the study's row, before anything else of it, so that ``resume`` always finds it.

        Raises:
            RequestError: When a study of that name exists.
        """
        try:
            with database.transaction() as connection:
                connection.execute(
                    "INSERT INTO studies (name, created, spec, status) VALUES (?, ?, ?, 'running')",
                    (name, time.time(), json.dumps(spec)),
                )
        except sqlite3.IntegrityError:
            raise taken(name) from None
        return cls.open(database, name)

    @classmethod
    def open(cls, database: Database, name: str) -> StudyJournal:
        """Finds a study by name.

        Raises:
            RequestError: When there is none, with the nearest names.
        """
        check_name(name)
        found = rows(database, name)
        if not found:
            names = [row.name for row in rows(database)]
            raise unknown("study", name, names, f"'automl studies' lists those of {database.path.parent}")
        return cls(database, found[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Groups events: a tell and the asks that it causes are one transaction, written on leaving the block.

        A block without events writes nothing; one that raises writes nothing either.
        """
        before = self._next
        try:
            yield
            if self._events or self._changed:
                with self.database.transaction() as connection:
                    connection.executemany(INSERT_EVENT, self._events)
                    for number, trial in self._changed.items():
                        if number in self._begun:
                            connection.execute(INSERT_TRIAL, (self.row.id, number, *_fixed(trial), *_progress(trial)))
                        else:
                            connection.execute(UPDATE_TRIAL, (*_progress(trial), self.row.id, number))
        except BaseException:
            self._next = before
            raise
        finally:
            self._events.clear()
            self._changed.clear()
            self._begun.clear()

    def append(self, kind: EventKind, payload: Json, trial: TrialUpdate | None = None, new: bool = False) -> None:
        """Records an event, and the line of the trial that it changes or begins. Call within :meth:`transaction`."""
        self._events.append((self.row.id, self._next, kind, encode(payload), self.clock()))
        self._next += 1
        if trial is not None:
            self._changed[trial.number] = trial
        if trial is not None and new:
            self._begun.add(trial.number)

    def update(self, trial: TrialUpdate) -> None:
        """Changes the line of a trial without an event. Call within :meth:`transaction`."""
        self._changed[trial.number] = trial

    @property
    def length(self) -> int:
        """How many events there are."""
        return int(self._next)

    def events(self) -> Iterator[tuple[EventKind, Json]]:
        """Yields every event in order."""
        query = "SELECT kind, payload FROM events WHERE study = ? ORDER BY sequence"
        for kind, payload in self.database.read(query, (self.row.id,)):
            yield kind, json.loads(payload)

    def measured(self) -> Iterator[tuple[int, int, float, dict[str, Metrics], Metrics]]:
        """Yields every outcome of a candidate that was done: trial, budget, cost, estimates and last metrics."""
        query = "SELECT number FROM trials WHERE study = ? AND role = 'candidate'"
        candidates = {number for (number,) in self.database.read(query, (self.row.id,))}
        for (text,) in self.database.read(MEASURED, (self.row.id,)):
            told = json.loads(text)
            if isinstance(told, dict):
                outcome = told["outcome"]
                last = outcome["curve"][-1][1] if outcome["curve"] else None
                told = [told["trial"], *(outcome[name] for name in ("status", "budget", "cost", "estimates")), last]
            trial, status, budget, cost, estimates, metrics = told
            if status == "done" and trial in candidates:
                yield trial, budget, cost, estimates, metrics or {}

    def curves(self) -> Iterator[tuple[int, Json]]:
        """Yields the trial and the part of its learning curve that each outcome brought, in order."""
        for kind, payload in self.events():
            if kind == "tell":
                yield payload["trial"], payload["outcome"]["curve"]

    def addressed(self) -> set[int]:
        """Gives the trials that the engine trains for an address, and not the searcher of its own."""
        query = (
            "SELECT DISTINCT json_extract(payload, '$.job.trial') FROM events "
            "WHERE study = ? AND kind = 'ask' AND json_extract(payload, '$.address') IS NOT NULL"
        )
        return {number for (number,) in self.database.read(query, (self.row.id,))}

    def last_at(self) -> float:
        """Reads when the last event happened, on the clock of the executor that ran; 0 when there is none."""
        query = "SELECT at FROM events WHERE study = ? ORDER BY sequence DESC LIMIT 1"
        found = self.database.read(query, (self.row.id,))
        return float(found[0][0]) if found else 0.0

    def begun(self, trial: int) -> Json:
        """Gives the payload of the ask that began a trial: its job, its address, what it requires."""
        query = (
            "SELECT payload FROM events WHERE study = ? AND kind = 'ask' AND json_extract(payload, '$.job.trial') = ? "
            "ORDER BY sequence LIMIT 1"
        )
        ((payload,),) = self.database.read(query, (self.row.id, trial))
        return json.loads(payload)

    def trials(self) -> Iterator[TrialUpdate]:
        """Yields the lines behind ``show`` by trial number."""
        query = "SELECT * FROM trials WHERE study = ? ORDER BY number"
        for row in self.database.read(query, (self.row.id,)):
            yield _trial(row)

    def best(self) -> TrialUpdate | None:
        """Gives the candidate with the best first value among those that got furthest, or None."""
        found = self.database.read(f"{RANKED} ORDER BY budget DESC, loss, number LIMIT 1", (self.row.id,))
        return _trial(found[0]) if found else None

    def furthest(self) -> list[TrialUpdate]:
        """Lists the candidates with a value that got furthest, by number."""
        own = (self.row.id,)
        return [
            _trial(row)
            for row in self.database.read(
                f"{RANKED} AND budget = (SELECT max(budget) FROM ({RANKED})) ORDER BY number", own + own
            )
        ]

    def candidates(self) -> int:
        """Counts the candidate trials."""
        query = "SELECT count(*) FROM trials WHERE study = ? AND role = 'candidate'"
        ((count,),) = self.database.read(query, (self.row.id,))
        return int(count)

    def own_addresses(self) -> list[str]:
        """Lists the addresses of artefacts that this study asked for and no other one did."""
        query = (
            "SELECT DISTINCT json_extract(payload, '$.address') FROM events "
            "WHERE kind = 'ask' AND json_extract(payload, '$.address') IS NOT NULL AND study "
        )
        own = {address for (address,) in self.database.read(query + "= ?", (self.row.id,))}
        return sorted(own - {address for (address,) in self.database.read(query + "!= ?", (self.row.id,))})

    def status(self) -> str:
        """Reads how the study stands, as last written."""
        return self._read_own("status")

    def owner(self) -> str:
        """Reads who last ran the study."""
        return self._read_own("owner")

    def _read_own(self, column: str) -> str:
        found = self.database.read(f"SELECT {column} FROM studies WHERE id = ?", (self.row.id,))
        if not found:
            raise RequestError(f"study {self.row.name!r} must be there, but was deleted meanwhile; run a new one")
        return str(found[0][0])

    def set_status(self, status: str, owner: str = "") -> None:
        """Writes how the study stands and who runs it."""
        with self.database.transaction() as connection:
            connection.execute("UPDATE studies SET status = ?, owner = ? WHERE id = ?", (status, owner, self.row.id))

    def delete(self) -> None:
        """Forgets the study."""
        with self.database.transaction() as connection:
            for table in ("events", "trials"):
                connection.execute(f"DELETE FROM {table} WHERE study = ?", (self.row.id,))
            connection.execute("DELETE FROM studies WHERE id = ?", (self.row.id,))


def rows(database: Database, name: str | None = None) -> list[StudyRow]:
    """Lists the studies of a workspace, oldest first."""
    query = "SELECT id, name, created, spec, status, owner FROM studies"
    found = database.read(query + " ORDER BY id") if name is None else database.read(query + " WHERE name = ?", (name,))
    return [
        StudyRow(id_, its_name, created, json.loads(spec), status, owner)
        for id_, its_name, created, spec, status, owner in found
    ]


def taken(name: str) -> RequestError:
    """Builds the error for a study's name that exists already."""
    return RequestError(
        f"a study's name must be new, but {name!r} exists in this workspace; choose another --name, go on with "
        f"'automl resume {name}', or remove it with 'automl delete {name}'"
    )


def _fixed(trial: TrialUpdate) -> tuple[Json, ...]:
    """The columns that never change."""
    return trial.role, trial.label, encode(trial.configuration), encode(trial.instruction)


def _progress(trial: TrialUpdate) -> tuple[Json, ...]:
    """The columns that change while a trial advances."""
    loss = trial.loss if trial.loss is not None and math.isfinite(trial.loss) else None
    metrics = encode(trial.metrics) if trial.metrics else "{}"
    objectives = encode(trial.objectives) if len(trial.objectives) > 1 else "[]"
    return trial.status, trial.budget, trial.value, loss, metrics, trial.cost, trial.attempts, trial.error, objectives


def _trial(row: tuple[Json, ...]) -> TrialUpdate:
    values = dict(zip((one.name for one in fields(TrialUpdate)), row[1:], strict=True))
    for name in ("configuration", "instruction", "metrics", "objectives"):
        values[name] = json.loads(values[name])
    return TrialUpdate(**values)
