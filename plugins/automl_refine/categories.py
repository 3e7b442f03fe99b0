"""Categories: what the hyperparameters of a condition can be, up to the space's symmetries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from automl_core.counting import ROUNDING, values_of
from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.priors import at_share, is_whole, share_below
from automl_core.restricting import Allowed, Box, Condition, Range, Restriction, holds
from automl_core.types import Configuration

if TYPE_CHECKING:
    from ConfigSpace.hyperparameters import Hyperparameter

MOST_VALUES = 10
"""Numbers with more values than that are cut into ranges."""

RANGES = 4
"""How many ranges."""

MOST_PRODUCTS = 100_000
"""Combinations of values that one condition may have."""


@dataclass(frozen=True)
class Category:
    """One of the things that a condition can be.

    Args:
        condition: The condition.
        label: Its values, for people: "through & linear".
        boxes: Every assignment that is this one up to the space's symmetries; each gives all of the condition's names.
    """

    condition: Condition
    label: str
    boxes: tuple[Box, ...]

    @property
    def restriction(self) -> Restriction:
        """What leaves this category alone: a clause for each hyperparameter, or one that gives the choice of boxes."""
        if len(self.boxes) > 1:
            return Restriction((self.boxes,))
        return Restriction(tuple(({name: allowed},) for name, allowed in self.boxes[0].items()))

    def holds(self, configuration: Configuration) -> bool:
        """Whether a configuration is of this category; not when one of the hyperparameters is inactive."""
        return any(
            all(name in configuration and holds(allowed, configuration[name]) for name, allowed in box.items())
            for box in self.boxes
        )


def categories(space: SearchSpace, condition: Condition) -> list[Category]:
    """Lists what a condition can be in a space, each configuration with all of its names active being in one of them.

    Those whose hyperparameters are all equal come first, in the order of the choices, then the others in the order of
    the product. Ones that the space's restriction rules out by itself are left out; some of the others may hold nothing
    all the same, by the space's own rules. None for a condition on a hyperparameter that is never active any more.

    Args:
        space: A search space or a design space; what is fixed there has one value.
        condition: Hyperparameters of the whole. Each symmetry of the space must keep the set of them.

    Raises:
        RequestError: For an unknown hyperparameter, for a set that a symmetry does not keep, with the one that all
            keep, and for very many combinations.
    """
    check_condition(space, condition)
    names = condition.names
    if any(name not in space.config_space for name in names):
        return []
    choices = [choices_of(space.config_space[name], _range_left(space, name)) for name in names]
    if math.prod(map(len, choices)) > MOST_PRODUCTS:
        raise RequestError(
            f"a condition must have at most {MOST_PRODUCTS} combinations of values, but {condition.label!r} has "
            f"{math.prod(map(len, choices))}; compare fewer hyperparameters at once"
        )
    clauses = space.restriction.clauses
    groups = [
        group
        for group in _groups(names, choices, space.symmetries())
        if any(_possible(dict(zip(names, one, strict=True)), clauses) for one in group)
    ]
    groups.sort(key=lambda group: len(set(map(_text, group[0]))) > 1)  # stable: equal-valued ones first
    labels = [" & ".join(map(_text, group[0])) for group in groups]
    if len(set(labels)) < len(labels):
        labels = [" & ".join(map(repr, group[0])) for group in groups]
    return [
        Category(condition, label, tuple(dict(zip(names, one, strict=True)) for one in group))
        for label, group in zip(labels, groups, strict=True)
    ]


def parse_conditions(space: SearchSpace, texts: Sequence[str]) -> list[Condition]:
    """Finds conditions by what a person calls them; the space's own when nothing is named.

    Args:
        space: The search space.
        texts: Each the label of one of the space's conditions, a hyperparameter, or several joined: "a+b".

    Raises:
        RequestError: For what is none of these, with the nearest names, and as :func:`check_condition` does.
    """
    own = list(space.conditions())
    found = [_parse_condition(space, text.strip(), own) for text in texts] if texts else own
    first: dict[frozenset[str], Condition] = {}
    for condition in found:
        check_condition(space, condition)
        first.setdefault(frozenset(condition.names), condition)
    return list(first.values())


def check_condition(space: SearchSpace, condition: Condition) -> None:
    """Refuses a condition that a space cannot be divided by.

    Raises:
        RequestError: For a hyperparameter that the whole does not have, a doubled one, none at all, and a set that a
            symmetry of the space does not keep.
    """
    whole = space.whole.config_space
    names = condition.names
    for name in names:
        if name not in whole:
            raise unknown(f"hyperparameter of space {space.name!r} in a condition", name, list(whole))
    if not names or len(set(names)) < len(names):
        raise RequestError(
            f"a condition must name hyperparameters, each once, but {condition.label!r} names "
            f"{', '.join(names) or 'none'}; mend it"
        )
    closed = _closed(names, space.symmetries())
    if closed != set(names):
        ordered = [name for name in whole if name in closed]
        raise RequestError(
            f"a condition must take together what can change places in space {space.name!r}, but {condition.label!r} "
            f"names {', '.join(names)} alone; take {'+'.join(ordered)}"
        )


def choices_of(hyperparameter: Hyperparameter[Any, Any], left: Range | None = None) -> list[Allowed]:
    """Gives a hyperparameter's values one by one; for a number with more than 10 of them 4 ranges without overlap.

    The ranges are equally probable, whole numbers apart, where they are as nearly as whole numbers can be.

    Args:
        hyperparameter: The hyperparameter.
        left: What a restriction leaves of a range beyond what the hyperparameter says; everything when None.
    """
    from ConfigSpace.hyperparameters import FloatHyperparameter, IntegerHyperparameter, OrdinalHyperparameter

    if isinstance(hyperparameter, FloatHyperparameter):
        return list(_ranges_of_floats(*_cuts(hyperparameter, left)))
    if isinstance(hyperparameter, IntegerHyperparameter):
        low, *_, high = _ends(hyperparameter, left)
        if high - low >= MOST_VALUES:
            return list(_ranges_of_integers(*_cuts(hyperparameter, left)))
        return [(value,) for value in range(math.ceil(low), math.floor(high) + 1)]
    values = values_of(hyperparameter)
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    ordered = isinstance(hyperparameter, OrdinalHyperparameter) and len(numbers) == len(values) > MOST_VALUES
    if not ordered:
        return [(value,) for value in values]
    numbers.sort()
    ends = [round(part * len(numbers) / RANGES) for part in range(RANGES + 1)]
    return [Range(numbers[start], numbers[stop - 1]) for start, stop in pairwise(ends)]


def _range_left(space: SearchSpace, name: str) -> Range | None:
    """Gives what all ranges in a space's restriction leave of a hyperparameter; None where there is none."""
    ranges = [one for one in space.restriction.limits().get(name, []) if isinstance(one, Range)]
    return Range(max(one.low for one in ranges), min(one.high for one in ranges)) if ranges else None


