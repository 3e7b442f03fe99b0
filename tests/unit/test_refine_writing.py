"""The files of a refinement."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from automl_core.design_files import named_or_read, read_design
from automl_core.errors import RequestError
from automl_core.interfaces import Context, Description, Evaluation, Evaluator
from automl_core.randomness import derive_seed
from automl_core.spec import Part
from automl_core.study import Study
from automl_core.types import Job, Observation
from automl_ktg.picture import picture
from automl_refine import Refinement, refine, writing
from automl_refine.curves import disjoint_parts, minimum_curves
from automl_refine.rounds import Step
from automl_spaces.graph import TARGET, KnowledgeTransferGraph
from automl_spaces.ktg import KTGSpace

SPACE = {"models": ("resnet8", "wrn-10-1"), "gates": ("through", "cutoff")}
SEARCH = {"per_step": 60, "lower_limit": 80, "min_group": 5}
FAILED, DEAD = 3, 6
"""Numbers of trials of the first sample that fail, and that learn nothing."""


class Formula(Evaluator):
    """Knows at once how good a graph is: the more open edges lead to the target, the better."""

    metrics = {"accuracy": "max"}  # noqa: RUF012

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, KnowledgeTransferGraph)
        return Known(description, context.seed)

    def picture(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        assert isinstance(description, KnowledgeTransferGraph)
        return picture(description, metrics)


class Blind(Formula):
    """Draws nothing."""

    def picture(self, description: Description, metrics: Mapping[str, float]) -> str | None:
        return None


class Known(Evaluation):
    def __init__(self, graph: KnowledgeTransferGraph, seed: int) -> None:
        self.graph, self.seed = graph, seed

    def advance(self, job: Job) -> Iterator[Observation]:
        if job.trial == FAILED:
            raise RuntimeError("told to fail")
        weights = [
            0.06 if edge.destination == TARGET else 0.03 if not edge.source else 0.0 for edge in self.graph.edges
        ]
        accuracy = 0.5 + sum(weights) + 0.02 * (derive_seed(self.seed, "noise") % 1000) / 1000
        accuracy = 0.01 if job.trial == DEAD else accuracy
        for unit in range(job.from_budget, job.to_budget + 1):
            yield Observation(unit, {"accuracy": accuracy, "accuracy_1": accuracy})

    def save(self, directory: Path) -> None:
        (directory / "nothing").touch()

    def load(self, directory: Path) -> None:
        pass

    def export(self, directory: Path) -> None:
        pass


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Refinement:
    return refine(
        "ktg",
        choose="auc",
        evaluator=Formula(),
        max_budget=1,
        name="graphs",
        workspace=str(tmp_path_factory.mktemp("workspace")),
        options={"space": SPACE, "evaluator": {}},
        **SEARCH,
    )


@pytest.fixture(scope="module")
def written(found: Refinement, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("refined") / "files"
    names = found.write(directory)
    assert names == sorted(path.name for path in directory.iterdir())
    return directory


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renders nothing, where pixels are not what is looked at."""
    monkeypatch.setattr(writing, "to_png", lambda svg: b"pixels")


def test_all_files_are_there_and_told_about(found: Refinement, written: Path) -> None:
    names = {path.name for path in written.iterdir()}
    drawn = {
        f"{name}.{kind}"
        for name in ("edf", "choices", "minimum", "best", "best-2", "best-3")
        for kind in ("svg", "png")
    }
    assert found.letters[0] == "A" and found.letters[-1] == "X" and len(found.letters) >= 3
    assert names == drawn | {"README.md", "areas.md", "areas.json"} | {f"{letter}.yaml" for letter in found.letters}
    readme = (written / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in names - {"README.md"})
    assert "automl run --space X.yaml --searcher grid" in readme
    assert (written / "best.png").read_bytes().startswith(b"\x89PNG")


def test_design_spaces_are_read_back_as_they_were(found: Refinement, written: Path) -> None:
    for letter, space in zip(found.letters, found.spaces, strict=True):
        read = read_design(written / f"{letter}.yaml")
        assert read.restriction.says_the_same(space.restriction)
        assert read.provenance["study"] == "graphs"
        part = named_or_read(Part(str(written / f"{letter}.yaml")))
        assert part.name == "ktg" and part.options["models"] == list(SPACE["models"])


def test_the_table_has_a_column_for_each_space_and_marks_what_was_fixed(found: Refinement, written: Path) -> None:
    page = (written / "areas.md").read_text()
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    assert lines[0] == ["condition", "category", *found.letters]
    cells = {(line[0], line[1]): line[2:] for line in lines}
    for place, step in enumerate(found.steps):
        for condition, row in step.table.rows():
            told = cells[condition.label, row.category.label][place]
            assert told.startswith("**") == (row.category == step.chosen)
            assert row.area is None or f"{row.area:.2f}" in told
            assert row.area is None or f"{row.trials}" in told.partition("(")[2]
        if step.chosen is not None:
            later = [
                cells[step.chosen.condition.label, step.chosen.label][after]
                for after in range(place + 1, len(found.steps))
            ]
            assert set(later) == {"-"}
    sizes = {line[0]: line[2:5] for line in lines if line[0] in found.letters}
    assert sizes["A"] == ["2,048", "1,056", "1,024"], "raw, up to exchanging the auxiliaries, and half of them"
    assert "1 failed, 1 below the floor" in page
    assert "fewer than 5 trials" in page


