"""What a study promises from Python: results, faults, extension, locks, retraining and export."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float
from toys import toy_registry

from automl_core import Job, Outcome, RequestError, Searcher, Study, StudyFailed
from automl_core.engine.progress import Progress
from automl_core.plugins import use_registry
from automl_core.records import Workspace
from automl_core.storage import DamagedError
from automl_core.testing.doubles import ToySpace
from automl_core.types import Observation


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry()):
        yield


@pytest.fixture
def space() -> ConfigurationSpace:
    space = ConfigurationSpace()
    space.add([Float("x", (-1.0, 1.0)), Categorical("kind", ["a", "b"])])
    return space


def peak(configuration: dict[str, Any], budget: int, seed: int) -> float:
    return -abs(configuration["x"]) - (configuration["kind"] == "b") - 1 / budget


def toy(directory: Path, **settings: Any) -> Study:
    return Study(**{"space": "toy", "trials": 8, "max_budget": 4, "name": "study", "workspace": directory} | settings)


def shown(workspace: Path, name: str = "study") -> Any:
    return Workspace(workspace).record(name).to_json(times=False)


# -- functions and plain spaces ---------------------------------------------------------------------------------------


def test_function_and_plain_space(space: ConfigurationSpace, tmp_path: Path) -> None:
    study = Study(space=space, evaluator=peak, trials=30, max_budget=8, workspace=tmp_path).run()
    assert study.status == "finished"
    assert study.best.value == peak(dict(study.best.configuration), 8, 0)
    assert study.best.metrics == {"value": study.best.value}
    frame = study.trials
    assert len(frame) == 30 and {"trial", "status", "budget", "value", "x", "kind"} <= set(frame.columns)
    assert set(frame["budget"]) >= {1, 8}


def test_same_seed_same_study_other_seed_other_study(space: ConfigurationSpace, tmp_path: Path) -> None:
    def values(seed: int, name: str) -> list[float]:
        study = Study(space=space, evaluator=peak, trials=10, max_budget=4, seed=seed, name=name, workspace=tmp_path)
        return list(study.run().trials["value"])

    assert values(0, "a") == values(0, "b") != values(1, "c")


def test_metrics_by_name_and_direction(space: ConfigurationSpace, tmp_path: Path) -> None:
    def measured(configuration: dict[str, Any], budget: int, seed: int) -> dict[str, float]:
        return {"error": abs(configuration["x"]), "size": 3.0}

    study = Study(space=space, evaluator=measured, objective="error:min", trials=10, workspace=tmp_path).run()
    assert study.best.value == min(study.trials["metric_error"])
    assert study.best.metrics["size"] == 3.0


def test_objective_that_is_never_reported_fails_with_what_is(space: ConfigurationSpace, tmp_path: Path) -> None:
    study = Study(space=space, evaluator=lambda c, b, s: {"error": 1.0}, trials=2, workspace=tmp_path)
    with pytest.raises(StudyFailed, match="'value' is not among error"):
        study.run()


def test_a_function_gets_the_configuration_whatever_the_space(tmp_path: Path) -> None:
    def first_digit(configuration: dict[str, Any], budget: int, seed: int) -> float:
        return float(configuration["digit_1"])

    study = toy(tmp_path, evaluator=first_digit).run()
    assert study.best.value == study.trials["digit_1"].max()


def test_python_objects_are_refused_without_and_resumed_with_them(space: ConfigurationSpace, tmp_path: Path) -> None:
    Study(space=space, evaluator=peak, trials=3, name="mine", workspace=tmp_path).run()
    with pytest.raises(RequestError, match=r"Study\.resume\('mine', space=\.\.\., evaluator=\.\.\.\)"):
        Study.load("mine", workspace=tmp_path)
    study = Study.resume("mine", workspace=tmp_path, trials=5, space=space, evaluator=peak)
    assert len(study.trials) == 5
    with pytest.raises(RequestError, match="searcher given by name"):
        Study.load("mine", workspace=tmp_path, space=space, evaluator=peak, searcher=object())


# -- faults of trials -------------------------------------------------------------------------------------------------


def test_failed_and_diverged_trials_are_recorded_and_the_study_goes_on(tmp_path: Path) -> None:
    study = toy(tmp_path, options={"evaluator": {"fail": [1], "diverge": [2], "at": 1}}).run()
    rows = {row.number: row for row in study.record.trials()}
    assert rows[1].status == "failed" and "RuntimeError: trial 1 was told to fail" in rows[1].error
    assert "Traceback" in rows[1].error
    assert rows[2].status == "diverged" and "accuracy = nan" in rows[2].error
    assert study.status == "finished" and study.best.trial not in (1, 2)
    assert json.dumps(study.record.to_json(), allow_nan=False)


def test_when_every_trial_fails_the_first_reason_is_given(tmp_path: Path) -> None:
    study = toy(tmp_path, trials=3, options={"evaluator": {"fail": [0, 1, 2]}})
    with pytest.raises(StudyFailed, match="all 3 failed; trial 0 was the first: RuntimeError: trial 0"):
        study.run()
    assert Workspace(tmp_path).record("study").status == "failed"


def test_trials_fail_with_the_teacher_that_they_need(tmp_path: Path) -> None:
    study = toy(tmp_path, evaluator="taught", trials=12, options={"evaluator": {"fail": list(range(1, 6))}})
    study.run()
    rows = study.record.trials()
    teacher = next(row for row in rows if row.label == "teacher")
    assert teacher.status == "failed"
    failed = [row for row in rows if f"it needs teacher (trial {teacher.number}), which failed" in row.error]
    assert failed and all(row.budget == 0 for row in failed)


def test_full_disk_ends_the_run_and_the_trial_is_not_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_core.testing.doubles import ToyEvaluation

    def full(self: ToyEvaluation, directory: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    toy(tmp_path / "whole").run()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(ToyEvaluation, "save", full)
        toy(tmp_path / "full").run()
    assert Workspace(tmp_path / "full").record("study").status == "interrupted"
    Study.resume("study", workspace=tmp_path / "full")
    assert shown(tmp_path / "full") == shown(tmp_path / "whole")


# -- cut short and extended -------------------------------------------------------------------------------------------


class AtUnit(Progress):
    """Does something the nth time that a unit is observed."""

    def __init__(self, nth: int, action: Any) -> None:
        self.left, self.action = nth, action

    def observed(self, job: Job, observation: Observation) -> None:
        self.left -= 1
        if self.left == 0:
            self.action()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("nth", [1, 2, 7, 15])
def test_interrupted_at_a_unit_and_resumed_equals_uninterrupted(
    nth: int, number: signal.Signals, tmp_path: Path
) -> None:
    toy(tmp_path / "whole", evaluator="taught").run()
    cut = toy(tmp_path / "cut", evaluator="taught")
    cut.run(progress=AtUnit(nth, lambda: os.kill(os.getpid(), number)))
    assert cut.status == Workspace(tmp_path / "cut").record("study").status == "interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    Study.resume("study", workspace=tmp_path / "cut")
    assert shown(tmp_path / "cut") == shown(tmp_path / "whole")


def test_ctrl_c_that_the_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        study = toy(tmp_path).run(progress=AtUnit(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert study.status == "finished"


def test_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path).run(progress=AtUnit(3, twice))
    assert Workspace(tmp_path).record("study").status == "interrupted"


def test_time_limit_ends_cleanly(tmp_path: Path) -> None:
    toy(tmp_path / "whole").run()
    study = toy(tmp_path / "cut").run(time_limit=0.05, progress=AtUnit(3, lambda: time.sleep(0.1)))
    assert study.status == "time-limit"
    Study.resume("study", workspace=tmp_path / "cut")
    assert shown(tmp_path / "cut") == shown(tmp_path / "whole")


def test_the_same_object_goes_on_after_it_was_cut_short(tmp_path: Path) -> None:
    toy(tmp_path / "whole").run()
    study = toy(tmp_path / "cut").run(time_limit=1e-9)
    assert study.status == "time-limit" and study.run().status == "finished"
    assert shown(tmp_path / "cut") == shown(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["stop", "promote"])
def test_extended_study_has_the_candidates_of_one_begun_so_large(kind: str, tmp_path: Path) -> None:
    options = {"searcher": {"kind": kind}}
    toy(tmp_path, trials=5, options=options).run()
    Study.resume("study", workspace=tmp_path, trials=9)
    candidates = [row for row in Workspace(tmp_path).record("study").trials() if row.role == "candidate"]
    toy(tmp_path, trials=9, name="large", options=options).run()
    large = Workspace(tmp_path).record("large").trials()
    assert [row.configuration for row in candidates] == [row.configuration for row in large]
    with pytest.raises(RequestError, match="it has 9 candidates and --trials 4"):
        Study.resume("study", workspace=tmp_path, trials=4)
    assert Workspace(tmp_path).record("study").status == "finished"


# -- one workspace, several processes ---------------------------------------------------------------------------------


def in_child(work: Any) -> int:
    child = os.fork()
    if child == 0:  # pragma: no cover - the child leaves without cleaning up
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(70)
    return child


def test_two_studies_in_one_workspace_at_once(tmp_path: Path) -> None:
    children = [in_child(lambda: toy(tmp_path, name=name, trials=40).run()) for name in ("one", "two")]  # noqa: B023
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    one, two = (shown(tmp_path, name) for name in ("one", "two"))
    assert one["trials"] == two["trials"] and len(one["trials"]) == 40


def test_second_writer_is_refused_naming_the_first(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def slow() -> None:
        toy(tmp_path / "w").run(progress=AtUnit(2, lambda: (begun.touch(), time.sleep(60))))

    child = in_child(slow)
    try:
        while not begun.exists():
            time.sleep(0.01)
        assert Workspace(tmp_path / "w").record("study").status == "running"
        for refused in (
            lambda: Study.resume("study", workspace=tmp_path / "w"),
            lambda: Workspace(tmp_path / "w").delete("study"),
        ):
            with pytest.raises(RequestError, match=f"is being run by process {child} on "):
                refused()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert Workspace(tmp_path / "w").record("study").status == "interrupted"
    Study.resume("study", workspace=tmp_path / "w")


def test_workspace_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    toy(tmp_path, trials=1).run()
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        connection.execute("PRAGMA user_version=99")
    for request in (lambda: toy(tmp_path, name="other"), lambda: Study.load("study", workspace=tmp_path)):
        with pytest.raises(RequestError, match="schema 99"):
            request()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_damaged_journal_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(content)
    if content:
        with pytest.raises(RequestError, match="none of this project's or is damaged"):
            Workspace(tmp_path).studies()
    else:  # an empty file is what SQLite makes first: a kill right then must not lock the workspace
        assert Workspace(tmp_path).studies() == []


# -- refusals write nothing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": "toi"}, "unknown space 'toi'; did you mean 'toy'"),
        ({"searcher": "ascha"}, "unknown searcher 'ascha'; did you mean 'asha'"),
        ({"evaluator": "tought"}, "unknown evaluator 'tought'; did you mean 'taught'"),
        ({"estimator": "last"}, "unknown estimator 'last'"),
        ({"executor": "cereal"}, "unknown executor 'cereal'; did you mean 'serial'"),
        ({"dataset": "digits"}, "takes no data set, but got 'digits'"),
        ({"objective": "acuracy"}, "unknown objective 'acuracy'; did you mean 'accuracy'"),
        ({"objective": "accuracy:up"}, "METRIC:max or METRIC:min"),
        ({"preset": "papper"}, "unknown preset 'papper'; did you mean 'paper'"),
        ({"trials": 0}, "trials must be a whole number above 0, but got 0"),
        ({"max_budget": -1}, "max_budget must be a whole number above 0, but got -1"),
        ({"min_budget": 9, "max_budget": 3}, "min_budget <= max_budget must hold, but got 9 and 3"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"threads": 0}, "threads must be a whole number above 0"),
        ({"checkpoint": "some"}, "unknown checkpoint retention 'some'"),
        ({"workers": 2, "executor": "serial"}, "got 2 and executor 'serial' runs 1"),
        ({"workspace": "/proc/nowhere"}, "a workspace must be a directory that can be made"),
        ({"device": "cuda:0"}, "runs on the cpu, but got device 'cuda:0'"),
        ({"name": "a/b"}, "printable text without '/'"),
        ({"name": "-x"}, "does not begin with '-'"),
        ({"name": ""}, "printable text"),
        ({"name": "\udcff"}, "printable text"),
        ({"name": 3}, "printable text"),
        ({"evaluator": 3}, "or a function (configuration, budget, seed)"),
        ({"evaluator": lambda configuration, budget: 1.0}, "or a function (configuration, budget, seed)"),
        ({"searcher": object()}, "a searcher must be a name or a Searcher"),
        ({"space": {"x": (0, 1)}}, "a space must be a name, a SearchSpace or a ConfigurationSpace"),
        ({"options": "x"}, "options must be a mapping"),
        ({"trials": 2.5}, "trials must be a whole number above 0, but got 2.5"),
        ({"options": {"trainer": {"lr": 1}}}, "evaluator 'toy' has no trainer"),
        ({"options": {"serch": {}}}, "unknown part in options 'serch'"),
        ({"options": {"searcher": {"eta": "three"}}}, "'eta' of searcher asha must be int, but got 'three'"),
        ({"options": {"space": {"digit": 3}}}, "unknown option of space toy 'digit'; did you mean 'digits'"),
        ({"objective": ["accuracy", "accuracy:min"]}, "'accuracy' is named twice"),
        ({"searcher": "asha", "max_budget": 1}, "min_budget < max_budget must hold"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_written(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        toy(tmp_path / "w", **settings).run()
    assert not (tmp_path / "w").exists()


def test_names_are_new(tmp_path: Path) -> None:
    toy(tmp_path, trials=1).run()
    with pytest.raises(RequestError, match="'study' exists in this workspace"):
        toy(tmp_path)
    with pytest.raises(RequestError, match="unknown study 'studi'; did you mean 'study'"):
        Study.load("studi", workspace=tmp_path)
    made_up = {toy(tmp_path, name=None).name for _ in range(5)}
    assert len(made_up) > 1 and all(name.startswith("toy-") for name in made_up)


def test_a_plan_rehearses_the_searcher_and_writes_nothing(tmp_path: Path) -> None:
    plan = toy(tmp_path / "w", trials=64, max_budget=8).plan()
    assert plan["rungs"] == [1, 2, 4, 8] and plan["trials"] == 64
    assert 64 < plan["expected_units"] < 64 * 8
    assert plan["seconds_per_unit"] is None and plan["estimated_seconds"] is None
    assert toy(tmp_path / "w", searcher=Repeating(), options={"space": {"digits": 2}}).plan()["expected_units"] == 12
    assert not (tmp_path / "w").exists()


# -- duplicates, estimators, checkpoints ------------------------------------------------------------------------------


class Repeating(Searcher):
    """Proposes one configuration again and again, as a model may."""

    def start(self, problem: Any) -> None:
        super().start(problem)
        self.asked, self.told = 0, []

    def ask(self, next_trial: int) -> Job | None:
        if self.asked == 3:
            return None
        self.asked += 1
        return Job(next_trial, {"digit_1": 1, "digit_2": 2 if self.asked < 3 else 3}, 0, self.problem.max_budget)

    def tell(self, job: Job, outcome: Outcome) -> None:
        self.told.append((job.trial, outcome))

    def finished(self) -> bool:
        return len(self.told) == 3


def test_known_key_is_told_the_known_curve_at_cost_0(tmp_path: Path) -> None:
    heard: list[tuple[int, tuple[float, ...]]] = []

    class Heard(Progress):
        def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
            heard.append((job.trial, outcome.values))

    study = toy(tmp_path, searcher=Repeating(), options={"space": {"digits": 2}}).run(progress=Heard())
    first, again, other = study.record.trials()
    assert heard == [(row.number, (row.value,)) for row in (first, again, other)]
    assert again.metrics == first.metrics and again.budget == first.budget == 4
    assert first.cost > 0 and again.cost == 0
    assert other.metrics != first.metrics


def test_first_estimator_ranks_and_survives_interruption(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"estimator": "toy", "options": {"evaluator": {"noise": 0.3}}}
    whole = toy(tmp_path / "whole", **settings).run()
    assert whole.best.value >= whole.best.metrics["accuracy"]
    assert any(row.value != row.metrics["accuracy"] for row in whole.record.trials())
    cut = toy(tmp_path / "cut", **settings)
    cut.run(progress=AtUnit(9, lambda: os.kill(os.getpid(), signal.SIGINT)))
    Study.resume("study", workspace=tmp_path / "cut")
    assert shown(tmp_path / "cut") == shown(tmp_path / "whole")


def test_estimator_that_raises_fails_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_core.testing.doubles import ToyEstimator

    def refuse(self: ToyEstimator) -> None:
        raise ZeroDivisionError("no estimate")

    monkeypatch.setattr(ToyEstimator, "estimate", refuse)
    with pytest.raises(StudyFailed, match=r"all 2 failed; .* ZeroDivisionError: no estimate"):
        toy(tmp_path, estimator="toy", trials=2).run()


@pytest.mark.parametrize(("retention", "kind"), [("needed", "stop"), ("needed", "promote"), ("all", "stop")])
def test_checkpoints_that_stay(retention: Any, kind: str, tmp_path: Path) -> None:
    study = toy(tmp_path, checkpoint=retention, options={"searcher": {"kind": kind}}).run()
    kept = {int(path.name) for path in (tmp_path / "checkpoints" / "1").iterdir()}
    if retention == "all":
        assert kept == set(range(8))
    elif kind == "stop":
        assert kept == {study.best.trial}
    else:
        paused = {row.number for row in study.record.trials() if row.status == "paused"}
        assert kept <= paused | {study.best.trial} and study.best.trial in kept


# -- retraining and export --------------------------------------------------------------------------------------------


def test_retraining_beside_its_control(tmp_path: Path) -> None:
    study = toy(tmp_path, evaluator="taught").run()
    report = study.retrain(repeats=3, epochs=5)
    assert [result["label"] for result in report["results"]] == ["retraining", "plain"]
    assert all(len(set(result["values"])) == 3 and result["deviation"] > 0 for result in report["results"])
    before = len(study.record.trials())
    assert study.retrain(repeats=3, epochs=5) == report
    assert len(study.record.trials()) == before, "what was trained is found again"
    assert all(row.role == "support" for row in study.record.trials() if row.label == "retraining")
    assert study.status == study.record.status == "finished"
    other = study.retrain(repeats=1, trial=0)
    assert other["trial"] == 0 and other["epochs"] == 4 and other["results"][0]["deviation"] is None


def test_interrupted_retraining_goes_on(tmp_path: Path) -> None:
    whole = toy(tmp_path / "whole").run().retrain(repeats=2)
    study = toy(tmp_path / "cut").run()
    cut = study.retrain(repeats=2, progress=AtUnit(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert cut["status"] == "interrupted" and not cut["results"][0]["values"]
    assert Study.load("study", workspace=tmp_path / "cut").retrain(repeats=2) == whole


@pytest.mark.parametrize(("settings", "message"), [
    ({"repeats": 0}, "repeats must be above 0"),
    ({"epochs": -2}, "epochs must be above 0"),
    ({"trial": 99}, "must name a candidate of study 'study', but got 99"),
    ({"preset": "thesis"}, "unknown preset 'thesis'"),
    ({"average": 0}, "average must be from 1 to the number of epochs"),
    ({"average": 3, "epochs": 2}, r"number of epochs \(2\), but got 3"),
    ({"options": {"space": {"digits": 3}}}, "exactly"),
    ({"options": {"space": {"width": 3}}}, "unknown option"),
    ({"options": {"searcher": {"eta": 2}}}, "options of dataset, trainer and space"),
])  # fmt: skip
def test_wrong_retrainings(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    study = toy(tmp_path).run()
    before = shown(tmp_path)
    with pytest.raises(RequestError, match=message):
        study.retrain(**settings)
    assert shown(tmp_path) == before


def test_a_retraining_may_size_what_the_configuration_stands_for(tmp_path: Path) -> None:
    study = toy(tmp_path / "w").run()
    plain, larger = (study.retrain(repeats=1, options={"space": space}) for space in ({}, {"choices": 8}))
    assert plain["results"][0]["trials"] != larger["results"][0]["trials"]
    assert plain["results"][0]["mean"] > larger["results"][0]["mean"], "the same digits are less of more choices"
    study.export(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "description.json").read_text())
    searched = study.assembly.space.decode(study.best.configuration).to_json()["accuracy"]
    assert written["description"]["accuracy"] == pytest.approx(searched * 3 / 7), "that of the latest retraining"


def test_a_space_as_an_object_is_not_sized(tmp_path: Path) -> None:
    study = toy(tmp_path, space=ToySpace(digits=4), options={}).run()
    with pytest.raises(RequestError, match="needs a space by name"):
        study.retrain(options={"space": {"choices": 8}})


def test_values_are_means_of_the_last_epochs_where_that_is_asked_for(tmp_path: Path) -> None:
    study = toy(tmp_path).run()
    one, three = study.retrain(repeats=2, epochs=5), study.retrain(repeats=2, epochs=5, average=3)
    assert one["results"][0]["trials"] == three["results"][0]["trials"], "nothing is trained again for it"
    tells = {payload["trial"]: payload["outcome"] for kind, payload in study.record.journal.events() if kind == "tell"}
    curves = [tells[number]["curve"] for number in one["results"][0]["trials"]]
    assert one["results"][0]["values"] == [curve[-1][1]["accuracy"] for curve in curves]
    expected = [sum(point["accuracy"] for _, point in curve[-3:]) / 3 for curve in curves]
    assert three["results"][0]["values"] == pytest.approx(expected, rel=1e-12)


def test_a_preset_may_say_how_its_retraining_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"max_budget": 6, "repeats": 2, "average": 4, "space": {"choices": 8}}
    monkeypatch.setattr(ToySpace, "presets", lambda *_: {"paper": {"max_budget": 9, "retrain": said}})
    study = toy(tmp_path).run()
    assert study.spec.max_budget == 4
    report = study.retrain(preset="paper")
    assert (report["epochs"], report["repeats"], report["average"]) == (6, 2, 4)
    assert study.retrain(preset="paper", options={"space": {"choices": 4}})["results"] != report["results"]
    assert study.retrain(preset="paper", epochs=2, repeats=1)["average"] == 2, "no more than there are"


def test_export_takes_the_checkpoint_or_else_the_retraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = toy(tmp_path / "w").run()
    report = study.export(tmp_path / "out")
    assert not report["retrained"] and set(report["files"]) == {"README.md", "description.json", "recipe.yaml"}
    assert "validation, search, 4 epochs" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(RequestError, match="needs a new or empty directory"):
        study.export(tmp_path / "out")
    (tmp_path / "w" / "here").mkdir()
    monkeypatch.chdir(tmp_path / "w" / "here")
    assert study.export(".")["files"] == report["files"] == sorted(path.name for path in Path().iterdir())
    stopped = next(row.number for row in study.record.trials() if row.status == "stopped")
    with pytest.raises(RequestError, match=f"checkpoint of trial {stopped} was not kept"):
        study.export(tmp_path / "other", trial=stopped)
    study.retrain(trial=stopped, repeats=2)
    assert study.export(tmp_path / "other", trial=stopped)["retrained"]
    assert (tmp_path / "other" / "README.md").read_text().count("| test of") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out", "w"]


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    study = toy(tmp_path).run()
    (state,) = (tmp_path / "checkpoints").rglob("state.json")
    state.write_text("[]")
    with pytest.raises(DamagedError, match=r"evaluation/state\.json differ"):
        study.export(tmp_path / "out")


def test_deleted_study_is_gone_and_what_another_one_shares_stays(tmp_path: Path) -> None:
    def artefacts() -> int:
        return len(list((tmp_path / "artefacts").iterdir()))

    toy(tmp_path, evaluator="taught").run()
    alone = artefacts()
    other = toy(tmp_path, evaluator="taught", name="other").run()
    assert artefacts() == alone > 0, "equal artefacts are found again"
    assert all(row.cost == 0 for row in other.record.trials() if row.role == "support")
    Workspace(tmp_path).delete("study")
    assert [study.name for study in Workspace(tmp_path).studies()] == ["other"]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]
    assert artefacts() == alone
    Workspace(tmp_path).delete("other")
    assert artefacts() == 0
    toy(tmp_path, evaluator="taught").run()


def test_a_hyperparameter_named_like_a_column_is_not_lost(tmp_path: Path) -> None:
    space = ConfigurationSpace({"cost": (0.5, 1.0)})
    frame = Study(space=space, evaluator=lambda c, b, s: c["cost"], trials=3, workspace=tmp_path).run().trials
    assert list(frame["configuration_cost"]) == list(frame["value"])
