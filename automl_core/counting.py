"""How many configurations a space holds, raw and up to its symmetries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from automl_core.restricting import Box, Restriction
from automl_core.types import Configuration, Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

Symmetry = Mapping[str, str]


def count(config_space: ConfigurationSpace, restriction: Restriction, symmetry: Symmetry | None = None) -> int | None:
    """Counts raw combinations of values, inactive hyperparameters' and violations included.

    Args:
        config_space: The hyperparameters, narrowed already.
        restriction: Its clauses with several boxes are counted out.
        symmetry: Count only what this renaming of hyperparameters leaves as it is.

    Returns:
        The number, None when there are infinitely many.
    """
    groups = _cycles(config_space, symmetry or {})
    clauses = [tuple(_within(box, config_space) for box in boxes) for boxes in restriction.loose]
    total = 1
    for names, joined in _components(groups, clauses):
        sizes = [_size(config_space, group) for group in names]
        if any(math.isinf(size) for size in sizes):
            return None
        total *= _counted_out(config_space, names, joined) if joined else math.prod(int(size) for size in sizes)
    return total


def count_orbits(config_space: ConfigurationSpace, restriction: Restriction, group: Sequence[Symmetry]) -> int | None:
    """Counts raw combinations up to symmetries, by the Cauchy-Frobenius (Burnside) lemma.

    Args:
        config_space: The hyperparameters, narrowed already.
        restriction: As for :func:`count`; every symmetry leaves it as it is.
        group: All symmetries but the one that changes nothing.
    """
    fixed = [count(config_space, restriction, one) for one in ({}, *group)]
    finite = [number for number in fixed if number is not None]
    return sum(finite) // len(finite) if len(finite) == len(fixed) else None


def orbit_key(configuration: Configuration, group: Sequence[Symmetry]) -> tuple[tuple[str, str], ...]:
    """Gives a key that is equal for configurations which a symmetry turns into one another.

    Args:
        configuration: The configuration.
        group: All symmetries but the one that changes nothing.
    """
    plain = sorted((name, repr(value)) for name, value in configuration.items())
    turned = [sorted((one.get(name, name), value) for name, value in plain) for one in group]
    return tuple(min([plain, *turned]))


def values_of(hyperparameter: Hyperparameter[Any, Any]) -> list[Value]:
    """Lists the values of a hyperparameter that has finitely many."""
    from ConfigSpace.hyperparameters import Constant, IntegerHyperparameter

    if isinstance(hyperparameter, Constant):
        return [hyperparameter.value]
    if isinstance(hyperparameter, IntegerHyperparameter):
        return list(range(int(hyperparameter.lower), int(hyperparameter.upper) + 1))
    found: Sequence[Value] = getattr(hyperparameter, "choices", None) or hyperparameter.sequence  # type: ignore[attr-defined]
    return list(found)


Group = tuple[str, ...]
"""Hyperparameters that have the same value."""


def _cycles(config_space: ConfigurationSpace, symmetry: Symmetry) -> list[Group]:
    """Gives the hyperparameters that a symmetry moves into one another; a configuration it keeps is equal on them."""
    groups: list[Group] = []
    seen: set[str] = set()
    for name in config_space:
        cycle = []
        while name not in seen:
            seen.add(name)
            cycle.append(name)
            name = symmetry.get(name, name)
        if cycle:
            groups.append(tuple(cycle))
    return groups


def _components(
    groups: Sequence[Group], clauses: Sequence[tuple[Box, ...]]
) -> Iterator[tuple[list[Group], list[tuple[Box, ...]]]]:
    """Splits groups into sets that no clause joins, so that each can be counted alone."""
    left = list(groups)
    while left:
        names, joined = [left.pop(0)], []
        rest = list(clauses)
        found = True
        while found:
            mentioned = {name for group in names for name in group}
            touching = [one for one in rest if any(mentioned & set(box) for box in one)]
            rest = [one for one in rest if one not in touching]
            joined += touching
            further = {name for boxes in touching for box in boxes for name in box} - mentioned
            names += [group for group in left if further & set(group)]
            left = [group for group in left if group not in names]
            found = bool(touching)
        yield names, joined


def _size(config_space: ConfigurationSpace, group: Group) -> float:
    if len(group) == 1:
        return float(config_space[group[0]].size)
    if any(math.isinf(config_space[name].size) for name in group):
        return math.inf
    return float(len(_shared(config_space, group)))


def _shared(config_space: ConfigurationSpace, group: Group) -> list[Value]:
    first, *others = (values_of(config_space[name]) for name in group)
    return [value for value in first if all(value in other for other in others)]


def _counted_out(config_space: ConfigurationSpace, groups: Sequence[Group], clauses: Sequence[tuple[Box, ...]]) -> int:
    restriction = Restriction(tuple(clauses))
    return sum(
        restriction.allows({name: value for group, value in zip(groups, values, strict=True) for name in group})
        for values in product(*(_shared(config_space, group) for group in groups))
    )


def _within(box: Box, config_space: ConfigurationSpace) -> Box:
    """Leaves out hyperparameters that can never be active."""
    return {name: allowed for name, allowed in box.items() if name in config_space}
