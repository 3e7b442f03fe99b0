"""The commands on whole studies of a toy: run, resume, show, best, retrain, export, delete."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from toys import toy_registry

from automl_cli.application import application
from automl_core import Study, hookimpl
from automl_core.hookspecs import Register
from automl_core.interfaces import Evaluation, Problem
from automl_core.plugins import use_registry
from automl_core.testing.doubles import ToyEvaluator
from automl_searchers.complete import RandomSearch

HERE = Path(__file__).parent
TOY = ("--space", "toy", "--evaluator", "taught", "--set", "space.digits=3", "--trials", "6", "--max-budget", "4")
SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from test_cli_studies import registry
from automl_cli import main
from automl_core.plugins import use_registry
with use_registry(registry()):
    main()
"""


class SlowEvaluator(ToyEvaluator):
    """A toy that takes its time, and prints where it should not."""

    def start(self, description: Any, context: Any) -> Evaluation:
        evaluation = super().start(description, context)
        advance = evaluation.advance

        def slowly(job: Any) -> Iterator[Any]:
            for observation in advance(job):
                sys.stdout.write("noise\n")
                time.sleep(0.05)
                yield observation

        evaluation.advance = slowly  # type: ignore[method-assign]
        return evaluation


class PlanningSearch(RandomSearch):
    """Draws one configuration unless asked for more."""

    plans_trials = True

    def start(self, problem: Problem) -> None:
        super().start(replace(problem, trials=problem.trials or 1))


class Slow:
    @hookimpl
    def automl_searchers(self, register: Register) -> None:
        register("grid", "automl_searchers.complete:GridSearch", summary="takes everything")
        register("planning", "test_cli_studies:PlanningSearch", summary="knows its number of trials")

    @hookimpl
    def automl_evaluators(self, register: Register) -> None:
        register("slow", "test_cli_studies:SlowEvaluator", summary="takes its time")


def registry() -> Any:
    return toy_registry(Slow())


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(registry()):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "w"


def automl(*arguments: object, **extra: Any) -> Result:
    return CliRunner().invoke(application, [str(one) for one in arguments], prog_name="automl", **extra)


