"""The Dask executor's parts, without a cluster: GPUs, environments, slots, silence, placement, stations."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.protocol.pickle import dumps, loads

import automl_core
from automl_core.engine.worker import Task, Worker
from automl_core.errors import AutomlError, RequestError
from automl_core.plugins import get_registry
from automl_core.storage import open_store
from automl_core.types import Job, Outcome
from automl_dask import executor as module
from automl_dask import local, station
from automl_dask.executor import ClusterLost, DaskExecutor
from automl_dask.local import LocalWorkers, visible_gpus
from automl_dask.quiet import quiet


def nvidia_smi(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a program of that name in front of all others."""
    program = directory / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("visible", "script", "device", "found"),
    [
        (None, "echo 0; echo 1; echo 2", "auto", ["0", "1", "2"]),
        (None, "echo 0; echo 1", "cuda", ["0", "1"]),
        (None, "echo 0; echo 1", "cuda:1", []),
        (None, "echo 0; echo 1", "cpu", []),
        (None, "echo 'No devices were found'", "auto", []),
        (None, "exit 9", "auto", []),
        ("3,GPU-5", "exit 9", "auto", ["3", "GPU-5"]),
        ("", "echo 0", "auto", []),
        ("-1", "echo 0", "auto", []),
    ],
)
def test_gpus_are_found_without_torch(
    visible: str | None, script: str, device: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch, script)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus(device) == found


def test_as_many_workers_as_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    assert DaskExecutor().slots == 5 and DaskExecutor(workers=2).slots == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert DaskExecutor().slots == 2 and DaskExecutor(workers=7, address="tcp://host:1").slots == 7
    assert DaskExecutor(address="tcp://host:1").slots == 1


