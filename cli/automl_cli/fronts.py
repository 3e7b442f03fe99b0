"""How the Pareto front of several objectives is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from automl_cli.output import budget_text, number, table

if TYPE_CHECKING:
    from automl_core.records import Best, StudyRecord


def front_table(
    record: StudyRecord, front: Sequence[Best], title: str = "trial", besides: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Lists the trials of a front by the first objective, best first: a column for each objective, and the budget.

    Args:
        record: The study.
        front: The trials to list.
        title: What to call the first column.
        besides: Baselines to list below, with ``label``, ``budget`` and ``metrics``.
    """
    metrics = [objective.metric for objective in record.objectives]
    lines = [(str(one.trial), one.objectives, one.budget) for one in front]
    lines += [(f"{one['label']}, one seed", one["metrics"], one["budget"]) for one in besides]
    rows = [
        (name, *(number(metric, values.get(metric)) for metric in metrics), budget_text(budget, record.spec.unit))
        for name, values, budget in lines
    ]
    return table((title, *metrics, "budget"), rows, right=metrics)
