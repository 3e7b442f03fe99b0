"""A searcher that trains something of its own in support trials before it asks for candidates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_nothing_lost import POINTS, ended, killed
from toys import TaughtEvaluator, toy_registry

from automl_cli.application import application
from automl_core import RequestError, Study, hookimpl
from automl_core.engine.checks import SearcherError
from automl_core.errors import StudyFailed
from automl_core.hookspecs import Register
from automl_core.interfaces import Context, Description, Evaluation, Problem, Searcher
from automl_core.plugins import use_registry
from automl_core.randomness import derive_seed
from automl_core.records import Workspace
from automl_core.testing.doubles import ToyDescription, ToyEvaluation, ToyEvaluator
from automl_core.types import Job, Json, Metrics, Observation, Outcome, Point

LESSONS = (2, 5, 6)
"""Budgets at which the jobs of a pupil's trial end."""


class PupilEvaluation(ToyEvaluation):
    """A toy that remembers what it was taught in every unit, and reports all of it."""

    def __init__(self, evaluator: ToyEvaluator, description: ToyDescription, seed: int) -> None:
        super().__init__(evaluator, description, seed)
        self.taught: list[int] = []

    def advance(self, job: Job) -> Iterator[Observation]:
        for observation in super().advance(job):
            if observation.unit:
                self.taught.append(derive_seed(job.instruction["lesson"], self._seed, observation.unit) % 4)
            yield observation

    def save(self, directory: Path) -> None:
        super().save(directory)
        (directory / "taught.json").write_text(json.dumps(self.taught))

    def load(self, directory: Path) -> None:
        super().load(directory)
        self.taught = json.loads((directory / "taught.json").read_text())

    def report(self) -> Json:
        return {"taught": self.taught}


class PupilEvaluator(ToyEvaluator):
    """Trains pupils."""

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        assert context.max_budget == LESSONS[-1] and context.metrics == frozenset() == context.needs
        return PupilEvaluation(self, description, context.seed)

    def draw_curve(self, points: Sequence[Point]) -> str | None:
        return f"{len(points)} points to unit {points[-1].unit}"

    def plot_curve(self, points: Sequence[Point]) -> str | None:
        return f"<svg>{len(points)}</svg>"

    def draw(self, description: Description, metrics: Metrics) -> str | None:
        raise AssertionError("candidates are drawn by their own evaluator")


class SchoolSearcher(Searcher):
    """Teaches pupils, lesson by lesson, and asks each for a configuration.

    Args:
        mischief: How its first job breaks a rule; empty: not at all.
    """

    evaluator = "pupil"
    multi_fidelity = False
    plans_trials = True

    def __init__(self, mischief: str = "") -> None:
        self.mischief = mischief

    def start(self, problem: Problem) -> None:
        super().start(problem)
        self.pupils: list[dict[str, Any]] = [
            {"trial": None, "lesson": 0, "report": [], "state": "idle"} for _ in range(problem.trials or 1)
        ]

    def ask(self, next_trial: int) -> Job | None:
        for number, pupil in enumerate(self.pupils):
            if pupil["state"] == "taught":
                pupil.update(state="asked", candidate=next_trial)
                names = [f"digit_{place}" for place in range(1, 5)]
                configuration = dict(zip(names, pupil["report"], strict=False))
                return Job(next_trial, configuration, 0, self.problem.max_budget)
            if pupil["state"] == "idle":
                pupil["state"] = "learning"
                pupil["trial"] = next_trial if pupil["trial"] is None else pupil["trial"]
                return self._lesson(number, pupil)
        return None

    def _lesson(self, number: int, pupil: Mapping[str, Any]) -> Job:
        lesson = pupil["lesson"]
        instruction: dict[str, Json] = {
            "label": f"pupil {number}",
            "description": {"digits": [number], "accuracy": 0.5},
            "max_budget": LESSONS[-1],
            "lesson": [lesson, list(pupil["report"])],
        }
        begins, ends = (0, *LESSONS)[lesson], LESSONS[lesson]
        if self.mischief == "no description":
            del instruction["description"]
        if self.mischief == "too far":
            ends = 7
        if self.mischief == "another description" and lesson:
            instruction["description"] = {"digits": [9], "accuracy": 0.5}
        return Job(pupil["trial"], {}, begins, ends, role="support", instruction=instruction)

    def tell(self, job: Job, outcome: Outcome) -> None:
        for pupil in self.pupils:
            if pupil["trial"] == job.trial:
                pupil["lesson"] += 1
                done = outcome.status == "done"
                pupil["report"] = outcome.report["taught"] if done else []
                last = pupil["lesson"] == len(LESSONS)
                pupil["state"] = ("taught" if last else "idle") if done else "failed"
            elif pupil.get("candidate") == job.trial:
                pupil["state"] = "done"

    def imagine(self, job: Job) -> Json:
        return {"taught": [1] * job.to_budget}

    def may_continue(self, trial: int) -> bool:
        return any(pupil["trial"] == trial and pupil["state"] in ("idle", "learning") for pupil in self.pupils)

    def finished(self) -> bool:
        return all(pupil["state"] in ("asked", "done", "failed") for pupil in self.pupils)


