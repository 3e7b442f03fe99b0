"""Design spaces: the part of a search space that keeps a restriction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

from automl_core.counting import open_clauses, values_of
from automl_core.errors import RequestError, StudyFailed
from automl_core.interfaces.space import PartialSpace, SearchSpace
from automl_core.narrowing import narrowed
from automl_core.restricting import Condition, Restriction
from automl_core.types import Configuration, Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter


class DesignSpace(PartialSpace):
    """The part of a search space that keeps a restriction.

    Args:
        space: A whole search space.
        restriction: What is left of it.

    Raises:
        RequestError: For a hyperparameter or a value that the space does not have, and when nothing is left.
    """

    def __init__(self, space: SearchSpace, restriction: Restriction) -> None:
        super().__init__(space)
        self.default_evaluator = space.default_evaluator  # type: ignore[misc]
        self._restriction = restriction
        self._config_space = narrowed(space.config_space, restriction)
        self._refuse_empty()

    @property
    def restriction(self) -> Restriction:
        return self._restriction

    @property
    def config_space(self) -> ConfigurationSpace:
        return self._config_space

    def around(self, space: SearchSpace) -> SearchSpace:
        return space.restrict(self._restriction)

    def restrict(self, restriction: Restriction) -> SearchSpace:
        return self.space.restrict(self._restriction & restriction)

    def violation(self, configuration: Configuration) -> str | None:
        if not self._restriction.allows(configuration):
            return f"a configuration must keep the restriction {self._restriction}, but is {dict(configuration)}"
        for clause in self.space.config_space.forbidden_clauses:
            if clause.is_forbidden_value(dict(configuration)):
                return f"a configuration must not be forbidden by {clause}, but is {dict(configuration)}"
        return self.space.violation(configuration)

    def conditions(self) -> Sequence[Condition]:
        """Gives the whole's conditions, on those of their hyperparameters that still have a choice."""
        free = set(_with_choice(self))
        found: dict[tuple[str, ...], Condition] = {}
        for condition in self.space.conditions():
            names = tuple(name for name in condition.names if name in free)
            if names:
                plain = condition.label == _label(condition.names)
                found.setdefault(names, Condition(_label(names) if plain else condition.label, names))
        return list(found.values())

    def symmetries(self) -> Sequence[Mapping[str, str]]:
        """Gives those of the whole that leave the restriction as it is."""
        return self._symmetries

    @cached_property
    def _symmetries(self) -> list[Mapping[str, str]]:
        left = {name: _left_of(one) for name, one in self.config_space.items()}
        loose = Restriction(tuple(open_clauses(self.config_space, self._restriction)))
        return [
            one
            for one in self.space.symmetries()
            if all(left.get(name) == left.get(other) for name, other in one.items())
            and (not loose or loose.renamed(one).says_the_same(loose))
        ]

    def reference(self) -> Configuration | None:
        """Gives the whole's, or one that means the same and keeps the restriction where changing values makes one."""
        found = self.space.reference()
        if found is None:
            return None
        default = dict(self.config_space.get_default_configuration())
        mine = {name: value if self._holds(name, value) else default.get(name) for name, value in found.items()}
        same = self.violation(mine) is None and self.canonical(mine) == self.canonical(found)
        return mine if same else None

    def _holds(self, name: str, value: Value) -> bool:
        return name in self.config_space and bool(self.config_space[name].legal_value(value))

    def size(self) -> int | None:
        return SearchSpace.size(self)

    def orbits(self) -> int | None:
        return SearchSpace.orbits(self)

    def _refuse_empty(self) -> None:
        from automl_core.sampling import RandomSampler

        try:
            left = RandomSampler(self, 0).draw()
        except StudyFailed:  # too large to be looked through
            left = None
        if left is None:
            raise RequestError(
                f"a restriction must leave configurations, but of space {self.name!r} it leaves none that the space's "
                f"own rules allow: {self._restriction}; loosen it"
            )


def default_conditions(space: SearchSpace) -> list[Condition]:
    """Gives a condition for each hyperparameter that has a choice, and then one for each pair of them.

    Hyperparameters that symmetries turn into one another are taken together.
    """
    names, symmetries = _with_choice(space), space.symmetries()
    groups: list[tuple[str, ...]] = []
    for name in names:
        images = {name, *(one.get(name, name) for one in symmetries)}
        group = tuple(other for other in names if other in images)
        if group not in groups:
            groups.append(group)
    pairs = [(*one, *other) for one, other in combinations(groups, 2)]
    return [Condition(_label(group), group) for group in groups + pairs]


def _label(names: Sequence[str]) -> str:
    return " & ".join(names)


def _left_of(hyperparameter: Hyperparameter[Any, Any]) -> Any:
    """Gives what a hyperparameter can be, to be compared with another's."""
    if math.isinf(hyperparameter.size):
        return hyperparameter.lower, hyperparameter.upper  # type: ignore[attr-defined]
    return frozenset((type(value), value) for value in values_of(hyperparameter))


def _with_choice(space: SearchSpace) -> list[str]:
    return [name for name, one in space.config_space.items() if one.size > 1]
