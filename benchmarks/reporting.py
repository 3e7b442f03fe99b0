"""How benchmarks take turns, print and record."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def rounds(work: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Does each piece of work in turn, ``repeats`` times over, so that a busy while weighs on all of them."""
    measured: dict[str, list[Any]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            measured[name].append(run())
    return measured


def machine(*packages: str) -> dict[str, str | int | None]:
    """Says what the figures were measured on, and when."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


class Report:
    """Prints a table and ratios as they come, and writes them down at the end.

    Args:
        name: Of the benchmark, and of its result file.
        about: What it measures.
        packages: Whose versions belong beside the figures.
    """

    def __init__(self, name: str, about: str, *packages: str) -> None:
        self.name = name
        self.document: dict[str, Any] = {"machine": machine(*packages), "rows": [], "ratios": []}
        print(about.strip(), "\n")

    def row(self, label: str, **figures: float) -> None:
        self.document["rows"].append({"label": label, **figures})
        print(f"{label:<45}" + "  ".join(f"{name} {value:,.4g}" for name, value in figures.items()))

    def ratio(self, label: str, value: float, at_most: float | None = None, at_least: float | None = None) -> None:
        """Records a ratio, and whether it is where it should be."""
        bound = at_most if at_most is not None else at_least
        met = None if bound is None else value <= bound if at_most is not None else value >= bound
        self.document["ratios"].append({"label": label, "value": value, "bound": bound, "met": met})
        side = "" if bound is None else f" ({'at most' if at_most is not None else 'at least'} {bound:,}: {met})"
        print(f"{label}: {value:,.3g}{side}")

    def measured_on(self) -> str:
        """Says in a line what the figures were measured on, and when."""
        told = dict(self.document["machine"])
        processor, cores, date = told.pop("processor"), told.pop("cores"), told.pop("date")
        versions = ", ".join(f"{name} {version}" for name, version in told.items())
        return f"{processor}, {cores} cores, {versions}, {date}."

    def finish(self, path: Path | None = None) -> None:
        """Writes ``results/NAME.json``, or another file."""
        target = path or RESULTS / f"{self.name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(self.document, indent=2) + "\n")
        print(f"written to {target}")


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Gives a table's lines."""
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def publish(readme: Path, name: str, lines: Sequence[str]) -> None:
    """Puts lines between the markers ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` of a document.

    Raises:
        ValueError: When the markers are not there.
    """
    text = readme.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{readme} must hold the lines {begin} and {end}; add them where the figures belong")
    readme.write_text("\n".join([before + begin, "", *lines, "", end + after]), encoding="utf-8")
    print(f"written to {readme}")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
