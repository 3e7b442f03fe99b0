"""What is shown while a study runs."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from automl_cli import progress as progress_module
from automl_cli.live import LiveProgress, sparkline
from automl_cli.progress import PlainProgress, Watcher, watch
from automl_cli.settings import Settings
from automl_core.engine.keeping import Dropped
from automl_core.records import Best
from automl_core.types import Job, Objective, Observation, Outcome, Point


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


ACCURACY = Objective("accuracy")
SEVERAL = (ACCURACY, Objective("flops", "min"))


def study(
    trials: list[Any] | None = None,
    front: list[Best] | None = None,
    asked: int | None = 20,
    objectives: tuple[Objective, ...] = (ACCURACY,),
    remote: bool = False,
    workers: int | None = None,
    ranking: str | None = None,
) -> Any:
    spec = SimpleNamespace(objectives=tuple(map(str, objectives)), unit="epochs", workers=workers)
    summary = SimpleNamespace(space="ktg", searcher="asha", dataset="digits")
    record = SimpleNamespace(
        ranking=ranking,
        summary=summary,
        spec=spec,
        objectives=objectives,
        trials=lambda: trials or [],
        front=lambda: front or [],
    )
    executor = SimpleNamespace(remote=remote)
    assembly = SimpleNamespace(spec=spec, planned_trials=asked, executor=lambda: executor)
    return SimpleNamespace(name="calm-otter", record=record, assembly=assembly, notes=[])


def job(trial: int, to: int = 4, role: Any = "candidate", start: int = 0) -> Job:
    return Job(trial, {}, start, to, role=role)


def done(accuracy: float, budget: int = 4, **changed: Any) -> Outcome:
    point = Point(budget, {"accuracy": accuracy, "loss": 1 - accuracy})
    return Outcome(**{"status": "done", "budget": budget, "curve": (point,), "cost": 1.5} | changed)


def best(trial: int, budget: int = 8, **objectives: float) -> Best:
    return Best(trial, {}, budget, objectives, next(iter(objectives.values())), objectives)


def valued(budget: int, *values: float) -> Outcome:
    return Outcome("done", budget, values=values)


def test_trials_are_counted_by_number_without_support_trials() -> None:
    watcher = Watcher()
    watcher.started(study())
    assert watcher.count() == "0 of 20 trials"
    for trial, role in ((0, "candidate"), (1, "support"), (4, "candidate")):
        watcher.job_started(job(trial, role=role), "")
    assert watcher.count() == "4 of 20 trials"  # 2 and 3 were twins of known candidates


def test_a_study_that_was_extended_before_has_more_trials_than_its_record_asks_for() -> None:
    watcher = Watcher()
    watcher.started(study(asked=2))
    watcher.job_started(job(2), "")
    assert watcher.count() == "3 trials"


@pytest.mark.parametrize(("asked", "counts"), [(None, ["0 trials", "1 trial", "2 trials"]), (1, ["0 of 1 trial"])])
def test_without_a_known_number_trials_are_counted_grammatically(asked: int | None, counts: list[str]) -> None:
    watcher = Watcher()
    watcher.started(study(asked=asked))
    for trial, count in enumerate(counts):
        assert watcher.count() == count
        watcher.job_started(job(trial), "")


def test_a_resumed_study_begins_where_it_was() -> None:
    rows = [
        SimpleNamespace(number=number, role=role, budget=8)
        for number, role in ((0, "candidate"), (1, "support"), (2, "candidate"))
    ]
    watcher = Watcher(asked=40)
    watcher.started(study(rows, [best(2, accuracy=0.75)]))
    assert watcher.count() == "2 of 40 trials"
    assert watcher.best_text() == "trial 2, accuracy 75.0 % after 8 epochs"


def test_a_retraining_counts_trainings_and_shows_no_best_of_the_search() -> None:
    watcher = Watcher(trainings=True)
    watcher.started(study(front=[best(2, accuracy=0.75)]))
    watcher.job_finished(job(3, role="support"), done(0.5), "retraining")
    assert watcher.count() == "1 training"
    assert watcher.best_text() == ""


def test_the_incumbent_shows_what_it_has_reached_since() -> None:
    watcher = Watcher()
    watcher.started(study())
    watcher.job_finished(job(0, 1), done(0.3, 1), "")
    watcher.incumbent(0, 0.3)
    assert watcher.best_text() == "trial 0, accuracy 30.0 % after 1 epoch"
    watcher.job_finished(job(0, 2, start=1), done(0.5, 2), "")
    assert watcher.best_text() == "trial 0, accuracy 50.0 % after 2 epochs"


def test_of_several_objectives_the_front_is_counted_and_its_leader_named() -> None:
    watcher = Watcher()
    watcher.started(study(objectives=SEVERAL))
    for trial, outcome in ((0, valued(4, 0.5, 9e8)), (1, valued(4, 0.6, 2e9)), (2, valued(4, 0.4, 9.5e8))):
        watcher.job_finished(job(trial), outcome, "")
    watcher.job_finished(job(3, role="support"), valued(4, 0.9, 1.0), "alone")
    watcher.incumbent(1, 0.6)
    assert watcher.best_text() == "front of 2, led by trial 1, accuracy 60.0 % after 4 epochs"
    watcher.job_finished(job(4), valued(4, 0.6, 8e8), "")
    assert set(watcher.front) == {4}, "it beats all others"
    watcher.job_finished(job(0, 8, start=4), valued(8, 0.55, 9e8), "")
    watcher.job_finished(job(5), valued(4, 0.9, 1e8), "")
    assert set(watcher.front) == {0}, "it has got further than the others"
    watcher.job_finished(job(0, 9, start=8), Outcome("failed", 8), "")
    assert watcher.front == {}


def test_a_resumed_front_is_counted_on() -> None:
    watcher = Watcher()
    front = [best(1, accuracy=0.6, flops=2e9), best(0, accuracy=0.5, flops=9e8)]
    watcher.started(study(front=front, objectives=SEVERAL))
    assert watcher.best_text() == "front of 2, led by trial 1, accuracy 60.0 %"
    watcher.job_finished(job(2, 8), valued(8, 0.3, 1e8), "")
    assert set(watcher.front) == {0, 1, 2}


def test_a_trial_that_breaks_a_constraint_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome("infeasible", 1, error="flops<=1e+06 must hold, but flops is 2e+06")
    for every_job, lines in ((False, 0), (True, 1)):
        plain = PlainProgress(every_job)
        plain.job_finished(job(3), outcome, "")
        assert (plain.failures, plain.violations) == (0, 1)
        assert len(capsys.readouterr().err.splitlines()) == lines
    assert plain.last_violation == "trial 3 violates a constraint: flops<=1e+06 must hold, but flops is 2e+06"


def test_checkpoints_given_up_are_told_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    plain = PlainProgress()
    plain.dropped([Dropped(3, 1_500_000, "it promised the least"), Dropped(5, 500_000, "it promised the least")])
    assert capsys.readouterr().err.splitlines() == [
        "dropped the checkpoint of trial 3 (1.5 MB): it promised the least",
        "dropped the checkpoint of trial 5 (500.0 kB): it promised the least",
    ]
    assert plain.drops == {"it promised the least": 2}
    assert plain.dropped_bytes == {"it promised the least": 2_000_000}


def test_jobs_in_other_processes_give_signs_of_life_as_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    plain = PlainProgress(clock=clock)
    plain.started(study())
    for trial, now in ((0, 5.0), (1, 11.0), (2, 12.0)):
        clock.now = now
        plain.job_finished(job(trial), done(0.5), "")
    assert capsys.readouterr().err.splitlines()[1:] == ["2 of 20 trials in 11.0 s"]


def test_plain_lines_tell_what_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    plain = PlainProgress(clock=clock)
    plain.started(study())
    plain.job_started(job(0, role="support"), "teacher resnet8")
    plain.job_finished(job(0, role="support"), done(0.9), "teacher resnet8")
    plain.job_started(job(1), "")
    plain.job_finished(job(1), done(0.5), "")
    plain.incumbent(1, 0.5)
    plain.job_finished(job(2), Outcome("failed", 0, error="Traceback\nValueError: no"), "")
    clock.now = 11.0
    plain.job_started(job(3), "")
    plain.observed(job(3), Observation(2, {"accuracy": 0.1}))
    plain.observed(job(3), Observation(3, {"accuracy": 0.1}))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "study calm-otter: ktg · asha · digits, 20 trials",
        "trial 0 (teacher resnet8): accuracy 90.0 % after 4 epochs (1.5 s)",
        "best so far: trial 1, accuracy 50.0 % after 4 epochs (1 of 20 trials, 0.0 s)",
        "trial 2 failed: Traceback",
        "3 of 20 trials in 11.0 s, 1 failed, best trial 1, accuracy 50.0 % after 4 epochs, "
        "now trial 3 at 2 of 4 epochs",
    ]


def test_notes_are_told_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    noted = study(asked=1)
    noted.notes.append("the window is short")
    PlainProgress().started(noted)
    assert capsys.readouterr().err.splitlines()[1] == "note: the window is short"
    console = Console(file=io.StringIO(), width=80)
    LiveProgress(console=console).started(noted)
    assert console.file.getvalue() == "note: the window is short\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("workers", "line"), [(2, "2 workers"), (1, "1 worker"), (None, "workers")])
def test_workers_that_say_nothing_for_a_while_are_announced(
    capsys: pytest.CaptureFixture[str], workers: int | None, line: str
) -> None:
    PlainProgress().started(study(remote=True, workers=workers, asked=1))
    assert capsys.readouterr().err.splitlines() == [
        "study calm-otter: ktg · asha · digits, 1 trial",
        f"starting on {line}, where everything is loaded first",
    ]


def failed(error: str, status: Any = "failed") -> Outcome:
    return Outcome(status, 0, error=error)


def test_failures_of_one_cause_are_told_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with PlainProgress(clock=clock) as plain:
        plain.started(study())
        for trial in range(6):
            plain.job_finished(job(trial), failed(f"ValueError: {trial}.5 is not enough"), "")
        plain.job_finished(job(6), failed("another cause"), "")
        plain.job_finished(job(7), failed("ValueError: 1e-5 is not enough", "diverged"), "")
        clock.now = 11.0
        plain.job_finished(job(8), failed("ValueError: 2 is not enough"), "")
    assert capsys.readouterr().err.splitlines()[1:] == [
        "trial 0 failed: ValueError: 0.5 is not enough",
        "trial 6 failed: another cause",
        "trial 7 diverged: ValueError: 1e-5 is not enough",
        "9 of 20 trials in 11.0 s, 9 failed",
        "6 more trials ended like trial 0",
    ]
    assert plain.failures == 9


def test_every_failure_is_told_when_every_job_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress(every_job=True) as plain:
        for trial in range(3):
            plain.job_finished(job(trial), failed("no"), "")
    assert capsys.readouterr().err.splitlines() == [f"trial {trial} failed: no" for trial in range(3)]


def test_stopping_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    PlainProgress().stopping()
    assert "Ctrl-C again stops at once" in capsys.readouterr().err
    text = io.StringIO()
    live = LiveProgress(console=Console(file=text, width=80, force_terminal=True, color_system=None))
    live.started(study())
    live.stopping()
    live.console.print(live.view())
    assert "Ctrl-C again stops at once" in text.getvalue()


def test_every_job_is_told_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    plain = PlainProgress(every_job=True)
    plain.started(study())
    plain.job_finished(job(1), done(0.5), "")
    assert "trial 1: accuracy 50.0 %, loss 0.5 after 4 epochs (1.5 s)" in capsys.readouterr().err


def test_a_reader_who_has_gone_does_not_end_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(progress_module.click, "echo", gone)
    PlainProgress().started(study())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_live_view_fits_the_terminal(width: int) -> None:
    text = io.StringIO()
    live = LiveProgress(console=Console(file=text, width=width, force_terminal=True, color_system=None))
    live.console.print(live.view())
    live.started(study())
    live.job_started(job(7, 8), "")
    for unit in range(9):
        live.observed(job(7, 8), Observation(unit, {"accuracy": unit / 10}))
    live.incumbent(7, 0.8)
    failed = Outcome("failed", 0, error='Traceback\n  File "a.py", line 1\n    x\nValueError: ' + "long " * 30)
    live.job_finished(job(8), failed, "")
    live.console.print(live.view())
    lines = text.getvalue().splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    assert lines[0].strip() == "preparing"
    shown = "\n".join(lines)
    assert "calm-otter" in shown
    assert "trial 7, 8 of 8 epochs" in shown
    if width >= 80:
        assert "9 of 20 trials" in shown
        assert "▁▂▃▄▅▅▆▇█  accuracy 80.0 %" in shown
        assert "best    trial 7, accuracy 80.0 %" in shown
        assert "failed  1, last trial 8 failed: ValueError: long" in shown


def test_the_live_view_shows_a_few_of_many_jobs_and_what_was_refused_or_dropped() -> None:
    text = io.StringIO()
    live = LiveProgress(console=Console(file=text, width=120, force_terminal=True, color_system=None))
    live.started(study(objectives=SEVERAL))
    for trial in range(10):
        live.job_started(job(trial, 8, start=2), "")
    live.job_finished(job(9), Outcome("infeasible", 1, error="flops<=1 must hold, but flops is 2"), "")
    live.dropped([Dropped(4, 2_000, "it promised the least")])
    live.console.print(live.view())
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert "now     trial 3, from 2 to 8 epochs" in lines
    assert "        and 5 more jobs" in lines
    assert "refused 1, last trial 9 violates a constraint: flops<=1 must hold, but flops is 2" in lines
    assert "dropped 1, last the checkpoint of trial 4 (2.0 kB): it promised the least" in lines


def test_the_live_view_leaves_nothing_behind_and_survives_nan() -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    with LiveProgress(console=console) as live:
        live.started(study(asked=None))
        live.job_started(job(0), "")
        live.observed(job(0), Observation(1, {"accuracy": math.nan}))
        live._live.refresh()
    assert "0 of 4" not in text.getvalue().rpartition("\x1b[2K")[2]
    assert live.running[0].curve == []


@pytest.mark.parametrize(("curve", "bars"), [([1.0], "▁"), ([0.5, 0.5], "▁▁"), ([0.0, 1.0], "▁█"), ([1.0, 0.0], "█▁")])
def test_sparklines(curve: list[float], bars: str) -> None:
    assert sparkline(curve) == bars


@pytest.mark.parametrize(
    ("settings", "terminal", "kind"),
    [
        (Settings(quiet=True), True, Watcher),
        (Settings(), True, LiveProgress),
        (Settings(verbose=True), True, PlainProgress),
        (Settings(), False, PlainProgress),
    ],
)
def test_how_progress_is_shown_is_chosen(
    settings: Settings, terminal: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module.sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setenv("TERM", "xterm-256color")
    assert type(watch(settings)) is kind


def test_what_an_estimator_makes_of_a_trial_is_not_told_as_measured() -> None:
    watcher = Watcher()
    watcher.started(study(front=[Best(1, {}, 4, {"accuracy": 0.4}, 0.5, {"accuracy": 0.5})], ranking="feature-history"))
    assert watcher.best_text().startswith("trial 1, accuracy 50.0 % by feature-history")