@pytest.fixture
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that is not there, and worker processes that only sleep."""
    cluster = SimpleNamespace(scheduler_address="tcp://127.0.0.1:1", close=lambda timeout: None)
    monkeypatch.setattr(local, "_scheduler", lambda registered: cluster)
    monkeypatch.setattr(local, "BEGIN", "import time; time.sleep(3600)")


@pytest.mark.usefixtures("_no_cluster")
def test_each_worker_has_its_gpu_and_its_threads(caplog: pytest.LogCaptureFixture) -> None:
    workers = LocalWorkers(3, threads=4, gpus=["0", "GPU-5"])
    try:
        environments = [workers.environment(number) for number in range(3)]
    finally:
        workers.close()
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == ["0", "GPU-5", "0"]
    assert {one["OMP_NUM_THREADS"] for one in environments} == {"4"} == {one["MKL_NUM_THREADS"] for one in environments}
    assert "3 workers share 2 GPU(s)" in caplog.text


@pytest.mark.usefixtures("_no_cluster")
def test_a_worker_that_cannot_begin_is_not_begun_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "BEGIN", f"import sys; sys.exit({local.NOT_BEGUN})")
    workers = LocalWorkers(1, threads=1, gpus=[])
    workers._processes[0].wait()
    with pytest.raises(AutomlError, match="must be able to begin, but number 0 ended with exit code 77"):
        workers.tend()
    monkeypatch.setattr(local, "BEGIN", "import os; os.abort()")
    workers._processes[0] = dead = workers._begin(0)
    dead.wait()
    workers.tend()
    assert workers._processes[0] is not dead
    workers.close()


@pytest.mark.usefixtures("_no_cluster")
@pytest.mark.parametrize(
    ("begin", "ending"),
    [("import os; os.kill(os.getpid(), 9)", "signal SIGKILL"), ("import sys; sys.exit(3)", "exit code 3")],
)
def test_workers_that_cannot_live_are_given_up(
    begin: str, ending: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local, "BEGIN", begin)
    workers = LocalWorkers(2, threads=1, gpus=[])

    def die(registered: bool = False) -> None:
        for process in workers._processes:
            process.wait()
        if registered:
            workers._registered.update(process.pid for process in workers._processes)
        workers.tend()

    try:
        die()
        die()
        assert caplog.messages.count(f"worker process 1 ended with {ending}; another one takes its place") == 2
        for _ in range(4):
            die(registered=True)  # in mid-job: of that, the engine keeps count
        die()
        die()
        with pytest.raises(AutomlError, match=f"3 in a row at place 0 did not, .* {ending}; .* 'ulimit -v'"):
            die()
    finally:
        workers.close()


def test_what_it_is_built_from_travels_and_the_rest_stays() -> None:
    sent = DaskExecutor(workers=3, address="tcp://host:1")
    arrived = pickle.loads(pickle.dumps(sent))  # noqa: S301 - our own
    assert (arrived.workers, arrived.address) == (3, "tcp://host:1")


def test_it_is_registered_and_refuses_no_workers() -> None:
    built = get_registry().create("executor", "dask", {"workers": 2})
    assert isinstance(built, DaskExecutor) and built.remote
    with pytest.raises(RequestError, match="workers must be at least 1, but got 0; pass --workers 1 or more"):
        get_registry().create("executor", "dask", {"workers": 0})


def test_silence_ends_as_it_began() -> None:
    import distributed  # noqa: F401

    names = ("distributed", "distributed.client", "tornado.application", "asyncio")
    before = [logging.getLogger(name).level for name in names]
    with quiet():
        assert not any(logging.getLogger(name).isEnabledFor(logging.CRITICAL) for name in names)
    assert [logging.getLogger(name).level for name in names] == before


# -- placement -----------------------------------------------------------------------------------------------------


def task(trial: int, attempt: int = 0) -> Task:
    return Task(Job(trial, {}, 0, 1, attempt=attempt), description=None, seed=0, max_budget=1)  # type: ignore[arg-type]


class FakeFuture:
    """Ends when told to."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.released = False
        self.callbacks: list[Any] = []
        self.value: Any = None

    def add_done_callback(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def release(self) -> None:
        self.released = True

    def result(self, timeout: float) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def end(self, value: Any) -> None:
        self.value = value
        for callback in self.callbacks:
            callback(self)


class FakeClient:
    """Remembers what is submitted where."""

    status = "running"

    def __init__(self) -> None:
        self.calls: list[SimpleNamespace] = []
        self.told: list[tuple[str, list[str]]] = []
        self.workers = {"a", "b"}

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": self.workers}

    def submit(self, function: Any, session: str, packed: bytes, equipment: Any, forgotten: Any, **options: Any) -> Any:
        assert options["allow_other_workers"] is False and options["pure"] is False
        future = FakeFuture(options["key"])
        (where,) = options["workers"]
        call = SimpleNamespace(
            where=where, task=loads(packed), equipped=equipment is None, forgotten=forgotten, future=future
        )
        self.calls.append(call)
        return future

    def run(self, function: Any, session: str, workers: list[str], on_error: str) -> None:
        self.told.append((function.__name__, workers))

    def close(self, timeout: float) -> None:
        pass


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """An executor on a cluster that is only played, with two workers, a and b."""
    monkeypatch.setattr(module, "LOOKING", 0.01)
    executor, client = DaskExecutor(address="tcp://host:1"), FakeClient()
    executor._client = client  # type: ignore[assignment]
    executor._equipment = station.Equipment("", b"", "", "")

    def hear(what: str, name: str) -> None:
        executor._hear((0.0, {"action": f"{what}-worker", "worker": name}))

    played = SimpleNamespace(executor=executor, client=client, calls=client.calls, hear=hear)
    hear("add", "a")
    hear("add", "b")
    assert executor.wait() == [] and executor.slots == 2
    yield played
    executor.close()


def done(call: SimpleNamespace, status: Any = "done") -> None:
    call.future.end(dumps(Outcome(status, 1)))


def trials(ended: Any) -> list[tuple[int, str]]:
    return [(job.trial, outcome.status) for job, outcome in ended]


def test_jobs_go_where_their_trials_live_and_never_wait_for_that(run: SimpleNamespace) -> None:
    for trial in (0, 1, 2):
        run.executor.submit(task(trial))
    run.executor._place()
    assert [(call.where, call.task.job.trial) for call in run.calls] == [("a", 0), ("b", 1)], "one job a worker"
    done(run.calls[1])
    assert trials(run.executor.wait()) == [(1, "done")]
    assert (run.calls[2].where, run.calls[2].task.job.trial) == ("b", 2)
    done(run.calls[0])
    done(run.calls[2])
    assert sorted(trials(run.executor.wait())) == [(0, "done"), (2, "done")]
    for trial in (2, 0):
        run.executor.submit(task(trial))
    run.executor._place()
    assert [(call.where, call.task.job.trial) for call in run.calls[3:]] == [("b", 2), ("a", 0)], "where they live"
    done(run.calls[4])
    run.executor.wait()
    run.executor.submit(task(2))
    run.executor.submit(task(3))
    run.executor._place()
    assert (run.calls[5].where, run.calls[5].task.job.trial) == ("a", 2), "an idle worker rather than a wait"


def test_what_is_forgotten_travels_with_the_next_job(run: SimpleNamespace) -> None:
    run.executor.submit(task(7))
    run.executor._place()
    done(run.calls[0])
    run.executor.wait()
    run.executor.forget(7)
    run.executor.forget(8)
    for trial in (9, 10):
        run.executor.submit(task(trial))
    run.executor._place()
    assert {call.where: call.forgotten for call in run.calls[1:]} == {"a": (7,), "b": ()}
    assert {call.where: call.equipped for call in run.calls[1:]} == {"a": True, "b": False}


def test_a_lost_worker_loses_its_job_at_once(run: SimpleNamespace) -> None:
    run.executor.submit(task(0))
    run.executor._place()
    run.hear("remove", "a")
    assert trials(run.executor.wait()) == [(0, "lost")]
    assert run.calls[0].future.released and run.executor.slots == 1
    done(run.calls[0])  # what comes after all is of no interest
    run.executor.submit(task(0, attempt=1))
    run.executor._place()
    done(run.calls[1])
    assert [job.attempt for job, _ in run.executor.wait()] == [1]


def test_a_restarted_process_at_an_old_address_is_equipped_again(run: SimpleNamespace) -> None:
    run.executor.submit(task(0))
    run.executor._place()
    run.calls[0].future.end(None)
    run.executor._events.put(("nothing", ""))
    run.executor._take_events()
    run.executor._place()
    assert [(call.task.job.trial, call.equipped) for call in run.calls] == [(0, False), (0, False)]


def test_a_result_that_got_lost_on_the_way_is_a_lost_job(run: SimpleNamespace) -> None:
    run.executor.submit(task(0))
    run.executor._place()
    run.calls[0].future.end(TimeoutError())
    assert trials(run.executor.wait()) == [(0, "lost")]
    run.executor._take_events()
    assert run.executor.slots == 2, "a worker that is still there is used again"


def test_a_worker_that_has_died_gets_no_job_while_word_of_it_is_on_its_way(run: SimpleNamespace) -> None:
    for trial in range(2):
        run.executor.submit(task(trial))
    run.executor._place()
    run.client.workers = {"b"}
    run.calls[0].future.end(TimeoutError())
    assert trials(run.executor.wait()) == [(0, "lost")]
    run.executor.submit(task(2))
    run.executor._place()
    assert run.executor.slots == 1
    assert [call.where for call in run.calls] == ["a", "b"], "the job waits for the one that lives"


def test_cut_jobs_that_wait_come_back_at_once_and_the_others_are_told(run: SimpleNamespace) -> None:
    for trial in range(3):
        run.executor.submit(task(trial))
    run.executor._place()
    run.executor.cut()
    assert trials(run.executor.wait()) == [(2, "interrupted")]
    for call in run.calls:
        done(call, "interrupted")
    assert sorted(trials(run.executor.wait())) == [(0, "interrupted"), (1, "interrupted")]
    assert run.client.told == [("stop", ["a", "b"])]


def test_no_more_workers_than_asked_for(run: SimpleNamespace) -> None:
    run.executor.workers = 1
    for trial in range(2):
        run.executor.submit(task(trial))
    run.executor._place()
    assert run.executor.slots == 1 and [call.where for call in run.calls] == ["a"]


def test_packages_that_are_missing_on_the_cluster_are_named(run: SimpleNamespace) -> None:
    run.executor.submit(task(0))
    run.executor._place()
    run.calls[0].future.end(ModuleNotFoundError("No module named 'automl_dask'"))
    with pytest.raises(
        RequestError, match=f"No module named 'automl_dask'; install automl-graph {automl_core.__version__}"
    ):
        run.executor.wait()


def test_what_has_ended_is_told_before_what_went_wrong(run: SimpleNamespace) -> None:
    for trial in (0, 1):
        run.executor.submit(task(trial))
    run.executor._place()
    run.calls[0].future.end(OSError(28, "full"))
    done(run.calls[1])
    run.client.status = "connecting"
    assert trials(run.executor.wait()) == [(1, "done")]
    with pytest.raises(OSError, match="full"):
        run.executor.wait()


def test_jobs_are_placed_before_anything_is_waited_for(run: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKING", 0.0)
    submit = run.client.submit

    def at_once(*arguments: Any, **options: Any) -> Any:
        future = submit(*arguments, **options)
        future.value = dumps(Outcome("done", 1))
        run.executor._events.put((future.key, run.calls[-1].where))
        return future

    run.client.submit = at_once
    take, looks = run.executor._take_events, []
    run.executor._take_events = lambda: (looks.append(len(run.calls)), take())[1]
    run.executor.submit(task(0))
    assert trials(run.executor.wait()) == [(0, "done")] and looks == [1]


def test_a_lost_scheduler_is_not_waited_for(run: SimpleNamespace) -> None:
    run.executor.submit(task(0))
    run.executor._place()
    run.client.status = "connecting"
    with pytest.raises(ClusterLost, match="the one at tcp://host:1 is gone"):
        run.executor.wait()


# -- stations ------------------------------------------------------------------------------------------------------


class NamingBench:
    """Fails every start with its own name, which shows which worker performed."""

    dataset = None

    def __init__(self, name: str) -> None:
        self.evaluator = self
        self.name = name

    def __call__(self, setting: Any) -> NamingBench:
        return self

    def resolve_device(self, device: str) -> str:
        raise RuntimeError(f"{self.name}, {device}")

    def estimators(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def _in_a_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    process = SimpleNamespace(
        state=SimpleNamespace(nthreads=5, tasks={"key": SimpleNamespace(state="executing")}),
        get_current_task=lambda: "key",
    )
    monkeypatch.setattr(station, "get_worker", lambda: process)
    yield
    station._stations.clear()
    station._stopped.clear()


def equipment(directory: Path, **changed: Any) -> station.Equipment:
    store = open_store(directory)
    with store.writing("probes/one"):
        pass
    worker = Worker(NamingBench("first"), store, threads=None)
    told = {"version": automl_core.__version__, "worker": dumps(worker), "location": "there", "probe": "probes/one"}
    return station.Equipment(**told | changed)


@pytest.mark.usefixtures("_in_a_worker")
def test_a_station_is_asked_for_kept_and_left(tmp_path: Path) -> None:
    packed = dumps(task(0))
    assert station.perform("run", packed, None, ()) is None
    first = station.perform("run", packed, equipment(tmp_path), ())
    assert first is not None and "first, auto" in loads(first).error
    assert station.perform("run", packed, None, (1, 2)) is not None
    assert station._stations["run"].worker.threads == 5, "as many as the worker has, when nobody said"
    station.perform("other", packed, equipment(tmp_path), ())
    assert list(station._stations) == ["other"], "one that does nothing makes way"
    station.leave("other")
    assert station.perform("other", packed, None, ()) is None


@pytest.mark.usefixtures("_in_a_worker")
def test_jobs_stop_when_told_to_or_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = station._cut("run")
    assert not cut()
    station.stop("another")
    assert not cut()
    station.get_worker().state.tasks["key"].state = "cancelled"
    assert cut()
    station.get_worker().state.tasks["key"].state = "executing"
    station.stop("run")
    assert cut()


@pytest.mark.usefixtures("_in_a_worker")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": "0.0.1"}, r"must have the version .* 0\.0\.1, but .* has .*; install automl-graph 0\.0\.1 there"),
        (
            {"worker": b"\x80\x04cnot_here\nWorker\n."},
            "No module named 'not_here'; install there what is installed here",
        ),
        ({"probe": "probes/two"}, "does not see at there what was just written there; pass --store"),
    ],
)
def test_what_a_station_lacks_is_named(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        station.perform("run", dumps(task(0)), equipment(tmp_path, **changed), ())
    assert not station._stations


def test_listing_executors_imports_no_dask() -> None:
    import subprocess

    code = (
        "import sys, automl_core.plugins as p; r = p.get_registry(); r.create('executor', 'dask', {'workers': 2}); "
        "print(sorted({'dask', 'distributed', 'tornado'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
