"""Studies on workers of their own on this machine: they die and are replaced, are told to stop, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dask_toys import TracedEvaluator, alive, descendants, eventually

from automl_core import Study
from automl_core.engine.state import StudyState
from automl_core.testing.doubles import ToySpace
from automl_dask.local import STILLBORN, LocalWorkers

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {beside!r})
from dask_toys import TracedEvaluator
from automl_core import Study
from automl_core.testing.doubles import ToySpace

directory = Path({directory!r})
evaluator = TracedEvaluator(directory, pause={pause}, actions={actions}, at=1)
study = Study(ToySpace(4), evaluator=evaluator, trials=4, max_budget=8, workers=2, workspace=directory, name="study")
print(study.run().status)
"""


def test_killed_workers_are_replaced(tmp_path: Path) -> None:
    """A trial that kills its worker once goes on; one that does so every time fails; the study ends well."""
    evaluator = TracedEvaluator(tmp_path, actions={0: "kill", 1: "kill 3"}, at=1)
    study = Study(
        ToySpace(4), evaluator=evaluator, trials=5, max_budget=4, workers=2, threads=1, workspace=tmp_path, name="study"
    )
    study.run()
    rows = study.record.trials()
    assert study.status == "finished" and [row.status for row in rows].count("failed") == 1
    assert rows[1].status == "failed" and "worker" in rows[1].error and rows[1].attempts == 3
    traces = evaluator.traces()
    assert rows[0].status != "failed" and {one["attempt"] for one in traces if one["trial"] == "0"} == {"0", "1"}
    processes = {trace["process"] for trace in traces}
    # Four were killed and at most two are there at once, so it takes two new ones at least.
    assert len(processes) >= 4 and str(os.getpid()) not in processes
    assert {(trace["threads"], trace["omp"]) for trace in traces} == {("1", "1")}
    assert not any(alive(int(process)) for process in processes)
    assert not list(tmp_path.glob("probe*"))

    again = Study.load("study", workspace=tmp_path, space=ToySpace(4), evaluator=evaluator)
    assert again._journal is not None
    state = StudyState(again.assembly.searcher(), again.assembly.problem)
    state.replay(again._journal.events())
    assert state.incumbent == study.best.trial


def test_workers_that_reached_the_scheduler_are_replaced_however_many(caplog: pytest.LogCaptureFixture) -> None:
    """Also when each dies at once thereafter, as when every job ends its worker; the engine keeps count of those."""
    workers = LocalWorkers(1, threads=1, gpus=[])
    try:
        for deaths in range(1, STILLBORN + 2):
            process = workers._processes[0]
            eventually(lambda pid=process.pid: pid in workers._registered)
            process.kill()
            process.wait()
            workers.tend()
            assert workers._processes[0] is not process and caplog.text.count("ended with signal SIGKILL") == deaths
    finally:
        workers.close()


@contextmanager
def running(directory: Path, units: int, pause: float = 0.3, actions: str = "{}") -> Iterator[subprocess.Popen[str]]:
    """A script with a study that has come some units far. It has no ``if __name__ == "__main__"``."""
    script = directory / "script.py"
    script.write_text(
        SCRIPT.format(beside=str(Path(__file__).parent), directory=str(directory), pause=pause, actions=actions)
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        eventually(lambda: len(TracedEvaluator(directory).traces()) >= units or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_lets_the_units_end(tmp_path: Path) -> None:
    with running(tmp_path, units=5) as process:
        started = descendants(process.pid)
        assert len(started) == 2
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert (out, errors) == ("interrupted\n", "")
    assert not any(map(alive, started)) and not list(tmp_path.glob("automl-dask-*"))
    evaluator = TracedEvaluator(tmp_path)
    before = len(evaluator.traces())
    assert before <= 9 and len(list((tmp_path / "checkpoints").rglob("progress.json"))) >= 1
    Study.resume("study", workspace=tmp_path, workers=1, space=ToySpace(4), evaluator=evaluator)
    units = [(trace["trial"], trace["unit"]) for trace in evaluator.traces()]
    assert len(set(units)) == len(units) > before, "nothing was trained twice"


@pytest.mark.parametrize("how", ["second Ctrl-C", "SIGKILL"])
def test_nothing_is_left_when_workers_hang(how: str, tmp_path: Path) -> None:
    actions = '{0: "child", 1: "hang", 2: "hang", 3: "hang"}'
    with running(tmp_path, units=5, pause=0.0, actions=actions) as process:
        eventually(lambda: len(list(tmp_path.glob("done-*"))) >= 3)
        started = descendants(process.pid)
        assert len(started) == 3, "two workers and what one of them started"
        if how == "SIGKILL":
            os.kill(process.pid, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1.0)
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert "distributed" not in errors and "tornado" not in errors, errors
        eventually(lambda: not any(map(alive, started)), within=20)
