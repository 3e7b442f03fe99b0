"""A ConfigSpace with some hyperparameters fixed or narrowed, built anew from the serialised form of the whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from automl_core.errors import RequestError, unknown
from automl_core.priors import weights
from automl_core.restricting import Allowed, Range, Restriction, holds
from automl_core.types import Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter

Item = dict[str, Any]
"""A hyperparameter, a condition or a forbidden clause in ConfigSpace's serialised form."""


def narrowed(whole: ConfigurationSpace, restriction: Restriction) -> ConfigurationSpace:
    """Narrows the hyperparameters to what the restriction's clauses leave of each alone.

    Hyperparameters that can never be active any more are dropped, and so are conditions that always hold. What is left
    is as probable as it was, in proportion; where ConfigSpace cannot say so, ranges stay as they are. Forbidden
    clauses about restricted hyperparameters are left out, since ConfigSpace refuses a forbidden default; whoever draws
    has to look at them, and at these ranges, in the whole.

    Raises:
        RequestError: For a hyperparameter or a value that the whole does not have, and when nothing is left.
    """
    from ConfigSpace import ConfigurationSpace

    data = whole.to_serialized_dict()
    before = {item["name"]: item for item in data["hyperparameters"]}
    _check(whole, before, restriction)
    limits = restriction.limits()
    items = {name: reduce(partial(_narrow, whole[name]), limits.get(name, []), item) for name, item in before.items()}
    conditions = _uncertain(_conditions(data["conditions"], items, before), items)
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
    if choices is None:
        for value in [allowed] if isinstance(allowed, Range) else allowed:
            _check_number(item, value)
    elif not isinstance(allowed, Range):
        for value in allowed:
            if not holds(tuple(choices), value):
                raise unknown(f"value of {name} in a restriction", str(value), [str(one) for one in choices])


def _check_number(item: Item, value: Value | Range) -> None:
    name, own = item["name"], Range(item["lower"], item["upper"])
    if isinstance(value, str):
        raise RequestError(
            f"a restriction must give numbers for {name}, but got the text {value!r}; write a number, without "
            "quotation marks"
        )
    ends = (value.low, value.high) if isinstance(value, Range) else (value,)
    if not all(end in own for end in ends):
        text = str(value) if isinstance(value, Range) else repr(value)
        raise RequestError(
            f"a restriction must keep to the space's own range, but {name} goes from {own} and got {text}; choose what "
            "lies in it"
        )
    if item["type"].endswith("_int") and isinstance(value, float) and not value.is_integer():
        raise RequestError(
            f"a restriction must give whole numbers for {name}, but got {value!r}; write whole ones, or a range"
        )


def choices_of(item: Item) -> Sequence[Value] | None:
    """Gives a hyperparameter's values where it lists them; None for a range."""
    if item["type"] == "constant":
        return [item["value"]]
    listed: Sequence[Value] | None = item.get("choices", item.get("sequence"))
    return listed


def _narrow(whole: Hyperparameter[Any, Any], item: Item, allowed: Allowed) -> Item:
    """Narrows one hyperparameter.

    Args:
        whole: What it is before all narrowing.
        item: What it is now.
        allowed: What is to be left.

    Raises:
        RequestError: When nothing is left of it.
    """
    choices = choices_of(item)
    if choices is not None:
        return _narrow_choices(item, choices, allowed)
    if not isinstance(allowed, Range):
        values = [value for value in allowed if value in Range(item["lower"], item["upper"])]
        return _listed(whole, item, allowed, sorted(values))
    low, high = max(item["lower"], allowed.low), min(item["upper"], allowed.high)
    if item["type"].endswith("_int"):
        low, high = -int(-low // 1), int(high // 1)
    if low > high:
        raise _empty(item, allowed)
    if low == high:
        return _listed(whole, item, allowed, [low])
    narrow = {**item, "default_value": min(max(item["default_value"], low), high)}
    return narrow if _scales(item) else {**narrow, "lower": low, "upper": high}


def _scales(item: Item) -> bool:
    """Whether ConfigSpace gives a narrower range another distribution instead of cutting the one that it has."""
    kind = item["type"]
    return bool(kind.startswith("beta")) or (kind.startswith("normal") and bool(item["log"]))


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
        if not any(narrow["weights"]):
            raise RequestError(
                f"a restriction must leave each hyperparameter a value that can be drawn, but of {item['name']} it "
                f"leaves {', '.join(map(str, narrow[key]))}, of weight 0; add another value, or give these a weight"
            )
    return narrow


def _listed(whole: Hyperparameter[Any, Any], item: Item, allowed: Allowed, values: Sequence[Any]) -> Item:
    """Makes a range into the few numbers that are left of it: in order, or weighted where they are not as probable."""
    if not values:
        raise _empty(item, allowed)
    whole_number = item["type"].endswith("_int")
    values = list(dict.fromkeys(int(value) if whole_number else float(value) for value in values))
    kept = {"name": item["name"], "meta": item["meta"]}
    if len(values) == 1:
        return {"type": "constant", **kept, "value": values[0]}
    ordinal = {"type": "ordinal", **kept, "sequence": values, "default_value": values[0]}
    if item["type"] == "uniform_float" or (item["type"] == "uniform_int" and not item["log"]):
        return ordinal
    lowest = item["lower"] if whole_number else 0
    odds = weights(whole, [value - lowest for value in values]).tolist()
    if not any(odds):
        return ordinal
    return {
        "type": "categorical",
        **kept,
        "choices": values,
        "weights": odds,
        "default_value": values[odds.index(max(odds))],
    }


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


def _uncertain(conditions: Sequence[Item], items: Mapping[str, Item]) -> list[Item]:
    """Leaves out the conditions that hold whatever is chosen."""
    left = list(conditions)
    while True:
        sometimes = {one["child"] for one in left}
        kept = [one for one in left if not _certain(one, items, sometimes)]
        if len(kept) == len(left):
            return kept
        left = kept


def _certain(condition: Item, items: Mapping[str, Item], sometimes: Collection[str]) -> bool:
    """Whether a reduced condition always holds.

    Args:
        condition: The condition.
        items: The hyperparameters, narrowed.
        sometimes: Those of them that can be inactive.
    """
    kind = condition["type"]
    if kind in ("AND", "OR"):
        parts = condition["conditions"]
        if kind == "OR" and condition == _everywhere(parts[0], items[parts[0]["parent"]].get("lower")):
            return parts[0]["parent"] not in sometimes
        certain = [_certain(one, items, sometimes) for one in parts]
        return all(certain) if kind == "AND" else any(certain)
    if condition["parent"] in sometimes:
        return False
    choices = choices_of(items[condition["parent"]])
    allowed = tuple(condition.get("values", [condition.get("value")]))
    return choices is not None and all(holds(allowed, value) for value in choices)


def _everywhere(condition: Item, low: Any) -> Item:
    """Says of a number above a lower end that it can be anything."""
    head = {"child": condition["child"], "parent": condition["parent"]}
    ends = [{"type": "EQ", **head, "value": low}, {"type": "GT", **head, "value": low}]
    return {"type": "OR", "child": condition["child"], "conditions": ends}


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
    return _everywhere(condition, low)


def _mentioned(clause: Item) -> list[str]:
    """Names the hyperparameters of a forbidden clause."""
    own = [clause[key] for key in ("name", "left", "right") if key in clause]
    return own + [name for part in clause.get("clauses", ()) for name in _mentioned(part)]
