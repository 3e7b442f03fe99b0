"""Recipes that travel: exported with a trained graph, trained again in other workspaces and on other data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from automl_cli.application import application
from automl_core import RequestError, Study
from automl_core.recipe_space import recipe_study
from automl_core.recipes import read_recipe
from automl_vision.trainer.settings import TrainerSettings

SPACE = {"nodes": 2, "target": "resnet8", "models": ["resnet8"], "gates": ["through", "cutoff"]}
TRAINER = {"batch": 20, "pad": 1}
ONCE = ("--repeats", "1", "--threads", "1", "--quiet")


def automl(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(application, [str(one) for one in arguments], prog_name="automl")
    assert result.exit_code == code, result.stderr
    return result


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Study:
    options = {"space": SPACE, "dataset": {"limit": 60}, "trainer": TRAINER}
    workspace = tmp_path_factory.mktemp("found") / "w"
    return Study(
        "ktg", "random", trials=1, max_budget=1, name="found", threads=1, options=options, workspace=workspace
    ).run()


@pytest.fixture(scope="module")
def recipe(found: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported") / "model"
    assert "recipe.yaml" in found.export(directory)["files"]
    assert "automl retrain recipe.yaml --dataset NAME" in (directory / "README.md").read_text()
    return directory / "recipe.yaml"


def test_a_recipe_is_complete_and_knows_no_place(found: Study, recipe: Path) -> None:
    told = read_recipe(recipe)
    assert told.description == found.assembly.space.decode(found.best.configuration).to_json()
    assert told.trainer == json.loads(json.dumps(asdict(TrainerSettings(**{**found.spec.trainer}))))
    assert told.trainer["batch"] == 20
    assert set(told.trainer) == set(asdict(TrainerSettings())), "later defaults change nothing"
    assert (told.evaluator.name, told.unit, told.budget, told.objective) == ("ktg", "epochs", 1, "accuracy:max")
    assert told.dataset is not None
    assert (told.dataset.name, told.dataset.options) == ("digits", {"limit": 60})
    assert (told.provenance["study"], told.provenance["trial"]) == ("found", 0)
    assert told.provenance["metrics"]["accuracy"] == found.best.value
    assert str(found.workspace.path) not in recipe.read_text()
    assert "/" not in recipe.read_text()


def test_a_recipe_is_that_of_the_weights_beside_it(found: Study, tmp_path: Path) -> None:
    options = {"dataset": {"limit": 70}, "trainer": {"lr": 0.05}}
    report = found.retrain(epochs=2, repeats=1, options=options)
    found.export(tmp_path / "retrained")
    (control,) = report["results"][1]["trials"]
    found.export(tmp_path / "control", trial=control)
    best, through = (read_recipe(tmp_path / name / "recipe.yaml") for name in ("retrained", "control"))
    for one in (best, through):
        assert one.budget == 2
        assert one.dataset is not None
        assert one.dataset.options == {"limit": 70}
        assert (one.trainer["lr"], one.trainer["batch"]) == (0.05, 20)
    assert {edge["gate"] for edge in through.description["edges"]} == {"through"}
    assert len(through.description["edges"]) == 4
    assert through.provenance["label"] == "all gates through"


def test_it_is_trained_elsewhere_beside_its_control_and_found_again(recipe: Path, tmp_path: Path) -> None:
    command = ("retrain", recipe, "--dataset", "digits", "--set", "dataset.limit=80", *ONCE, "--workspace", tmp_path)
    table = automl(*command).stdout
    (listed,) = json.loads(automl("studies", "--workspace", tmp_path, "--json").stdout)["studies"]
    events = Study.load(listed["name"], workspace=tmp_path).record.journal.length
    assert table.startswith("The recipe, trained on training and validation data for 1 epoch, once")
    assert "retraining" in table
    assert "all gates through" in table
    report = json.loads(automl(*command, "--json").stdout)
    assert report["trial"] is None
    assert (listed["name"], listed["status"], listed["trials"]) == (report["study"], "finished", 0)
    assert listed["name"].startswith("found-0-on-digits-")
    record = Study.load(report["study"], workspace=tmp_path).record
    assert {row.role for row in record.trials()} == {"support"}
    assert record.journal.length == events, "nothing is trained twice"
    shown = automl("show", report["study"], "--workspace", tmp_path).stdout
    assert "all gates through" in shown
    assert "recipe {...}" in shown
    assert "the only configuration" in shown
    assert "target" in shown
    automl("export", report["study"], tmp_path / "model", "--workspace", tmp_path)
    assert read_recipe(tmp_path / "model" / "recipe.yaml").description == read_recipe(recipe).description
    other = recipe_study(recipe, "digits", options={"dataset": {"limit": 80}}, seed=1, workspace=tmp_path)
    assert other.name != report["study"], "another seed is another study"


def test_networks_are_built_for_the_images_they_get(recipe: Path, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, count in (("train", 60), ("val", 20), ("test", 20)):
        arrays[f"{split}_images"] = drawn.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(count).reshape(-1, 1) % 3
    np.savez(tmp_path / "colours.npz", **arrays)
    data = ("--dataset", "npz", "--set", f"dataset.path={tmp_path / 'colours.npz'}")
    flags = ("--set", "trainer.lr=0.01", *ONCE, "--workspace", tmp_path / "w", "--json")
    report = json.loads(automl("retrain", recipe, *data, *flags).stdout)
    assert report["dataset"] == "npz"
    spec = Study.load(report["study"], workspace=tmp_path / "w").spec
    assert spec.dataset is not None
    assert dict(spec.dataset.options) == {"path": str(tmp_path / "colours.npz")}, "limit was that of the other data set"
    automl("export", report["study"], tmp_path / "model", "--workspace", tmp_path / "w")
    told = json.loads((tmp_path / "model" / "model.json").read_text())
    assert (told["channels"], told["classes"]) == (3, 3)
    assert read_recipe(tmp_path / "model" / "recipe.yaml").trainer["lr"] == 0.01


def test_killed_anywhere_it_goes_on_and_ends_the_same(recipe: Path, tmp_path: Path) -> None:
    def values(report: str) -> Any:
        return [(one["label"], one["values"]) for one in json.loads(report)["results"]]

    command = [str(one) for one in ("retrain", recipe, "--epochs", 2, *ONCE, "--json", "--workspace")]
    whole = values(automl(*command, tmp_path / "whole").stdout)
    python = [sys.executable, "-c", "import sys; sys.argv[0] = 'automl'; from automl_cli import main; main()"]
    for fault in ("trainer.batch:4", "journal.committed:4"):
        environment = {**os.environ, "AUTOML_FAULT": fault, "OMP_NUM_THREADS": "1"}
        killed = subprocess.run([*python, *command, str(tmp_path / "cut")], env=environment, check=False)
        assert killed.returncode == -9
        (listed,) = json.loads(automl("studies", "--workspace", tmp_path / "cut", "--json").stdout)["studies"]
        assert listed["status"] == "interrupted"
    assert values(automl(*command, tmp_path / "cut").stdout) == whole


def test_a_time_limit_leaves_a_study_that_the_same_command_ends(recipe: Path, tmp_path: Path) -> None:
    study = recipe_study(recipe, workspace=tmp_path, threads=1)
    assert study.retrain(repeats=1, time_limit=1e-6)["status"] == "time-limit"
    assert Study.load(study.name, workspace=tmp_path).status == "time-limit"
    again = recipe_study(recipe, workspace=tmp_path)
    assert again.name == study.name
    assert again.retrain(repeats=1)["status"] == "finished"


def test_a_retraining_is_shown_as_one_and_never_searched(recipe: Path, tmp_path: Path) -> None:
    study = recipe_study(recipe, workspace=tmp_path, threads=1)
    study.retrain(repeats=1, time_limit=1e-6)
    (listed,) = json.loads(automl("studies", "--workspace", tmp_path, "--json").stdout)["studies"]
    assert listed["searcher"] == "retraining"
    shown = automl("show", study.name, "--workspace", tmp_path).stdout
    assert "this is a retraining" in shown
    assert "random" not in shown
    assert "reached by" not in shown
    before = study.record.to_json()
    refused = automl("resume", study.name, "--workspace", tmp_path, code=2)
    assert "automl retrain RECIPE.yaml" in refused.stderr
    with pytest.raises(RequestError, match="must not go on with a retraining"):
        Study.load(study.name, workspace=tmp_path).run()
    assert study.record.to_json() == before


def test_it_is_searched_like_any_space(recipe: Path, tmp_path: Path) -> None:
    flags = ("--searcher", "grid", "--threads", "1", "--quiet", "--name", "one", "--workspace", tmp_path)
    automl("run", "--space", recipe, *flags)
    study = Study.load("one", workspace=tmp_path)
    assert [row.role for row in study.record.trials()] == ["candidate", "support"]
    assert study.best.configuration == {}
    assert "target" in automl("best", "one", "--workspace", tmp_path).stdout
    assert study.retrain(repeats=1)["trial"] == 0
    assert study.record.summary.searcher == "grid"
    assert "rungs" in automl("show", "one", "--workspace", tmp_path).stdout
    study.export(tmp_path / "again")
    assert read_recipe(tmp_path / "again" / "recipe.yaml").description == read_recipe(recipe).description


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--trial", 3), "a recipe is one training"),
        (("--set", "space.recipe=x"), "change the description in"),
        (("--set", "searcher.eta=3"), "options of dataset, trainer and space"),
        (("--repeats", 0), "repeats must be above 0"),
        (("--epochs", 0), "epochs must be above 0"),
        (("--dataset", "digitz"), "unknown dataset 'digitz'"),
        (("--preset", "papre"), "unknown preset 'papre'"),
        (("--set", "trainer.batch=5000"), "trainer.batch must be at most"),
        (("--dask", "tcp://127.0.0.1:1"), ""),
    ],
)
def test_wrong_requests_leave_nothing(recipe: Path, tmp_path: Path, flags: tuple[object, ...], says: str) -> None:
    refused = automl("retrain", recipe, *flags, "--workspace", tmp_path / "w", code=2)
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert json.loads(automl("studies", "--workspace", tmp_path / "w", "--json").stdout)["studies"] == []


def test_recipes_are_described_with_a_file_and_without(recipe: Path) -> None:
    assert "1 configurations" in automl("describe", "space", recipe).stdout
    described = automl("describe", "space", "recipe").stdout
    assert "required" in described
    assert "configurations" not in described


def test_a_recorded_study_keeps_its_seed(found: Study) -> None:
    refused = automl("retrain", "found", "--seed", 3, "--workspace", found.workspace.path, code=2)
    assert "a study keeps the seed" in refused.stderr


def test_a_study_of_many_configurations_must_be_run_first(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="must have been run first"):
        Study("ktg", options={"space": SPACE}, workspace=tmp_path).retrain()
