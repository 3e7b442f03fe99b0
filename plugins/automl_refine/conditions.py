"""By which conditions a design space can be refined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from automl_core.errors import RequestError
from automl_core.interfaces import SearchSpace
from automl_core.restricting import Condition
from automl_refine.categories import categories, parse_conditions

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def open_conditions(space: SearchSpace, texts: Sequence[str]) -> list[Condition]:
    """Gives the conditions to compare by, each on what has a choice.

    Args:
        space: The space to refine.
        texts: Conditions as a person names them; the space's own when there are none.

    Raises:
        RequestError: For a condition on nothing that has a choice, one that depends on an order that means nothing, and
            when none says something of every configuration.
    """
    found = []
    for condition in parse_conditions(space, texts):
        names = tuple(name for name in condition.names if _has_choice(space.config_space, name))
        if not names and not texts:
            continue
        if not names:
            raise RequestError(
                f"a condition must compare what has a choice, but of {condition.label!r} everything has one value in "
                f"space {space.name!r}; leave it out"
            )
        found.append(replace(condition, names=names))
        categories(space, found[-1])
    if not any(divides(space.config_space, condition) for condition in found):
        named = f"{', '.join(repr(one.label) for one in found)} {'is' if len(found) == 1 else 'are'} inactive in some"
        raise RequestError(
            f"a space to refine must have a choice in every configuration, but {named if found else 'all is fixed'} in "
            f"space {space.name!r}; compare what activates it as well"
        )
    return found


def divides(space: ConfigurationSpace, condition: Condition) -> bool:
    return all(_has_choice(space, name) and not space.parent_conditions_of[name] for name in condition.names)


def _has_choice(space: ConfigurationSpace, name: str) -> bool:
    return name in space and bool(space[name].size > 1)
