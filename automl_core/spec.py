"""What a study is made of, as plain JSON: this is what its row in the journal records."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from automl_core.errors import RequestError, unknown
from automl_core.types import Constraint, Direction, Json, Objective

PARTS = ("space", "searcher", "evaluator", "estimator", "executor", "dataset", "trainer")
"""Parts whose options ``--set part.option=value`` reaches."""

Retention = Literal["needed", "all"]


@dataclass(frozen=True)
class Part:
    """One part of a study: a registered name with options, or a Python object that no journal can hold.

    Args:
        name: Registered name; for an object, its class, for people to read.
        options: Options as the user and the preset gave them.
        given: Whether it was given as an object.
    """

    name: str
    options: Mapping[str, Json] = field(default_factory=dict)
    given: bool = False


@dataclass(frozen=True)
class StudySpec:
    """Everything that rebuilds a study. Parts and budgets are resolved: presets have been applied."""

    name: str
    space: Part
    searcher: Part
    evaluator: Part
    estimators: tuple[Part, ...]
    executor: Part
    dataset: Part | None
    trainer: Mapping[str, Json]
    objectives: tuple[str, ...]
    min_budget: int
    max_budget: int
    trials: int | None
    seed: int
    preset: str
    device: str = "auto"
    threads: int | None = None
    workers: int | None = None
    checkpoint: Retention = "needed"
    constraints: tuple[str, ...] = ()
    disk_budget: int | None = None
    store: str | None = None
    version: str = ""
    unit: str = ""
    rungs: tuple[int, ...] = ()

    @property
    def objects(self) -> list[str]:
        """Names of the parts that were given as Python objects."""
        parts: dict[str, Part | None] = {
            "space": self.space,
            "searcher": self.searcher,
            "evaluator": self.evaluator,
            "dataset": self.dataset,
            "executor": self.executor,
        }
        found = [kind for kind, part in parts.items() if part is not None and part.given]
        return found + (["estimator"] if any(part.given for part in self.estimators) else [])

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Self:
        changed = dict(data)
        for kind in ("space", "searcher", "evaluator", "executor"):
            changed[kind] = Part(**data[kind])
        changed["dataset"] = None if data["dataset"] is None else Part(**data["dataset"])
        changed["estimators"] = tuple(Part(**part) for part in data["estimators"])
        for name in ("objectives", "rungs", "constraints"):
            changed[name] = tuple(data.get(name, ()))
        return cls(**changed)


def check_name(name: str) -> None:
    """Refuses a study's name that files, shells or the command line would stumble over.

    Raises:
        RequestError: Naming the rule.
    """
    fits = isinstance(name, str) and name == name.strip() and name.isprintable() and "/" not in name
    if not fits or not name or name.startswith("-") or not _encodes(name):
        raise RequestError(
            "a study's name must be printable text without '/' that does not begin with '-', but got "
            f"{name!a}; choose another, such as first-search"
        )


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_objective(text: str, metrics: Mapping[str, Direction], open_ended: bool = False) -> Objective:
    """Reads ``metric`` or ``metric:max|min``.

    Args:
        text: What the user gave.
        metrics: Metrics that the evaluator reports, with their usual directions.
        open_ended: Whether the evaluator may report metrics that it does not declare.

    Raises:
        RequestError: For an unknown metric or direction.
    """
    metric, _, direction = text.partition(":")
    if metric not in metrics and not open_ended:
        raise _unknown_metric("objective", metric, metrics)
    if direction not in ("", "max", "min"):
        raise RequestError(
            f"an objective must be METRIC, METRIC:max or METRIC:min, but got {text!r}; pass for example {metric}:max"
        )
    if direction == "":
        return Objective(metric, metrics.get(metric, "max"))
    return Objective(metric, "max" if direction == "max" else "min")


def _unknown_metric(kind: str, name: str, metrics: Mapping[str, Direction]) -> RequestError:
    """Builds the error for a metric that is not reported: with all that are, near or not."""
    near = unknown(kind, name, metrics)
    listed = ", ".join(sorted(metrics))
    return near if listed in str(near) else RequestError(f"{near} The evaluator reports {listed}")


def parse_constraint(text: str, metrics: Mapping[str, Direction], open_ended: bool = False) -> Constraint:
    """Reads ``metric<=number`` or ``metric>=number``.

    Args:
        text: What the user gave.
        metrics: Metrics that the evaluator reports.
        open_ended: Whether the evaluator may report metrics that it does not declare.

    Raises:
        RequestError: For another form or an unknown metric.
    """
    found = re.fullmatch(r"\s*([^<>=\s]+)\s*(<=|>=)\s*(\S+)\s*", text)
    try:
        bound = float(found[3]) if found else math.nan
    except ValueError:
        bound = math.nan
    if found is None or math.isnan(bound):
        given = re.match(r"\s*([^<>=\s]+)", text)
        example = given[1] if given and given[1] in metrics else next(iter(metrics), "flops")
        raise RequestError(
            f"a constraint must be METRIC<=NUMBER or METRIC>=NUMBER, but got {text!r}; pass for example "
            f"--constraint '{example}<=1.5e9'"
        )
    if found[1] not in metrics and not open_ended:
        raise _unknown_metric("metric in a constraint", found[1], metrics)
    return Constraint(found[1], "<=" if found[2] == "<=" else ">=", bound)


_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_size(size: int | str) -> int:
    """Reads a number of bytes: ``5GB``, ``500MB``, ``1.5GiB``, or plain bytes.

    Raises:
        RequestError: For anything else, or nothing above 0.
    """
    found = re.fullmatch(r"([0-9.]+)\s*([kmgt]?i?)b?", str(size).strip().lower())
    try:
        count = int(float(found[1]) * _BYTES[found[2]]) if found else 0
    except (ValueError, KeyError):
        count = 0
    if count <= 0:
        raise RequestError(
            f"a disk budget must be a size above 0, but got {size!r}; pass for example --disk-budget 5GB"
        )
    return count


def check_numbers(spec: StudySpec) -> None:
    """Refuses budgets, trials and the like that cannot work.

    Raises:
        RequestError: Naming the rule, the value and the way out.
    """
    positive: Sequence[tuple[str, Any, str]] = (
        ("min_budget", spec.min_budget, "--min-budget"),
        ("max_budget", spec.max_budget, "--max-budget"),
        ("trials", spec.trials, "--trials"),
        ("threads", spec.threads, "--threads"),
        ("workers", spec.workers, "--workers"),
    )
    for name, value, flag in positive:
        if value is None and name in ("trials", "threads", "workers"):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise RequestError(f"{name} must be a whole number above 0, but got {value!r}; pass {flag} 1 or more")
    if isinstance(spec.seed, bool) or not isinstance(spec.seed, int) or spec.seed < 0:
        raise RequestError(f"seed must be a whole number from 0, but got {spec.seed!r}; pass --seed 0 or more")
    if spec.min_budget > spec.max_budget:
        raise RequestError(
            f"min_budget <= max_budget must hold, but got {spec.min_budget} and {spec.max_budget}; "
            "lower --min-budget or raise --max-budget"
        )
    if spec.checkpoint not in ("needed", "all"):
        raise unknown("checkpoint retention", str(spec.checkpoint), ("needed", "all"))
