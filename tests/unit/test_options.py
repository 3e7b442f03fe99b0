"""Options: a constructor's signature is the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core import RequestError
from automl_core.options import REQUIRED, Option, describe, validate

if TYPE_CHECKING:
    from decimal import Decimal


class Base:
    """A part.

    Args:
        eta: Reduction factor.
        rate: Step size,
            per iteration.
    """

    def __init__(
        self,
        eta: int = 3,
        rate: float = 0.1,
        fast: bool = False,
        path: str = "",
        kind: Literal["stop", "promote"] = "stop",
        depth: Literal[8, 20] = 8,
        widths: tuple[int, ...] = (),
        pair: tuple[int, str] = (1, "a"),
        limit: int | None = None,
        bound: float | None = None,
        anything: Any = None,
    ) -> None:
        pass


class Derived(Base):
    """A part that inherits its options, and says one meaning anew.

    Args:
        eta: Factor between rungs.
    """


class Needy:
    def __init__(self, problem: object, path: str, retries: int = 0) -> None:
        pass


def convert(name: str, value: Any) -> Any:
    return validate(Base, {name: value}, "searcher base")[name]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("eta", 4, 4),
        ("rate", 0.5, 0.5),
        ("rate", 1, 1.0),
        ("rate", "1e-3", 0.001),  # YAML 1.1 reads 1e-3 as a string
        ("rate", float("inf"), float("inf")),
        ("fast", True, True),
        ("path", "1e-3", "1e-3"),
        ("kind", "promote", "promote"),
        ("depth", 20, 20),
        ("widths", [16, 32], (16, 32)),
        ("widths", [], ()),
        ("pair", [2, "b"], (2, "b")),
        ("limit", None, None),
        ("limit", 7, 7),
        ("bound", None, None),
        ("bound", "2e5", 200_000.0),
        ("anything", {"of": ["any", 1]}, {"of": ["any", 1]}),
    ],
)
def test_a_value_of_the_declared_type_is_taken(name: str, value: Any, expected: Any) -> None:
    converted = convert(name, value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("eta", 1.5, "'eta' of searcher base must be int, but got 1.5"),
        ("eta", 3.0, "must be int, but got 3.0"),
        ("eta", "3", "must be int, but got '3'"),
        ("eta", True, "must be int, but got True"),
        ("eta", None, "must be int, but got None"),
        ("rate", True, "must be float, but got True"),
        ("rate", "fast", "must be float, but got 'fast'"),
        ("rate", "nan", "must be float, but got 'nan'"),
        ("rate", float("nan"), "must be float, but got nan"),
        ("rate", None, "must be float, but got None"),
        ("fast", 1, "must be bool, but got 1"),
        ("fast", "true", "must be bool, but got 'true'"),
        ("path", 2024, "must be str, but got 2024; in YAML and in --set, quotes inside the value"),
        ("kind", "stopp", "must be stop | promote, but got 'stopp'"),
        ("depth", 9, "must be 8 | 20, but got 9"),
        ("widths", 16, "must be list of int, but got 16"),
        ("widths", "16", "must be list of int, but got '16'"),
        ("widths", [16, True], "must be list of int, but got [16, True] (at [1])"),
        ("pair", [1], "must be list [int, str], but got [1]"),
        ("pair", ["b", 1], "must be list [int, str]"),
        ("limit", True, "must be int | none, but got True"),
        ("limit", "none", "must be int | none, but got 'none'"),
        ("bound", False, "must be float | none, but got False"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_rule_the_value_and_the_way_out(
    name: str, value: Any, rule: str
) -> None:
    with pytest.raises(RequestError) as refusal:
        convert(name, value)
    assert rule in str(refusal.value)
    assert "automl describe searcher base" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_true_is_not_the_literal_1() -> None:
    def part(level: Literal[1, 2] = 1) -> None: ...

    with pytest.raises(RequestError, match=r"must be 1 \| 2, but got True"):
        validate(part, {"level": True}, "loss part")


@given(st.floats(allow_nan=False))
def test_every_float_survives_as_number_and_as_text(value: float) -> None:
    assert convert("rate", value) == value
    assert convert("rate", repr(value)) == value


@given(st.one_of(st.integers(), st.booleans(), st.floats(), st.text(), st.none()))
def test_an_int_option_takes_integers_and_nothing_else(value: Any) -> None:
    if type(value) is int:
        assert convert("eta", value) == value
    else:
        with pytest.raises(RequestError):
            convert("eta", value)


def test_an_unknown_option_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(RequestError, match=r"unknown option of searcher base 'widht'; did you mean 'widths'"):
        validate(Base, {"widht": (1,)}, "searcher base")


def test_an_unknown_option_that_is_near_to_none_is_answered_with_all() -> None:
    with pytest.raises(RequestError, match="known: anything, bound, depth, eta, fast, "):
        validate(Base, {"zzz": 1}, "searcher base")


def test_options_that_are_not_given_are_left_to_the_constructor() -> None:
    assert validate(Base, {"eta": 2}, "searcher base") == {"eta": 2}


def test_a_required_option_is_asked_for() -> None:
    with pytest.raises(RequestError, match=r"needs the option 'path' \(str\).*--set dataset.path=VALUE"):
        validate(Needy, {}, "dataset needy", given=frozenset({"problem"}))


def test_what_the_engine_passes_is_no_option() -> None:
    assert [option.name for option in describe(Needy, frozenset({"problem"}))] == ["path", "retries"]
    with pytest.raises(RequestError, match="unknown option of dataset needy 'problem'"):
        validate(Needy, {"path": "x", "problem": 1}, "dataset needy", given=frozenset({"problem"}))


def test_describe_reads_types_defaults_and_meanings() -> None:
    by_name = {option.name: option for option in describe(Base)}
    assert by_name["eta"] == Option("eta", int, 3, "Reduction factor.")
    assert by_name["rate"].meaning == "Step size, per iteration."
    assert by_name["path"].meaning == ""
    assert [by_name[name].type_name for name in ("eta", "kind", "widths", "pair", "limit")] == [
        "int",
        "stop | promote",
        "list of int",
        "list [int, str]",
        "int | none",
    ]
    assert {option.name: option.default for option in describe(Needy)}["path"] is REQUIRED


def test_inherited_options_keep_their_meanings_unless_said_anew() -> None:
    by_name = {option.name: option for option in describe(Derived)}
    assert by_name["eta"].meaning == "Factor between rungs."
    assert by_name["rate"].meaning == "Step size, per iteration."


def test_functions_and_dataclasses_are_factories_too() -> None:
    @dataclass
    class Settings:
        batch: int = 64

    def model(channels: int, classes: int, *, width: int = 1, **rest: Any) -> None: ...

    assert [option.name for option in describe(Settings)] == ["batch"]
    assert [option.name for option in describe(model, frozenset({"channels", "classes"}))] == ["width"]
    assert validate(Settings, {"batch": 32}, "trainer") == {"batch": 32}


def test_a_class_without_a_constructor_has_no_options() -> None:
    class Plain:
        pass

    assert describe(Plain) == []
    with pytest.raises(RequestError, match="unknown option of gate plain 'x'"):
        validate(Plain, {"x": 1}, "gate plain")


def test_an_annotation_for_type_checkers_alone_is_refused_by_name() -> None:
    class Careless:
        def __init__(self, amount: Decimal | None = None) -> None:
            pass

    with pytest.raises(RequestError, match=r"Careless.*'Decimal' is not defined.*TYPE_CHECKING"):
        describe(Careless)