def test_the_numbers_are_there_for_programs(found: Refinement, written: Path) -> None:
    read = json.loads((written / "areas.json").read_text(), parse_constant=pytest.fail)
    assert [step["space"] for step in read["steps"]] == list(found.letters)
    assert read["steps"][0]["areas"]["overall"] == found.steps[0].table.overall


def test_the_three_best_of_different_trainings_are_drawn(found: Refinement, written: Path) -> None:
    rows = {row.number: row for row in found.source.record.trials()}
    trials = writing._best(found, found.source)
    assert trials[0] == found.best
    values = [rows[trial].value or 0.0 for trial in trials]
    assert values == sorted(values, reverse=True)
    space = found.source.assembly.space
    assert len({space.canonical(rows[trial].configuration) for trial in trials}) == 3
    for trial, name in zip(trials, ("best", "best-2", "best-3"), strict=True):
        graph = space.decode(rows[trial].configuration)
        assert isinstance(graph, KnowledgeTransferGraph)
        assert (written / f"{name}.svg").read_text() == picture(graph, rows[trial].metrics)


def test_dead_trials_count_as_their_error_in_the_minimum_and_failed_ones_as_no_improvement(found: Refinement) -> None:
    first: Step = found.steps[0]
    rows = {row.number: row for row in found.source.record.trials()}
    ordered = sorted(first.members, key=lambda member: member.trial)
    reasons = {member.trial: member.reason for member in ordered if member.reason}
    assert reasons == {FAILED: "failed", DEAD: "below the floor"}
    values = [rows[member.trial].value for member in ordered]
    expected = minimum_curves(disjoint_parts([None if value is None else 100 * (1 - value) for value in values]))
    (curve, last) = writing._minima([("A", first), ("X", found.steps[-1])], rows)
    assert curve.label == "A" and last.label == "X"
    assert curve.mean.tolist() == pytest.approx(expected[0].tolist())
    assert curve.deviation.tolist() == pytest.approx(expected[1].tolist())


@pytest.mark.parametrize("name", ["used", "file", "file/below"])
@pytest.mark.usefixtures("quickly")
def test_a_directory_that_is_in_use_or_cannot_be_made_is_refused(found: Refinement, tmp_path: Path, name: str) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RequestError, match="choose another"):
        found.write(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_half_way_leaves_nothing(found: Refinement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(svg: str) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "to_png", full)
    with pytest.raises(OSError, match="No space left"):
        found.write(tmp_path / "refined")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["matplotlib", "resvg_py"])
def test_without_the_packages_that_draw_all_but_pictures_is_written(
    found: Refinement, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "refined").mkdir()  # an empty one will do
    with caplog.at_level(logging.WARNING, "automl_refine"):
        names = found.write(tmp_path / "refined")
    assert {"README.md", "areas.md", "areas.json", "A.yaml", "X.yaml", "best.svg"} <= set(names)
    assert not [name for name in names if name.endswith(".png") or name.startswith("edf")]
    assert "pip install 'automl-graph[plots]'" in caplog.text
    assert "Pictures are left out" in (tmp_path / "refined" / "README.md").read_text()


@pytest.mark.usefixtures("quickly")
def test_what_draws_nothing_and_what_no_file_can_name_is_left_out(tmp_path: Path) -> None:
    space = KTGSpace(nodes=2, models=("resnet8", "wrn-10-1"), gates=("through", "cutoff"))
    settings = {"per_step": 10, "lower_limit": 5, "min_group": 2, "max_budget": 1}
    found = refine(space, choose="auc", evaluator=Blind(), workspace=str(tmp_path / "workspace"), **settings)
    names = found.write(tmp_path / "refined")
    assert not [name for name in names if name.startswith("best") or name.endswith(".yaml")]
    assert "edf.svg" in names and "areas.md" in names
    readme = (tmp_path / "refined" / "README.md").read_text()
    assert "given as an object" in readme and "--space" not in readme


def test_a_refinement_without_a_complete_sample_is_written_without_pictures_of_it(tmp_path: Path) -> None:
    settings = {"max_budget": 1, "trials": 3, "workspace": str(tmp_path / "w"), "options": {"space": SPACE}, **SEARCH}
    found = refine("ktg", evaluator=Blind(), **settings)
    assert found.status == "stopped"
    assert found.write(tmp_path / "refined") == ["A.yaml", "README.md", "areas.json", "areas.md"]
    assert "No sample is complete yet" in (tmp_path / "refined" / "areas.md").read_text()
    assert "automl run --space A.yaml --max-budget 1" in (tmp_path / "refined" / "README.md").read_text()


@pytest.mark.usefixtures("quickly")
def test_a_refinement_that_waits_for_a_choice_is_written_as_far_as_it_is(tmp_path: Path) -> None:
    options = {"space": SPACE, "searcher": {**SEARCH, "choose": "ask"}}
    settings = {"max_budget": 1, "workspace": str(tmp_path / "w"), "name": "asks", "options": options}
    study = Study("ktg", "refine", evaluator=Formula(), **settings)
    waiting = Refinement.of(study.run())
    assert waiting.status == "waiting"
    names = waiting.write(tmp_path / "refined")
    assert {"A.yaml", "edf.svg", "choices.svg", "minimum.svg", "best.svg"} <= set(names) and "B.yaml" not in names
    assert "automl refine --resume asks --interactive" in (tmp_path / "refined" / "README.md").read_text()
    choices = (tmp_path / "refined" / "choices.svg").read_text()
    assert all(f"A: {condition.label}" in choices for condition in study.assembly.space.conditions())
