"""Studies on a scheduler that somebody else runs: several hosts, played by processes on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from dask_toys import TracedEvaluator, eventually, interrupt_when, scheduler, worker

from automl_core import Study
from automl_core.engine.state import StudyState
from automl_core.errors import RequestError
from automl_core.testing.doubles import ToySpace
from automl_dask.connection import connect
from automl_dask.executor import ClusterLost
from automl_dask.quiet import quiet


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and two workers; the second may use three threads."""
    directory = tmp_path_factory.mktemp("hosts")
    with (
        scheduler(directory) as (address, _),
        worker(address, directory, "--nanny", "--name", "one"),
        worker(address, directory, "--nanny", "--name", "two", "--nthreads", "3"),
    ):
        yield address


@pytest.fixture
def hosts(address: str) -> str:
    """The address, once both workers are there and have imported what takes time."""
    with quiet(), connect(address) as client:
        client.wait_for_workers(2, timeout=60)
        client.run(lambda: [__import__(name) for name in ("dask_toys", "automl_dask.station", "automl_searchers.asha")])
    return address


def study(directory: Path, evaluator: TracedEvaluator, **changed: Any) -> Study:
    settings: dict[str, Any] = {
        "space": ToySpace(4),
        "evaluator": evaluator,
        "trials": 5,
        "max_budget": 4,
        "workspace": directory / "workspace",
        "name": "study",
    }
    return Study(**settings | changed)


def on(address: str, workers: int | None = None) -> dict[str, Any]:
    return {"executor": "dask", "workers": workers, "options": {"executor": {"address": address}}}


def decided(one: Study) -> Any:
    told: dict[str, Any] = one.record.to_json(times=False)
    return [told["best"], [{**trial, "cost": 0} for trial in told["trials"]]]


def values(one: Study) -> list[float | None]:
    return [row.value for row in one.record.trials()]


def replayed(one: Study) -> StudyState:
    assert one._journal is not None
    state = StudyState(one.assembly.searcher(), one.assembly.problem)
    state.replay(one._journal.events())
    return state


def test_one_worker_gives_what_a_serial_run_gives(hosts: str, tmp_path: Path) -> None:
    serial = study(tmp_path / "serial", TracedEvaluator(tmp_path)).run()
    elsewhere = study(tmp_path / "dask", TracedEvaluator(tmp_path), **on(hosts, 1)).run()
    assert decided(elsewhere) == decided(serial)
    assert {trace["process"] for trace in TracedEvaluator(tmp_path).traces()} > {str(os.getpid())}


def test_all_workers_are_used_and_the_journal_replays(hosts: str, tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path, pause=0.05)
    done = study(tmp_path, evaluator, trials=8, **on(hosts)).run()
    state = replayed(done)
    assert done.status == "finished" and not state.pending and state.incumbent == done.best.trial
    traces = evaluator.traces()
    assert {trace["threads"] for trace in traces} == {"1", "3"}, "each job has the threads of its worker"
    assert len({trace["process"] for trace in traces}) == 2
    assert len(units(evaluator)) == len(traces)


def test_threads_asked_for_and_workers_asked_for(hosts: str, tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path)
    study(tmp_path, evaluator, threads=2, **on(hosts, 1)).run()
    traces = evaluator.traces()
    assert {trace["threads"] for trace in traces} == {"2"} and len({trace["process"] for trace in traces}) == 1


def test_jobs_go_where_their_trials_live(hosts: str, tmp_path: Path) -> None:
    """With as many paused trials as workers, each goes on with the object that it began with."""
    evaluator = TracedEvaluator(tmp_path, pause=0.05)
    options = {"executor": {"address": hosts}, "searcher": {"kind": "stop"}}
    study(tmp_path, evaluator, trials=2, executor="dask", options=options, max_budget=8).run()
    homes = {(trace["trial"], trace["process"], trace["object"]) for trace in evaluator.traces()}
    assert len(homes) == 2, homes


