"""A ConfigSpace with some hyperparameters fixed or narrowed, built anew from the serialised form of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from automl_core.errors import RequestError, unknown
from automl_core.restricting import Allowed, Range, Restriction, holds
from automl_core.types import Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Item = dict[str, Any]
"""A hyperparameter, a condition or a forbidden clause in ConfigSpace's serialised form."""


def narrowed(whole: ConfigurationSpace, restriction: Restriction) -> ConfigurationSpace:
    """Narrows the hyperparameters to what the restriction's clauses leave of each alone.

    Hyperparameters that can never be active any more are dropped. Forbidden clauses about restricted hyperparameters
    are left out, since ConfigSpace refuses a forbidden default; whoever draws has to look at them in the whole.

    Raises:
        RequestError: For a hyperparameter or a value that the whole does not have, and when nothing is left.
    """
    from ConfigSpace import ConfigurationSpace

    data = whole.to_serialized_dict()
    before = {item["name"]: item for item in data["hyperparameters"]}
    _check(whole, before, restriction)
    limits = restriction.limits()
    items = {name: reduce(_narrow, limits.get(name, []), item) for name, item in before.items()}
    conditions = _conditions(data["conditions"], items, before)
    changed = restriction.names | (set(whole) - set(items))
    data["hyperparameters"] = list(items.values())
    data["conditions"] = conditions
    data["forbiddens"] = [clause for clause in data["forbiddens"] if not changed & set(_mentioned(clause))]
    return ConfigurationSpace.from_serialized_dict(data)


def _check(whole: ConfigurationSpace, items: Mapping[str, Item], restriction: Restriction) -> None:
    for boxes in restriction.clauses:
        for box in boxes:
            for name, allowed in box.items():
                if name not in items:
                    raise unknown(f"hyperparameter of space {whole.name!r} in a restriction", name, list(items))
                _check_values(items[name], allowed)


def _check_values(item: Item, allowed: Allowed) -> None:
    name, choices = item["name"], choices_of(item)
    for value in () if isinstance(allowed, Range) else allowed:
        if choices is not None and not holds(tuple(choices), value):
            raise unknown(f"value of {name} in a restriction", str(value), [str(one) for one in choices])
        if choices is None and not holds(Range(item["lower"], item["upper"]), value):
            raise RequestError(
                f"a restriction must keep to the space's own range, but {name} goes from {item['lower']:g} to "
                f"{item['upper']:g} and got {value!r}; choose a value in it"
            )


def choices_of(item: Item) -> Sequence[Value] | None:
    """Gives a hyperparameter's values where it lists them; None for a range."""
    if item["type"] == "constant":
        return [item["value"]]
    listed: Sequence[Value] | None = item.get("choices", item.get("sequence"))
    return listed