def _ends(hyperparameter: Any, left: Range | None) -> tuple[float, float]:
    low, high = hyperparameter.lower, hyperparameter.upper
    return (low, high) if left is None else (max(low, left.low), min(high, left.high))


def _cuts(hyperparameter: Any, left: Range | None) -> list[float]:
    """Gives the ends of the ranges, the outer ones included."""
    low, high = _ends(hyperparameter, left)
    first = hyperparameter.lower if is_whole(hyperparameter) else 0  # whole numbers go by their positions
    one_more = int(is_whole(hyperparameter))
    start, stop = share_below(hyperparameter, [low - first, high - first + one_more]).tolist()
    shares = [start + part / RANGES * (stop - start) for part in range(1, RANGES)]
    cuts = at_share(hyperparameter, [share - ROUNDING * one_more for share in shares])  # a cut belongs to what it ends
    return [low, *(first + cuts).tolist(), high]


def _ranges_of_floats(*cuts: float) -> Iterator[Range]:
    start = float(cuts[0])
    for cut in map(float, cuts[1:]):
        if start <= cut:
            yield Range(start, cut)
            start = math.nextafter(cut, math.inf)


def _ranges_of_integers(*cuts: float) -> Iterator[Range]:
    start = int(cuts[0])
    for cut in map(int, cuts[1:]):
        if start <= cut:
            yield Range(start, cut)
            start = cut + 1


def _groups(
    names: Sequence[str], choices: Sequence[Sequence[Allowed]], symmetries: Sequence[Mapping[str, str]]
) -> Iterator[list[tuple[Allowed, ...]]]:
    """Divides the product of choices into what symmetries turn into one another, by the first of each."""
    moves = sorted({tuple(names.index(one.get(name, name)) for name in names) for one in symmetries})
    seen: set[tuple[Allowed, ...]] = set()
    for values in product(*choices):
        if values not in seen:
            images = [values, *(tuple(values[position] for position in order) for order in moves)]
            group = list(dict.fromkeys(images))
            seen.update(group)
            yield group


def _closed(names: Sequence[str], symmetries: Sequence[Mapping[str, str]]) -> set[str]:
    """Gives the names and all those that symmetries, which form a group, move them to."""
    return {*names, *(one.get(name, name) for one in symmetries for name in names)}


def _possible(box: Box, clauses: Sequence[tuple[Box, ...]]) -> bool:
    """Whether no clause rules an assignment out by itself."""
    return all(
        any(all(_overlap(box[name], allowed) for name, allowed in other.items() if name in box) for other in boxes)
        for boxes in clauses
    )


def _overlap(one: Allowed, other: Allowed) -> bool:
    if isinstance(one, Range) and isinstance(other, Range):
        return max(one.low, other.low) <= min(one.high, other.high)
    if isinstance(one, Range):
        one, other = other, one
    assert isinstance(one, tuple)
    return any(holds(other, value) for value in one)


def _parse_condition(space: SearchSpace, text: str, own: Sequence[Condition]) -> Condition:
    for condition in own:
        if condition.label == text:
            return condition
    names = tuple(name.strip() for name in text.split("+"))
    known = list(space.config_space)
    if len(names) == 1 and text not in known:
        raise unknown(f"condition of space {space.name!r}", text, {*(one.label for one in own), *known})
    for name in names:
        if name not in known:
            raise unknown(f"hyperparameter of space {space.name!r} in condition {text!r}", name, known)
    same = [condition for condition in own if set(condition.names) == set(names) and len(names) == len(condition.names)]
    return same[0] if same else Condition(" & ".join(names), names)


def _text(allowed: Allowed) -> str:
    if isinstance(allowed, Range):
        return str(allowed)
    return " | ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in allowed)
