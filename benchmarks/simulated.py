"""The engine on a virtual clock: ASHA on up to 1,000 virtual workers, the journal on disk.

The six-dimensional Hartmann function with a fidelity, rungs 1, 3, 9, 27, 81 (stopping kind, eta 3). A unit of a trial
lasts half a virtual second to two, by the trial, so that workers come free one by one and not in step.

Utilisation is busy worker time over workers times elapsed virtual time. It is given until the last trial was begun,
while there is work for everybody, and for the whole run, which ends with workers that have nothing left to begin.
Regret is what the incumbent lacks to the optimum, at the full budget; the incumbent is the best complete trial. What a
searcher or the engine themselves take is real time, which the virtual clock does not know.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from plotting import COLOURS, figure, label_few, save
from reporting import HERE, Report, markdown_table, publish
from virtual import Trace, Truth

from automl_core import Study
from automl_core.engine.simulated import SimulatedExecutor
from automl_core.interfaces import Context, Description, Evaluation
from automl_core.types import Job, Observation
from automl_tabular.closed_form import ClosedFormEvaluator
from automl_tabular.lookup import Lookup

TRUTH = Truth("hartmann-6", min_budget=1, max_budget=81)
LEVELS = (1.0, 0.5, 0.3, 0.2)
ETA = 3
SECONDS_AT_MOST = 180.0
UTILISATION_AT_LEAST = 0.95


class Paced(ClosedFormEvaluator):
    """The formula, each trial with a pace of its own."""

    def start(self, description: Description, context: Context) -> Evaluation:
        return _Paced(super().start(description, context), 2.0 ** Random(context.seed).uniform(-1.0, 1.0))


class _Paced(Lookup):
    def __init__(self, formula: Evaluation, pace: float) -> None:
        self.formula = formula
        self.pace = pace

    def advance(self, job: Job) -> Iterator[Observation]:
        for observation in self.formula.advance(job):
            yield replace(observation, seconds=(observation.seconds or 0.0) * self.pace)


def simulate(trials: int, workers: int) -> dict[str, Any]:
    """Runs one study and gives its figures."""
    executor = SimulatedExecutor(workers)
    trace = Trace(executor)
    with tempfile.TemporaryDirectory() as directory:
        study = Study(
            space=TRUTH.space,
            searcher="asha",
            evaluator=Paced(),
            executor=executor,
            min_budget=TRUTH.min_budget,
            max_budget=TRUTH.max_budget,
            trials=trials,
            options={"searcher": {"eta": ETA}},
            workspace=directory,
        )
        began = time.perf_counter()
        study.run(progress=trace)
        seconds = time.perf_counter() - began
        journalled = sum(file.stat().st_size for file in Path(directory).glob("journal.sqlite*"))
    end = executor.now()
    complete = [(at, one) for at, budget, one in trace.incumbents if budget == TRUTH.max_budget]
    regrets = [(at, TRUTH.regret(configuration)) for at, configuration in complete]
    return {
        "workers": workers,
        "trials": trace.begun,
        "jobs": len(trace.spans),
        "real seconds": seconds,
        "virtual seconds": end,
        "last trial begun": trace.last_begun,
        "utilisation while trials begin": utilisation(trace.spans, workers, trace.last_begun),
        "utilisation of the whole run": utilisation(trace.spans, workers, end),
        "journal bytes": journalled,
        "time to regret": {str(level): time_to(regrets, level) for level in LEVELS},
        "final regret": regrets[-1][1],
        "regret": regrets,
        "busy": busy(trace.spans, end),
    }


def utilisation(spans: list[tuple[float, float]], workers: int, until: float) -> float:
    """Gives busy worker time over all worker time, up to a moment."""
    worked = sum(min(end, until) - begin for begin, end in spans if begin < until)
    return worked / (workers * until) if until else 1.0


def time_to(regrets: list[tuple[float, float]], level: float) -> float | None:
    """Gives the first moment at which the incumbent's regret is at or below a level; nothing is random in it here."""
    return next((at for at, regret in regrets if regret <= level), None)


def busy(spans: list[tuple[float, float]], end: float, moments: int = 400) -> list[tuple[float, int]]:
    """Counts busy workers at moments spread evenly over the run."""
    begins = sorted(begin for begin, _ in spans)
    ends = sorted(finish for _, finish in spans)
    at = [end * place / moments for place in range(moments)]
    return [(moment, bisect_right(begins, moment) - bisect_right(ends, moment)) for moment in at]


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Draws regret over virtual time, and who was busy."""
    drawn, (left, right) = figure(1, 2, 9.5, 3.8)
    for run, colour, style in zip(runs, COLOURS, ("-", "--", "-.", ":"), strict=False):
        label = f"{run['workers']:,} worker" + "s" * (run["workers"] > 1)
        times, regrets = zip(*run["regret"], strict=True)
        line = {"color": colour, "linestyle": style, "linewidth": 1.8, "label": label}
        left.step([*times, run["virtual seconds"]], [*regrets, regrets[-1]], where="post", **line)
        moments, counts = zip(*run["busy"], strict=True)
        right.plot(
            [moment / run["virtual seconds"] for moment in moments], [one / run["workers"] for one in counts], **line
        )
    left.set(xscale="log", yscale="log", xlabel="virtual seconds", ylabel="regret of the best complete trial")
    label_few(left)
    left.legend(frameon=False)
    left.set_title("The same trials, in less virtual time")
    right.set(xlabel="share of the run's virtual time", ylabel="share of workers that are busy", ylim=(0.0, 1.05))
    right.set_title("Workers idle only once all trials have begun")
    save(drawn, path)


def table(runs: list[dict[str, Any]]) -> list[str]:
    """The figures as Markdown."""
    heads = ["workers", "real s", "trials/s", "virtual s", "busy while trials begin", "busy, whole run"]
    heads += [f"regret ≤ {level:g}" for level in LEVELS] + ["final regret"]
    rows = []
    for run in runs:
        reached = [run["time to regret"][str(level)] for level in LEVELS]
        rows.append(
            [
                f"{run['workers']:,}",
                f"{run['real seconds']:.0f}",
                f"{run['trials'] / run['real seconds']:,.0f}",
                f"{run['virtual seconds']:,.0f}",
                f"{100 * run['utilisation while trials begin']:.2f} %",
                f"{100 * run['utilisation of the whole run']:.1f} %",
                *("-" if one is None else f"{one:,.0f} s" for one in reached),
                f"{run['final regret']:.3f}",
            ]
        )
    return markdown_table(heads, rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 1_000])
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md and results/ are")
    given = parser.parse_args(arguments)
    report = Report("simulated", __doc__ or "", "automl-graph")
    simulate(min(100, given.trials), 1)  # imports and the first touch of everything
    runs = []
    for workers in given.workers:
        run = simulate(given.trials, workers)
        runs.append(run)
        report.row(f"{workers:,} workers", **{name: one for name, one in run.items() if isinstance(one, int | float)})
        report.ratio(
            f"utilisation while trials begin, {workers:,} workers",
            run["utilisation while trials begin"],
            at_least=UTILISATION_AT_LEAST,
        )
    report.ratio(f"real seconds on {workers:,} workers", run["real seconds"], at_most=SECONDS_AT_MOST)
    report.document["runs"] = runs
    report.finish(given.results / "results" / "simulated.json")
    draw(runs, given.results / "results" / "simulated.png")
    publish(given.results / "README.md", "simulated", [report.measured_on(), "", *table(runs)])


if __name__ == "__main__":
    main()
