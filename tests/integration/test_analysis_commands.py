"""Commands that look at trained networks, on graphs of small networks; and how any trial's export is got hold of."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from toys import toy_registry

from automl_cli.application import application
from automl_core import RequestError, Study
from automl_core.engine.progress import Progress
from automl_core.exporting import exported, with_weights
from automl_core.plugins import use_registry
from automl_core.records import Workspace
from automl_core.testing.doubles import ToyEvaluator, ToySpace
from automl_core.types import Job, Observation
from automl_vision import load_exported

POINTS = 3


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two candidates, a baseline, and retrainings on fewer images with their controls."""
    path = tmp_path_factory.mktemp("analysis") / "w"
    study = Study(
        "ktg",
        "random",
        name="graphs",
        dataset="digits",
        max_budget=1,
        trials=2,
        threads=1,
        checkpoint="all",
        options={
            "space": {"nodes": 2, "target": "resnet8", "models": ["resnet8"]},
            "dataset": {"limit": 60},
            "trainer": {"batch": 20, "pad": 1},
        },
        workspace=path,
    ).run()
    study.retrain(epochs=1, repeats=2, options={"dataset": {"limit": 40}})
    return path


def automl(workspace: Path, *arguments: object) -> Result:
    words = [*map(str, arguments), "--workspace", str(workspace)]
    return CliRunner().invoke(application, words, prog_name="automl")


def ran(workspace: Path, *arguments: object) -> str:
    result = automl(workspace, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def numbers(workspace: Path, label: str) -> list[int]:
    return [row.number for row in Workspace(workspace).record("graphs").trials() if row.label == label]


# -- any trial's export ------------------------------------------------------------------------------------------------


def test_candidates_and_support_trials_come_back_as_they_were_measured(workspace: Path) -> None:
    study = Study.load("graphs", workspace=workspace)
    rows = [row for row in with_weights(study) if row.label in ("", "target alone")]
    assert {row.role for row in rows} == {"candidate", "support"}
    for row in rows:
        with exported(study, row.number) as found:
            network = load_exported(found.directory)
        assert found.trial.number == row.number and found.dataset is study.assembly.dataset
        split = study.assembly.dataset.split("validation")  # type: ignore[union-attr]
        with torch.no_grad():
            hits = network(split.images).argmax(dim=1) == split.labels
        assert float(hits.float().mean()) == pytest.approx(row.metrics["accuracy"])


@pytest.mark.parametrize("label", ["target alone", "retraining"])
def test_support_trials_are_exported_like_candidates(workspace: Path, tmp_path: Path, label: str) -> None:
    study = Study.load("graphs", workspace=workspace)
    trial = numbers(workspace, label)[-1]
    shown = ran(workspace, "export", "graphs", tmp_path / "out", "--trial", trial)
    assert f"Trial {trial} of graphs, {label}, is in" in shown and "automl retrain" not in shown
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith(f"# {label}, trial {trial} of study graphs")
    assert ("| accuracy | test, after 1 epochs" in card) is (label == "retraining")
    document = json.loads((tmp_path / "out" / "description.json").read_text())
    assert document["trained"] == label and document["description"]["nodes"]
    network = load_exported(tmp_path / "out")
    with exported(study, trial) as found:
        theirs = load_exported(found.directory)
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), theirs.parameters(), strict=True))


def test_a_retraining_comes_with_the_data_that_it_was_trained_on(workspace: Path) -> None:
    study = Study.load("graphs", workspace=workspace)
    with exported(study, numbers(workspace, "retraining")[0]) as found:
        assert found.dataset is not None and found.dataset.limit == 40  # type: ignore[attr-defined]


def test_nothing_is_left_and_the_best_is_the_default(workspace: Path) -> None:
    study = Study.load("graphs", workspace=workspace)
    before = sorted(workspace.rglob("*"))
    with exported(study) as found:
        assert found.trial.number == study.best.trial
    assert not found.directory.exists()
    assert sorted(workspace.rglob("*")) == before


def toy(path: Path, name: str, **options: object) -> Study:
    evaluator = options.pop("evaluator", None) or ToyEvaluator(fail=(1,))
    return Study(ToySpace(), "asha", evaluator=evaluator, max_budget=4, name=name, workspace=path, **options)  # type: ignore[arg-type]