def ran(*arguments: object) -> Result:
    result = automl(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def start(workspace: Path, *more: object, name: str = "one") -> Result:
    return ran("run", *TOY, "--workspace", workspace, "--name", name, *more)


def document(*arguments: object) -> Any:
    return json.loads(ran(*arguments, "--json", "--quiet").stdout)


def test_a_run_ends_with_the_best_beside_the_baseline_and_the_commands_to_go_on_with(workspace: Path) -> None:
    result = start(workspace)
    assert "best of the search, trial" in result.stdout
    assert re.search(r"alone, one seed +\d+\.\d % +4 epochs", result.stdout)
    for command in ("show one", "retrain one", "export one one-model", "resume one --trials 12"):
        assert f"automl {command} --workspace {workspace}" in result.stdout
    assert result.stderr.splitlines()[0] == "study one: toy · asha, 6 trials"
    assert all(len(line) <= 80 or str(workspace) in line for line in (result.stdout + result.stderr).splitlines())


def test_the_commands_to_go_on_with_work(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^  automl (.+)$", start(workspace).stdout, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        ran(*command.split())
    assert (tmp_path / "one-model" / "README.md").exists()


def test_json_is_one_document_and_quiet_is_quiet(workspace: Path) -> None:
    result = start(workspace, "--json", "--quiet")
    found = json.loads(result.stdout)
    assert result.stderr == ""
    assert found["status"] == "finished"
    assert found["best"] == document("best", "one", "--workspace", workspace)
    assert set(found["best"]) >= {"trial", "configuration", "budget", "metrics", "value"}
    assert 0 <= found["best"]["value"] <= 1
    assert [one["label"] for one in found["baselines"]] == ["alone"]


def test_equal_runs_show_equally_without_times(workspace: Path) -> None:
    for number in (1, 2):
        start(workspace / str(number))
    shown = [ran("show", "one", "--workspace", workspace / str(number), "--json", "--no-times") for number in (1, 2)]
    assert shown[0].stdout == shown[1].stdout
    assert "created" in document("show", "one", "--workspace", workspace / "1")


def test_show_names_roles_rungs_and_failures(workspace: Path) -> None:
    start(workspace, "--set", "evaluator.fail=[0]", "--set", "evaluator.diverge=[1]")
    shown = ran("show", "one", "--workspace", workspace).stdout
    assert "rungs at 1, 2, 4" in shown
    assert "RuntimeError: trial 0 was told to fail at unit 1" in shown
    assert "Traceback" not in shown
    assert {"candidate", "support"} <= set(shown.split())
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "Traceback" in ran("show", "one", "--workspace", workspace, "--verbose").stdout
    without = ran("show", "one", "--workspace", workspace, "--no-times").stdout
    assert "cost" not in without
    assert "begun" not in without


def test_show_audits_the_rungs(workspace: Path) -> None:
    start(workspace, "--trials", "12", "--estimator", "toy", "--set", "evaluator.noise=0.1")
    shown = ran("show", "one", "--workspace", workspace).stdout
    table = shown.partition("estimates against later values")[2]
    assert re.search(r"^ +epochs +later +trials +last measured +toy$", table, re.MULTILINE)
    found = document("show", "one", "--workspace", workspace)["audit"]
    assert [(one["budget"], one["later"]) for one in found] == [(1, 2), (1, 4), (2, 4)]
    for one in found[1:]:
        tau = "  +".join(f"{value:.2f}" for value in one["tau"].values())
        assert re.search(rf"^ +{one['budget']} +4 +{one['trials']}  +{tau}$", table, re.MULTILINE)
    assert all(len(line) <= 80 for line in shown.splitlines())
    start(workspace, "--searcher", "random", name="two")
    assert "later" not in ran("show", "two", "--workspace", workspace).stdout
    assert "audit" not in document("show", "two", "--workspace", workspace)


def test_of_very_many_trials_the_best_are_shown(workspace: Path) -> None:
    start(workspace, "--trials", "100", "--set", "space.digits=6", "--quiet")
    rows = re.compile(r"^ +\d+  candidate", re.MULTILINE)
    shown = ran("show", "one", "--workspace", workspace).stdout
    assert len(rows.findall(shown)) == 20
    assert "and 80 more; --all lists them" in shown
    best = document("best", "one", "--workspace", workspace)["trial"]
    assert re.search(rf"^ +{best}  candidate .* best$", shown, re.MULTILINE)
    assert len(rows.findall(ran("show", "one", "--workspace", workspace, "--all").stdout)) == 100


def test_studies_lists_what_the_workspace_holds(workspace: Path) -> None:
    nothing = f"No studies in '{workspace}', which does not exist. Begin with: automl run "
    assert ran("studies", "--workspace", workspace).stdout.startswith(nothing)
    workspace.mkdir()
    assert ran("studies", "--workspace", workspace).stdout.startswith(f"No studies in '{workspace}'. Begin with: ")
    assert document("studies", "--workspace", workspace) == {"studies": []}
    start(workspace)
    start(workspace, "--objective", "loss", name="two")
    lines = ran("studies", "--workspace", workspace).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["study", "one", "two"]
    assert "finished" in lines[1]
    assert [one["trials"] for one in document("studies", "--workspace", workspace)["studies"]] == [6, 6]


def test_a_workspace_can_come_from_the_environment(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_WORKSPACE", str(workspace))
    result = ran("run", *TOY, "--name", "one")
    assert "automl show one\n" in result.stdout
    assert "one" in ran("studies").stdout


def test_a_study_file_is_the_flags_and_flags_win(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "space: {name: toy, digits: 3}\nevaluator: {name: toy, noise: 0.02}\nsearcher: {kind: promote, eta: 2}\n"
        "objective: loss\ntrials: 50\nmax-budget: 4\nname: filed\n"
    )
    ran("run", path, "--workspace", workspace, "--trials", "4", "--set", "searcher.eta=4")
    spec = document("show", "filed", "--workspace", workspace)["spec"]
    assert spec["trials"] == 4
    assert spec["objectives"] == ["loss:min"]
    assert spec["space"] == {"name": "toy", "options": {"digits": 3}, "given": False}
    assert spec["searcher"]["options"] == {"kind": "promote", "eta": 4}
    assert spec["evaluator"]["options"] == {"noise": 0.02}
    ran("run", path, "--workspace", workspace, "--evaluator", "taught", "--name", "other", "--trials", "4")
    spec = document("show", "other", "--workspace", workspace)["spec"]
    assert spec["evaluator"]["options"] == {}, "options of a part that a flag replaces do not fit the other one"


def test_a_dry_run_tells_the_plan_and_writes_nothing(workspace: Path) -> None:
    shown = ran("run", *TOY, "--workspace", workspace, "--dry-run").stdout
    assert "nothing was started" in shown
    assert "1, 2, 4 epochs" in shown
    plan = document("run", *TOY, "--workspace", workspace, "--dry-run")
    assert (plan["size"], plan["trials"], plan["rungs"]) == (64, 6, [1, 2, 4])
    assert not workspace.exists()


def test_resume_extends_a_finished_study(workspace: Path) -> None:
    start(workspace)
    result = ran("resume", "one", "--workspace", workspace, "--trials", "9")
    assert result.stderr.splitlines()[0] == "study one: toy · asha, 9 trials"
    assert document("studies", "--workspace", workspace)["studies"][0]["trials"] == 9


def test_searching_on_is_not_suggested_where_nothing_is_left(workspace: Path) -> None:
    used_up = start(workspace, "--trials", "100", "--max-budget", "1", "--searcher", "random").stdout
    assert "automl show one" in used_up
    assert "resume" not in used_up, "there are 39 that differ"
    most = start(workspace, "--trials", "35", "--max-budget", "1", "--searcher", "random", name="two").stdout
    assert "automl resume two --trials 64" in most
    all_of_them = ran("resume", "two", "--workspace", workspace, "--trials", "90").stdout
    assert "resume" not in all_of_them


def test_a_grid_that_is_all_there_is_is_not_to_be_extended(workspace: Path) -> None:
    arguments = ("--searcher", "grid", "--max-budget", "1", "--set", "space.digits=2", "--workspace", workspace)
    shown = ran("run", "--space", "toy", *arguments, "--name", "all").stdout
    assert "Study all is finished" in shown
    assert "resume" not in shown
    some = ran("run", "--space", "toy", *arguments, "--name", "some", "--trials", 3).stdout
    assert "automl resume some --trials 6 " in some


def test_exactly_all_configurations_are_not_to_be_extended(workspace: Path) -> None:
    arguments = ("--searcher", "random", "--max-budget", "1", "--set", "space.digits=2", "--workspace", workspace)
    ran("run", "--space", "toy", *arguments, "--name", "all", "--trials", 100)
    there_are = document("studies", "--workspace", workspace)["studies"][0]["trials"]
    shown = ran("run", "--space", "toy", *arguments, "--name", "same", "--trials", there_are).stdout
    assert "resume" not in shown
    assert "resume" in ran("run", "--space", "toy", *arguments, "--name", "less", "--trials", there_are - 1).stdout


def test_a_searcher_that_plans_its_trials_says_how_many(workspace: Path) -> None:
    arguments = ("--space", "toy", "--searcher", "planning", "--max-budget", "1", "--workspace", workspace)
    result = ran("run", *arguments, "--name", "one")
    assert result.stderr.splitlines()[0] == "study one: toy · planning, 1 trial"
    assert "(1 of 1 trial, " in result.stderr
    assert "Study one is finished: 1 trial; this run took" in result.stdout
    assert document("show", "one", "--workspace", workspace)["spec"]["trials"] is None


def test_tables_keep_to_the_width_that_is_asked_for(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a-study-" + "with-a-long-name-" * 4
    start(workspace, name=name)
    assert name in ran("studies", "--workspace", workspace).stdout
    monkeypatch.setenv("COLUMNS", "80")
    shown = ran("studies", "--workspace", workspace).stdout
    assert max(map(len, shown.splitlines())) == 80
    assert re.search(r"^  a-study-with-.*…  toy    asha      -     finished       6  \d+\.\d %$", shown, re.MULTILINE)


def test_a_time_limit_ends_cleanly_and_resuming_ends_as_if_uninterrupted(workspace: Path) -> None:
    start(workspace / "whole", "--evaluator", "slow", "--quiet")
    result = start(workspace / "cut", "--evaluator", "slow", "--time-limit", "0.3s")
    assert "reached its time limit" in result.stdout
    assert f"automl resume one --workspace {workspace / 'cut'}" in result.stdout
    assert document("studies", "--workspace", workspace / "cut")["studies"][0]["status"] == "time-limit"
    ran("resume", "one", "--workspace", workspace / "cut", "--quiet")
    shown = [ran("show", "one", "--workspace", workspace / how, "--json", "--no-times") for how in ("whole", "cut")]
    assert shown[0].stdout == shown[1].stdout


def test_what_trainings_print_does_not_spoil_the_document(workspace: Path) -> None:
    result = start(workspace, "--evaluator", "slow", "--trials", "1", "--json")
    assert json.loads(result.stdout)["status"] == "finished"
    assert "noise" in result.stderr


def test_when_every_candidate_fails_the_work_has_failed(workspace: Path) -> None:
    result = automl(
        "run", *TOY, "--workspace", workspace, "--name", "one", "--set", f"evaluator.fail={list(range(20))}"
    )
    assert result.exit_code == 1
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "told to fail" in last
    assert f"automl show one --workspace {workspace}" in result.stderr
    assert document("studies", "--workspace", workspace)["studies"][0]["status"] == "failed"


def test_retrain_reports_mean_and_deviation_beside_the_control(workspace: Path) -> None:
    start(workspace)
    shown = ran("retrain", "one", "--workspace", workspace, "--repeats", "3", "--epochs", "2").stdout
    assert "for 2 epochs, 3 times" in shown
    assert re.search(r"retraining +\d+\.\d ± \d+\.\d %", shown)
    assert re.search(r"plain +\d+\.\d ± \d+\.\d %", shown)
    report = document("retrain", "one", "--workspace", workspace, "--repeats", "3", "--epochs", "2")
    assert [len(one["values"]) for one in report["results"]] == [3, 3]
    assert "retraining" in ran("show", "one", "--workspace", workspace).stdout


def test_export_says_whether_the_weights_are_retrained(workspace: Path, tmp_path: Path) -> None:
    start(workspace, "--checkpoint", "all")
    shown = ran("export", "one", tmp_path / "raw", "--workspace", workspace).stdout
    assert "as the search left it" in shown
    assert f"automl retrain one --workspace {workspace}" in shown
    assert "  README.md" in shown
    other = ran("export", "one", tmp_path / "other", "--trial", _beside_the_best(workspace), "--workspace", workspace)
    assert f"automl retrain one --trial {_beside_the_best(workspace)} --workspace" in other.stdout
    ran("retrain", "one", "--workspace", workspace, "--repeats", "1", "--quiet")
    report = document("export", "one", tmp_path / "final", "--workspace", workspace)
    assert report["retrained"] is True
    assert (tmp_path / "final" / "README.md").exists()


def _beside_the_best(workspace: Path) -> int:
    """A completed candidate that is not the best one."""
    best = document("best", "one", "--workspace", workspace)["trial"]
    trials = document("show", "one", "--workspace", workspace)["trials"]
    return next(
        row["number"]
        for row in trials
        if row["role"] == "candidate" and row["status"] == "completed" and row["number"] != best
    )


def test_what_was_retrained_is_what_is_exported(workspace: Path, tmp_path: Path, monkeypatch: Any) -> None:
    start(workspace, "--checkpoint", "all")
    trial = _beside_the_best(workspace)
    shown = ran("retrain", "one", "--trial", trial, "--repeats", 1, "--workspace", workspace).stdout
    command = f"automl export one one-model --trial {trial} --workspace {workspace}"
    assert f"Keep the weights: {command}" in shown
    assert "trained on training and validation data for 4 epochs, once" in shown
    assert "the search's budget" not in shown
    monkeypatch.chdir(tmp_path)
    assert f"Trial {trial} of one, retrained," in ran(*command.split()[1:]).stdout


def test_a_retraining_shorter_than_the_search_says_so(workspace: Path) -> None:
    start(workspace)
    shown = ran("retrain", "one", "--repeats", 1, "--epochs", 1, "--workspace", workspace).stdout
    assert "The result is one of 1 epoch; the search's budget was 4 epochs." in shown.splitlines()


def test_delete_must_be_confirmed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(workspace)
    refused = automl("delete", "one", "--workspace", workspace)
    assert refused.exit_code == 2
    assert "pass --yes" in refused.stderr
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("automl_cli.commands.delete.sys", terminal)
    assert "Nothing was deleted" in automl("delete", "one", "--workspace", workspace, input="n\n").stderr
    assert ran("show", "one", "--workspace", workspace).exit_code == 0
    assert automl("delete", "one", "--workspace", workspace, input="y\n").stdout == "Study one is deleted.\n"
    assert automl("show", "one", "--workspace", workspace).exit_code == 2


def test_delete_with_yes_asks_nobody(workspace: Path) -> None:
    start(workspace)
    assert document("delete", "one", "--yes", "--workspace", workspace) == {"deleted": "one"}


def test_a_study_of_python_objects_names_the_way_to_resume_it(workspace: Path) -> None:
    Study("toy", evaluator=_function, trials=3, max_budget=2, name="object", workspace=workspace).run()
    result = automl("resume", "object", "--workspace", workspace)
    assert result.exit_code == 2
    assert "Study.resume('object', evaluator=...)" in result.stderr
    assert "trial" in ran("best", "object", "--workspace", workspace).stdout
    assert "_function (a Python object)" in ran("show", "object", "--workspace", workspace).stdout


def _function(configuration: dict[str, Any], budget: int, seed: int) -> float:
    return float(budget)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--space", "toi"], "unknown space 'toi'; did you mean 'toy'"),
        (["--searcher", "ahsa"], "unknown searcher 'ahsa'; did you mean 'asha'"),
        (["--evaluator", "tought"], "did you mean 'taught'"),
        (["--estimator", "toi"], "unknown estimator 'toi'; did you mean 'toy'"),
        (["--dataset", "digits"], "no data set"),
        (["--objective", "acuracy"], "unknown objective 'acuracy'; did you mean 'accuracy'"),
        (["--objective", "accuracy:up"], "METRIC:max or METRIC:min"),
        (["--trials", "0"], "--trials"),
        (["--max-budget", "-1"], "--max-budget"),
        (["--min-budget", "9"], "min_budget <= max_budget must hold, but got 9 and 4"),
        (["--seed", "-1"], "--seed"),
        (["--threads", "0"], "--threads"),
        (["--workers", "0"], "--workers"),
        (["--device", "cuda:0"], "'cuda:0'"),
        (["--preset", "quik"], "unknown preset 'quik'; did you mean 'quick'"),
        (["--checkpoint", "some"], "needed"),
        (["--executor", "seriel"], "did you mean 'serial'"),
        (["--set", "searcher.eta=two"], "must be int, but got 'two'"),
        (["--set", "searcher.etta=2"], "did you mean 'eta'"),
        (["--set", "searcher.eta"], "part.option=value"),
        (["--set", "serchar.eta=2"], "did you mean 'searcher'"),
        (["--time-limit", "soon"], "a time above 0"),
        (["--name", "a/b"], "without '/'"),
        (["missing.yaml"], "No such file"),
    ],
)
def test_wrong_requests_leave_nothing_behind(workspace: Path, arguments: list[str], words: str) -> None:
    result = automl("run", *TOY, "--workspace", workspace, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert not workspace.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", *TOY, "--name", "one"], "'one' exists in this workspace"),
        (["show", "oen"], "unknown study 'oen'; did you mean 'one'"),
        (["best", "oen"], "did you mean 'one'"),
        (["resume", "oen"], "did you mean 'one'"),
        (["resume", "one", "--trials", "2"], "can only be extended"),
        (["resume", "one", "--max-budget=9"], "budgets cannot change, since the schedules of all its trainings"),
        (["resume", "one", "--min-budget", "1"], "--min-budget; leave it out, or start a new study: automl run"),
        (["resume", "one", "--seed", "1"], "is fixed when it starts, since its decisions follow from it, but got --se"),
        (["resume", "one", "--searcher", "random"], "is fixed when it starts"),
        (["resume", "one", "--space", "toy"], "is fixed when it starts"),
        (["resume", "one", "--disc-budget", "1GB"], "Did you mean '--disk-budget'"),
        (["best", "one", "--trial", "99"], "but got 99; 'automl show one --workspace"),
        (["best", "one", "--trial", "{support}"], ", a support that is completed; 'automl show one --workspace"),
        (["retrain", "one", "--trial", "99"], "--trial must name a candidate"),
        (["retrain", "one", "--repeats", "0"], "--repeats"),
        (["retrain", "one", "--epochs", "0"], "--epochs"),
        (["export", "one", "{here}"], "new or empty directory"),
        (["delete", "oen", "--yes"], "did you mean 'one'"),
    ],
)
def test_wrong_requests_about_a_study_change_nothing(workspace: Path, arguments: list[str], words: str) -> None:
    start(workspace, "--quiet")
    before = ran("show", "one", "--workspace", workspace, "--json").stdout
    support = next(row["number"] for row in json.loads(before)["trials"] if row["role"] == "support")
    result = automl(*(one.format(here=HERE, support=support) for one in arguments), "--workspace", workspace)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert ran("show", "one", "--workspace", workspace, "--json").stdout == before


def test_a_workspace_without_a_journal_and_a_damaged_one(workspace: Path) -> None:
    missing = automl("show", "one", "--workspace", workspace)
    assert (missing.exit_code, len(missing.stderr.splitlines())) == (2, 1)
    workspace.mkdir()
    (workspace / "journal.sqlite").write_bytes(b"this is no journal" * 100)
    damaged = automl("studies", "--workspace", workspace)
    assert (damaged.exit_code, len(damaged.stderr.splitlines())) == (2, 1)
    assert "journal" in damaged.stderr


def words(*arguments: object) -> list[str]:
    return [sys.executable, "-c", SCRIPT.format(here=str(HERE)), *map(str, arguments)]


def process(*arguments: object, **extra: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(words(*arguments), text=True, **extra)


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert running.poll() is None
        time.sleep(0.02)


SLOW = (*TOY, "--evaluator", "slow", "--name", "one")


def test_ctrl_c_ends_cleanly_with_130_and_one_process_runs_a_study_at_a_time(workspace: Path) -> None:
    running = process("run", *SLOW, "--workspace", workspace, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(workspace / "checkpoints", running)
    second = automl("resume", "one", "--workspace", workspace)
    assert second.exit_code == 2
    assert f"process {running.pid}" in second.stderr
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode == 130
    assert "Study one was interrupted" in out
    assert "Traceback" not in err
    assert document("studies", "--workspace", workspace)["studies"][0]["status"] == "interrupted"
    ran("resume", "one", "--workspace", workspace, "--quiet")
    start(workspace / "whole", "--evaluator", "slow", "--quiet")
    shown = [
        ran("show", "one", "--workspace", where, "--json", "--no-times") for where in (workspace, workspace / "whole")
    ]
    assert shown[0].stdout == shown[1].stdout


def test_stopping_at_once_says_how_to_go_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("automl_core.engine.loop.Engine.search", stopped)
    result = automl("run", *TOY, "--workspace", workspace, "--name", "one")
    assert result.exit_code == 130
    assert f"automl resume one --workspace {workspace}" in result.stderr
    assert result.stderr.splitlines()[-1] == "interrupted"


def test_a_disk_that_fills_up_says_how_to_go_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("automl_core.engine.loop.Engine.search", full)
    result = automl("run", *TOY, "--workspace", workspace, "--name", "one")
    assert result.exit_code == 1
    assert f"study one is kept: automl resume one --workspace {workspace}" in result.stderr


def test_a_reader_that_goes_away_is_no_news(workspace: Path) -> None:
    start(workspace, "--quiet")
    reading, writing = os.pipe()
    os.close(reading)
    done = process("show", "one", "--workspace", workspace, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.communicate()[1] == ""
    assert done.returncode == 1


def test_closed_standard_streams_are_no_news(workspace: Path) -> None:
    start(workspace, "--quiet")
    shell = shlex.join(words("resume", "one", "--workspace", workspace)) + " >&- 2>&- <&-"
    assert subprocess.run(shell, shell=True, check=False).returncode == 0


def test_a_full_disk_is_one_line(workspace: Path) -> None:
    start(workspace, "--quiet")
    with Path("/dev/full").open("w") as full:
        done = process("show", "one", "--workspace", workspace, stdout=full, stderr=subprocess.PIPE)
        err = done.communicate()[1]
    assert done.returncode == 1
    assert len(err.splitlines()) == 1
    assert "the disk is full" in err


def test_on_a_terminal_the_view_is_live_and_leaves_the_result_alone(workspace: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    running = process(
        "run", *SLOW, "--workspace", workspace, stdout=subprocess.PIPE, stderr=theirs, stdin=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # how a terminal says that its other end is closed
        pass
    out, _ = running.communicate()
    os.close(ours)
    assert running.returncode == 0
    shown = seen.decode()
    assert "of 6 trials" in shown
    assert "━" in shown
    assert "\x1b[?25h" in shown, "the cursor must be visible again"
    assert "Study one is finished: 6 trials" in out
    assert "\x1b" not in out
