"""How the Pareto front of several objectives is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from automl_cli.output import budget_text, number, table
from automl_core.drawings import Drawings

if TYPE_CHECKING:
    from automl_core.records import Best, StudyRecord


def front_table(
    record: StudyRecord,
    front: Sequence[Best],
    title: str = "trial",
    besides: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Lists the trials of a front by the first objective, best first: each objective, the budget, and what it is.

    Args:
        record: The study.
        front: The trials to list.
        title: What to call the first column.
        besides: Baselines to list below, with ``label``, ``budget`` and ``metrics``.
    """
    metrics = [objective.metric for objective in record.objectives]
    drawings = Drawings(record)
    lines = [(str(one.trial), one.objectives, one.budget, drawings.title(one.configuration)) for one in front]
    titled = ("what",) if any(line[-1] for line in lines) else ()
    lines += [(f"{one['label']}, one seed", one["metrics"], one["budget"], "") for one in besides]
    rows = [
        (
            name,
            *(number(metric, values.get(metric)) for metric in metrics),
            budget_text(budget, record.spec.unit),
            *((what,) if titled else ()),
        )
        for name, values, budget, what in lines
    ]
    return table((title, *metrics, "budget", *titled), rows, right=metrics)
