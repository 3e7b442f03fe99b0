"""What a run would do, for ``run --dry-run``."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from automl_core.interfaces import Context
from automl_core.randomness import derive_seed
from automl_core.sampling import RandomSampler
from automl_core.types import Json, Outcome

if TYPE_CHECKING:
    from automl_core.study import Study

REHEARSED_JOBS = 20_000


def plan(study: Study) -> dict[str, Json]:
    """Gives sizes, rungs and an estimated time; measures a few training steps, writes nothing.

    The searcher is rehearsed with random values, which says how many units it trains; a unit's time is that of one
    random configuration. Teachers and controls are not in it.
    """
    spec, assembly = study.spec, study.assembly
    seconds = _seconds_per_unit(study)
    trials, units = _rehearse(study) or (spec.trials, None)
    return {
        "name": spec.name,
        "space": spec.space.name,
        "size": assembly.space.size(),
        "searcher": spec.searcher.name,
        "evaluator": spec.evaluator.name,
        "objective": spec.objectives[0],
        "trials": trials,
        "min_budget": spec.min_budget,
        "max_budget": spec.max_budget,
        "unit": spec.unit,
        "rungs": list(spec.rungs),
        "dataset": assembly.dataset.describe() if assembly.dataset is not None else None,
        "device": assembly.device,
        "threads": assembly.threads,
        "workers": assembly.workers,
        "preset": spec.preset,
        "seconds_per_unit": seconds,
        "expected_units": units,
        "estimated_seconds": None if seconds is None or units is None else seconds * units / assembly.workers,
        "notes": study.notes,
    }


def _rehearse(study: Study) -> tuple[int, int] | None:
    """Lets a fresh searcher search with random values in place of trainings.

    Returns:
        Trials begun and units trained; None where that would take more than ``REHEARSED_JOBS``.
    """
    searcher, generator = study.assembly.searcher(), Random(derive_seed(study.spec.seed, "rehearsal"))
    trials = units = 0
    for _ in range(REHEARSED_JOBS):
        job = searcher.ask(trials)
        if job is None:
            return trials, units
        trials = max(trials, job.trial + 1)
        units += job.to_budget - job.from_budget
        values = tuple(generator.random() for _ in study.assembly.objectives)
        searcher.tell(job, Outcome("done", job.to_budget, values=values))
    return None


def _seconds_per_unit(study: Study) -> float | None:
    assembly = study.assembly
    configuration = RandomSampler(assembly.problem.space, study.spec.seed).draw()
    if configuration is None:
        return None
    context = Context(
        seed=study.spec.seed,
        max_budget=study.spec.max_budget,
        dataset=assembly.dataset,
        device=assembly.device,
        threads=assembly.threads,
    )
    return assembly.evaluator.seconds_per_unit(assembly.space.decode(configuration), context)
