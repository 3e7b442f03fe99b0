"""How benchmarks take turns, print and record."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


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

    def finish(self, path: Path | None = None) -> None:
        """Writes ``results/NAME.json``, or another file."""
        target = path or RESULTS / f"{self.name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(self.document, indent=2) + "\n")
        print(f"written to {target}")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
