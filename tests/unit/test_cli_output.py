"""How results look."""

from __future__ import annotations

import json
import math

import click
import pytest

from automl_cli import output
from automl_cli.output import (
    budget_text,
    budgets_text,
    counted,
    facts,
    measured,
    number,
    percent,
    print_json,
    seconds,
    size,
    table,
    value_text,
)
from automl_core.errors import reason


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "width", lambda: 40)


def plain(text: str) -> list[str]:
    return click.unstyle(text).splitlines()


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": (math.nan, math.inf, 0.5), 1: {"b": None}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, None, 0.5], "1": {"b": None}}


def test_tables_align_and_leave_no_trailing_blanks() -> None:
    shown = plain(table(("name", "value", "note"), [("a", "1", ""), ("long name", "100", "x")], right=("value",)))
    assert shown == ["  name       value  note", "  a              1", "  long name    100  x"]


def test_the_last_column_wraps_at_the_edge(narrow: None) -> None:
    shown = plain(table(("name", "meaning"), [("a", "one two three four five six seven eight nine")]))
    assert all(len(line) <= 40 for line in shown)
    assert shown[1].startswith("  a     one two")
    assert shown[2].startswith("        ")
    assert " ".join(" ".join(shown[1:]).split()) == "a one two three four five six seven eight nine"


def test_a_table_fits_the_terminal_and_cuts_no_number(narrow: None) -> None:
    titles = ("study", "a metric with a name", "data", "best")
    rows = [
        ("one-with-quite-a-long-name", "123,456", "another-long-name-there", "99.9 %, front of 12"),
        ("two", "-", "-", "-"),
    ]
    shown = plain(table(titles, rows, right=("a metric with a name", "best")))
    assert shown == [
        "  study     a metr…  data                     best",
        "  one-wit…  123,456  another…  99.9 %, front of 12",
        "  two             -  -                           -",
    ]


@pytest.mark.parametrize("wide", [40, 60, 80, 95])
def test_the_last_column_gives_way_first_and_of_the_others_the_widest(
    monkeypatch: pytest.MonkeyPatch, wide: int
) -> None:
    monkeypatch.setattr(output, "width", lambda: wide)
    rows = [("a" * 12, "b" * 40, "1,234.5", "word " * 9)]
    shown = plain(table(("first", "second", "a number", "what"), rows, right=("a number",)))
    assert max(map(len, shown)) <= wide
    first, second, figure = shown[1].split()[:3]
    assert len(first) == (10 if wide == 40 else 12), "the longer one is cut first"
    assert second == "b" * 40 if wide >= 80 else second.endswith("b…")
    beside = shown[1].split()[3:]
    assert beside == (["word"] * 5 if wide == 95 else []), "where there is no room beside the row, it stands below"
    assert figure == "1,234.5"
    assert " ".join(shown[1:]).split().count("word") == 9, "the last column is wrapped, not cut"


def test_in_a_pipe_tables_are_as_wide_as_they_are_unless_columns_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert output.width() == output.UNBOUNDED
    monkeypatch.setenv("COLUMNS", "70")
    assert output.width() == 70


def test_facts_leave_out_what_is_empty_and_wrap(narrow: None) -> None:
    shown = plain(facts([("space", "ktg"), ("nothing", ""), ("data", "word " * 12)]))
    assert shown[0] == "  space  ktg"
    assert len(shown) > 2
    assert all(len(line) <= 40 for line in shown)


def test_a_table_without_rows_has_its_titles() -> None:
    assert plain(table(("a", "b"), [])) == ["  a  b"]


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("accuracy", 0.93125, "93.1 %"),
        ("accuracy_2", 1.0, "100.0 %"),
        ("error", 0.05, "0.05"),
        ("accuracy", 93.0, "93"),
        ("loss", 0.33119, "0.3312"),
        ("flops", 1.12e9, "1.12 G"),
        ("flops", 3.2e13, "32.00 T"),
        ("params", 464154, "0.46 M"),
        ("params", 46415, "46,415"),
        ("latency", 0.00123, "1.23 ms"),
        ("latency", 0.012, "12.0 ms"),
        ("latency", 2.5e-5, "0.0250 ms"),
        ("latency", 1.5, "1,500 ms"),
        ("latency", None, "-"),
        ("loss", None, "-"),
        ("accuracy", None, "-"),
        ("loss", math.nan, "not finite"),
        ("accuracy", math.inf, "not finite"),
    ],
)
def test_numbers(metric: str, value: float | None, text: str) -> None:
    assert number(metric, value) == text


def test_metrics_in_one_line() -> None:
    assert measured({"accuracy": 0.5, "loss": 1.25}) == "accuracy 50.0 %, loss 1.25"


def test_percent() -> None:
    assert (percent(0.5), percent(None)) == ("50.0 %", "-")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (4.06, "4.1 s"), (59.99, "1 min 0 s"), (125, "2 min 5 s"), (12000, "3 h 20 min")]
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (1_250_000, "1.2 MB"), (5 * 10**9, "5.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_counts() -> None:
    assert [counted(count, "worker") for count in (1, 2, 1000)] == ["1 worker", "2 workers", "1,000 workers"]


@pytest.mark.parametrize(
    ("budget", "unit", "text"),
    [(1, "epochs", "1 epoch"), (8, "epochs", "8 epochs"), (0, "cycles", "0 cycles"), (3, "budget", "budget 3")],
)
def test_budgets(budget: int, unit: str, text: str) -> None:
    assert budget_text(budget, unit) == text


def test_ranges_of_budgets() -> None:
    assert budgets_text(1, 8, "epochs") == "1 to 8 epochs"
    assert budgets_text(1, 1, "trainings") == "1 training"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "none"), (True, "true"), ((1, "a"), "[1, a]"), ("", '""'), (0.1 + 0.2, "0.3"), (3, "3")]
)
def test_values(value: object, text: str) -> None:
    assert value_text(value) == text


def test_the_reason_of_a_traceback_is_its_exception_even_over_several_lines() -> None:
    trace = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n    ^^^\n'
        '  File "b.py", line 2, in g\n'
        "    raise ValueError()\nValueError: seven is not allowed\nreally\n"
    )
    assert reason(trace) == "ValueError: seven is not allowed"
    assert reason("a metric was not finite: loss = nan") == "a metric was not finite: loss = nan"
    assert reason("") == "no reason given"
