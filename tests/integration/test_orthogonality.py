"""``automl orthogonality`` over recorded studies of an evaluator that knows what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from automl_cli.application import application
from automl_core import Study
from automl_core.hookspecs import Register, hookimpl
from automl_core.interfaces import ArtefactRequest, Context, Description, Evaluation, Evaluator
from automl_core.plugins import Registry, use_registry
from automl_core.types import Direction, Job, Json, Observation, Split
from automl_spaces.trainings import Phase, Training, kind_of, phase_of

WHOLE = {"none": 0.70, "label": 0.74, "feature": 0.73}
PRUNED: dict[Phase, float] = {"none": 0.68, "pre": 0.69, "post": 0.685, "pre-post": 0.71, "self": 0.725}


def accuracy(training: Training) -> float:
    """Gives what a training ends with; the later the repetition, the better self-distillation."""
    if training.pruning is None:
        augmented = 0.02 if any(training.recipe.trainer.values()) else 0.0
        taught = 0.01 if any(any(teacher.recipe.trainer.values()) for teacher in training.teachers) else 0.0
        return WHOLE[kind_of(training.graph)] + augmented + taught
    phase = phase_of(training)
    return PRUNED[phase] + (0.01 * training.repeat if phase == "self" else 0.0)


@dataclass
class Known(Evaluation):
    training: Training
    max_budget: int
    stateless = True

    def advance(self, job: Job) -> Iterator[Observation]:
        for unit in range(job.from_budget + (job.from_budget > 0), job.to_budget + 1):
            metrics = {"accuracy": accuracy(self.training) + (0.2 if unit < self.max_budget else 0.0)}
            if self.training.pruning is not None:
                metrics |= {"params_before": 1000.0, "params": 640.0, "size_before": 5000.0, "size": 3000.0}
            yield Observation(unit, metrics)

    def save(self, directory: Path) -> None:
        """There is nothing to go on from."""

    def load(self, directory: Path) -> None:
        """As little."""

    def export(self, directory: Path) -> None:
        (directory / "nothing").write_text("")


class KnownEvaluator(Evaluator):
    """Looks accuracies up; the ones before the last epoch are better."""

    metrics: Mapping[str, Direction] = {"accuracy": "max"}

    def requires(self, description: Description, max_budget: int, split: Split) -> Sequence[ArtefactRequest]:
        assert isinstance(description, Training)
        needed = [description.origin] if description.origin is not None else []
        return [ArtefactRequest("artefact", one, max_budget, split) for one in (*needed, *description.teachers)]

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, Training)
        return Known(description, context.max_budget)

    def parse(self, data: Json) -> Training:
        return Training.from_json(data)


class KnownPlugin:
    @hookimpl
    def automl_evaluators(self, register: Register) -> None:
        register("known", f"{__name__}:KnownEvaluator", summary="known accuracies")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    own = Registry()
    own.add("known", KnownPlugin())
    with use_registry(own):
        yield


def run(workspace: Path, name: str, space: str, seed: int = 0, searcher: str = "grid", **changed: Any) -> Study:
    options = changed.pop("options", {})
    settings = {"max_budget": 2, "min_budget": 2, "trials": 500, **changed}
    return Study(
        space, searcher, evaluator="known", name=name, seed=seed, workspace=workspace, options=options, **settings
    ).run()


def pruning_options(**space: Any) -> dict[str, Any]:
    return {"space": {"methods": ["magnitude"], "models": ["resnet8"], "remaining": [0.5], **space}}


def ask(workspace: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        application, ["orthogonality", *arguments, "--workspace", str(workspace)], prog_name="automl"
    )


def test_the_table_of_one_study_with_three_repeats(tmp_path: Path) -> None:
    run(tmp_path, "mine", "kd-pruning", options=pruning_options(repeats=3))
    result = ask(tmp_path, "mine", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    scratch, label, feature = document["pruning"]
    assert scratch["unpruned"]["values"] == [0.70] * 3
    assert scratch["fine_tuned"]["mean"] == pytest.approx(0.68)
    assert scratch["surplus"] is None
    assert (label["type"], label["alpha"], label["temperature"]) == ("label", 0.9, 4.0)
    means = [label[name]["mean"] for name in ("unpruned", "pre", "post", "pre_post", "self")]
    assert means == pytest.approx([0.74, 0.69, 0.685, 0.71, 0.735])
    assert label["self"]["deviation"] == pytest.approx(0.01)
    # (0.725, 0.735, 0.745 - 0.68) - (0.74 - 0.70). Of three seeds 1 in 27 means is that of the least one alone.
    assert label["surplus"]["values"] == pytest.approx([0.005, 0.015, 0.025])
    assert label["surplus"]["mean"] == pytest.approx(0.015)
    low, high = label["surplus"]["interval"]
    assert (low, high) == pytest.approx((0.005, 0.025))
    assert feature["surplus"]["mean"] == pytest.approx(0.025)
    assert {gain["metric"]: (gain["before"], gain["after"]) for gain in document["gains"]} == {
        "params": (1000.0, 640.0),
        "size": (5000.0, 3000.0),
    }
    assert document["left_out"] == {}


def test_it_is_printed_in_percent_and_eighty_columns(tmp_path: Path) -> None:
    run(tmp_path, "mine", "kd-pruning", options=pruning_options(repeats=3))
    result = ask(tmp_path, "mine")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "resnet8, magnitude, 50 % remain" in lines
    assert lines.count("resnet8, magnitude, 50 % remain") == 3, "once above each table"
    assert "distilled n unpruned tuned/pre post pre-post self" in lines
    assert "without 3 70.00±0.00 68.00±0.00 - - -" in lines
    assert "label 3 74.00±0.00 69.00±0.00 68.50±0.00 71.00±0.00 73.50±1.00" in lines
    assert "label 3 1.50 0.50 to 2.50" in lines
    assert "params 27 1 k 640 64 %" in lines
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_seed_is_a_studys_seed_and_a_repetition(tmp_path: Path) -> None:
    run(tmp_path, "labels", "kd-pruning", options=pruning_options(types=["none", "label"]))
    run(tmp_path, "features", "kd-pruning", options=pruning_options(types=["feature"]))
    run(tmp_path, "again", "kd-pruning", seed=1, options=pruning_options(types=["none", "label"]))
    document = json.loads(ask(tmp_path, "labels", "features", "again", "labels", "--json").stdout)
    assert document["studies"] == ["labels", "features", "again"]
    scratch, label, feature = document["pruning"]
    assert [row["surplus"] and row["surplus"]["seeds"] for row in (scratch, label, feature)] == [None, 2, 1]
    assert scratch["fine_tuned"]["seeds"] == 2
    assert feature["surplus"]["interval"] is None
    printed = [" ".join(line.split()) for line in ask(tmp_path, "labels", "features").stdout.splitlines()]
    assert "feature 1 1.50 one seed" in printed


def test_what_stopped_early_is_left_out_and_said(tmp_path: Path) -> None:
    options = pruning_options(remaining=[0.3, 0.5, 0.7, 0.9]) | {"searcher": {"eta": 2}}
    run(tmp_path, "early", "kd-pruning", searcher="asha", min_budget=1, max_budget=4, trials=12, options=options)
    document = json.loads(ask(tmp_path, "early", "--json").stdout)
    left_out = document["left_out"]["early"]
    assert 0 < len(left_out) < 12
    for row in document["pruning"]:
        for name, cell in row.items():
            if isinstance(cell, dict) and "values" in cell and name != "surplus":
                assert max(cell["values"]) < 0.8, "what is not complete must not be counted"
    assert f"Left out of early: {len(left_out)} without a complete budget (trial" in ask(tmp_path, "early").stdout


def test_the_tables_of_augmentation(tmp_path: Path) -> None:
    run(tmp_path, "augmented", "kd-augment", options={"space": {"augmentations": ["cutmix"], "repeats": 2}})
    document = json.loads(ask(tmp_path, "augmented", "--json").stdout)
    assert document["pruning"] == document["gains"] == []
    cells = {
        row["type"]: [
            (cell["teacher"], cell["student"], cell["seeds"], round(cell["mean"], 3)) for cell in row["cells"]
        ]
        for row in document["augmentation"]
    }
    assert cells["none"] == [(None, False, 2, 0.70), (None, True, 2, 0.72)]
    assert cells["label"] == [
        (False, False, 2, 0.74),
        (False, True, 2, 0.76),
        (True, False, 2, 0.75),
        (True, True, 2, 0.77),
    ]
    lines = [" ".join(line.split()) for line in ask(tmp_path, "augmented").stdout.splitlines()]
    assert "resnet8, cutmix 0.5" in lines
    assert "distilled n no/no no/yes yes/no yes/yes" in lines
    assert "feature 2 73.00±0.00 75.00±0.00 74.00±0.00 76.00±0.00" in lines


def test_studies_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    run(tmp_path, "short", "kd-pruning", options=pruning_options())
    run(tmp_path, "long", "kd-pruning", options=pruning_options(), max_budget=3, min_budget=3)
    Study("counting-ones", "random", name="ones", trials=1, workspace=tmp_path).run()
    result = ask(tmp_path, "short", "long")
    assert result.exit_code == 2
    assert "max_budget of 'short' is 2 and that of 'long' is 3" in " ".join(result.stderr.split())
    result = ask(tmp_path, "ones")
    assert result.exit_code == 2
    assert "study 'ones' is of space 'counting-ones'" in " ".join(result.stderr.split())
    result = ask(tmp_path, "shrot")
    assert result.exit_code == 2
    assert "did you mean 'short'" in " ".join(result.stderr.split())


def test_a_study_without_a_finished_candidate_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "mine", "kd-pruning", options=pruning_options(types=["none"]), trials=1)
    record = Study.load("mine", workspace=tmp_path).record
    with record.journal.database.transaction() as connection:
        connection.execute("UPDATE trials SET status = 'failed' WHERE role = 'candidate'")
    result = ask(tmp_path, "mine")
    assert result.exit_code == 2
    assert "completed the full budget (2), but there are none in mine" in " ".join(result.stderr.split())
