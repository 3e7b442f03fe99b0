"""A searcher that breaks its contract is named in one line; the study stays readable and can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toys import toy_registry

from automl_core import Job, Outcome, Problem, Searcher, Study
from automl_core.engine.checks import SearcherError
from automl_core.plugins import use_registry
from automl_core.records import Workspace
from automl_searchers.asha import ASHA

CONFIGURATION: dict[str, Any] = {"digit_1": 1, "digit_2": 1}


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry()):
        yield


class Scripted(Searcher):
    """Asks for what a script says, then waits.

    Args:
        script: Makes each job, given the next trial's number.
    """

    def __init__(self, *script: Callable[[int], Job]) -> None:
        self.script = list(script)

    def start(self, problem: Problem) -> None:
        super().start(problem)

    def ask(self, next_trial: int) -> Job | None:
        return self.script.pop(0)(next_trial) if self.script else None

    def tell(self, job: Job, outcome: Outcome) -> None:
        pass

    def finished(self) -> bool:
        return False


def good(next_trial: int) -> Job:
    return Job(next_trial, CONFIGURATION, 0, 2)


@pytest.mark.parametrize(
    ("job", "rule"),
    [
        (lambda number: Job(number + 1, CONFIGURATION, 0, 2), "must go on with a trial, or begin trial 1"),
        (lambda number: Job(-1, CONFIGURATION, 0, 2), "must go on with a trial"),
        (lambda number: Job(number, CONFIGURATION, 1, 2), "must begin at the budget that its trial has reached"),
        (lambda number: Job(0, CONFIGURATION, 1, 4), "which is 2"),
        (lambda number: Job(0, CONFIGURATION, 2, 2), "from_budget < to_budget <= max_budget"),
        (lambda number: Job(number, CONFIGURATION, 0, 5), "from_budget < to_budget <= max_budget"),
        (lambda number: Job(number, {"digit_1": {1}}, 0, 2), "plain values"),
        (lambda number: Job(number, {"digit_1": (1,)}, 0, 2), "plain values"),
    ],
)
def test_impossible_jobs(job: Callable[[int], Job], rule: str, tmp_path: Path) -> None:
    space = {"digits": 2}
    study = Study(
        space="toy",
        searcher=Scripted(good, job),
        max_budget=4,
        name="s",
        workspace=tmp_path,
        options={"space": space},
    )
    with pytest.raises(SearcherError, match=rule.replace("(", r"\(")):
        study.run()
    record = Workspace(tmp_path).record("s")
    assert record.status == "interrupted"
    assert [row.status for row in record.trials()] == ["paused"]


def test_waiting_while_nothing_runs_is_no_end(tmp_path: Path) -> None:
    study = Study(
        space="toy", searcher=Scripted(), max_budget=4, name="s", workspace=tmp_path, options={"space": {"digits": 2}}
    )
    with pytest.raises(SearcherError, match="must ask for a job when none is running, but Scripted gave None"):
        study.run()


def test_a_searcher_that_changed_since_is_told_at_its_first_other_decision(tmp_path: Path) -> None:
    from automl_core import ReplayError

    Study(space="toy", searcher=ASHA(), trials=5, max_budget=4, name="s", workspace=tmp_path).run()
    with pytest.raises(ReplayError, match="replaying a journal must repeat its decisions"):
        Study.resume("s", workspace=tmp_path, searcher=ASHA(eta=4))
    assert len(Workspace(tmp_path).record("s").trials()) == 5
    Study.resume("s", workspace=tmp_path, searcher=ASHA(), trials=6)
