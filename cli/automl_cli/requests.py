"""What users ask for, read from ``--set``, from time spans and from study files.

A study file is YAML with the flags of ``automl run`` as keys. A part is its name, or a mapping of its name and its
options::

    space: {name: ktg, nodes: 3}
    searcher: {name: asha, eta: 3}
    dataset: digits
    trainer: {batch: 64}
    objective: [accuracy, flops]
    constraint: params<=1e6
    trials: 20
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from automl_core.errors import RequestError, unknown
from automl_core.restricting import KEYS
from automl_core.spec import PARTS
from automl_core.yaml_files import load

NAMED_PARTS = tuple(part for part in PARTS if part != "trainer")
PLAIN_KEYS = (
    "objective",
    "constraint",
    "min_budget",
    "max_budget",
    "trials",
    "seed",
    "preset",
    "time_limit",
    "workers",
    "dask",
    "device",
    "threads",
    "checkpoint",
    "disk_budget",
    "store",
    "name",
)
SEVERAL = ("estimator", "objective", "constraint")

_SECONDS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Options = dict[str, dict[str, Any]]
"""Part to option to value."""


def parse_settings(texts: Iterable[str]) -> Options:
    """Reads the values of ``--set part.option=value``; values are YAML.

    Raises:
        RequestError: For another form, an unknown part, or a value that is no YAML.
    """
    options: Options = {}
    for text in texts:
        path, equals, value = text.partition("=")
        part, dot, option = path.strip().partition(".")
        if not (equals and dot and part and option):
            raise RequestError(f"--set takes part.option=value, such as searcher.eta=3, but got {text!r}")
        if part not in PARTS:
            raise unknown("part in --set", part, PARTS)
        options.setdefault(part, {})[option.replace("-", "_")] = _yaml(value, f"the value in --set {text}")
    return options


def merged(first: Mapping[str, Mapping[str, Any]], second: Mapping[str, Mapping[str, Any]]) -> Options:
    """Joins options part by part; ``second`` wins."""
    return {part: {**first.get(part, {}), **second.get(part, {})} for part in {**first, **second}}


def duration(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Reads a flag's time span (90, 90s, 10m, 1.5h, 1h30m, 2d); gives seconds.

    Raises:
        BadParameter: When it is none, or not above 0.
    """
    if text is None:
        return None
    written = text.strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", written)
    if re.fullmatch(r"\d+(\.\d+)?", written):
        parts = [(written, "s")]
    elif "".join(amount + unit for amount, unit in parts) != written:
        parts = []
    total = sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
    if total <= 0:
        raise click.BadParameter(f"a time above 0 is wanted, such as 90s, 10m or 1h30m, but got {text!r}")
    return total


def constraints(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Passes constraints on; one that a shell has cut at < or > is refused here, since only here that can be told.

    Raises:
        RequestError: For a text without a comparison.
    """
    for text in texts:
        if not {"<", ">"} & set(text):
            raise RequestError(
                f"a constraint must be METRIC<=NUMBER or METRIC>=NUMBER, but got {text!r}; put it in quotes, since a "
                f"shell takes < and > for itself: --constraint {shlex.quote((text.strip() or 'flops') + '<=1.5e9')}"
            )
    return texts


@dataclass(frozen=True)
class StudyFile:
    """A study file, taken apart.

    Args:
        values: Flag's name to its value, as the flag would take it.
        options: Part to its options.
    """

    values: dict[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=dict)


def read_study_file(path: Path) -> StudyFile:
    """Reads a study file.

    Raises:
        RequestError: When it cannot be read, is no YAML mapping, or holds a key or a form that has no meaning.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else "not UTF-8 text"
        if isinstance(error, FileNotFoundError):
            reason += " (a search space is named with --space)"
        raise RequestError(f"a study file must be a readable YAML file, but {str(path)!r} is not: {reason}") from None
    data = _yaml(text, f"study file {str(path)!r}")
    if not isinstance(data, dict):
        raise RequestError(
            f"a study file must map keys such as 'space' and 'searcher' to values, but {str(path)!r} holds "
            f"{'nothing' if data is None else type(data).__name__}"
        )
    found = StudyFile()
    for written, value in data.items():
        key = str(written).replace("-", "_")
        if key not in PARTS and key not in PLAIN_KEYS:
            raise _unknown_key(path, str(written))
        if value is not None:
            _take(found, key, value, path)
    return found


def _unknown_key(path: Path, written: str) -> RequestError:
    if written == "set":
        return RequestError(
            f"options in a study file stand in the mapping of their part, but {str(path)!r} has the key 'set'; write "
            "searcher: {name: asha, eta: 3}"
        )
    if written in KEYS:
        return RequestError(
            f"a study file says what to search and how, but {str(path)!r} has {written!r}, which is a design space's; "
            f"pass that with --space {shlex.quote(str(path))}"
        )
    known = (*PARTS, *PLAIN_KEYS)
    singular = written.replace("-", "_").removesuffix("s")
    return unknown(f"key in study file {str(path)!r}", written, (singular,) if singular in known else known)


def _take(found: StudyFile, key: str, value: Any, path: Path) -> None:
    if key in PARTS and isinstance(value, dict):
        options = {str(name).replace("-", "_"): one for name, one in value.items()}
        if key in NAMED_PARTS and "name" in options:
            name = options.pop("name")
            found.values[key] = [str(name)] if key in SEVERAL else str(name)
        found.options[key] = options
    elif key == "trainer":
        raise RequestError(f"'trainer' in study file {str(path)!r} must map options to values, but got {value!r}")
    elif key in SEVERAL and isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value):
        found.values[key] = [str(one) for one in value]
    elif isinstance(value, (dict, list)):
        form = "a name, or a mapping with 'name' and options" if key in PARTS else "one value"
        raise RequestError(f"{key!r} in study file {str(path)!r} must be {form}, but got {value!r}")
    else:
        # As text: the flags' own types then judge it as they would judge the command line.
        found.values[key] = [str(value)] if key in SEVERAL else str(value)


def _yaml(text: str, subject: str) -> Any:
    import yaml

    try:
        return load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RequestError(f"{subject} must be YAML, but{where}: {reason}") from None
