"""Runs a study: locks it, replays its journal, drives the engine, and says in its row how it ended."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from automl_core.engine.artefacts import Artefacts
from automl_core.engine.loop import Engine, Resources
from automl_core.engine.observers import Observers
from automl_core.engine.progress import Progress
from automl_core.engine.state import StudyState
from automl_core.engine.worker import Worker
from automl_core.errors import RequestError, StudyFailed, reason
from automl_core.plugins import get_registry
from automl_core.types import OVER, Json

if TYPE_CHECKING:
    from automl_core.assembly import Assembly
    from automl_core.interfaces import Executor
    from automl_core.journal import StudyJournal
    from automl_core.storage import Store
    from automl_core.study import Study

log = logging.getLogger(__name__)


def run_study(
    study: Study, time_limit: float | None, progress: Progress, trials: int | None = None, instruction: Json = None
) -> str:
    """Searches until done or cut short.

    Args:
        study: A study whose row is written.
        time_limit: Seconds; None for no limit.
        progress: Watches.
        trials: Extends the study to so many candidates in all.
        instruction: What a person decides in the searcher's place.

    Returns:
        ``finished``, ``interrupted`` or ``time-limit``.

    Raises:
        RequestError: For a time limit that is not above 0, and a study that is a retraining.
        StudyFailed: When every candidate failed.
    """
    check_time_limit(time_limit)
    if study.record.retrains:
        raise RequestError(
            f"a search must not go on with a retraining, but study {study.name!r} is one; go on with what began it "
            "('automl retrain RECIPE.yaml ...', or Study.retrain()), or search in a new study"
        )
    with session(study, time_limit, progress) as engine:
        if trials is not None:
            _extend(engine, trials)
        if instruction is not None:
            with engine.resources.journal.transaction():
                engine.state.instructed(instruction)
                engine.resources.journal.append("instruct", {"instruction": instruction})
        engine.observers.started()
        engine.search()
        _compare(study, engine)
        study.status = engine.cut_short or _ending(engine)
    if not engine.cut_short:
        engine.observers.finished()
    progress.finished(study)
    if study.status == "failed":
        raise StudyFailed(_first_failure(engine))
    return study.status


def check_time_limit(time_limit: float | None) -> None:
    """Refuses a limit that leaves no time.

    Raises:
        RequestError: When it is not above 0.
    """
    if time_limit is not None and not time_limit > 0:
        raise RequestError(f"a time limit must be above 0 seconds, but got {time_limit:g}; raise --time-limit")


@contextmanager
def session(study: Study, time_limit: float | None, progress: Progress, searches: bool = True) -> Iterator[Engine]:
    """Gives an engine at the state that the study's journal tells, while this process is its only writer.

    Args:
        study: A study whose row is written.
        time_limit: Seconds; None for no limit.
        progress: Watches.
        searches: Whether the search goes on; otherwise the study's status stays what it is.

    Raises:
        RequestError: For a time limit that is not above 0, and when another process runs the study.
    """
    check_time_limit(time_limit)
    journal, assembly, store = study.record.journal, study.assembly, study.store
    with study.workspace.lock(journal):
        journal = journal.open(journal.database, journal.row.name)
        # Replayed before the status is touched: where that is refused, the study stays as it is.
        state = StudyState(assembly.searcher(), assembly.problem)
        state.replay(journal.events())
        before, length = journal.status(), journal.length
        journal.set_status("running" if searches else before, f"process {os.getpid()} on {socket.gethostname()}")
        study.status = "interrupted" if searches else before
        try:
            store.sweep(f"checkpoints/{journal.row.id}")
            executor = assembly.executor()
            try:
                executor.start(_worker(assembly, store, executor, progress), since=journal.last_at())
                journal.clock = executor.now
                engine = Engine(state, _resources(assembly, journal, store, executor), _observers(study, progress))
                with _interruptible(engine), _timed(engine, time_limit):
                    yield engine
            finally:
                executor.close()
        except RequestError:
            if journal.length == length:
                study.status = before  # refused before anything was done
            raise
        finally:
            journal.set_status(study.status)


def _observers(study: Study, progress: Progress) -> Observers:
    return Observers(study, get_registry(), progress)


def _worker(assembly: Assembly, store: Store, executor: Executor, progress: Progress) -> Worker:
    return Worker(
        assembly.workbench,
        store,
        device=assembly.spec.device,
        threads=assembly.spec.threads if executor.remote else assembly.threads,
        metrics=assembly.named_metrics,
        observe=progress.observed,
        cached=1 if executor.remote else assembly.workers,
    )


def _resources(assembly: Assembly, journal: StudyJournal, store: Store, executor: Executor) -> Resources:
    names = [part.name for part in assembly.spec.estimators]
    return Resources(
        journal=journal,
        store=store,
        executor=executor,
        artefacts=Artefacts(assembly.problem, assembly.workbench, assembly.identity, assembly.own_setting),
        workers=assembly.spec.workers,
        constraints=assembly.constraints,
        fixed_metrics=assembly.evaluator.fixed_metrics,
        retention=assembly.spec.checkpoint,
        disk_budget=assembly.spec.disk_budget,
        curve_estimators=assembly.curve_estimators,
        ranking=names[0] if names else None,
    )


@contextmanager
def _timed(engine: Engine, time_limit: float | None) -> Iterator[None]:
    """Ends the run at the first unit after the time limit, whoever is training by then."""
    if time_limit is None:
        yield
        return
    timer = threading.Timer(time_limit, engine.interrupt, args=("time-limit",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _interruptible(engine: Engine) -> Iterator[None]:
    """Makes the first Ctrl-C (or SIGTERM) end the run at the next unit, and the second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What the caller ignores stays ignored: a shell starts its background jobs so.
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }

    def first(number: int, frame: FrameType | None) -> None:
        engine.interrupt()
        engine.observers.progress.stopping()
        for one, at_once in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if one in before:
                signal.signal(one, at_once)

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _extend(engine: Engine, trials: int) -> None:
    state = engine.state
    started = sum(1 for trial in state.trials if trial.job.role == "candidate")
    if type(trials) is not int:
        raise RequestError(f"trials must be a whole number, but got {trials!r}; pass --trials {started + 1} or more")
    if trials <= 0 or trials < started:
        raise RequestError(
            f"a study can only be extended, but it has {started} candidates and --trials {trials} was asked for; "
            f"pass --trials {started + 1} or more"
        )
    if trials == state.problem.trials:
        return
    with engine.resources.journal.transaction():
        state.extended(trials)
        engine.resources.journal.append("extend", {"trials": trials})


