"""What users ask for: --set, time spans, study files."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cli.requests import duration, merged, parse_settings, read_study_file
from automl_core import RequestError

CONTEXT = click.Context(click.Command("run"))
FLAG = click.Option(["--time-limit"])


def span(text: str) -> float | None:
    return duration(CONTEXT, FLAG, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("searcher.eta=3", 3),
        ("searcher.eta=3.5", 3.5),
        ("searcher.eta=1e-3", 0.001),
        ("searcher.eta=-2.5E+3", -2500.0),
        ("searcher.eta=true", True),
        ("searcher.eta=promote", "promote"),
        ("searcher.eta=1e3x", "1e3x"),
        ("searcher.eta=[a, b]", ["a", "b"]),
        ("searcher.eta=a=b", "a=b"),
        ("searcher.eta=", None),
    ],
)
def test_settings_take_yaml_values(text: str, value: object) -> None:
    assert parse_settings([text]) == {"searcher": {"eta": value}}


def test_settings_gather_by_part_and_the_last_one_wins() -> None:
    texts = ["space.nodes=2", "trainer.learning-rate=0.1", "space.nodes=4", "space.target=a"]
    assert parse_settings(texts) == {"space": {"nodes": 4, "target": "a"}, "trainer": {"learning_rate": 0.1}}


@pytest.mark.parametrize("text", ["searcher.eta", "eta=3", "=3", ".eta=3", "searcher.=3", ""])
def test_settings_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"part\.option=value"):
        parse_settings([text])


def test_settings_of_an_unknown_part_name_the_nearest() -> None:
    with pytest.raises(RequestError, match="'sercher'; did you mean 'searcher'"):
        parse_settings(["sercher.eta=3"])


def test_settings_that_are_no_yaml_are_refused() -> None:
    with pytest.raises(RequestError, match="must be YAML"):
        parse_settings(["searcher.eta=[1,"])


def test_merging_keeps_both_and_the_second_wins() -> None:
    assert merged({"a": {"x": 1, "y": 1}, "b": {"z": 1}}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}, "b": {"z": 1}}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1.5H", 5400), ("1h30m", 5400), ("1d", 86400)],
)
def test_time_spans(text: str, seconds: float) -> None:
    assert span(text) == seconds


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_time_spans_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert span(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "soon", "5x", "5 m 3", "m", "1h30"])
def test_other_time_spans_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="a time above 0"):
        span(text)


def test_no_time_span_is_none() -> None:
    assert duration(CONTEXT, FLAG, None) is None


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return path


def test_a_study_file_holds_flags_and_options(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        space: {name: ktg, nodes: 3}
        searcher: {eta: 3, bracket-size: 2}
        dataset: digits
        trainer: {batch: 64}
        estimator: [last, best]
        objective: loss:min
        min-budget: 2
        max_budget: 8
        trials:
        time_limit: 10m
        """,
    )
    found = read_study_file(path)
    assert found.values == {
        "space": "ktg",
        "dataset": "digits",
        "estimator": ["last", "best"],
        "objective": ["loss:min"],
        "min_budget": "2",
        "max_budget": "8",
        "time_limit": "10m",
    }
    assert found.options == {
        "space": {"nodes": 3},
        "searcher": {"eta": 3, "bracket_size": 2},
        "trainer": {"batch": 64},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trails: 3", "unknown key .*'trails'; did you mean 'trials'"),
        ("objectives: loss", "'objectives'; did you mean 'objective'\\?$"),
        ("estimators: [last]", "'estimators'; did you mean 'estimator'\\?$"),
        ("max-budgets: 3", "'max-budgets'; did you mean 'max_budget'\\?$"),
        ("set: {searcher.eta: 3}", "the key 'set'; write searcher: {name: asha, eta: 3}"),
        ("space: [", "must be YAML, but in line"),
        ("", "holds nothing"),
        ("- space", "holds list"),
        ("space: [a, b]", "'space' .* must be a name, or a mapping"),
        ("trials: {a: 1}", "'trials' .* must be one value"),
        ("trainer: fast", "'trainer' .* must map options to values"),
        ("estimator: [{name: a}]", "'estimator' .* must be a name"),
    ],
)
def test_study_files_that_say_nothing_clear_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_study_file(write(tmp_path, text))


def test_study_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(RequestError, match=reason):
            read_study_file(path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="not UTF-8"):
        read_study_file(tmp_path / "binary.yaml")


def test_a_study_file_builds_no_python_objects(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="must be YAML"):
        read_study_file(write(tmp_path, "space: !!python/object/apply:os.getcwd []"))
