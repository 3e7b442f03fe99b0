"""What a run would do, for ``run --dry-run``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from automl_core.engine.artefacts import Artefacts
from automl_core.errors import RequestError
from automl_core.interfaces import Context
from automl_core.randomness import derive_seed
from automl_core.types import Configuration, Job, Json, Outcome

if TYPE_CHECKING:
    from automl_core.study import Study

REHEARSED_JOBS = 20_000
REHEARSED_SECONDS = 10.0


def plan(study: Study) -> dict[str, Json]:
    """Gives sizes, rungs and an estimated time; measures a few training steps, writes nothing.

    The searcher is rehearsed with random values, which says how many units it trains, and what its trials build on; a
    unit's time is that of the first configuration, measured here. Controls are not in it. The size is that of the space
    before constraints.
    """
    spec, assembly = study.spec, study.assembly
    device = _device(study)
    rehearsal = _rehearse(study)
    seconds = None if rehearsal.first is None else _seconds_per_unit(study, rehearsal.first, device)
    trials, units = (rehearsal.trials, rehearsal.units) if rehearsal.complete else (spec.trials, None)
    shared = sum(rehearsal.shared.values())
    notes = list(study.notes)
    if rehearsal.own:
        trained = assembly.workbench(assembly.own_setting).evaluator.unit
        notes.append(f"the searcher trains {rehearsal.own} {trained} of its own, whose time is not known beforehand")
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
        "shared_units": shared if rehearsal.complete else None,
        "shared_trainings": len(rehearsal.shared) if rehearsal.complete else None,
        "estimated_seconds": None
        if seconds is None or units is None or rehearsal.own
        else seconds * (units + shared) / assembly.workers,
        "notes": notes,
    }


@dataclass
class Rehearsal:
    """A search with random values in place of trainings.

    Args:
        trials: Candidates begun.
        units: Units that they were trained.
        own: Units of the searcher's own support trials.
        shared: Units of each training that candidates build on, such as a teacher's, by its address.
        first: Configuration of the first candidate.
        complete: Whether it came to its end.
    """

    trials: int = 0
    units: int = 0
    own: int = 0
    shared: dict[str, int] = field(default_factory=dict)
    first: Configuration | None = None
    complete: bool = False


def _rehearse(study: Study) -> Rehearsal:
    """Lets a fresh searcher search with random values, for ``REHEARSED_JOBS`` or ``REHEARSED_SECONDS`` at most."""
    searcher, generator = study.assembly.searcher(), Random(derive_seed(study.spec.seed, "rehearsal"))
    told, next_trial = Rehearsal(), 0
    assembly = study.assembly
    artefacts = Artefacts(assembly.problem, assembly.workbench, assembly.identity, assembly.own_setting)
    end = time.monotonic() + REHEARSED_SECONDS
    for _ in range(REHEARSED_JOBS):
        job = searcher.ask(next_trial)
        if job is None:
            told.complete = True
            return told
        length = job.to_budget - job.from_budget
        if job.role == "candidate":
            told.trials += job.trial == next_trial
            told.units += length
            told.first = told.first or job.configuration
            if job.trial == next_trial:
                told.shared |= _required(artefacts, job)
        else:
            told.own += length
        next_trial = max(next_trial, job.trial + 1)
        values = tuple(generator.random() for _ in study.assembly.objectives)
        report = searcher.imagine(job) if job.role == "support" else None
        if job.role == "support" and report is None:
            return told  # the searcher does not say what it might be told
        searcher.tell(job, Outcome("done", job.to_budget, values=values, report=report))
        if time.monotonic() > end:
            return told
    return told


def _required(artefacts: Artefacts, job: Job) -> dict[str, int]:
    """Gives the budgets of the trainings that a candidate builds on, by address."""
    _, wanted = artefacts.of(artefacts.subject(job, is_artefact=False))
    return {one.address: one.request.budget for one in wanted}


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


def _seconds_per_unit(study: Study, configuration: Configuration, device: str | None) -> float | None:
    assembly = study.assembly
    if device is None:
        return None
    context = Context(
        seed=study.spec.seed,
        max_budget=study.spec.max_budget,
        dataset=assembly.dataset,
        device=device,
        threads=assembly.threads,
    )
    return assembly.evaluator.seconds_per_unit(assembly.space.decode(configuration), context)