def _compare(study: Study, engine: Engine) -> None:
    """Trains what the evaluator wants to see beside the best configuration, on the same budget."""
    incumbent = engine.state.incumbent
    if engine.cut_short or incumbent is None:
        return
    best = engine.state.trials[incumbent]
    description = study.assembly.space.decode(best.job.configuration)
    try:
        requests = study.assembly.evaluator.baselines(description, best.budget)
    except Exception:
        log.exception("the evaluator cannot say what to compare the best with; the search itself is done")
        return
    engine.train(requests, "baseline", of=incumbent)


def _ending(engine: Engine) -> str:
    return "failed" if engine.state.incumbent is None else "finished"


def _first_failure(engine: Engine) -> str:
    candidates = [trial for trial in engine.state.trials if trial.job.role == "candidate"]
    own = [trial for trial in engine.state.trials if trial.job.role == "support" and trial.status in OVER]
    if not candidates and own:
        return (
            f"the search must train {own[0].label or 'a support trial'} before it can ask for a candidate, but trial "
            f"{own[0].number} {own[0].status}: {reason(own[0].error)}"
        )
    if not candidates:
        return (
            "a search must find a configuration to begin with, but the space's rules and the constraints allow none; "
            "loosen --constraint, or widen the space"
        )
    first = next((trial for trial in candidates if trial.error), candidates[0])
    how = "broke a constraint" if all(trial.status == "infeasible" for trial in candidates) else "failed"
    return (
        f"at least one candidate must end with a value, but all {len(candidates)} {how}; trial {first.number} was the "
        f"first: {reason(first.error)}"
    )
