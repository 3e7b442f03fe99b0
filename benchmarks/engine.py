"""What the engine itself costs: trials a second with a trivial evaluator and the journal on disk, Optuna beside it.

11 categorical hyperparameters of 4 values, rungs 1, 2, 4, ..., 128, asynchronous successive halving (the stopping
kind) over random draws on both sides. Optuna runs the same objective with its own sampler and pruner of that kind, on
SQLite, on its journal file and in memory.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from reporting import Report, rounds

HYPERPARAMETERS = 11
VALUES = ("a", "b", "c", "d")
RUNGS = (1, 2, 4, 8, 16, 32, 64, 128)
NAMES = [f"choice_{number:02d}" for number in range(HYPERPARAMETERS)]
WEIGHTS = {(name, value): random.Random(f"{name}{value}").random() for name in NAMES for value in VALUES}


def quality(configuration: dict[str, Any], budget: int) -> float:
    """A closed form without ties: configurations differ, and all of them get better with the budget."""
    return sum(WEIGHTS[name, value] for name, value in configuration.items()) / HYPERPARAMETERS - 0.1 / budget


def ours(trials: int) -> tuple[float, int]:
    """Seconds for a study, its journal on disk, and the jobs that it ran."""
    from ConfigSpace import Categorical, ConfigurationSpace

    from automl_core import Study

    space = ConfigurationSpace()
    space.add([Categorical(name, VALUES) for name in NAMES])
    directory = Path(tempfile.mkdtemp())
    try:
        study = Study(
            space=space,
            evaluator=lambda configuration, budget, seed: quality(configuration, budget),
            trials=trials,
            max_budget=RUNGS[-1],
            workspace=directory,
        )
        began = time.perf_counter()
        study.run()
        seconds = time.perf_counter() - began
        assert study.spec.rungs == RUNGS
        return seconds, sum(rung["reached"] for rung in study.record.rungs())
    finally:
        shutil.rmtree(directory)


def optuna(trials: int, storage: str) -> tuple[float, int]:
    """Seconds that Optuna takes for the same, and the reports that its trials made."""
    import optuna as library
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    library.logging.set_verbosity(logging.ERROR)
    directory = Path(tempfile.mkdtemp())
    kinds: dict[str, Any] = {
        "SQLite": lambda: f"sqlite:///{directory}/study.db",
        "journal file": lambda: JournalStorage(JournalFileBackend(str(directory / "study.log"))),
        "memory": lambda: None,
    }
    reports = 0

    def objective(trial: library.Trial) -> float:
        nonlocal reports
        configuration = {name: trial.suggest_categorical(name, VALUES) for name in NAMES}
        value = 0.0
        for budget in RUNGS:
            value = quality(configuration, budget)
            trial.report(value, budget)
            reports += 1
            if budget < RUNGS[-1] and trial.should_prune():
                raise library.TrialPruned
        return value

    try:
        study = library.create_study(
            storage=kinds[storage](),
            direction="maximize",
            sampler=library.samplers.RandomSampler(seed=0),
            pruner=library.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        )
        began = time.perf_counter()
        study.optimize(objective, n_trials=trials)
        return time.perf_counter() - began, reports
    finally:
        shutil.rmtree(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    work = {
        "automl, 1,000 trials": (1_000, lambda: ours(1_000)),
        "automl, 20,000 trials": (20_000, lambda: ours(20_000)),
        "Optuna, SQLite, 60 trials": (60, lambda: optuna(60, "SQLite")),
        "Optuna, journal file, 100 trials": (100, lambda: optuna(100, "journal file")),
        "Optuna, journal file, 1,000 trials": (1_000, lambda: optuna(1_000, "journal file")),
        "Optuna, memory (nothing kept), 1,000 trials": (1_000, lambda: optuna(1_000, "memory")),
    }
    ours(100)  # imports and the first touch of everything
    measured = rounds({name: run for name, (_, run) in work.items()}, arguments.repeats)
    report = Report("engine", __doc__ or "", "automl-graph", "optuna")
    rates = {}
    for name, (trials, _) in work.items():
        seconds = [one for one, _ in measured[name]]
        rates[name] = trials / statistics.median(seconds)
        report.row(
            name,
            trials_per_second=rates[name],
            slowest=trials / max(seconds),
            fastest=trials / min(seconds),
            jobs_per_trial=measured[name][0][1] / trials,
        )
    small, large = rates["automl, 1,000 trials"], rates["automl, 20,000 trials"]
    report.ratio("cost per trial at 20,000 trials over that at 1,000", small / large, at_most=1.5)
    report.ratio("trials a second at 1,000 trials", small, at_least=1_000)
    for name in work:
        if name.startswith("Optuna"):
            report.ratio(f"automl's rate over {name}", small / rates[name])
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
