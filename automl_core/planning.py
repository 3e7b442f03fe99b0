"""What a run would do, for ``run --dry-run``."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from automl_core.errors import RequestError
from automl_core.interfaces import Context
from automl_core.randomness import derive_seed
from automl_core.sampling import RandomSampler
from automl_core.types import Json, Outcome

if TYPE_CHECKING:
    from automl_core.study import Study

REHEARSED_JOBS = 20_000
REHEARSED_SECONDS = 10.0


def plan(study: Study) -> dict[str, Json]:
    """Gives sizes, rungs and an estimated time; measures a few training steps, writes nothing.

    The searcher is rehearsed with random values, which says how many units it trains; a unit's time is that of one
    random configuration, measured here. Teachers and controls are not in it. The size is that of the space before
    constraints.
    """
    spec, assembly = study.spec, study.assembly
    device = _device(study)
    seconds = _seconds_per_unit(study, device)
    trials, units, own = _rehearse(study) or (spec.trials, None, 0)
    notes = list(study.notes)
    if own:
        trained = assembly.workbench(assembly.own_setting).evaluator.unit
        notes.append(f"the searcher trains {own} {trained} of its own first; the expected time is without them")
    if trials == 0:
        notes.append("nothing would be trained: no configuration was found that keeps the constraints")
    return {
        "name": spec.name,
        "space": spec.space.name,
        "size": assembly.space.size(),
        "searcher": spec.searcher.name,
        "evaluator": spec.evaluator.name,
        "executor": spec.executor.name,
        "objectives": list(spec.objectives),
        "constraints": list(spec.constraints),
        "trials": trials,
        "min_budget": spec.min_budget,
        "max_budget": spec.max_budget,
        "unit": spec.unit,
        "rungs": list(spec.rungs),
        "dataset": assembly.dataset.describe() if assembly.dataset is not None else None,
        "device": device or spec.device,
        "threads": assembly.threads,
        "workers": assembly.workers,
        "preset": spec.preset,
        "seconds_per_unit": seconds,
        "expected_units": units,
        "estimated_seconds": None if seconds is None or units is None else seconds * units / assembly.workers,
        "notes": notes,
    }


def _rehearse(study: Study) -> tuple[int, int, int] | None:
    """Lets a fresh searcher search with random values in place of trainings.

    Returns:
        Candidates begun, their units, and units of the searcher's own support trials; None where that would take more
        than ``REHEARSED_JOBS`` or ``REHEARSED_SECONDS``.
    """
    searcher, generator = study.assembly.searcher(), Random(derive_seed(study.spec.seed, "rehearsal"))
    trials = candidates = units = own = 0
    end = time.monotonic() + REHEARSED_SECONDS
    for _ in range(REHEARSED_JOBS):
        job = searcher.ask(trials)
        if job is None:
            return candidates, units, own
        if job.role == "candidate":
            candidates += job.trial == trials
            units += job.to_budget - job.from_budget
        else:
            own += job.to_budget - job.from_budget
        trials = max(trials, job.trial + 1)
        values = tuple(generator.random() for _ in study.assembly.objectives)
        report = searcher.imagine(job) if job.role == "support" else None
        searcher.tell(job, Outcome("done", job.to_budget, values=values, report=report))
        if time.monotonic() > end:
            return None
    return None


def _device(study: Study) -> str | None:
    """Gives the device here; None where jobs run elsewhere and it is one that is not here."""
    executor = study.assembly.executor()
    executor.close()
    try:
        return study.assembly.device
    except RequestError:
        if not executor.remote:
            raise
        return None


def _seconds_per_unit(study: Study, device: str | None) -> float | None:
    assembly = study.assembly
    configuration = RandomSampler(assembly.problem.space, study.spec.seed).draw()
    if configuration is None or device is None:
        return None
    context = Context(
        seed=study.spec.seed,
        max_budget=study.spec.max_budget,
        dataset=assembly.dataset,
        device=device,
        threads=assembly.threads,
    )
    return assembly.evaluator.seconds_per_unit(assembly.space.decode(configuration), context)
