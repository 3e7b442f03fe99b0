"""What the engine asks of a searcher's jobs, so that a mistake there is named at once and never journalled."""

from __future__ import annotations

import json

from automl_core.engine.state import StudyState
from automl_core.errors import AutomlError
from automl_core.types import OVER, Job, Json

PLAIN = frozenset({bool, int, float, str, type(None)})


class SearcherError(AutomlError, RuntimeError):
    """A searcher broke its contract (exit code 1); what was journalled before stays good."""


def refuse_impossible(job: Job, state: StudyState) -> None:
    """Holds a searcher's job against the state of the study.

    Raises:
        SearcherError: Naming the rule that the job breaks.
    """
    broken = _broken_rule(job, state)
    if broken:
        raise SearcherError(
            f"{broken}, but {type(state.searcher).__name__} asked for {job}; mend the searcher "
            "(automl_core.testing.SearcherContract shows what is expected), then 'automl resume'"
        )


def refuse_standstill(state: StudyState) -> None:
    """Refuses to call a search finished that merely stands still.

    Raises:
        SearcherError: When the searcher waits although nothing is running.
    """
    if not state.undecided and not state.searcher.finished():
        raise SearcherError(
            "a searcher that is not finished must ask for a job when none is running, but "
            f"{type(state.searcher).__name__} gave None after {len(state.trials)} trials; mend the searcher, then "
            "'automl resume'"
        )


def _broken_rule(job: Job, state: StudyState) -> str:
    if not isinstance(job, Job):
        return "a searcher must give a Job or None"
    if not all(type(number) is int for number in (job.trial, job.from_budget, job.to_budget)):
        return "a job's trial and budgets must be whole numbers"
    if not 0 <= job.trial <= state.next_trial:
        return f"a job must go on with a trial, or begin trial {state.next_trial}"
    reached = 0 if job.trial == state.next_trial else state.trials[job.trial].budget
    if job.trial in state.pending:
        return f"a trial must have one job at a time, and trial {job.trial} has one"
    if job.trial < state.next_trial and state.trials[job.trial].status in OVER:
        return f"a trial that {state.trials[job.trial].status} must not be gone on with"
    if job.from_budget != reached:
        return f"a job must begin at the budget that its trial has reached, which is {reached}"
    if job.role == "candidate" and not job.from_budget < job.to_budget <= state.problem.max_budget:
        return f"from_budget < to_budget <= max_budget ({state.problem.max_budget}) must hold"
    if job.trial < state.next_trial:
        before = state.trials[job.trial].job
        if (before.role, before.configuration) != (job.role, job.configuration):
            return "a trial must keep its role and its configuration"
    elif not all(type(value) in PLAIN for value in job.configuration.values()):
        return "a configuration must hold plain values (bool, int, float, str, None)"
    if not _survives_json(job.instruction):
        return "an instruction must be plain JSON that is read back equal"
    return _broken_by_support(job, state) if job.role == "support" else ""


def _broken_by_support(job: Job, state: StudyState) -> str:
    """Gives the rule that a searcher's own support trial breaks."""
    told = job.instruction
    if not state.searcher.evaluator:
        return "a searcher that asks for support trials must name the evaluator that trains them"
    if not isinstance(told, dict) or not {"description", "max_budget"} <= set(told):
        return "the instruction of a support trial must hold its description and its max_budget"
    if not (type(told["max_budget"]) is int and job.from_budget < job.to_budget <= told["max_budget"]):
        return "a support trial must have from_budget < to_budget <= max_budget of its instruction"
    before = told if job.trial == state.next_trial else state.trials[job.trial].job.instruction
    if any(told[name] != before[name] for name in ("description", "max_budget")):
        return "a support trial must keep its description and its max_budget"
    return ""


def _survives_json(value: Json) -> bool:
    try:
        return value is None or bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False
