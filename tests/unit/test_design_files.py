"""Design spaces as files: what is written is read again, and a study holds all of it."""

from __future__ import annotations

import pytest
import yaml

from automl_core import RequestError, Study
from automl_core.design_files import DesignFile, named_or_read, read_design
from automl_core.restricting import Range, Restriction
from automl_core.spec import Part

NARROW = """\
space: counting-ones
options: {categorical: 4, continuous: 0}
fixed: {categorical_1: 1}
narrowed: {categorical_2: [0, 1]}
any_of:
  - [{categorical_3: 0, categorical_4: 1}, {categorical_3: 1, categorical_4: 0}]
provenance: {study: wide, areas: [70.7, 71.2]}
"""


@pytest.fixture
def path(tmp_path):
    from automl_spaces.closed_forms import CountingOnesSpace

    first = next(iter(CountingOnesSpace(categorical=4, continuous=0).config_space))
    path = tmp_path / "narrow.yaml"
    path.write_text(NARROW.replace("categorical_", first.removesuffix("1")))
    return path


def test_what_is_written_is_read_again(tmp_path):
    clauses = (({"rate": Range(0.1, 0.5)},), ({"a": ("yes",), "b": (None, True)}, {"a": ("1",), "b": (1.5,)}))
    restriction = Restriction.fix(a="on", depth=3) & Restriction(clauses)
    file = DesignFile("ktg", {"nodes": 3, "models": ["resnet8"]}, restriction, {"study": "wide", "areas": (1.0, 2.0)})
    file.write(tmp_path / "b.yaml")
    again = read_design(tmp_path / "b.yaml")
    assert again.restriction.says_the_same(restriction)
    assert again.space == "ktg"
    assert again.options["models"] == ["resnet8"]
    assert again.options["gates"], "what was not given is written as it is by default"
    assert again.provenance == {"study": "wide", "areas": [1.0, 2.0]}
    assert [one.name for one in tmp_path.iterdir()] == ["b.yaml"], "nothing but the file is left"


def test_the_part_of_a_study_holds_everything(path):
    part = named_or_read(Part(str(path), {"continuous": 1, "restrict": {"fixed": {"more": 1}}}))
    assert part.name == "counting-ones"
    assert part.options["continuous"] == 1, "what is given beside the file wins"
    assert part.options["categorical"] == 4
    restriction = Restriction.from_json(part.options["restrict"])
    assert restriction.says_the_same(read_design(path).restriction & Restriction.fix(more=1))
    assert named_or_read(Part("ktg", {"nodes": 2})) == Part("ktg", {"nodes": 2})


def test_a_study_over_a_file_goes_on_without_the_file(path, tmp_path):
    workspace = tmp_path / "workspace"
    study = Study(str(path), "random", max_budget=1, trials=2, name="narrow", workspace=workspace).run()
    assert study.spec.space.name == "counting-ones"
    assert study.assembly.space.size() == 4
    assert study.assembly.space.whole.size() == 16
    path.unlink()
    again = Study.resume("narrow", trials=4, workspace=workspace)
    restriction = again.assembly.space.restriction
    assert all(restriction.allows(trial.configuration) for trial in again.record.trials())
    path.write_text("space: hartmann-6\n")
    assert Study.load("narrow", workspace=workspace).assembly.space.size() == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "readable YAML file"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        ("space: [", "must be YAML, but is not in line"),
        ("- ktg", "must map 'space'"),
        ("", "must map 'space'"),
        ("space: 3", "must map 'space'"),
        ("spce: ktg", "must map 'space'"),
        ("space: ktg\nfixde: {}", "did you mean 'fixed'"),
        ("space: ktg\noptions: [1]", "'options' of design space"),
        ("space: ktg\noptions: {restrict: {}}", "must not restrict twice"),
        ("space: ktg\nfixed: [model_2]", "must have the form"),
        ("space: ktg\nnarrowed: {model_2: {min: 1}}", "with min <= max"),
    ],
)
def test_what_is_no_design_space_is_refused(text, words, tmp_path):
    path = tmp_path / "bad.yml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RequestError, match=words):
        named_or_read(Part(str(path)))


@pytest.mark.parametrize(
    ("further", "words"),
    [
        ("space: ktgg", "did you mean 'ktg'"),
        ("space: ktg\noptions: {node: 3}", "did you mean 'nodes'"),
        ("space: ktg\nfixed: {model_9: resnet32}", "unknown hyperparameter of space 'ktg'"),
        ("space: ktg\nfixed: {model_2: resnet33}", "unknown value of model_2"),
        ("space: ktg\nfixed: {gate_label_1: cutoff, gate_2_1: cutoff, gate_3_1: cutoff}", "it leaves none"),
    ],
)
def test_what_its_space_does_not_have_is_refused_before_anything_starts(further, words, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(further)
    with pytest.raises(RequestError, match=words):
        Study(str(path), "random", workspace=tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


def test_the_file_reads_like_what_is_documented(tmp_path):
    DesignFile("hartmann-6", {"bias": 0.5}, Restriction.fix(x_1=0.5)).write(tmp_path / "x.yaml")
    data = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert list(data) == ["space", "options", "fixed"]
    assert data["fixed"] == {"x_1": 0.5}


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("space: ktg\nfixed: {gate_2_1: linear}\nfixed: {gate_3_1: linear}\n")
    with pytest.raises(RequestError, match=r"'fixed' stands twice"):
        read_design(path)


def test_numbers_are_read_as_in_study_files(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("space: ktg\nnarrowed: {rate: {min: 1e-3, max: 1e-1}}\n")
    assert read_design(path).restriction.clauses == (({"rate": Range(1e-3, 1e-1)},),)
