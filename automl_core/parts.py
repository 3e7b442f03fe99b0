"""A design space as a union of parts, each of which leaves something of every hyperparameter, whatever the others are.

A part takes one box of every clause that a narrowed ConfigSpace does not say already. So little is drawn, or looked
at, that the restriction does not allow.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, reduce
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from automl_core.counting import open_clauses, values_of
from automl_core.priors import draw, is_whole, share_of
from automl_core.restricting import Allowed, Box, Range, Restriction, holds

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    from automl_core.priors import Some

    Part = Mapping[str, Some]
    """Hyperparameter to what is left of it; those that are not in it keep everything."""

MOST_PARTS = 1000
"""Boxes of further clauses are not combined beyond that; what breaks these clauses is then drawn, and refused."""


def unions_of(config_space: ConfigurationSpace, restriction: Restriction) -> list[Union]:
    """Divides a ConfigSpace's hyperparameters into groups that a restriction does not bind to one another.

    What keeps the restriction is in a union of each group; what does not can be, too, where there are very many parts
    and where hyperparameters are inactive.

    Args:
        config_space: The hyperparameters, narrowed already.
        restriction: What is left of them.
    """
    groups: list[tuple[set[str], list[tuple[Box, ...]]]] = []
    for boxes in open_clauses(config_space, restriction):
        names, clauses = {name for box in boxes for name in box}, [boxes]
        for group in [group for group in groups if not group[0].isdisjoint(names)]:
            groups.remove(group)
            names, clauses = names | group[0], group[1] + clauses
        groups.append((names, clauses))
    bound = [
        Union({name: config_space[name] for name in config_space if name in names}, _parts(clauses, config_space))
        for names, clauses in groups
    ]
    mentioned = {name for names, _ in groups for name in names}
    return [Union({name: one}, [{}]) for name, one in config_space.items() if name not in mentioned] + bound


def _parts(clauses: Sequence[tuple[Box, ...]], config_space: ConfigurationSpace) -> list[Part]:
    """Combines the boxes of all clauses, less those that cannot be together."""
    parts: list[Part] = [{}]
    for boxes in sorted(clauses, key=len):
        if len(parts) * len(boxes) <= MOST_PARTS:
            joined = (_joined(part, box, config_space) for part in parts for box in boxes)
            parts = [part for part in joined if part is not None]
    return parts


def everything(hyperparameter: Any) -> Some:
    """Gives all that a hyperparameter can be."""
    if math.isinf(hyperparameter.size):
        return Range(float(hyperparameter.lower), float(hyperparameter.upper))
    return range(int(hyperparameter.size))


def _joined(part: Part, box: Box, config_space: ConfigurationSpace) -> Part | None:
    found = dict(part)
    for name, allowed in box.items():
        one = config_space[name]
        left = _left(one, found.get(name, everything(one)), allowed)
        if not isinstance(left, Range) and not len(left):
            if not config_space.parent_conditions_of[name]:
                return None
            left = everything(one)  # nothing fits but to be inactive, which breaks nothing
        found[name] = left
    return found


def _left(hyperparameter: Any, some: Some, allowed: Allowed) -> Some:
    """Gives those of some values that are allowed."""
    if isinstance(some, Range):
        if not isinstance(allowed, Range):
            return tuple(float(value) for value in allowed if value in some)  # type: ignore[arg-type]
        low, high = max(some.low, allowed.low), min(some.high, allowed.high)
        return Range(low, high) if low < high else (low,) if low == high else ()
    if math.isinf(hyperparameter.size):
        return tuple(value for value in some if holds(allowed, value))
    if is_whole(hyperparameter):
        lowest = int(hyperparameter.lower)
        if not isinstance(allowed, Range):
            return [place for place in (int(value) - lowest for value in allowed) if place in some]  # type: ignore[arg-type]
        low, high = math.ceil(allowed.low) - lowest, math.floor(allowed.high) - lowest
        if isinstance(some, range):
            return range(max(some.start, low), max(min(some.stop, high + 1), some.start, low))
        return [int(place) for place in some if low <= place <= high]
    values = values_of(hyperparameter)
    return [int(place) for place in some if holds(allowed, values[int(place)])]


class Union:
    """A union of parts of some hyperparameters, which may overlap.

    Args:
        hyperparameters: By name.
        parts: What each leaves of them; none when nothing is left.
    """

    def __init__(self, hyperparameters: Mapping[str, Any], parts: Sequence[Part]) -> None:
        self.names = list(hyperparameters)
        self.parts: list[list[Any]] = [
            [part.get(name, everything(one)) for name, one in hyperparameters.items()] for part in parts
        ]
        self.free = len(hyperparameters) == 1 and not any(parts) and len(parts) == 1
        """Whether it is everything that one hyperparameter can be."""
        self._hyperparameters = list(hyperparameters.values())

    # -- enumeration; what several parts hold is counted as often

    @cached_property
    def size(self) -> int:
        """How many combinations of values there are; all hyperparameters have finitely many."""
        return self._ends[-1] if self._ends else 0

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(math.prod(map(len, part)) for part in self.parts))

    def positions(self, number: int) -> Iterator[int]:
        """Gives the positions of the values, by name, of one of the combinations."""
        place = bisect_right(self._ends, number)
        rest = number - (self._ends[place - 1] if place else 0)
        for some in self.parts[place]:
            rest, digit = divmod(rest, len(some))
            yield some[digit]

    # -- draws

    def draw(self, number: int, generator: np.random.Generator) -> list[NDArray[np.float64]]:
        """Draws, by name, as often as from everything, were all refused that no part holds.

        A part is chosen in proportion to its probability, and what several parts hold is drawn as if one did. A part
        without a probability, for it gives single numbers of a range, counts as much as the others do on average.
        """
        import numpy as np

        columns: list[NDArray[np.float64]] = [np.empty(0) for _ in self.names]
        while len(columns[0]) < number:
            drawn = self._with_repetitions(number, generator)
            kept = generator.random(number) * self._times_held(drawn) < 1.0 if len(self.parts) > 1 else slice(None)
            columns = [np.concatenate([old, new[kept]]) for old, new in zip(columns, drawn, strict=True)]
        return [column[:number] for column in columns]

    def _with_repetitions(self, number: int, generator: np.random.Generator) -> list[NDArray[np.float64]]:
        import numpy as np

        chosen = generator.choice(len(self.parts), number, p=self._odds)
        columns = []
        for one, (kinds, kind_of) in zip(self._hyperparameters, self._kinds, strict=True):
            column, kind = np.empty(number), kind_of[chosen]
            for place in np.unique(kind):
                where = kind == place
                column[where] = draw(one, kinds[place], int(where.sum()), generator)
            columns.append(column)
        return columns

    @cached_property
    def _kinds(self) -> list[tuple[list[Some], NDArray[np.int64]]]:
        """What different parts leave of each hyperparameter, each once; and which of these each part has."""
        import numpy as np

        found = []
        for column in zip(*self.parts, strict=True):
            places: dict[Any, int] = {}
            kind_of = [places.setdefault(_frozen(some), len(places)) for some in column]
            found.append(([column[kind_of.index(kind)] for kind in range(len(places))], np.array(kind_of)))
        return found

    @cached_property
    def _odds(self) -> NDArray[np.float64]:
        import numpy as np

        odds = np.ones(len(self.parts))
        for one, (kinds, kind_of) in zip(self._hyperparameters, self._kinds, strict=True):
            if len(kinds) > 1:  # what is alike in all parts decides nothing
                odds *= np.array([share_of(one, some) for some in kinds])[kind_of]
        positive = odds[odds > 0]
        odds[odds <= 0] = positive.mean() if len(positive) else 1.0
        return np.asarray(odds / odds.sum())

    def _times_held(self, columns: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
        """Counts the parts that hold each of the drawn."""
        import numpy as np

        held = [
            ([_held(column, some) for some in kinds], kind_of)
            for column, (kinds, kind_of) in zip(columns, self._kinds, strict=True)
            if len(kinds) > 1
        ]
        times = np.zeros(len(columns[0]), dtype=np.int64)
        for place in range(len(self.parts)):
            masks = (masks[kind_of[place]] for masks, kind_of in held)
            times += reduce(np.logical_and, masks, np.ones(len(times), dtype=bool))
        return times


def _held(column: NDArray[np.float64], some: Some) -> NDArray[np.bool_]:
    import numpy as np

    if isinstance(some, Range):
        return (column >= some.low) & (column <= some.high)
    if isinstance(some, range):
        return (column >= some.start) & (column < some.stop)
    return np.isin(column, some)


def _frozen(some: Some) -> Any:
    return some if isinstance(some, (Range, range)) else tuple(some)
