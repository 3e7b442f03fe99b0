"""Restrictions of a search space: what a design space is apart from the space that it is cut from.

A restriction is written as YAML or JSON with three keys, none of which must be there::

    fixed: {model_2: wrn-28-2, model_3: wrn-28-2}
    narrowed: {depth: [2, 4], lr: {min: 0.01, max: 0.1}}
    any_of:
      - [{gate_label_2: through, gate_label_3: linear}, {gate_label_2: linear, gate_label_3: through}]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from automl_core.errors import RequestError, unknown
from automl_core.types import Configuration, Json, Value

KEYS = ("fixed", "narrowed", "any_of")
PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``, both included."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


Allowed = tuple[Value, ...] | Range
"""What is left of a hyperparameter's values."""

Box = Mapping[str, Allowed]
"""Hyperparameter to what is left of it; all of them hold at once."""


@dataclass(frozen=True)
class Condition:
    """Hyperparameters whose values are looked at together, one or several.

    Args:
        label: What it is, for people: "edge from label to target".
        names: The hyperparameters. Where the space has symmetries, each of them keeps this set.
    """

    label: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Restriction:
    """Clauses that all hold; each gives boxes of which one holds.

    A hyperparameter that is inactive in a configuration breaks nothing: what is restricted is the value that it has
    where it has one.

    Args:
        clauses: A clause with one box narrows; one with several leaves the choice among them.
    """

    clauses: tuple[tuple[Box, ...], ...] = ()

    @classmethod
    def fix(cls, **values: Value) -> Restriction:
        """Fixes hyperparameters to values."""
        return cls(tuple(({name: (value,)},) for name, value in values.items()))

    @classmethod
    def from_json(cls, data: Json) -> Restriction:
        """Reads what :meth:`to_json` gave, or what a person wrote.

        Raises:
            RequestError: For another form.
        """
        if not isinstance(data, Mapping):
            raise _wrong_form(data)
        for key in data:
            if key not in KEYS:
                raise unknown("key of a restriction", str(key), KEYS)
        clauses: list[tuple[Box, ...]] = []
        for key in ("fixed", "narrowed"):
            values = data.get(key) or {}
            if not isinstance(values, Mapping):
                raise _wrong_form({key: values})
            for name, value in values.items():
                if key == "fixed" and not isinstance(value, PLAIN):
                    raise RequestError(
                        f"'fixed' must give each hyperparameter one value, but {name} has {value!r}; move it to "
                        "'narrowed'"
                    )
                clauses.append(({str(name): _allowed(str(name), value)},))
        for boxes in _listed(data, data.get("any_of") or ()):
            if not _listed(data, boxes):
                raise _wrong_form({"any_of": [boxes]})
            clauses.append(tuple(_box(box) for box in boxes))
        return cls(tuple(clauses))

    def to_json(self) -> Json:
        """Writes plain JSON, from which one that says the same is read back."""
        data: dict[str, Any] = {"fixed": {}, "narrowed": {}, "any_of": []}
        taken: set[str] = set()
        for boxes in self.clauses:
            if len(boxes) == 1 and len(boxes[0]) == 1 and not taken & set(boxes[0]):
                ((name, allowed),) = boxes[0].items()
                taken.add(name)
                one = isinstance(allowed, tuple) and len(allowed) == 1
                data["fixed" if one else "narrowed"][name] = _written(allowed)
            else:
                data["any_of"].append([{name: _written(one) for name, one in box.items()} for box in boxes])
        return {key: value for key, value in data.items() if value}

    @property
    def names(self) -> frozenset[str]:
        """The hyperparameters that it mentions."""
        return frozenset(name for boxes in self.clauses for box in boxes for name in box)

    @property
    def loose(self) -> tuple[tuple[Box, ...], ...]:
        """The clauses that leave a choice, and so do not narrow single hyperparameters."""
        return tuple(boxes for boxes in self.clauses if len(boxes) > 1)

    def __and__(self, other: Restriction) -> Restriction:
        """Joins two; what both say is kept once."""
        return Restriction(self.clauses + tuple(one for one in other.clauses if one not in self.clauses))

    def __bool__(self) -> bool:
        return bool(self.clauses)

    def allows(self, configuration: Configuration) -> bool:
        """Whether a configuration keeps every clause."""
        return all(any(_keeps(configuration, box) for box in boxes) for boxes in self.clauses)

    def renamed(self, names: Mapping[str, str]) -> Restriction:
        """Gives the restriction with hyperparameters renamed; those that are not in ``names`` keep theirs."""
        return Restriction(
            tuple(
                tuple({names.get(name, name): one for name, one in box.items()} for box in boxes)
                for boxes in self.clauses
            )
        )

    def says_the_same(self, other: Restriction) -> bool:
        """Whether both have equal clauses, in whatever order these and their boxes stand."""
        return self._unordered == other._unordered

    @cached_property
    def _unordered(self) -> frozenset[frozenset[frozenset[tuple[str, Any]]]]:
        return frozenset(
            frozenset(frozenset((name, _hashable(one)) for name, one in box.items()) for box in boxes)
            for boxes in self.clauses
        )

    def limits(self) -> dict[str, list[Allowed]]:
        """Gives what each clause leaves of each hyperparameter alone: what any of its boxes allows, if all name it."""
        found: dict[str, list[Allowed]] = {}
        for boxes in self.clauses:
            for name in boxes[0]:
                left = _any_of([box[name] for box in boxes]) if all(name in box for box in boxes) else None
                if left is not None:
                    found.setdefault(name, []).append(left)
        return found

    def __str__(self) -> str:
        return "; ".join(" or ".join(_box_text(box) for box in boxes) for boxes in self.clauses) or "none"


