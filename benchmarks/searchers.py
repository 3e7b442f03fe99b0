"""What searchers cost by themselves: CPU seconds per ask and per tell, without an engine and without a journal.

One virtual worker on counting ones (8 categories, 8 probabilities), rungs 1, 3, 9, 27, 81; grid search, which needs a
finite space, on the 62,208 configurations of HPOLib. A figure at n trials is the mean over all jobs until n trials have
been begun; for searchers whose cost must not rise with n it is the median of three runs, for the others one run has to
do, to as many trials as take seconds. What an evaluation takes is not counted.

For SMAC3 its own part is measured too: the time inside its own ``ask`` and ``tell``, less what these call back here.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reporting import HERE, Report, markdown_table, publish, rounds
from virtual import Truth

from automl_core.interfaces import Problem, Searcher
from automl_core.plugins import get_registry
from automl_core.types import Job, Objective, Outcome

SIZES = (100, 1_000, 10_000)
FLAT = 1.5
OWN_SHARE = 1.05

ONES = Truth("counting-ones", min_budget=1, max_budget=81)
NUMBERS = Truth("hartmann-6", min_budget=1, max_budget=81)
LISTED = Truth("hpolib", "protein_structure", min_budget=1, max_budget=81)


@dataclass(frozen=True)
class Arm:
    """A searcher with its options.

    Args:
        searcher: Its name.
        options: Its options.
        trials: The largest number of trials that takes seconds, not hours.
        flat: Whether its cost must not rise with the trials.
        truth: What it searches.
    """

    searcher: str
    options: Mapping[str, Any]
    trials: int
    flat: bool = False
    truth: Truth = ONES

    def build(self) -> Searcher:
        built: Searcher = get_registry().create("searcher", self.searcher, self.options)
        return built

    def problem(self, trials: int) -> Problem:
        truth = self.truth
        return Problem(truth.instance, (Objective("value"),), truth.min_budget, truth.max_budget, trials, seed=0)


ARMS: Mapping[str, Arm] = {
    "random": Arm("random", {}, 10_000, flat=True),
    "grid": Arm("grid", {}, 10_000, flat=True, truth=LISTED),
    "asha, stop": Arm("asha", {"eta": 3}, 10_000, flat=True),
    "asha, promote": Arm("asha", {"eta": 3, "kind": "promote"}, 10_000, flat=True),
    "hyperband": Arm("hyperband", {}, 10_000, flat=True),
    "bohb": Arm("bohb", {}, 10_000),
    "optuna (TPE)": Arm("optuna", {}, 1_000),
    "smac, random forest": Arm("smac", {"facade": "hyperparameter-optimization"}, 100),
    "smac, multi-fidelity": Arm("smac", {"facade": "multi-fidelity"}, 100),
    "smac, Gaussian process, 30 trials": Arm("smac", {}, 30, truth=NUMBERS),
}


def drive(searcher: Searcher, problem: Problem, limit: int) -> list[tuple[int, float, float]]:
    """Asks and tells one job after another.

    Returns:
        Of every job: how many trials had been begun, seconds to ask, seconds to tell.
    """
    searcher.start(problem)
    begun, times = 0, []
    while True:
        before = time.process_time()
        job = searcher.ask(begun)
        asked = time.process_time() - before
        if job is None or begun == limit < job.trial + 1:
            return times
        begun = max(begun, job.trial + 1)
        outcome = Outcome("done", job.to_budget, values=(_value(problem, job),), cost=1.0)
        before = time.process_time()
        searcher.tell(job, outcome)
        times.append((begun, asked, time.process_time() - before))


def _value(problem: Problem, job: Job) -> float:
    """Without noise and without a table: only that there is something to learn counts here."""
    description = problem.space.decode(job.configuration)
    truth: float = getattr(description, "truth", 0.0)
    return truth - 1.0 / job.to_budget


Times = list[tuple[int, float, float]]


def costs(times: Times, trials: int) -> dict[int, tuple[float, float]]:
    """Gives seconds per ask and per tell at each size up to ``trials``."""
    found = {}
    for size in (size for size in SIZES if size <= trials):
        until = [(asked, told) for begun, asked, told in times if begun <= size]
        found[size] = statistics.fmean(asked for asked, _ in until), statistics.fmean(told for _, told in until)
    return found


def own_time(searcher: Any) -> Callable[[], float]:
    """Measures the time in SMAC3 itself, from when its facade is built; gives what reads the seconds so far."""
    inside = 0.0
    depth = 0
    since = 0.0

    def switch(step: int) -> None:
        """Enters or leaves SMAC3 (depth 1) or a call back out of it (depth 2)."""
        nonlocal inside, depth, since
        now = time.process_time()
        if depth == 1:
            inside += now - since
        depth += step
        since = now

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            switch(1)
            try:
                return function(*arguments, **options)
            finally:
                switch(-1)

        return call

    searcher._admit = timed(searcher._admit)
    searcher._draw = timed(searcher._draw)
    start = searcher.start

    def started(problem: Problem) -> None:
        start(problem)
        searcher.facade.ask = timed(searcher.facade.ask)
        searcher.facade.tell = timed(searcher.facade.tell)

    searcher.start = started
    return lambda: inside


def measure(arm: Arm, trials: int) -> tuple[dict[int, tuple[float, float]], float | None]:
    """Gives seconds per ask and per tell by size; for SMAC also all of them over those in SMAC3 itself."""
    searcher = arm.build()
    if arm.searcher != "smac":
        return costs(drive(searcher, arm.problem(trials), trials), trials), None
    inside = own_time(searcher)
    times = drive(searcher, arm.problem(trials), trials)
    return costs(times, trials), sum(asked + told for _, asked, told in times) / inside()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=SIZES[-1], help="at most so many, whatever is affordable")
    parser.add_argument("--searchers", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md and results/ are")
    given = parser.parse_args(arguments)
    report = Report("searchers", __doc__ or "", "automl-graph", "smac", "optuna")
    arms = {name: ARMS[name] for name in given.searchers}
    sizes = {name: min(arm.trials, given.trials) for name, arm in arms.items()}
    for arm in arms.values():
        measure(arm, 5)  # imports and the first touch of everything
    flat = [name for name, arm in arms.items() if arm.flat]
    measured = rounds({name: lambda n=name: measure(arms[n], sizes[n]) for name in flat}, given.repeats)
    measured |= {name: [measure(arm, sizes[name])] for name, arm in arms.items() if not arm.flat}
    rows = [_row(report, name, [found for found, _ in runs]) for name, runs in measured.items() if runs[0][0]]
    for name, runs in measured.items():
        (_, share), *_ = runs
        if share is not None:
            report.ratio(f"{name}: all asks and tells over those in SMAC3 itself", share, at_most=OWN_SHARE)
        elif arms[name].flat and sizes[name] >= SIZES[-1]:
            small, large = (statistics.median(sum(found[size]) for found, _ in runs) for size in SIZES[1:])
            report.ratio(f"{name}: ask and tell at 10,000 trials over those at 1,000", large / small, at_most=FLAT)
    report.finish(given.results / "results" / "searchers.json")
    publish(given.results / "README.md", "searchers", [report.measured_on(), "", *_table(rows), "", *_verdicts(report)])


def _row(report: Report, name: str, runs: list[dict[int, tuple[float, float]]]) -> list[str]:
    figures: dict[str, float] = {}
    cells = [name]
    for size in SIZES:
        if size not in runs[0]:
            cells += ["-", "-"]
            continue
        for part, kind in enumerate(("ask", "tell")):
            milliseconds = 1e3 * statistics.median(run[size][part] for run in runs)
            figures[f"{kind} at {size}, ms"] = milliseconds
            cells.append(f"{milliseconds:,.3g}")
    report.row(name, **figures)
    return cells


def _table(rows: list[list[str]]) -> list[str]:
    heads = [f"{kind} at {size:,}" for size in SIZES for kind in ("ask", "tell")]
    return ["Milliseconds:", "", *markdown_table(["searcher", *heads], rows)]


def _verdicts(report: Report) -> list[str]:
    return [
        f"- {one['label']}: {one['value']:.3f} (at most {one['bound']}: {'met' if one['met'] else 'missed'})"
        for one in report.document["ratios"]
    ]


if __name__ == "__main__":
    main()
