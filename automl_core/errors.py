"""Errors that users meet.

Every message states the rule, the value that broke it and the way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


class AutomlError(Exception):
    """Base of every error that this project raises on purpose."""


class RequestError(AutomlError, ValueError):
    """The request was wrong; nothing was started and nothing was written (exit code 2)."""


class StudyFailed(AutomlError, RuntimeError):  # noqa: N818 - it says what happened
    """The work itself failed, for example because every trial failed (exit code 1)."""


class ReplayError(AutomlError, RuntimeError):
    """A searcher did not repeat the decisions that its study's journal records (exit code 1)."""


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> RequestError:
    """Builds the error for a name that nothing is registered under, with the nearest names.

    Args:
        kind: What was looked up, as the user calls it ("searcher", "option of searcher asha").
        name: The name that was asked for.
        known: Every name that would have worked.
        hint: A sentence on how to see or add more; may be empty.
    """
    choices = sorted(known)
    nearest = get_close_matches(name, choices, n=3, cutoff=0.5)
    if nearest:
        way_out = "did you mean " + " or ".join(repr(one) for one in nearest) + "?"
    elif choices:
        way_out = "known: " + ", ".join(choices)
    else:
        way_out = "none is registered"
    return RequestError(f"unknown {kind} {name!r}; {way_out}" + (f" ({hint})" if hint else ""))


def reason(error: str) -> str:
    """Gives the line of a traceback that says what happened; the first line of anything else."""
    _, _, after_last_frame = error.rpartition('\n  File "')
    lines = [line for line in (after_last_frame or error).splitlines() if line.strip()]
    if after_last_frame and after_last_frame != error:
        lines = [line for line in lines[1:] if not line.startswith(" ")] or lines
    told = lines[0].strip() if lines else "no reason given"
    return re.sub(r"^automl_core(\.\w+)*\.\w+: ", "", told)  # our own errors are sentences; their class says nothing