def holds(allowed: Allowed, value: Value) -> bool:
    """Whether a value is left; 1 is not True."""
    if isinstance(allowed, Range):
        return value in allowed
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed)


def _any_of(allowed: Sequence[Allowed]) -> Allowed | None:
    """Gives what at least holds where one of several does; None where that cannot be said by values or a range."""
    ranges = [one for one in allowed if isinstance(one, Range)]
    values = [value for one in allowed if not isinstance(one, Range) for value in one]
    if not ranges:
        return tuple(value for place, value in enumerate(values) if not holds(tuple(values[:place]), value))
    ends: list[float] = [end for one in ranges for end in (one.low, one.high)]
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
        ends.append(value)
    return Range(min(ends), max(ends))


def _keeps(configuration: Configuration, box: Box) -> bool:
    return all(name not in configuration or holds(allowed, configuration[name]) for name, allowed in box.items())


def _hashable(allowed: Allowed) -> Any:
    return allowed if isinstance(allowed, Range) else frozenset((type(one) is bool, one) for one in allowed)


def _allowed(name: str, value: Any) -> Allowed:
    if isinstance(value, PLAIN):
        return (value,)
    if isinstance(value, Mapping):
        return _range(name, value)
    if isinstance(value, Sequence) and value and all(isinstance(one, PLAIN) for one in value):
        return tuple(value)
    raise RequestError(
        "a hyperparameter must be restricted to a value, a list of values or {min: ..., max: ...}, but "
        f"{name} has {value!r}; mend it"
    )


def _range(name: str, value: Mapping[str, Any]) -> Range:
    ends = [value.get("min"), value.get("max")]
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    if set(value) != {"min", "max"} or not numbers or ends[0] > ends[1]:  # type: ignore[operator]
        raise RequestError(
            f"a range must be {{min: NUMBER, max: NUMBER}} with min <= max, but {name} has {dict(value)!r}; mend it"
        )
    low, high = ends
    assert low is not None and high is not None
    return Range(low, high)


def _listed(data: Any, value: Any) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong_form(data)
    return value


def _box(data: Any) -> Box:
    if not isinstance(data, Mapping) or not data:
        raise _wrong_form({"any_of": [[data]]})
    return {str(name): _allowed(str(name), value) for name, value in data.items()}


def _written(allowed: Allowed) -> Json:
    if isinstance(allowed, Range):
        return {"min": allowed.low, "max": allowed.high}
    return allowed[0] if len(allowed) == 1 else list(allowed)


def _box_text(box: Box) -> str:
    return ", ".join(
        f"{name} = {allowed if isinstance(allowed, Range) else ' | '.join(map(str, allowed))}"
        for name, allowed in box.items()
    )


def _wrong_form(data: Any) -> RequestError:
    return RequestError(
        "a restriction must have the form {fixed: {NAME: VALUE}, narrowed: {NAME: [VALUES] or {min: NUMBER, max: "
        f"NUMBER}}}}, any_of: [[{{NAME: VALUE}}, ...]]}}, but got {str(data)[:200]}; mend it"
    )