def test_trials_that_have_nothing_to_give_are_told_apart(tmp_path: Path) -> None:
    study = toy(tmp_path, "toys", trials=6).run()
    stopped = next(row.number for row in study.record.trials() if row.status == "stopped")
    for trial, rule in (
        (99, "--trial must name a trial of study 'toys', but got 99"),
        (1, "trial 1 is failed .*was told to fail"),
        (stopped, f"the checkpoint of trial {stopped} was not kept"),
    ):
        with pytest.raises(RequestError, match=rule), exported(study, trial):
            pass
    assert stopped not in [row.number for row in with_weights(study)]


class CtrlC(Progress):
    def observed(self, job: Job, observation: Observation) -> None:
        if job.trial == 1:
            signal.raise_signal(signal.SIGINT)


def test_an_unfinished_trial_is_told(tmp_path: Path) -> None:
    cut = toy(tmp_path, "cut", evaluator=ToyEvaluator(), trials=6).run(progress=CtrlC())
    assert cut.status == "interrupted"
    told = r"needs a finished trial, but trial 1 is interrupted; .*automl resume cut"
    with pytest.raises(RequestError, match=told), exported(cut, 1):
        pass
    assert [row.number for row in with_weights(cut)] == [0]


def test_an_artefact_that_is_gone_is_told(tmp_path: Path) -> None:
    with use_registry(toy_registry()):
        study = Study("toy", "random", evaluator="taught", max_budget=2, trials=2, name="t", workspace=tmp_path).run()
        support = next(row for row in study.record.trials() if row.role == "support")
        with exported(study, support.number) as found:
            assert (found.directory / "description.json").is_file()
        shutil.rmtree(tmp_path / "artefacts")
        told = rf"those of trial {support.number} \({support.label}\) are not in"
        with pytest.raises(RequestError, match=told), exported(study, support.number):
            pass


# -- automl diversity --------------------------------------------------------------------------------------------------


def test_diversity_of_all_networks(workspace: Path) -> None:
    found = json.loads(ran(workspace, "diversity", "graphs", "--batch", 20, "--json"))
    assert found["batch"] == 20 and found["left_out"] == []
    labels = [one["label"] for one in found["networks"]]
    best = Workspace(workspace).record("graphs").best()
    assert best is not None
    label = f"retraining of trial {best.trial}"
    assert labels.count("resnet8") == 2 and labels.count(label) == 2 and "target alone" in labels
    assert all(one["score"] <= -20 for one in found["networks"])
    seen = {one["label"] for one in found["networks"] if one["seen"]}
    assert label in seen and not seen & {"resnet8", "target alone"}
    (group,) = [one for one in found["groups"] if one["label"] == label]
    assert "resnet8" not in [one["label"] for one in found["groups"]], "their graphs differ"
    scores = [one["score"] for one in found["networks"] if one["label"] == label]
    assert group["mean"] == pytest.approx(sum(scores) / 2)
    assert group["deviation"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)


def test_diversity_as_a_table_and_of_chosen_trials(workspace: Path) -> None:
    shown = ran(workspace, "diversity", "graphs", "--batch", 20)
    assert "trained alike, on the same data" in shown and "target alone" in shown and "Left out" not in shown
    assert re.search(r"retraining of trial \d \*$", shown, re.MULTILINE) and "*: trained on these images" in shown
    assert "images are compared, not 128" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    (alone,) = numbers(workspace, "target alone")
    one = ran(workspace, "diversity", "graphs", "--batch", 20, "--trial", alone, "--trial", alone)
    assert "trained alike" not in one and one.count("target alone") == 1


def test_few_numbers_in_an_image_are_few_images_by_default(workspace: Path) -> None:
    (alone,) = numbers(workspace, "target alone")
    shown = ran(workspace, "diversity", "graphs", "--trial", alone)
    assert shown.startswith("diversity in graphs, 32 validation images")
    assert "Here 32 images are compared, not 128" in shown


def test_retrainings_of_different_trials_are_apart_and_taken_where_weights_are_gone(
    workspace: Path, tmp_path: Path
) -> None:
    shutil.copytree(workspace, tmp_path / "w")
    for trial in (0, 1):
        retrain = ("retrain", "graphs", "--trial", trial, "--repeats", 2, "--epochs", 1)
        ran(tmp_path / "w", *retrain, "--set", "dataset.limit=50")
    found = json.loads(ran(tmp_path / "w", "diversity", "graphs", "--batch", 20, "--json"))
    labels = [one["label"] for one in found["groups"]]
    best = Study.load("graphs", workspace=workspace).best.trial
    assert labels.count("retraining of trial 0") == 1 + (best == 0), "other data are another group"
    assert labels.count("retraining of trial 1") == 1 + (best == 1)
    shutil.rmtree(tmp_path / "w" / "checkpoints" / "1" / "0")
    gone = automl(tmp_path / "w", "diversity", "graphs", "--batch", 20, "--trial", 0)
    assert gone.exit_code == 0 and "retraining of trial 0 *" in gone.stdout
    assert re.search(r"checkpoint of trial 0 was not kept; trial \d+, its first retraining, is taken", gone.stderr)