def test_interrupted_jobs_leave_checkpoints_and_the_study_goes_on(hosts: str, tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path, pause=0.3)
    cut = study(tmp_path, evaluator, trials=2, max_budget=8, **on(hosts))
    interrupt_when(lambda: len(evaluator.traces()) >= 4)
    cut.run()
    assert cut.status == "interrupted"
    before = len(evaluator.traces())
    assert 4 <= before <= 9, "the jobs were cut at their next unit"
    assert list((tmp_path / "workspace" / "checkpoints").rglob("progress.json"))
    evaluator.pause = 0.0
    done = Study.resume("study", workspace=tmp_path / "workspace", space=ToySpace(4), evaluator=evaluator)
    assert done.status == "finished" and len(units(evaluator)) > before


def units(evaluator: TracedEvaluator) -> set[tuple[str, str]]:
    """What was trained; nothing twice."""
    traces = evaluator.traces()
    once = {(trace["trial"], trace["unit"]) for trace in traces}
    assert len(once) == len(traces)
    return once


def test_workers_may_come_late_and_the_wait_can_be_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluator = TracedEvaluator(tmp_path, pause=0.1)
    with scheduler(tmp_path) as (address, _):
        interrupt_when(lambda: "has no worker yet" in caplog.text)
        waiting = study(tmp_path, evaluator, trials=4, **on(address))
        assert waiting.run().status == "interrupted" and evaluator.traces() == []

        with worker(address, tmp_path, "--no-nanny", "--name", "first"), ExitStack() as stack:

            def join() -> None:
                eventually(lambda: len(evaluator.traces()) >= 2)
                stack.enter_context(worker(address, tmp_path, "--no-nanny", "--name", "late"))

            threading.Thread(target=join).start()
            evaluator.pause = 0.5
            done = Study.resume("study", workspace=tmp_path / "workspace", space=ToySpace(4), evaluator=evaluator)
    assert done.status == "finished" and replayed(done).incumbent == done.best.trial
    assert len({trace["process"] for trace in evaluator.traces()}) == 2, "the late one has worked too"


def test_a_killed_worker_loses_nothing_but_time(hosts: str, tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path, actions={0: "kill"}, at=6)
    killed = study(tmp_path, evaluator, trials=1, max_budget=8, **on(hosts, 1)).run()
    assert killed.status == "finished"
    trial = [trace for trace in evaluator.traces() if trace["trial"] == "0"]
    attempts = {attempt: [int(one["unit"]) for one in trial if one["attempt"] == attempt] for attempt in ("0", "1")}
    assert attempts == {"0": [0, 1, 2, 3, 4, 5, 6], "1": [5, 6, 7, 8]}, "it went on from its checkpoint at 4"
    undisturbed = study(tmp_path / "undisturbed", TracedEvaluator(tmp_path), trials=1, max_budget=8).run()
    assert values(killed) == values(undisturbed)


def test_a_lost_scheduler_ends_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path, pause=0.2)
    with scheduler(tmp_path) as (address, process), worker(address, tmp_path, "--no-nanny"):

        def kill() -> None:
            eventually(lambda: len(evaluator.traces()) >= 3)
            process.kill()

        threading.Thread(target=kill).start()
        lost = study(tmp_path, evaluator, **on(address))
        with pytest.raises(ClusterLost, match=f"the one at {address} is gone.*'automl resume STUDY'"):
            lost.run()
    assert lost.status == "interrupted"
    evaluator.pause = 0.0
    done = Study.resume(
        "study", workspace=tmp_path / "workspace", space=ToySpace(4), evaluator=evaluator, executor="serial"
    )
    assert done.status == "finished" and len(done.trials) == 5


SCRIPT = """
import sys
from pathlib import Path
from dask_toys import TracedEvaluator
from automl_core import Study
from automl_core.testing.doubles import ToySpace

directory, on = Path(sys.argv[1]), {"executor": {"address": sys.argv[2]}}
slow = TracedEvaluator(directory, pause=0.3)
Study(ToySpace(4), evaluator=slow, trials=9, max_budget=8, workspace=directory, executor="dask", options=on).run()
"""