def _narrow(item: Item, allowed: Allowed) -> Item:
    """Narrows one hyperparameter.

    Raises:
        RequestError: When nothing is left of it.
    """
    choices = choices_of(item)
    if choices is not None:
        return _narrow_choices(item, choices, allowed)
    if not isinstance(allowed, Range):
        values = [value for value in allowed if value in Range(item["lower"], item["upper"])]
        return _listed(item, allowed, sorted(values))
    low, high = max(item["lower"], allowed.low), min(item["upper"], allowed.high)
    if item["type"].endswith("_int"):
        low, high = -int(-low // 1), int(high // 1)
    if low > high:
        raise _empty(item, allowed)
    if low == high:
        return _listed(item, allowed, [low])
    return {**item, "lower": low, "upper": high, "default_value": min(max(item["default_value"], low), high)}


def _narrow_choices(item: Item, choices: Sequence[Value], allowed: Allowed) -> Item:
    kept = [place for place, value in enumerate(choices) if holds(allowed, value)]
    if not kept:
        raise _empty(item, allowed)
    if item["type"] == "constant":
        return item
    key = "choices" if "choices" in item else "sequence"
    narrow = {**item, key: [choices[place] for place in kept]}
    if item["default_value"] not in narrow[key]:
        narrow["default_value"] = narrow[key][0]
    if item.get("weights") is not None:
        narrow["weights"] = [item["weights"][place] for place in kept]
    return narrow


def _listed(item: Item, allowed: Allowed, values: Sequence[Any]) -> Item:
    """Makes a range into the few numbers that are left of it."""
    if not values:
        raise _empty(item, allowed)
    whole = item["type"].endswith("_int")
    values = list(dict.fromkeys(int(value) if whole else float(value) for value in values))
    kept = {"name": item["name"], "meta": item["meta"]}
    if len(values) == 1:
        return {"type": "constant", **kept, "value": values[0]}
    return {"type": "ordinal", **kept, "sequence": values, "default_value": values[0]}


def _empty(item: Item, allowed: Allowed) -> RequestError:
    choices = choices_of(item)
    left = f"{item['lower']:g} to {item['upper']:g}" if choices is None else ", ".join(map(str, choices))
    wanted = str(allowed) if isinstance(allowed, Range) else ", ".join(map(str, allowed))
    return RequestError(
        f"a restriction must leave each hyperparameter a value, but of {item['name']} ({left}) it leaves nothing with "
        f"{wanted}; loosen one of the two"
    )


def _conditions(conditions: Sequence[Item], items: dict[str, Item], before: Mapping[str, Item]) -> list[Item]:
    """Reduces conditions to what can still hold, and drops hyperparameters that can never be active, from ``items``."""
    while True:
        reduced = [(one["child"], _reduced(one, items, before)) for one in conditions if one["child"] in items]
        dead = {child for child, condition in reduced if condition is None}
        if not dead:
            return [condition for _, condition in reduced if condition is not None]
        for name in dead:
            del items[name]


def _reduced(condition: Item, items: Mapping[str, Item], before: Mapping[str, Item]) -> Item | None:
    """Gives what is left of a condition, or None when it can never hold."""
    kind = condition["type"]
    if kind in ("AND", "OR"):
        parts = [_reduced(one, items, before) for one in condition["conditions"]]
        left = [one for one in parts if one is not None]
        if not left or (kind == "AND" and len(left) < len(parts)):
            return None
        return left[0] if len(left) == 1 else {**condition, "conditions": left}
    parent = items.get(condition["parent"])
    if parent is None:
        return None
    choices = choices_of(parent)
    if choices is None:
        return _on_range(condition, parent)
    return _on_choices(condition, choices, before[condition["parent"]].get("sequence", ()))


def _on_choices(condition: Item, choices: Sequence[Value], order: Sequence[Value]) -> Item | None:
    kept = [value for value in choices if _satisfied(condition, value, order)]
    if not kept:
        return None
    head = {"child": condition["child"], "parent": condition["parent"]}
    if len(kept) == 1:
        return {"type": "EQ", **head, "value": kept[0]}
    return {"type": "IN", **head, "values": kept}


def _satisfied(condition: Item, value: Any, order: Sequence[Value]) -> bool:
    """Whether a parent's value activates the child; ``order`` is an ordinal parent's own, before it was narrowed."""
    kind = condition["type"]
    if kind == "IN":
        return holds(tuple(condition["values"]), value)
    if kind in ("EQ", "NEQ"):
        return bool(holds((condition["value"],), value) == (kind == "EQ"))
    bound = condition["value"]
    mine, bound = (order.index(value), order.index(bound)) if order else (value, bound)
    return bool(mine > bound if kind == "GT" else mine < bound)


def _on_range(condition: Item, parent: Item) -> Item | None:
    """Reduces a condition on a number; what holds everywhere is said as: equal to the lower end, or above it."""
    low, high, kind = parent["lower"], parent["upper"], condition["type"]
    head = {"child": condition["child"], "parent": condition["parent"]}
    if kind == "IN":
        values = [value for value in condition["values"] if low <= value <= high]
        return {"type": "IN", **head, "values": values} if values else None
    bound = condition["value"]
    if low <= bound <= high:
        never = (kind == "GT" and bound == high) or (kind == "LT" and bound == low)
        return None if never else condition
    if kind == "EQ" or (kind == "GT" and bound > high) or (kind == "LT" and bound < low):
        return None
    everywhere = [{"type": "EQ", **head, "value": low}, {"type": "GT", **head, "value": low}]
    return {"type": "OR", "child": condition["child"], "conditions": everywhere}


def _mentioned(clause: Item) -> list[str]:
    """Names the hyperparameters of a forbidden clause."""
    own = [clause[key] for key in ("name", "left", "right") if key in clause]
    return own + [name for part in clause.get("clauses", ()) for name in _mentioned(part)]
