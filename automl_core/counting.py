"""How many configurations a space holds, raw and up to its symmetries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from automl_core.restricting import Box, Range, Restriction, holds
from automl_core.types import Configuration, Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

Symmetry = Mapping[str, str]

ROUNDING = 1e-12
"""By how much ConfigSpace's rounding can move the ends of a range."""


def count(config_space: ConfigurationSpace, restriction: Restriction, symmetry: Symmetry | None = None) -> int | None:
    """Counts raw combinations of values, inactive hyperparameters' and violations included.

    Args:
        config_space: The hyperparameters, narrowed already.
        restriction: What the hyperparameters do not say already is counted out.
        symmetry: Count only what this renaming of hyperparameters leaves as it is.

    Returns:
        The number, None when there are infinitely many.
    """
    if any(math.isinf(one.size) for one in config_space.values()):
        return None
    clauses = open_clauses(config_space, restriction)
    mentioned = {name for boxes in clauses for box in boxes for name in box}
    groups = _cycles(config_space, symmetry or {})
    free = [group for group in groups if mentioned.isdisjoint(group)]
    bound = [group for group in groups if not mentioned.isdisjoint(group)]
    return math.prod(_size(config_space, group) for group in free) * _counted_out(config_space, bound, clauses)


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


def open_clauses(config_space: ConfigurationSpace, restriction: Restriction) -> list[tuple[Box, ...]]:
    """Gives the clauses that narrowed hyperparameters do not keep by themselves, on those that can be active."""
    clauses = [tuple(_within(box, config_space) for box in boxes) for boxes in restriction.clauses]
    return [boxes for boxes in clauses if not any(_kept(box, config_space) for box in boxes)]


def _kept(box: Box, config_space: ConfigurationSpace) -> bool:
    """Whether nothing breaks a box."""
    for name, allowed in box.items():
        one: Any = config_space[name]
        if not hasattr(one, "lower"):
            if not all(holds(allowed, value) for value in values_of(one)):
                return False
        elif not isinstance(allowed, Range) or not (
            allowed.low <= one.lower + ROUNDING and one.upper - ROUNDING <= allowed.high
        ):
            return False
    return True


class OrbitKeys:
    """Gives keys that are equal for configurations which a symmetry turns into one another.

    Args:
        group: All symmetries but the one that changes nothing.
    """

    def __init__(self, group: Sequence[Symmetry]) -> None:
        import numpy as np

        self._names = sorted({name for one in group for name in one})
        self._moved = frozenset(self._names)
        place = {name: number for number, name in enumerate(self._names)}
        turns = [[place[one.get(name, name)] for name in self._names] for one in ({}, *group)]
        self._turns = np.array(turns, dtype=np.intp).T  # each one's inverse is there, too

    def __call__(self, configuration: Configuration) -> tuple[Any, ...]:
        """Gives the key: what stays where it is, and of all orders of what moves the one that is first."""
        import numpy as np

        plain = {name: repr(value) for name, value in configuration.items()}
        stays = tuple(sorted(item for item in plain.items() if item[0] not in self._moved))
        values = [plain.get(name, "") for name in self._names]  # inactive ones too: they are in a twin's place
        ranks = {value: rank for rank, value in enumerate(sorted(set(values)))}
        ranked = np.array([ranks[value] for value in values], dtype=np.int64)
        left = np.arange(self._turns.shape[1])
        for row in self._turns:
            if len(left) == 1:
                break
            column = ranked[row[left]]
            left = left[column == column.min()]
        return (*stays, tuple([values[place] for place in self._turns[:, left[0]].tolist()]))


def orbit_key(configuration: Configuration, group: Sequence[Symmetry]) -> tuple[Any, ...]:
    """Gives the key of one configuration; for many, :class:`OrbitKeys` is made once.

    Args:
        configuration: The configuration.
        group: All symmetries but the one that changes nothing.
    """
    return OrbitKeys(group)(configuration)


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


def _size(config_space: ConfigurationSpace, group: Group) -> int:
    return int(config_space[group[0]].size) if len(group) == 1 else len(_shared(config_space, group))


def _shared(config_space: ConfigurationSpace, group: Group) -> list[Value]:
    first, *others = (values_of(config_space[name]) for name in group)
    return [value for value in first if all(value in other for other in others)]


def _counted_out(config_space: ConfigurationSpace, groups: Sequence[Group], clauses: Sequence[tuple[Box, ...]]) -> int:
    """Counts what keeps all clauses, group by group; what is in the same boxes so far is counted together."""
    names = [{name for box in boxes for name in box} for boxes in clauses]
    order = sorted(groups, key=lambda group: [place for place, one in enumerate(names) if not one.isdisjoint(group)])
    counts = Counter({tuple((1 << len(boxes)) - 1 for boxes in clauses): 1})  # a bit for each box of each clause
    for place, group in enumerate(order):
        later = {name for other in order[place + 1 :] for name in other}
        decided = [one.isdisjoint(later) for one in names]
        values = Counter(
            tuple(_boxes_with(boxes, group, value) for boxes in clauses) for value in _shared(config_space, group)
        )
        joined: Counter[tuple[int, ...]] = Counter()
        for (before, number), (mine, times) in product(counts.items(), values.items()):
            both = [one & other for one, other in zip(before, mine, strict=True)]
            if all(both):  # in which of a clause's boxes it is matters no longer than further names can leave them
                joined[tuple(1 if done else bits for bits, done in zip(both, decided, strict=True))] += number * times
        counts = joined
    return counts.total()


def _boxes_with(boxes: tuple[Box, ...], group: Group, value: Value) -> int:
    """Gives the boxes, as bits, that allow a value for each hyperparameter of a group."""
    return sum(
        1 << place
        for place, box in enumerate(boxes)
        if all(name not in box or holds(box[name], value) for name in group)
    )


def _within(box: Box, config_space: ConfigurationSpace) -> Box:
    """Leaves out hyperparameters that can never be active."""
    return {name: allowed for name, allowed in box.items() if name in config_space}