def test_workers_stop_when_the_run_is_killed(hosts: str, tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path), hosts], env=environment)
    try:
        eventually(lambda: len(evaluator.traces()) >= 5 or process.poll() is not None)
        process.kill()
    finally:
        process.wait()
    before = len(evaluator.traces())
    eventually(lambda: not any(calls for calls in busy(hosts)))
    assert 5 <= before <= len(evaluator.traces()) <= before + 4, "each worker has ended the unit that it was in"


def test_a_full_disk_on_a_worker_comes_out_as_such(hosts: str, tmp_path: Path) -> None:
    full = study(tmp_path, TracedEvaluator(tmp_path, actions={1: "fill"}), **on(hosts))
    with pytest.raises(OSError, match="no space left on this toy"):
        full.run()
    assert Study.resume("study", workspace=tmp_path / "workspace", space=ToySpace(4), evaluator=full.assembly.evaluator)


def test_what_workers_lack_is_named(hosts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("from dask_toys import TracedEvaluator\nclass Here(TracedEvaluator): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    lacking = study(tmp_path, only_here.Here(tmp_path), **on(hosts))
    with pytest.raises(RequestError, match="No module named 'only_here'; install there what is installed here"):
        lacking.run()


def test_a_store_that_workers_do_not_see_is_refused(hosts: str, tmp_path: Path) -> None:
    alone = study(tmp_path, TracedEvaluator(tmp_path), store="memory://alone", **on(hosts))
    with pytest.raises(
        RequestError, match=r"does not see at memory://alone/.* what was just written there; pass --store"
    ):
        alone.run()


def test_a_store_at_a_url(hosts: str, tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path, actions={0: "kill"}, at=6)
    place = f"file://{tmp_path}/store"
    killed = study(tmp_path, evaluator, trials=1, max_budget=8, store=place, **on(hosts, 1)).run()
    assert killed.status == "finished"
    again = [int(one["unit"]) for one in evaluator.traces() if one["trial"] == "0" and one["attempt"] == "1"]
    assert again == [5, 6, 7, 8]
    assert list((tmp_path / "store").rglob("manifest.json"))
    assert not (tmp_path / "workspace" / "checkpoints").exists()


def test_what_cannot_be_sent_is_refused(hosts: str, tmp_path: Path) -> None:
    evaluator = TracedEvaluator(tmp_path)
    evaluator.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(RequestError, match=r"can be sent to a worker, but .*lock.*--executor serial"):
        study(tmp_path, evaluator, **on(hosts)).run()


def test_addresses_without_a_scheduler_are_refused_in_time(hosts: str) -> None:
    (a_worker,) = connected_workers(hosts)[:1]
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.socket() as closed, quiet():
        closed.bind(("127.0.0.1", 0))
        refused = {
            f"tcp://127.0.0.1:{mute.getsockname()[1]}": "no answer within 6 s",
            f"tcp://127.0.0.1:{closed.getsockname()[1]}": "OSError: Timed out trying to connect",
            a_worker: "a Worker answers there",
            "tcp://no-such-host.invalid:8786": "OSError",
            "nonsense://x": "unknown address scheme 'nonsense'",
            "tcp://127.0.0.1:999999": "OSError",
            "tcp://": "missing port number",
        }
        with ThreadPoolExecutor(len(refused)) as at_once:
            messages = dict(zip(refused, at_once.map(refusal, refused), strict=True))
    for address, reason in refused.items():
        assert messages[address].startswith(f"a Dask scheduler must answer at the address given, but {address!r} does")
        assert reason in messages[address] and "pass --dask with the address that" in messages[address]


def refusal(address: str) -> str:
    began = time.monotonic()
    with pytest.raises(RequestError) as raised:
        connect(address)
    assert time.monotonic() - began < 10
    return str(raised.value)


def busy(address: str) -> list[int]:
    """How many tasks each worker is executing."""
    with quiet(), connect(address) as client:
        return list(client.run(lambda dask_worker: len(dask_worker.state.executing)).values())


def connected_workers(address: str) -> list[str]:
    with quiet(), connect(address) as client:
        return list(client.scheduler_info(n_workers=-1)["workers"])
