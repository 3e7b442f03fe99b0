"""Every searcher on every problem of known truth that it can take: regret over cost.

One virtual worker; every search of a problem has the same budget of virtual time, whatever a searcher itself takes.
What would end after the budget does not count. Each finished run is a line in ``evidence/searchers.jsonl``: killed and
started again, it goes on with what is missing. The figure and the table go into README.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
for _name in THREADS:
    os.environ[_name] = "1"  # before anything loads numpy, here and in the processes that are begun from here

import optuna_itself  # noqa: E402
from evidence_report import publish_evidence  # noqa: E402
from reporting import HERE  # noqa: E402
from resumable import carry_on  # noqa: E402
from virtual import BudgetedExecutor, Spent, Trace, Truth, workspace  # noqa: E402

from automl_core import Study  # noqa: E402
from automl_core.randomness import digest  # noqa: E402

HPOBENCH = ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle")
HPOLIB = ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")
NAS = ("cifar10", "cifar100", "imagenet16-120")

TRUTHS: Mapping[str, Truth] = {
    truth.name: truth
    for truth in (
        *(Truth("nas-bench-201", name, complete=100) for name in NAS),
        *(Truth("hpobench", name, complete=50) for name in HPOBENCH),
        *(Truth("hpolib", name, complete=50) for name in HPOLIB),
        Truth("counting-ones", min_budget=9, max_budget=729, complete=50),
        Truth("hartmann-6", min_budget=3, max_budget=81, complete=50),
    )
}

TABLES = tuple(name for name, truth in TRUTHS.items() if truth.dataset is not None)
FORMULAS = tuple(name for name in TRUTHS if name not in TABLES)
CELLS = tuple(name for name in TABLES if TRUTHS[name].space == "nas-bench-201")
MANY = 10_000
"""More trials than any budget allows: the budget ends the search."""


@dataclass(frozen=True)
class Contender:
    """A searcher as it takes part.

    Args:
        searcher: Its name; empty for Optuna itself.
        truths: The problems that it takes.
        options: Its options; for Optuna itself ``sampler`` and ``pruned``.
        repeats: How many seeds.
        trials: How many trials it is told that it has, where that shapes its search.
    """

    searcher: str
    truths: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 20
    trials: Callable[[Truth], int] = lambda truth: MANY


ALL = (*TABLES, *FORMULAS)
FEW = 6
"""Seeds of what is expensive: the least number whose range covers a median with 95 %."""
SMAC_TRIALS = 100
STAGED = {"facade": "multi-fidelity"}
FOREST = {"facade": "hyperparameter-optimization"}
CONTENDERS: Mapping[str, Contender] = {
    "random": Contender("random", ALL),
    "grid": Contender("grid", TABLES),
    "asha, stop": Contender("asha", FORMULAS, {"eta": 3}),
    "asha, promote": Contender("asha", FORMULAS, {"eta": 3, "kind": "promote"}),
    "hyperband": Contender("hyperband", FORMULAS),
    "bohb": Contender("bohb", FORMULAS),
    "optuna (TPE)": Contender("optuna", ALL),
    "smac, random forest": Contender("smac", (*TABLES, "counting-ones"), FOREST, FEW, lambda truth: SMAC_TRIALS),
    "smac, multi-fidelity": Contender("smac", FORMULAS, STAGED, FEW, lambda truth: 400),
    # Seconds a proposal, more with every trial: not on every problem.
    "smac, Gaussian process": Contender("smac", ("hartmann-6", *CELLS), {}, FEW, lambda truth: truth.complete),
    "Optuna itself, TPE + halving": Contender("", ALL, {"sampler": "TPESampler", "pruned": True}),
    "Optuna itself, random": Contender("", ALL, {"sampler": "RandomSampler", "pruned": False}),
}


@dataclass(frozen=True)
class Run:
    """One search: a problem, a contender, a seed."""

    truth: str
    contender: str
    seed: int

    @property
    def key(self) -> str:
        """Changes with everything that decides what comes out."""
        truth, contender = TRUTHS[self.truth], CONTENDERS[self.contender]
        return digest(
            [truth.space, truth.dataset, truth.min_budget, truth.max_budget, truth.complete],
            [contender.searcher, dict(contender.options), contender.trials(truth)],
            self.contender,
            self.seed,
        )


def perform(run: Run) -> dict[str, Any]:
    """Does one search and gives its line: when each incumbent came, and what it lacks to the optimum."""
    began = time.perf_counter()
    truth, contender = TRUTHS[run.truth], CONTENDERS[run.contender]
    if contender.searcher:
        found = _with_us(truth, contender, run.seed)
    else:
        found = optuna_itself.search(truth, **contender.options, seed=run.seed)
    trace = [(at, truth.regret(configuration)) for at, configuration in found.pop("incumbents")]
    return {
        "truth": run.truth,
        "contender": run.contender,
        "seed": run.seed,
        **found,
        "regret": [
            one for before, one in zip([None, *trace], trace, strict=False) if not before or before[1] != one[1]
        ],
        "seconds": time.perf_counter() - began,
    }


def _with_us(truth: Truth, contender: Contender, seed: int) -> dict[str, Any]:
    executor = BudgetedExecutor(workers=1, budget=truth.budget)
    trace = Trace(executor)
    with workspace() as directory:
        study = Study(
            space=truth.space,
            searcher=contender.searcher,
            dataset=truth.dataset,
            executor=executor,
            min_budget=truth.min_budget,
            max_budget=truth.max_budget,
            trials=contender.trials(truth),
            seed=seed,
            options={"searcher": contender.options},
            workspace=directory,
        )
        try:
            study.run(progress=trace)
        except Spent:
            pass
        else:
            if study.status != "finished":
                raise RuntimeError(f"the study must run to its end, but is {study.status}")
    return {
        "incumbents": [(at, configuration) for at, _, configuration in trace.incumbents],
        "trials": trace.begun,
        "spent": trace.spans[-1][1] if trace.spans else 0.0,
    }


def planned(contenders: Sequence[str], truths: Sequence[str], repeats: int | None) -> list[Run]:
    """Lists all runs, seed by seed, so that what is there at any time is balanced; what takes long comes last."""
    runs = [
        Run(truth, name, seed)
        for name in contenders
        for truth in CONTENDERS[name].truths
        if truth in truths
        for seed in range(CONTENDERS[name].repeats if repeats is None else min(repeats, CONTENDERS[name].repeats))
    ]
    slow = [name for name, contender in CONTENDERS.items() if contender.repeats == FEW]
    return sorted(runs, key=lambda run: (slow.index(run.contender) if run.contender in slow else -1, run.seed))


def _told(run: Run, found: Mapping[str, Any]) -> str:
    regret = found["regret"][-1][1] if found["regret"] else float("nan")
    return f"{run.truth}, {run.contender}, seed {run.seed}: regret {regret:.4g}, {found['seconds']:.1f} s"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60.0, help="no run begins later; start again to go on")
    parser.add_argument("--repeats", type=int, help="fewer seeds than planned")
    parser.add_argument("--searchers", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--truths", nargs="+", default=list(TRUTHS), choices=list(TRUTHS))
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md, results/ and evidence/ are")
    given = parser.parse_args(arguments)
    record = given.results / "evidence" / "searchers.jsonl"
    runs = planned(given.searchers, given.truths, given.repeats)
    deadline = time.monotonic() + 60 * given.minutes
    done, failed = carry_on(record, runs, perform, _told, given.processes, deadline, "searches")
    finished = [done[run.key] for run in runs if run.key in done]
    publish_evidence(finished, runs, TRUTHS, given.results)
    missing = len(runs) - len(finished)
    if missing:
        print(f"{missing} searches are missing ({len(failed)} failed); start again to go on", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
