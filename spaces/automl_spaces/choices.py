"""Search spaces of finitely many choices that depend on one another, declared as data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter


CAUSES = 4
"""How many causes a refusal lists at most."""


@dataclass(frozen=True)
class Choice:
    """A hyperparameter.

    Args:
        values: What it can be; numbers are taken to be in order. One alone makes it a constant.
        when: Those values of other hyperparameters, by name, with which this one means something. The others come
            before it and always mean something themselves.
    """

    values: tuple[Value, ...]
    when: Mapping[str, Collection[Value]] = field(default_factory=dict)


class ChoiceSpace(SearchSpace):
    """A search space of finitely many choices.

    Args:
        choices: The hyperparameters by name; those that never mean anything are dropped.
        forbidden: Values that must not come together.

    Raises:
        RequestError: When nothing is allowed.
    """

    def __init__(self, choices: Mapping[str, Choice], forbidden: Sequence[Mapping[str, Value]] = ()) -> None:
        self.choices: dict[str, Choice] = {}
        for name, choice in choices.items():
            met = {
                parent: [value for value in self.choices[parent].values if value in values] if parent in choices else []
                for parent, values in choice.when.items()
            }
            if all(met.values()):
                free = {one: values for one, values in met.items() if len(values) < len(self.choices[one].values)}
                self.choices[name] = Choice(choice.values, free)
        self.forbidden = tuple(clause for clause in forbidden if clause.keys() <= self.choices.keys())
        self._default = self._first_allowed()

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import (
            AndConjunction,
            ConfigurationSpace,
            EqualsCondition,
            ForbiddenAndConjunction,
            ForbiddenEqualsClause,
            InCondition,
        )

        space = ConfigurationSpace(name=self.name)
        for name in self.choices:
            space.add(self._hyperparameter(name))
        for name, choice in self.choices.items():
            conditions = [
                EqualsCondition(space[name], space[one], next(iter(values)))
                if len(values) == 1
                else InCondition(space[name], space[one], list(values))
                for one, values in choice.when.items()
            ]
            if conditions:
                space.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
        for clause in self.forbidden:
            parts = [ForbiddenEqualsClause(space[name], value) for name, value in clause.items()]
            space.add(parts[0] if len(parts) == 1 else ForbiddenAndConjunction(*parts))
        return space

    def _hyperparameter(self, name: str) -> Hyperparameter[Any, Any]:
        from ConfigSpace import Categorical, Constant

        values = self.choices[name].values
        if len(values) == 1:
            return Constant(name, values[0])
        ordered = type(values[0]) in (int, float)
        return Categorical(name, list(values), default=self._default.get(name, values[0]), ordered=ordered)

    def check(self, configuration: Configuration) -> None:
        """Refuses what is no configuration of this space.

        Raises:
            RequestError: For an unknown, a missing or a meaningless hyperparameter, or a value that it cannot have.
        """
        for name in configuration:
            if name not in self.choices:
                raise unknown(f"hyperparameter of space {self.name}", name, self.choices)
        for name, choice in self.choices.items():
            means = all(configuration.get(one) in values for one, values in choice.when.items())
            if means and name not in configuration:
                raise RequestError(
                    f"this configuration of space {self.name} must give {name}, but it is missing; add "
                    f"{name}={choice.values[0]}"
                )
            if not means and name in configuration:
                needed = " and ".join(
                    f"{one} in {', '.join(str(value) for value in values)}" for one, values in choice.when.items()
                )
                raise RequestError(
                    f"{name} of space {self.name} must be given with {needed} alone, where it means something, but "
                    f"got {name}={configuration[name]}; leave it out"
                )
            if means and not _among(configuration[name], choice.values):
                choices = ", ".join(str(value) for value in choice.values)
                raise RequestError(
                    f"{name} of space {self.name} must be one of {choices}, but got {configuration[name]!r}; choose "
                    "one of them"
                )
        for clause in self.forbidden:
            if self._holds(clause, configuration):
                together = " and ".join(f"{name}={value}" for name, value in clause.items())
                raise RequestError(f"{together} must not come together in space {self.name}; change one of them")

    def _first_allowed(self) -> dict[str, Value]:
        """Finds the first values, by order, that may come together; of those that no clause names, the first one."""
        named = [name for name in self.choices if any(name in clause for clause in self.forbidden)]
        for values in product(*(self.choices[name].values for name in named)):
            found = dict(zip(named, values, strict=True))
            meant = {
                name: value
                for name, value in found.items()
                if all(
                    found.get(one, self.choices[one].values[0]) in few for one, few in self.choices[name].when.items()
                )
            }
            if not any(self._holds(clause, meant) for clause in self.forbidden):
                return found
        raise RequestError(
            f"space {self.name} must allow some configuration, but none of {', '.join(named)} go together as they are "
            "given; give other values to them"
        )

    @staticmethod
    def _holds(clause: Mapping[str, Value], configuration: Configuration) -> bool:
        return all(name in configuration and configuration[name] == value for name, value in clause.items())


def _among(value: object, values: tuple[Value, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in values)


def check_values(space: str, option: str, values: Sequence[object]) -> None:
    """Refuses an option that gives no choice, or one of them twice.

    Raises:
        RequestError: With the option to change.
    """
    doubled = sorted({str(value) for value in values if list(values).count(value) > 1})
    if doubled or not values:
        problem = f"holds {', '.join(doubled)} more than once" if doubled else "is empty"
        raise RequestError(
            f"{option} of space {space} must name at least one choice and each once, but "
            f"{option} = [{', '.join(map(str, values))}] {problem}; mend --set space.{option}"
        )


def check_usable(space: str, options: Mapping[str, str], together: Iterable[tuple[Mapping[str, Value], str]]) -> None:
    """Refuses values of options that come into no configuration, instead of leaving them out without a word.

    Args:
        space: Its name.
        options: Options by name, each with the name of its hyperparameter.
        together: Values that may come together, by hyperparameter, and why they must not; empty where they may.

    Raises:
        RequestError: With the causes, and the options to change.
    """
    pairs = list(together)
    given = {
        option: list(dict.fromkeys(values[name] for values, _ in pairs if name in values))
        for option, name in options.items()
    }
    left = {
        option: [one for one in given[option] if any(not why and values.get(name) == one for values, why in pairs)]
        for option, name in options.items()
    }
    unusable = {option: [one for one in given[option] if one not in left[option]] for option in options}
    changed = [option for option in options if unusable[option]]
    if not changed:
        return
    causes = dict.fromkeys(
        why
        for values, why in pairs
        if why and any(values.get(options[option]) in unusable[option] for option in changed)
    )
    because = "; ".join(list(causes)[:CAUSES] + ["and so on"] * (len(causes) > CAUSES))
    if all(left[option] for option in changed):
        lost = " and ".join(f"{', '.join(map(str, unusable[option]))} (space.{option})" for option in changed)
        way = " ".join(f"--set 'space.{option}=[{', '.join(map(str, left[option]))}]'" for option in changed)
        raise RequestError(
            f"space {space} must be able to use everything that it is given, but no configuration has {lost}: "
            f"{because}; leave out what is not used: {way}"
        )
    way = " or ".join(f"space.{option}" for option in changed)
    raise RequestError(f"space {space} must allow some configuration, but it allows none: {because}; mend --set {way}")