def test_what_was_not_kept_is_left_out_and_told(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace, tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "checkpoints" / "1" / "1")
    assert "Left out, since their weights were not kept: 1;" in ran(
        tmp_path / "w", "diversity", "graphs", "--batch", 20
    )
    refused = automl(tmp_path / "w", "landscape", "graphs", "--trial", 1, "--json")
    assert refused.exit_code == 2
    assert "the checkpoint of trial 1 was not kept; 'automl retrain graphs --trial 1' makes new ones" in refused.stderr
    assert "export" not in refused.stderr
    for kept in ("checkpoints", "artefacts"):
        shutil.rmtree(tmp_path / "w" / kept)
    refused = automl(tmp_path / "w", "diversity", "graphs")
    assert refused.exit_code == 2 and "keeps the weights of none" in refused.stderr


# -- automl landscape --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["", "target alone"])
def test_a_landscape_has_the_trained_network_in_the_middle(workspace: Path, tmp_path: Path, label: str) -> None:
    trial = numbers(workspace, label)[0]
    row = Workspace(workspace).record("graphs").trials()[trial]
    picture = tmp_path / "landscape.svg"
    arguments = ("landscape", "graphs", "--trial", trial, "--points", POINTS)
    found = json.loads(ran(workspace, *arguments, "--json", "-o", picture))
    assert found["steps"] == [-1.0, 0.0, 1.0] and found["images"] == 60 and found["picture"] == str(picture)
    assert found["loss"][1][1] == pytest.approx(row.metrics["loss"], rel=1e-4)
    assert found["accuracy"][1][1] == pytest.approx(row.metrics["accuracy"])
    assert picture.read_text().startswith("<?xml")
    again = json.loads(ran(workspace, *arguments, "--json"))
    assert again == {**found, "picture": None}
    other = json.loads(ran(workspace, *arguments, "--json", "--seed", 1))
    assert other["loss"][1][1] == found["loss"][1][1] and other["loss"][0][0] != found["loss"][0][0]


def test_a_landscape_is_told_in_words(workspace: Path, tmp_path: Path) -> None:
    shown = ran(workspace, "landscape", "graphs", "--points", POINTS, "--images", 30, "-o", tmp_path / "a.png")
    assert "on 30 validation images of digits" in shown and re.search(
        r"As trained: loss .*, accuracy \d+\.\d %$", shown, re.M
    )


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("diversity", "nope"), "unknown study 'nope'"),
        (("diversity", "graphs", "--batch", 1), "--batch must be at least 2"),
        (("diversity", "graphs", "--batch", 61), "digits has 60 of them here; pass --batch 60"),
        (("diversity", "graphs", "--trial", 99, "--batch", 9), "--trial must name a trial"),
        (("landscape", "nope", "-o", "a.png"), "unknown study 'nope'"),
        (("landscape", "graphs"), "pass -o landscape.png"),
        (("landscape", "graphs", "-o", "a.png", "--trial", 99), "--trial must name a trial"),
        (("landscape", "graphs", "-o", "nowhere/a.png"), "a directory that exists"),
        (("landscape", "graphs", "-o", "a.gif"), "unknown suffix of a picture"),
        (("landscape", "graphs", "-o", "a.png", "--points", 4), "--points must be odd"),
    ],
)
def test_wrong_requests_end_in_one_line(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("automl_kd_pruning.landscape.look", None)  # nothing is measured
    refused = automl(workspace, *arguments)
    assert refused.exit_code == 2 and refused.stdout == ""
    assert rule in refused.stderr and refused.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_trains_nothing_is_refused(tmp_path: Path) -> None:
    Study("counting-ones", "random", max_budget=9, trials=1, name="ones", workspace=tmp_path).run()
    for command in (("diversity", "ones"), ("landscape", "ones", "--json")):
        refused = automl(tmp_path, *command)
        assert refused.exit_code == 2 and "trains none; run a study with one that does" in refused.stderr
