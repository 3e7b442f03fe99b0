"""What the searchers of this package refuse alike."""

from __future__ import annotations

from automl_core.errors import RequestError
from automl_core.interfaces import Problem


def check_choice(searcher: str, option: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuses a value that is none of an option's choices.

    Raises:
        RequestError: Naming the choices.
    """
    if value not in choices:
        raise RequestError(f"{option} of searcher {searcher} must be {' or '.join(choices)}, but got {value!r}")


def single_rung(searcher: str, rule: str, problem: Problem) -> RequestError:
    """Builds the error for budgets that leave the maximum as the only rung.

    Args:
        searcher: The searcher's name.
        rule: What must hold for a rung below the maximum.
        problem: What the searcher was to solve.
    """
    return RequestError(
        f"searcher {searcher} compares trials at budgets below the maximum, so {rule} must hold, but got min_budget "
        f"{problem.min_budget} and max_budget {problem.max_budget}; "
        f"{'lower --min-budget, ' if problem.min_budget > 1 else ''}raise --max-budget, or use --searcher random, "
        "which compares complete trials"
    )
