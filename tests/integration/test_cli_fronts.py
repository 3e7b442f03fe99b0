"""Several objectives, constraints, simulated time and disk budgets, from the command line, on sized toys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from toys import toy_registry

from automl_cli.application import application
from automl_core import hookimpl
from automl_core.hookspecs import Register
from automl_core.interfaces import Context, Description, Evaluation
from automl_core.plugins import use_registry
from automl_core.ranking import dominates
from automl_core.testing.doubles import ToyDescription, ToyEvaluator
from automl_core.types import Direction

SIZED = ("--space", "toy", "--evaluator", "sized", "--set", "space.digits=4", "--max-budget", "4", "--name", "one")
FRONT = (*SIZED, "--trials", "12", "--objective", "accuracy", "--objective", "flops:min")


class SizedEvaluator(ToyEvaluator):
    """A toy whose networks are the larger the better they can become.

    Args:
        fail: As for a toy.
        diverge: As for a toy.
        at: As for a toy.
        noise: As for a toy.
    """

    metrics: Mapping[str, Direction] = {"accuracy": "max", "loss": "min", "flops": "min", "latency": "min"}
    fixed_metrics: frozenset[str] = frozenset({"flops", "latency"})

    def foresee(self, description: Description) -> Mapping[str, float]:
        return {"flops": _flops(description)}

    def start(self, description: Description, context: Context) -> Evaluation:
        evaluation = super().start(description, context)
        measure = evaluation._measure  # type: ignore[attr-defined]
        flops = _flops(description)
        evaluation._measure = lambda trial: {**measure(trial), "flops": flops, "latency": flops / 1e12}  # type: ignore[attr-defined]
        return evaluation


class TellingEvaluator(SizedEvaluator):
    """Says what a candidate is, and draws it as text alone."""

    def title(self, description: Description) -> str:
        assert isinstance(description, ToyDescription)
        return f"a toy network of layers, size {sum(description.digits)}"

    def draw(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        return "-o-"


def _flops(description: Description) -> float:
    assert isinstance(description, ToyDescription)
    return 1e8 * sum(description.digits)


class Sized:
    @hookimpl
    def automl_evaluators(self, register: Register) -> None:
        register("sized", "test_cli_fronts:SizedEvaluator", summary="toys with a size")
        register("telling", "test_cli_fronts:TellingEvaluator", summary="says what candidates are")


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry(Sized())):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "w"


def automl(*arguments: object) -> Result:
    return CliRunner().invoke(application, [str(one) for one in arguments], prog_name="automl")


def ran(*arguments: object) -> Result:
    result = automl(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def document(*arguments: object) -> Any:
    return json.loads(ran(*arguments, "--json", "--quiet").stdout)


def test_several_objectives_end_in_a_front(workspace: Path) -> None:
    result = ran("run", *FRONT, "--workspace", workspace)
    front = document("best", "one", "--workspace", workspace)
    assert set(front) == {"front"}
    assert len(front["front"]) > 1
    values = [(one["objectives"]["accuracy"], one["objectives"]["flops"]) for one in front["front"]]
    assert values == sorted(values, reverse=True), "by the first objective, the best first"
    losses = [(-accuracy, flops) for accuracy, flops in values]
    assert not any(dominates(one, other) for one in losses for other in losses)
    assert {"trial", "configuration", "budget", "metrics", "value", "objectives"} <= set(front["front"][0])
    assert all(one["value"] == one["objectives"]["accuracy"] and one["budget"] == 4 for one in front["front"])
    leader = front["front"][0]["trial"]
    assert re.search(rf"best so far: front of \d+, led by trial {leader}, accuracy", result.stderr)
    rows = re.findall(r"^  (\d+) +\d+\.\d %  \d\.\d\d G  4 epochs$", result.stdout, re.MULTILINE)
    assert rows == [str(one["trial"]) for one in front["front"]]
    for command in (f"best one --trial {leader}", "retrain one", "resume one --trials 24"):
        assert f"automl {command} --workspace {workspace}" in result.stdout
    assert all(len(line) <= 80 or str(workspace) in line for line in result.stdout.splitlines())


def test_the_front_is_a_table_and_each_of_it_can_be_seen(workspace: Path) -> None:
    ran("run", *FRONT, "--objective", "latency", "--quiet", "--workspace", workspace)
    front = document("best", "one", "--workspace", workspace)["front"]
    shown = ran("best", "one", "--workspace", workspace).stdout
    assert shown.splitlines()[0] == "front of one, accuracy:max, flops:min, latency:min"
    assert re.match(r"  trial +accuracy +flops +latency +budget$", shown.splitlines()[1])
    assert [int(line.split()[0]) for line in shown.splitlines()[2 : 2 + len(front)]] == [one["trial"] for one in front]
    assert all(len(line) <= 80 or str(workspace) in line for line in shown.splitlines())
    last = front[-1]["trial"]
    one = ran("best", "one", "--trial", last, "--workspace", workspace).stdout
    assert one.startswith(f"trial {last} of one, accuracy ")
    assert "digit_4" in one
    assert document("best", "one", "--trial", last, "--workspace", workspace) == front[-1]
    everything = document("show", "one", "--workspace", workspace)["trials"]
    refused = automl("best", "one", "--trial", 99, "--workspace", workspace)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "--trial must name a candidate that ended with a value, but got 99; 'automl show one" in refused.stderr
    beaten = next(one for one in everything if one["number"] not in {one["trial"] for one in front})
    found = document("best", "one", "--trial", beaten["number"], "--workspace", workspace)
    assert {name: found[name] for name in ("metrics", "objectives", "configuration", "budget")} == {
        name: beaten[name] for name in ("metrics", "objectives", "configuration", "budget")
    }


def test_candidates_are_told_in_words_where_their_evaluator_has_some(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = (*FRONT, "--evaluator", "telling", "--workspace", workspace)
    run = ran("run", *told).stdout
    best = ran("best", "one", "--workspace", workspace).stdout
    shown = ran("show", "one", "--workspace", workspace).stdout
    front = document("best", "one", "--workspace", workspace)["front"]
    for one in front:
        words = f"a toy network of layers, size {sum(one['configuration'].values())}"
        assert words in " ".join(run.split()) and words in " ".join(best.split())
        assert f"        front: {words}" in shown.splitlines(), "where there is no room beside the row, it stands below"
    assert shown.count("a toy network") == document("studies", "--workspace", workspace)["studies"][0]["trials"]
    for word in ("candidate", "completed", "accuracy", "epochs"):
        assert word in shown.split()
    assert all(len(line) <= 80 or str(workspace) in line for line in (run + best + shown).splitlines())
    refused = automl("show", "one", "--pictures", tmp_path / "p", "--workspace", workspace)
    assert refused.exit_code == 2
    assert "evaluator 'telling' draws text alone; leave --pictures out" in refused.stderr


def test_without_their_evaluator_candidates_are_listed_all_the_same(workspace: Path) -> None:
    ran("run", *FRONT, "--evaluator", "telling", "--workspace", workspace)
    with use_registry(toy_registry()):
        for command in ("show", "best"):
            shown = ran(command, "one", "--workspace", workspace).stdout
            assert "accuracy" in shown and "a toy network" not in shown


def test_the_other_commands_know_fronts(workspace: Path) -> None:
    ended = document("run", *FRONT, "--workspace", workspace)
    front = document("best", "one", "--workspace", workspace)["front"]
    assert ended["front"] == front
    assert ended["best"] == front[0]
    lines = ran("studies", "--workspace", workspace).stdout.splitlines()
    assert lines[1].endswith(f" %, front of {len(front)}")
    assert document("studies", "--workspace", workspace)["studies"][0]["front"] == len(front)
    shown = ran("show", "one", "--workspace", workspace).stdout
    on_front = re.findall(r"^ +(\d+)  candidate  completed .* % +\d\.\d\d G .* front$", shown, re.MULTILINE)
    assert {int(number) for number in on_front} == {one["trial"] for one in front}
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert document("show", "one", "--workspace", workspace)["front"] == front
    leader = ran("retrain", "one", "--repeats", "1", "--workspace", workspace).stdout
    assert leader.startswith(f"Trial {front[0]['trial']}, trained")


def test_of_very_many_trials_the_whole_front_is_shown(workspace: Path) -> None:
    ran("run", *FRONT, "--trials", 90, "--set", "space.digits=8", "--quiet", "--workspace", workspace)
    front = document("best", "one", "--workspace", workspace)["front"]
    shown = ran("show", "one", "--workspace", workspace).stdout
    assert len(re.findall(r" front$", shown, re.MULTILINE)) == len(front)


def test_three_objectives_fit_the_terminal(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran("run", *FRONT, "--objective", "latency", "--constraint", "loss<=0.9", "--quiet", "--workspace", workspace)
    wide = ran("show", "one", "--workspace", workspace).stdout
    monkeypatch.setenv("COLUMNS", "70")
    shown = ran("show", "one", "--workspace", workspace).stdout
    assert max(map(len, wide.splitlines())) > 70
    assert max(map(len, shown.splitlines())) <= 70
    numbers = re.findall(r"\d[\d.]* (?:%|G|ms|s)(?= |$)", wide, re.MULTILINE)
    assert re.findall(r"\d[\d.]* (?:%|G|ms|s)(?= |$)", shown, re.MULTILINE) == numbers


def test_one_objective_is_shown_as_ever(workspace: Path) -> None:
    ran("run", *SIZED, "--trials", 4, "--quiet", "--workspace", workspace)
    best = document("best", "one", "--workspace", workspace)
    assert best["objectives"] == {"accuracy": best["value"]}
    assert "front" not in ran("best", "one", "--workspace", workspace).stdout
    assert "front" not in ran("studies", "--workspace", workspace).stdout
    assert document("best", "one", "--trial", best["trial"], "--workspace", workspace) == best
    other = next(
        one for one in document("show", "one", "--workspace", workspace)["trials"] if one["number"] != best["trial"]
    )
    assert document("best", "one", "--trial", other["number"], "--workspace", workspace)["value"] == other["value"]


def test_constraints_are_kept_and_what_broke_one_has_not_failed(workspace: Path) -> None:
    constraints = ("--constraint", "flops<=7e8", "--constraint", "accuracy <= 0.4")
    result = ran("run", *SIZED, "--trials", 12, *constraints, "--workspace", workspace)
    trials = document("show", "one", "--workspace", workspace)["trials"]
    assert all(1e8 * sum(one["configuration"].values()) <= 7e8 for one in trials)
    broken = [one["number"] for one in trials if one["status"] == "infeasible"]
    assert broken, "accuracy is known after training alone"
    assert not [one for one in trials if one["status"] == "failed"]
    many = "1 trial violates a constraint, trial" if len(broken) == 1 else f"{len(broken)} trials violate a constraint"
    assert many in result.stdout
    assert "failed" not in result.stdout + result.stderr
    shown = ran("show", "one", "--workspace", workspace).stdout
    assert "constraints  flops<=7e+08, accuracy<=0.4" in shown
    assert re.search(rf"^ +{broken[0]}  accuracy<=0\.4 must hold, but accuracy is 0\.\d+$", shown, re.MULTILINE)
    assert "\nfailures\n" not in shown
    assert "--verbose shows their tracebacks" not in shown


def test_a_dry_run_tells_objectives_constraints_and_workers(workspace: Path) -> None:
    arguments = (*FRONT, "--constraint", "flops<=7e8", "--executor", "simulated", "--workers", 3)
    shown = ran("run", *arguments, "--workspace", workspace, "--dry-run").stdout
    assert "256 configurations before constraints" in shown
    assert "accuracy:max, flops:min" in shown
    assert "flops<=7e+08" in shown
    assert "simulated, 3 workers" in shown
    plan = document("run", *arguments, "--workspace", workspace, "--dry-run")
    assert plan["objectives"] == ["accuracy:max", "flops:min"]
    assert (plan["constraints"], plan["executor"], plan["workers"]) == (["flops<=7e+08"], "simulated", 3)
    impossible = (*SIZED, "--constraint", "flops<=5", "--workspace", workspace, "--dry-run")
    assert "no configuration was found that keeps the constraints" in ran("run", *impossible).stdout
    assert not workspace.exists()


def test_without_a_range_of_budgets_the_searcher_is_random(workspace: Path) -> None:
    for largest, searcher in ((4, "asha"), (1, "random")):
        plan = document("run", *SIZED, "--max-budget", largest, "--workspace", workspace, "--dry-run")
        assert plan["searcher"] == searcher
    shown = ran("run", *SIZED, "--max-budget", 1, "--workspace", workspace, "--dry-run").stdout
    assert re.search(r"^  budgets +1 epoch$", shown, re.MULTILINE)
    assert "rungs" not in shown


def test_a_study_file_holds_objectives_constraints_and_where_to_run(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "space: {name: toy, digits: 4}\nevaluator: sized\nmax_budget: 4\ntrials: 5\nname: filed\n"
        "objective: [accuracy, flops]\nconstraint: [flops<=9e8, 'latency<=1']\n"
        f"executor: simulated\nworkers: 2\ndisk_budget: 1GB\nstore: {tmp_path / 'store'}\n"
    )
    ran("run", path, "--workspace", workspace)
    spec = document("show", "filed", "--workspace", workspace)["spec"]
    assert spec["objectives"] == ["accuracy:max", "flops:min"]
    assert spec["constraints"] == ["flops<=9e+08", "latency<=1"]
    assert (spec["executor"]["name"], spec["workers"]) == ("simulated", 2)
    assert (spec["disk_budget"], spec["store"]) == (10**9, str(tmp_path / "store"))
    shown = ran("show", "filed", "--workspace", workspace).stdout
    assert "1.0 GB" in shown
    ran("run", path, "--workspace", workspace, "--constraint", "flops<=7e8", "--name", "other")
    assert document("show", "other", "--workspace", workspace)["spec"]["constraints"] == ["flops<=7e+08"]


def test_simulated_time_is_told_apart_from_real_time(workspace: Path) -> None:
    arguments = (*SIZED, "--trials", 6, "--executor", "simulated", "--workers", 3, "--workspace", workspace)
    shown = ran("run", *arguments).stdout
    assert re.search(r"is finished: 6 trials in \d+\.\d s of simulated time; this run took", shown)
    shown = ran("show", "one", "--workspace", workspace).stdout
    assert re.search(r"^  executor +simulated, workers 3$", shown, re.MULTILINE)
    assert re.search(r"^  time +\d+\.\d s of simulated time$", shown, re.MULTILINE)
    assert "of simulated time" not in ran("show", "one", "--no-times", "--workspace", workspace).stdout


def test_a_disk_budget_says_what_it_gave_up(workspace: Path) -> None:
    arguments = (*SIZED, "--checkpoint", "all", "--disk-budget", "2kB", "--workspace", workspace)
    result = ran("run", *arguments, "--trials", 12)
    assert "dropped the checkpoint of trial" in result.stderr
    assert re.search(r"Dropped to keep the disk budget: \d+ checkpoints?, .*; no job will come for", result.stdout)


def test_a_disk_budget_that_is_too_small_ends_the_run_which_can_go_on(workspace: Path) -> None:
    result = automl("run", *SIZED, "--trials", 6, "--disk-budget", "300", "--workspace", workspace)
    assert result.exit_code == 1
    assert f"study one is kept: automl resume one --workspace {workspace}" in result.stderr
    assert "--disk-budget" in result.stderr.splitlines()[-1]
    again = ran("resume", "one", "--disk-budget", "1MB", "--workspace", workspace)
    assert "Study one is finished: 6 trials" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--objective", "size"], "unknown objective 'size'; known: accuracy, flops, latency, loss"),
        (["--objective", "flops", "--objective", "flops:max"], "'flops' is named twice"),
        (["--constraint", "flops"], "put it in quotes"),
        (["--constraint", "flops<=many"], "METRIC<=NUMBER or METRIC>=NUMBER, but got 'flops<=many'"),
        (["--constraint", "flops=3"], "put it in quotes"),
        (["--constraint", "flops<3"], "METRIC<=NUMBER"),
        (["--constraint", "size<=3"], "unknown metric in a constraint 'size'; known: accuracy, flops, latency, loss"),
        (["--disk-budget", "plenty"], "a disk budget must be a size above 0, but got 'plenty'"),
        (["--disk-budget", "0GB"], "--disk-budget 5GB"),
        (["--workers", "0"], "--workers"),
        (["--executor", "simulated", "--workers", "0"], "--workers"),
        (["--executor", "serial", "--workers", "2"], "executor 'serial' runs 1"),
        (["--searcher", "asha", "--max-budget", "1"], "min_budget < max_budget must hold"),
    ],
)
def test_wrong_requests_leave_nothing_behind(workspace: Path, arguments: list[str], words: str) -> None:
    result = automl("run", *SIZED, "--workspace", workspace, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert not workspace.exists()