class Unnamed(SchoolSearcher):
    """Trains something of its own, but does not say by which evaluator."""

    evaluator = ""


class School:
    @hookimpl
    def automl_searchers(self, register: Register) -> None:
        register("school", f"{__name__}:SchoolSearcher", summary="teaches pupils")
        register("unnamed", f"{__name__}:Unnamed", summary="names no evaluator")

    @hookimpl
    def automl_evaluators(self, register: Register) -> None:
        register("pupil", f"{__name__}:PupilEvaluator", summary="trains pupils")


@pytest.fixture(autouse=True)
def _school() -> Iterator[None]:
    with use_registry(toy_registry(School())):
        yield


def school(workspace: Path, trials: int = 1, **changed: Any) -> Study:
    settings: dict[str, Any] = {
        "space": "toy",
        "searcher": "school",
        "evaluator": "taught",
        "trials": trials,
        "max_budget": 3,
        "name": "study",
        "options": {"space": {"digits": 4}},
    }
    return Study(workspace=workspace, **settings | changed)


def test_its_own_trials_are_journalled_charged_and_never_ranked(tmp_path: Path) -> None:
    study = school(tmp_path, trials=2, estimator=["toy"]).run()
    rows = study.record.trials()
    own = [row for row in rows if row.label.startswith("pupil")]
    assert [(row.label, row.role, row.status, row.budget) for row in own] == [
        ("pupil 0", "support", "completed", 6),
        ("pupil 1", "support", "completed", 6),
    ]
    assert all(row.cost > 0 for row in own)
    assert study.best.trial not in {row.number for row in own}
    asks = [payload["job"] for kind, payload in study.record.journal.events() if kind == "ask"]
    assert [job["to_budget"] for job in asks if job["trial"] == own[0].number] == list(LESSONS)
    tells = {p["trial"]: p["outcome"] for kind, p in study.record.journal.events() if kind == "tell"}
    assert tells[own[0].number]["estimates"] == {}
    assert tells[own[0].number]["report"]["taught"][:4] == [
        study.trials.loc[1, f"configuration_digit_{place}" if place > 4 else f"digit_{place}"] for place in range(1, 5)
    ]
    assert not list((tmp_path / "checkpoints").rglob(f"{own[0].number}/unit*"))


def test_processes_of_one_study_have_seeds_of_their_own_and_equal_studies_are_equal(tmp_path: Path) -> None:
    one, two = school(tmp_path / "one", trials=2).run(), school(tmp_path / "two", trials=2).run()
    assert ended(tmp_path / "one") == ended(tmp_path / "two")
    first, second = (row for row in one.record.trials() if row.label.startswith("pupil"))
    assert first.metrics != second.metrics
    assert two.status == "finished"


def test_processes_run_side_by_side_where_there_are_workers(tmp_path: Path) -> None:
    study = school(tmp_path, trials=2, executor="simulated", workers=2).run()
    kinds = [(kind, payload.get("trial")) for kind, payload in study.record.journal.events()]
    assert [kind for kind, _ in kinds[:2]] == ["ask", "ask"]
    assert study.status == "finished"


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_ends_as_if_it_had_not_been(point: str, tmp_path: Path) -> None:
    school(tmp_path / "whole", trials=2).run()
    expected, passage = ended(tmp_path / "whole"), 1
    while True:
        workspace = tmp_path / f"{point}-{passage}"
        if not killed(lambda: school(workspace, trials=2).run(), point, passage):  # type: ignore[arg-type, return-value]  # noqa: B023
            break
        if Workspace(workspace).exists() and Workspace(workspace).studies():
            Study.resume("study", workspace=workspace)
        else:
            school(workspace, trials=2).run()
        assert ended(workspace) == expected, f"killed at passage {passage} of {point}"
        passage += 1
    assert passage > 5, "the point was hardly passed: this test shows nothing"


@pytest.mark.parametrize(
    ("mischief", "rule"),
    [
        ("no description", "must hold its description and its max_budget"),
        ("too far", "to_budget <= max_budget of its instruction"),
        ("another description", "must keep its description and its max_budget"),
    ],
)
def test_a_job_that_breaks_a_rule_is_named(mischief: str, rule: str, tmp_path: Path) -> None:
    options = {"space": {"digits": 4}, "searcher": {"mischief": mischief}}
    with pytest.raises(SearcherError, match=rule):
        school(tmp_path, options=options).run()


