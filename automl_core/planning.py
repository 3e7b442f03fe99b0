"""What a run would do, for ``run --dry-run``."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from automl_core.interfaces import Context
from automl_core.sampling import RandomSampler
from automl_core.types import Json

if TYPE_CHECKING:
    from automl_core.study import Study


def plan(study: Study) -> dict[str, Json]:
    """Gives sizes, rungs and an estimated time; measures a few training steps, writes nothing.

    The estimate takes the trials that successive halving would leave at each rung for those that reach it; searchers
    with one rung train every trial to the end. Teachers and controls are not in it.
    """
    spec, assembly = study.spec, study.assembly
    seconds = _seconds_per_unit(study)
    units = _expected_units(study)
    return {
        "name": spec.name,
        "space": spec.space.name,
        "size": assembly.space.size(),
        "searcher": spec.searcher.name,
        "evaluator": spec.evaluator.name,
        "objective": spec.objectives[0],
        "trials": spec.trials,
        "min_budget": spec.min_budget,
        "max_budget": spec.max_budget,
        "unit": spec.unit,
        "rungs": list(spec.rungs),
        "dataset": assembly.dataset.describe() if assembly.dataset is not None else None,
        "device": assembly.device,
        "threads": assembly.threads,
        "workers": spec.workers,
        "preset": spec.preset,
        "seconds_per_unit": seconds,
        "expected_units": units,
        "estimated_seconds": None if seconds is None or units is None else seconds * units / spec.workers,
        "notes": study.notes,
    }


def _expected_units(study: Study) -> float | None:
    spec = study.spec
    if spec.trials is None:
        return None
    left, total = float(spec.trials), float(spec.trials * spec.rungs[0])
    eta = spec.searcher.options.get("eta", 2)
    for lower, upper in pairwise(spec.rungs):
        left = max(1.0, left / eta)
        total += left * (upper - lower)
    return total


def _seconds_per_unit(study: Study) -> float | None:
    assembly = study.assembly
    configuration = RandomSampler(assembly.space, study.spec.seed).draw()
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
