"""Options are the keyword arguments of a constructor; their signature is the schema.

``--set searcher.eta=3``, a study file and Python all validate here, and ``automl describe`` prints what
:func:`describe` reads from the signature and its docstring. Nothing is declared twice.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from automl_core.errors import RequestError, unknown

Factory = Callable[..., Any]
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """One option: name, run-time type, default (``REQUIRED`` when there is none) and meaning."""

    name: str
    type: Any
    default: Any
    meaning: str

    @property
    def type_name(self) -> str:
        return _type_name(self.type)


def describe(factory: Factory, given: frozenset[str] = frozenset()) -> list[Option]:
    """Reads a constructor's options from its signature and the ``Args`` of its docstring.

    Args:
        factory: A class or function.
        given: Keyword arguments that are not options because the engine passes them.

    Raises:
        RequestError: When an annotation names something that exists for type checkers alone.
    """
    hints = _hints(factory)
    meanings = _meanings(factory)
    options = []
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or parameter.name in given:
            continue
        hint = hints.get(parameter.name, Any)
        options.append(Option(parameter.name, hint, parameter.default, meanings.get(parameter.name, "")))
    return options


def validate(
    factory: Factory, values: Mapping[str, Any], subject: str, given: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Checks options against a constructor's signature.

    Args:
        factory: A class or function.
        values: Option names to values as YAML gives them; lists are taken for tuples.
        subject: What the options belong to, for messages: "searcher asha".
        given: Keyword arguments that the engine passes itself.

    Returns:
        The values, converted to their declared types; options that were not given are left out.

    Raises:
        RequestError: For an unknown name, a missing required one, or a value of the wrong type.
    """
    options = {option.name: option for option in describe(factory, given)}
    checked = {}
    for name, value in values.items():
        if name not in options:
            raise unknown(f"option of {subject}", name, options)
        checked[name] = _convert(options[name], value, subject)
    for option in options.values():
        if option.default is REQUIRED and option.name not in checked:
            raise RequestError(
                f"{subject} needs the option {option.name!r} ({option.type_name}), which has no default; set it with "
                f"--set {subject.split()[0]}.{option.name}=VALUE"
            )
    return checked


def _convert(option: Option, value: Any, subject: str) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    config = ConfigDict(arbitrary_types_allowed=True)
    try:
        return TypeAdapter(_strict(option.type), config=config).validate_python(value)
    except ValidationError as error:
        where = "".join(f"[{part}]" for part in error.errors()[0]["loc"] if isinstance(part, int))
        quote = "; in YAML and in --set, quotes inside the value make it a str" if option.type is str else ""
        raise RequestError(
            f"option {option.name!r} of {subject} must be {option.type_name}, but got {value!r}"
            f"{f' (at {where})' if where else ''}{quote}; see 'automl describe {subject}'"
        ) from None


def _strict(hint: Any) -> Any:
    """Makes leaf types strict, so that 1.5 is no int and true is no number; lists still become tuples.

    A float alone may be given as text, because YAML reads 1e-3 as a string.
    """
    from pydantic import AfterValidator, BeforeValidator, StrictBool, StrictInt, StrictStr

    number = Annotated[float, BeforeValidator(_no_bool), AfterValidator(_no_nan)]
    leaves = {bool: StrictBool, int: StrictInt, str: StrictStr, float: number}
    if hint in leaves:
        return leaves[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal and not any(isinstance(one, bool) for one in arguments):
        return Annotated[hint, BeforeValidator(_no_bool)]
    if origin is tuple:
        return tuple[tuple(one if one is ... else _strict(one) for one in arguments)]  # type: ignore[misc]
    if origin in (Union, types.UnionType):
        return Union[tuple(_strict(one) for one in arguments)]  # noqa: UP007 - built at run time
    return hint


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")
    return value


def _no_nan(value: float) -> float:
    """Refuses NaN, which no part's own "must be at least" would catch."""
    if math.isnan(value):
        raise ValueError("NaN is no number")
    return value


def _type_name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(str(one) or '""' for one in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join("none" if one is type(None) else _type_name(one) for one in arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is ...:
            return f"list of {_type_name(arguments[0])}"
        return f"list [{', '.join(_type_name(one) for one in arguments)}]"
    return getattr(hint, "__name__", str(hint))


@cache
def _hints(factory: Factory) -> dict[str, Any]:
    target = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]
    try:
        return get_type_hints(target)
    except NameError as error:
        raise RequestError(
            f"the annotations of {factory.__qualname__!r} must be known at run time, because they are its options' "
            f"types, but {error}; import that name outside of 'if TYPE_CHECKING'"
        ) from error


@cache
def _meanings(factory: Factory) -> dict[str, str]:
    from docstring_parser import parse

    meanings: dict[str, str] = {}
    classes = reversed(factory.__mro__) if isinstance(factory, type) else [factory]
    for one in classes:
        for text in (one.__doc__, getattr(one.__dict__.get("__init__"), "__doc__", None)):
            if text:
                meanings |= {
                    parameter.arg_name: " ".join((parameter.description or "").split())
                    for parameter in parse(text).params
                }
    return meanings
