"""``automl refine`` and ``automl refinement``, and design spaces on the command line. Nothing is trained."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from automl_cli.application import application
from automl_cli.progress import Watcher
from automl_core import Study
from automl_core.records import Workspace
from automl_refine.refining import SHORTEST

SPACE = ("--space", "counting-ones", "--set", "space.continuous=0", "--objective", "value:min")
HOW = ("--per-step", "40", "--lower-limit", "40", "--min-group", "5")
CONDITIONS = tuple(
    word for name in ("category_1", "category_3+category_4", "category_5") for word in ("--conditions", name)
)
SMALL = (*SPACE, *HOW, *CONDITIONS)
"""Errors count the ones of eight binary choices, so 0 is always the better one; at first there are 256."""


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "automl-workspace"


def automl(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(application, arguments, input=answers, prog_name="automl")


def done(*arguments: str, answers: str | None = None) -> str:
    result = automl(*arguments, answers=answers)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def told(study: str) -> Any:
    """What a refinement came to, without its study's name."""
    return {**json.loads(done("refinement", study, "--json")), "study": ""}


def fixed(study: str) -> list[str | None]:
    return [
        one["chosen"] and f"{one['chosen']['condition']}={one['chosen']['category']}" for one in told(study)["steps"]
    ]


def refused(*arguments: str) -> str:
    """The one line that says why a request is refused."""
    before = Workspace(None)
    studies = before.studies() if before.exists() else []
    result = automl(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.stdout + result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert (Workspace(None).studies() if Workspace(None).exists() else []) == studies
    return line


# -- refining --------------------------------------------------------------------------------------------------------


def test_a_space_is_narrowed_and_searched_to_its_end(tmp_path: Path) -> None:
    shown = done("refine", *SMALL, "--choose", "auc", "--name", "ones", "--output", "files")
    assert fixed("ones")[0] == "category_3 & category_4=0 & 0"
    assert fixed("ones")[-1] is None
    assert "Refinement ones is finished: all of the last space has been taken." in shown
    assert "X: 32 configurations" in shown
    assert "value 0" in shown.split("Best: ")[1]
    assert shown == done("refinement", "ones")
    assert {"A.yaml", "X.yaml", "areas.md", "areas.json"} <= {path.name for path in (tmp_path / "files").iterdir()}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_flags_are_options_of_the_searcher() -> None:
    done("refine", *SMALL, "--choose", "auc", "--max-extra", "7", "--range", "0", "8", "--name", "ones", "--seed", "2")
    spec = Workspace(None).record("ones").spec
    assert spec.searcher.name == "refine"
    assert dict(spec.searcher.options) == {
        "per_step": 40,
        "lower_limit": 40,
        "min_group": 5,
        "conditions": ["category_1", "category_3+category_4", "category_5"],
        "choose": "auc",
        "max_extra": 7,
        "low": 0.0,
        "high": 8.0,
    }
    assert spec.seed == 2


def test_a_study_file_says_the_same_and_flags_win(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "space: {name: counting-ones, continuous: 0}\nobjective: value:min\nname: filed\n"
        "searcher: {name: refine, per_step: 50, lower_limit: 40, min_group: 5, choose: auc}\n"
    )
    done("refine", "study.yaml", "--per-step", "40", *CONDITIONS)
    done("refine", *SMALL, "--choose", "auc", "--name", "flagged")
    assert told("filed") == told("flagged")
    (tmp_path / "other.yaml").write_text("space: counting-ones\nsearcher: random\n")
    assert "the study file names 'random'" in refused("refine", "other.yaml")


def test_a_dry_run_starts_nothing(workspace: Path) -> None:
    shown = done("refine", *SMALL, "--name", "ones", "--dry-run")
    assert "searcher" in shown and "refine" in shown
    assert not workspace.exists()


def test_json_is_one_document() -> None:
    document = json.loads(done("refine", *SMALL, "--choose", "auc", "--name", "ones", "--json"))
    assert document["status"] == "done"
    assert document == json.loads(done("refinement", "ones", "--json"))


def test_files_are_written_where_somebody_works_and_never_over_a_workspace(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the workspace automl-workspace lies in ." in refused("refine", *SMALL, "--output", ".")
    Path("here").mkdir()
    monkeypatch.chdir("here")
    done("refinement", "ones", ".", "--workspace", str(studies / "automl-workspace"))
    assert {"A.yaml", "X.yaml", "README.md"} <= {path.name for path in Path.cwd().iterdir()}


def test_the_last_space_of_a_refinement_that_stopped_is_searched_as_it_says() -> None:
    shown = done("refine", *SMALL, "--interactive", "--name", "ones", answers="2\ns\n")
    commands = [line.split() for line in shown.splitlines() if line.startswith("  automl re") or " run " in line]
    written, searched = (one[1:] for one in commands if one[1] in ("refinement", "run"))
    done(*written)
    done(*searched, "--trials", "3", "--name", "after")
    refined, spec = (Workspace(None).record(name).spec for name in ("ones", "after"))
    assert spec.space.options["restrict"] == {"fixed": {"category_1": 1}}
    for part in ("evaluator", "dataset", "objectives", "max_budget"):
        assert getattr(spec, part) == getattr(refined, part)


# -- deciding by hand ------------------------------------------------------------------------------------------------


def test_a_person_chooses_by_number_or_takes_the_best_or_stops() -> None:
    result = automl("refine", *SMALL, "--name", "asked", "--interactive", answers="99\nyes\n2\n\n")
    assert result.exit_code == 0
    assert fixed("asked") == ["category_1=1", "category_3 & category_4=0 & 0", None]
    assert told("asked")["steps"][0]["reason"] == "chosen by hand"
    assert "'99' is none of these" in result.stderr
    assert "'yes' is none of these" in result.stderr
    assert "Fix which of 1 to 8, Enter for 3, s to stop?" in result.stderr
    assert "category_1 = 1 is fixed." in result.stderr
    assert "Fix which" not in result.stdout


def test_a_person_can_stop_it() -> None:
    shown = done("refine", *SMALL, "--name", "asked", "--interactive", answers="s\n")
    assert told("asked")["status"] == "stopped"
    assert "stopped by hand" in shown


def test_who_leaves_at_a_question_goes_on_later_as_if_he_had_stayed() -> None:
    left = automl("refine", *SMALL, "--name", "left", "--interactive", answers="3\n")
    assert left.exit_code == 0
    assert "Study left waits for a choice; nothing is lost. Go on with:" in left.stderr
    assert "  automl refine --resume left --interactive" in left.stderr.splitlines()
    assert told("left")["status"] == "waiting"
    waiting = done("refinement", "left")
    assert "Refinement left waits for a choice" in waiting
    assert "  automl refine --resume left --interactive" in waiting.splitlines()
    trials = len(Workspace(None).record("left").trials())
    assert "automl refinement left" in done("resume", "left")
    assert "waits for a choice" in done("refine", "--resume", "left")
    assert len(Workspace(None).record("left").trials()) == trials
    done("refine", "--resume", "left", "--interactive", answers="\n")
    done("refine", *SMALL, "--name", "stayed", "--interactive", answers="3\n\n")
    assert told("left") == told("stayed")
    assert told("left")["status"] == "done"


def test_ctrl_c_at_a_question_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    result = automl("refine", *SMALL, "--name", "left", "--interactive", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["status"] == "waiting"
    assert "automl refine --resume left --interactive" in result.stderr


def test_ctrl_c_while_trials_run_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = Watcher.job_finished
    seen = 0

    def after_fifty(self: Watcher, *arguments: Any) -> None:
        nonlocal seen
        finished(self, *arguments)
        seen += 1
        if seen == 50:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Watcher, "job_finished", after_fifty)
    result = automl("refine", *SMALL, "--choose", "auc", "--name", "cut", "--quiet")
    assert result.exit_code == 130
    assert "Study cut was interrupted; nothing is lost." in result.stderr
    assert "  automl refine --resume cut" in result.stdout.splitlines()
    assert told("cut")["status"] == "sampling"
    done("refine", "--resume", "cut")
    done("refine", *SMALL, "--choose", "auc", "--name", "whole")
    assert told("cut") == told("whole")


def test_a_time_limit_is_one_of_all_runs_and_what_people_take_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []
    run = Study.run

    def recorded(self: Study, time_limit: float | None = None, *arguments: Any, **options: Any) -> Study:
        limits.append(time_limit)
        return run(self, 60, *arguments, **options)

    monkeypatch.setattr(Study, "run", recorded)
    monkeypatch.setattr(Watcher, "elapsed", 20.0)
    done("refine", *SMALL, "--name", "asked", "--interactive", "--time-limit", "30s", answers="2\n\n")
    assert limits == [30.0, 10.0, SHORTEST]


def test_a_decision_is_kept_when_no_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as slow:
        slow.setattr(Watcher, "elapsed", 60.0)
        flags = ("--name", "late", "--interactive", "--time-limit", "59s")
        result = automl("refine", *SMALL, *flags, answers="2\n\n")
    assert "Study late reached its time limit; nothing is lost." in result.stderr
    assert fixed("late") == ["category_1=1"]
    done("refine", "--resume", "late", "--interactive", answers="\n")
    assert fixed("late") == ["category_1=1", "category_3 & category_4=0 & 0", None]


# -- wrong requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--trials", "3"), "a study needs a search space"),
        (("--space", "counting-ones", "--searcher", "grid"), "No such option '--searcher'"),
        ((*SMALL, "--interactive", "--choose", "auc"), "--interactive asks a person, but --choose auc"),
        ((*SMALL, "--choose", "best"), "'best' is not one of 'separated', 'auc'"),
        ((*SMALL, "--lower-limit", "256"), "must hold more than lower_limit = 256 configurations"),
        ((*SMALL, "--per-step", "4"), "per_step of searcher refine must be at least 5"),
        ((*SMALL, "--range", "3", "3"), "low < high must hold"),
        ((*SMALL, "--floor", "0.5"), "floor"),
        ((*SMALL, "--conditions", "category_0"), "unknown condition of space 'counting-ones' 'category_0'"),
        ((*SMALL, "--disable-plugin", "refine"), "unknown searcher 'refine'"),
        ((*SMALL, "--resume", "ones"), "--resume goes on with a study as it was begun, but got --space"),
        (("--resume", "ones", "--per-step", "3"), "but got --per-step; leave it out"),
        (("study.yaml", "--resume", "ones"), "but got STUDY_FILE"),
        (("--resume", "ones", "--dry-run"), "but got --dry-run"),
        (("--resume", "nothing"), "unknown study 'nothing'"),
        (("--resume", "drawn"), "study 'drawn' is one of searcher random; use 'automl resume drawn'"),
        (("--resume", "ones", "--interactive"), "'ones' chooses by itself (auc)"),
        (("--resume", "ones", "--output", "used"), "--output needs a new or empty directory, but used is not"),
        (("--resume", "ones", "--output", "used/file/below"), "--output needs a directory that can be written"),
        ((*SMALL, "--output", "."), "--output needs a new or empty directory, but . is not"),
        (("--resume", "ones", "--disable-plugin", "refine"), "unknown searcher 'refine'"),
    ],
)
def test_wrong_requests_are_one_line(
    arguments: tuple[str, ...], words: str, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(studies)
    assert words in refused("refine", *arguments)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose workspace holds a refinement and another study."""
    directory = tmp_path_factory.mktemp("studies")
    where = ("--workspace", str(directory / "automl-workspace"))
    done("refine", *SMALL, "--choose", "auc", "--name", "ones", *where)
    done("run", *SPACE, "--searcher", "random", "--trials", "2", "--name", "drawn", *where)
    (directory / "used").mkdir()
    (directory / "used" / "file").touch()
    (directory / "study.yaml").write_text("space: counting-ones\n")
    return directory


def test_other_studies_and_used_directories_are_no_place_for_a_refinement(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(studies)
    assert "'drawn' is one of random" in refused("refinement", "drawn")
    assert "used is not" in refused("refinement", "ones", "used")


def test_help_groups_its_own_flags_after_the_space() -> None:
    shown = done("refine", "--help")
    assert shown.index("--space") < shown.index("--per-step") < shown.index("--resume") < shown.index("--evaluator")
    assert "--searcher" not in shown


# -- design spaces ---------------------------------------------------------------------------------------------------

KTG = """\
space: ktg
options: {models: [resnet32, wrn-28-2], gates: [through, cutoff, linear]}
fixed: {model_2: wrn-28-2, model_3: wrn-28-2}
"""


def test_a_design_space_is_described_from_its_file_and_from_an_option(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(KTG)
    shown = done("describe", "space", "b.yaml")
    assert "space ktg: " in shown
    assert "model_2 = wrn-28-2; model_3 = wrn-28-2" in shown
    assert "19,683 configurations, 9,963 up to symmetries; of 78,732 in all" in shown
    document = json.loads(done("describe", "space", "b.yaml", "--json"))
    assert (document["name"], document["file"], document["size"], document["orbits"]) == ("ktg", "b.yaml", 19683, 9963)
    assert document["restriction"] == {"fixed": {"model_2": "wrn-28-2", "model_3": "wrn-28-2"}}
    smaller = done("describe", "space", "b.yaml", "--set", "space.restrict={fixed: {gate_label_1: through}}")
    assert "model_3 = wrn-28-2; gate_label_1 = through" in smaller
    assert "6,561 configurations" in smaller
    named = done("describe", "space", "ktg", "--set", "space.restrict={fixed: {model_2: resnet32}}")
    assert "786,432 configurations; of 2,359,296 in all" in named


def test_every_space_has_the_option_restrict_and_no_other_part_has() -> None:
    for space in ("ktg", "hartmann-6"):
        shown = done("describe", "space", space)
        assert "\n  restrict " in shown
        assert "restricted to" not in shown
    assert "\n  restrict " not in done("describe", "searcher", "grid")


def test_a_design_space_is_searched_like_any_other_and_shown_so(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(
        "space: counting-ones\noptions: {continuous: 0}\nfixed: {category_1: 0}\nnarrowed: {category_2: [1]}\n"
        "any_of:\n  - [{category_3: 0, category_4: 1}, {category_3: 1, category_4: 0}]\n"
        "provenance: {study: none}\n"
    )
    done("run", "--space", "small.yaml", "--searcher", "grid", "--objective", "value:min", "--name", "all")
    rows = Workspace(None).record("all").trials()
    assert len(rows) == 32
    assert all(row.configuration["category_1"] == 0 and row.configuration["category_2"] == 1 for row in rows)
    assert all(row.configuration["category_3"] != row.configuration["category_4"] for row in rows)
    shown = done("show", "all")
    assert "counting-ones: continuous 0\n" in shown
    assert "category_1 = 0; category_2 = 1; category_3 = 0, category_4 = 1 or category_3 = 1, category_4 = 0\n" in shown
    done("refine", "--space", "small.yaml", "--objective", "value:min", "--per-step", "9", "--lower-limit", "16",
         "--min-group", "3", "--conditions", "category_5", "--choose", "auc", "--name", "narrow")  # fmt: skip
    assert "A: 32 configurations\nrestricted to category_1 = 0; " in done("refinement", "narrow")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "'my.yaml' is not: No such file or directory"),
        ("space: [ktg", "must be YAML"),
        ("- ktg\n", "must map 'space' to the name of a search space"),
        ("space: kgt\n", "unknown space 'kgt'; did you mean 'ktg'"),
        ("space: ktg\nfix: {model_2: resnet32}\n", "'fix'; did you mean 'fixed'"),
        ("space: ktg\nfixed: {modl_2: resnet32}\n", "'modl_2'; did you mean 'model_2'"),
        ("space: ktg\nfixed: {model_2: resnet31}\n", "'resnet31'; did you mean 'resnet32'"),
        ("space: ktg\noptions: {node: 3}\n", "'node'; did you mean 'nodes'"),
        (
            "space: ktg\nfixed: {gate_label_1: cutoff, gate_2_1: cutoff, gate_3_1: cutoff}\n",
            "must leave configurations, but of space 'ktg' it leaves none",
        ),
        (
            "space: counting-ones\nnarrowed: {probability_1: {min: 2, max: 3}}\n",
            "goes from 0 to 1 and got 2 to 3",
        ),
    ],
)
@pytest.mark.parametrize(
    "command", [("run", "--searcher", "random", "--space"), ("refine", "--space"), ("describe", "space")]
)
def test_files_that_give_no_design_space_are_refused_in_one_line(
    tmp_path: Path, text: str | None, words: str, command: tuple[str, ...]
) -> None:
    if text is not None:
        (tmp_path / "my.yaml").write_text(text)
    assert words in refused(*command, "my.yaml")


def test_a_design_space_in_place_of_a_study_file_is_told_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(KTG)
    assert "'b.yaml'" in refused("run", "b.yaml")
    (tmp_path / "b.yaml").write_text("space: ktg\nfixed: {model_2: resnet32}\n")
    assert "pass that with --space b.yaml" in refused("run", "b.yaml")