def test_a_searcher_must_name_the_evaluator_of_its_own_trials(tmp_path: Path) -> None:
    with pytest.raises(SearcherError, match="must name the evaluator"):
        school(tmp_path, searcher="unnamed").run()


def test_its_evaluator_refuses_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RequestError("a pupil must have a desk")

    monkeypatch.setattr(PupilEvaluator, "check", refuse)
    with pytest.raises(RequestError, match="desk"):
        school(tmp_path)


def test_a_failed_support_trial_is_named_when_there_is_no_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[Observation]:
        raise RuntimeError("the school is closed")

    monkeypatch.setattr(PupilEvaluation, "advance", fail)
    with pytest.raises(StudyFailed, match=r"pupil 0 .*trial 0 failed.*the school is closed"):
        school(tmp_path).run()


def test_a_plan_tells_what_the_searcher_trains_of_its_own(tmp_path: Path) -> None:
    plan = school(tmp_path, trials=2).plan()
    assert (plan["trials"], plan["expected_units"]) == (2, 6)
    assert any("12 epochs of its own" in note for note in plan["notes"])
    assert not (tmp_path / "journal.sqlite").exists()


def test_a_recorded_study_is_loaded_and_replayed(tmp_path: Path) -> None:
    school(tmp_path, trials=2, estimator=["toy"]).run()
    again = Study.load("study", workspace=tmp_path)
    assert again.replay("toy").changed == 0


def shown(*arguments: object) -> Result:
    result = CliRunner().invoke(application, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result


def test_its_curve_is_shown_and_its_pictures_are_written(tmp_path: Path) -> None:
    study = school(tmp_path, trials=2).run()
    own = next(row.number for row in study.record.trials() if row.label == "pupil 1")
    result = shown("show", "study", "--workspace", tmp_path, "--pictures", tmp_path / "new" / "pictures")
    assert f"pupil 1, trial {own}\n7 points to unit 6" in result.stdout
    assert (tmp_path / "new" / "pictures" / f"trial-{own}.svg").read_text() == "<svg>7</svg>"
    assert str(tmp_path / "new") in result.stderr
    document = json.loads(shown("show", "study", "--workspace", tmp_path, "--json").stdout)
    assert [point["unit"] for point in document["curves"][str(own)]] == list(range(7))


def test_pictures_where_there_is_nothing_to_draw_or_nowhere_to_write(tmp_path: Path) -> None:
    school(tmp_path, searcher="random").run()
    drawn = CliRunner().invoke(application, ["show", "study", "--workspace", str(tmp_path), "--pictures", "pictures"])
    assert drawn.exit_code == 2 and "there must be something to draw" in drawn.stderr
    school(tmp_path, name="other").run()
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "pictures"
    refused = CliRunner().invoke(application, ["show", "other", "--workspace", str(tmp_path), "--pictures", str(below)])
    assert refused.exit_code == 2 and "need a directory that can be written" in refused.stderr


@dataclass(frozen=True)
class Strictness:
    """Settings that have nothing to do with those of the study's evaluator.

    Args:
        marks: How many marks there are.
    """

    marks: int = 6


def test_an_evaluator_with_settings_of_its_own_is_not_given_the_studys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(self: PupilEvaluator, trainer: Strictness) -> None:
        ToyEvaluator.__init__(self)
        assert trainer == Strictness()

    monkeypatch.setattr(PupilEvaluator, "settings", Strictness)
    monkeypatch.setattr(PupilEvaluator, "__init__", begin)
    monkeypatch.setattr(TaughtEvaluator, "settings", Loudness)
    monkeypatch.setattr(TaughtEvaluator, "__init__", lambda self, trainer: ToyEvaluator.__init__(self))
    assert school(tmp_path, options={"space": {"digits": 4}, "trainer": {"volume": 2}}).run().status == "finished"


@dataclass(frozen=True)
class Loudness:
    """The study's settings.

    Args:
        volume: How loud it is.
    """

    volume: int = 1


def test_one_that_takes_no_candidates_is_no_evaluator_of_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PupilEvaluator, "takes_candidates", False)
    assert school(tmp_path).run().status == "finished"
    with pytest.raises(RequestError, match="trains what searchers ask for of their own; leave --evaluator out"):
        school(tmp_path, name="other", evaluator="pupil")


def test_a_searcher_that_imagines_nothing_is_not_rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SchoolSearcher, "imagine", Searcher.imagine)
    plan = school(tmp_path).plan()
    assert plan["expected_units"] is None and plan["estimated_seconds"] is None


def test_a_study_is_shown_although_its_searcher_is_gone(tmp_path: Path) -> None:
    school(tmp_path).run()
    with use_registry(toy_registry()):
        result = shown("show", "study", "--workspace", tmp_path)
    assert "pupil 0" in result.stdout and "points to unit" not in result.stdout
