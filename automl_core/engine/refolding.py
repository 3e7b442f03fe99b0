"""A recorded search once more with other outcomes: what the searcher would have asked for.

The recorded events set the pace, since what an asynchronous searcher decides depends on the order in which it hears of
things. With the outcomes that were recorded, it repeats what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from automl_core.interfaces import Searcher
from automl_core.types import Job, Json, Outcome

Stop = tuple[int, int]
"""A trial's number, and a budget where a job takes it or where it goes on from."""


@dataclass(frozen=True)
class Told:
    """That the outcome of a job was told."""

    job: Job


@dataclass(frozen=True)
class Extended:
    """That more trials were allowed; ``finished`` says whether the searcher had nothing left to ask for by then."""

    trials: int
    finished: bool

    def apply(self, searcher: Searcher) -> None:
        searcher.extend(self.trials)


@dataclass(frozen=True)
class Instructed:
    """That a person decided something; ``finished`` as of :class:`Extended`."""

    instruction: Json
    finished: bool

    def apply(self, searcher: Searcher) -> None:
        searcher.instruct(self.instruction)


Step = Job | Told | Extended | Instructed
"""A recorded event that concerns the searcher; a job stands for having been asked for."""


@dataclass
class Script:
    """What was recorded of a search.

    Args:
        steps: Events in order.
        numbers: Numbers of the trials that the searcher began, in order.
        outcomes: What came of its jobs.
        trials: How many trials there are of both roles.
        finished: Whether the searcher had nothing left to ask for in the end.
    """

    steps: list[Step] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    outcomes: dict[Stop, Outcome] = field(default_factory=dict)
    trials: int = 0
    finished: bool = False


class Refold:
    """Drives a searcher along a script.

    As many jobs are out at any time as there were. A job that is out in place of a recorded one is told when the
    recorded one was: with what came of it when it was its turn, or where it never was, with the values that its trial
    had before. What comes of a trial that was never begun is unknown, so its job stays out. Trials go by the numbers
    that were recorded, so the n-th one begun is the n-th one recorded, whatever configuration a model proposes for it
    now.

    Args:
        searcher: A searcher, started as the recorded one was.
        script: What was recorded.
        outcomes: What to tell at which stops; what was recorded at all others.
    """

    def __init__(self, searcher: Searcher, script: Script, outcomes: Mapping[Stop, Outcome]) -> None:
        self._asked: set[Stop] = set()
        self._searcher = searcher
        self._script = script
        self._outcomes = outcomes
        self._begun = 0
        self._expected: dict[int, Job] = {}  # jobs that were out at this point of the script
        self._out: dict[int, Job] = {}
        self._last: dict[int, Outcome] = {}

    def run(self) -> set[Stop]:
        """Goes through the script, and gives the stops from where jobs were asked for."""
        for step in self._script.steps:
            if isinstance(step, Job):
                self._expected[step.trial] = step
            elif isinstance(step, Told):
                self._told(step.job)
            else:
                self._settle(step.finished)
                step.apply(self._searcher)
            self._fill(len(self._expected))
        self._settle(self._script.finished)
        return self._asked

    def _told(self, job: Job) -> None:
        del self._expected[job.trial]
        if job.trial in self._out and _end(self._out[job.trial]) == _end(job):
            self._tell(job.trial)
        elif len(self._out) > len(self._expected):
            self._tell_another()

    def _settle(self, finished: bool) -> None:
        """Ends what is out in place of recorded jobs, and where the search had finished, what follows from it."""
        room = max(len(self._expected), 1) if finished else len(self._expected)
        self._fill(room)
        while self._tell_another():
            self._fill(room)

    def _fill(self, room: int) -> None:
        while len(self._out) < room:
            number = self._next_number()
            job = self._searcher.ask(number)
            if job is None:
                return
            self._begun += job.trial == number
            self._out[job.trial] = job
            self._asked.add((job.trial, job.from_budget))

    def _next_number(self) -> int:
        numbers = self._script.numbers
        beyond = self._begun - len(numbers)
        return numbers[self._begun] if beyond < 0 else self._script.trials + beyond

    def _tell_another(self) -> bool:
        """Tells the first job that was not out at this point of the script, if there is one that can be told."""
        for trial, job in self._out.items():
            expected = self._expected.get(trial)
            if (expected is None or _end(expected) != _end(job)) and self._outcome(job) is not None:
                self._tell(trial)
                return True
        return False

    def _tell(self, trial: int) -> None:
        job = self._out.pop(trial)
        outcome = self._outcome(job)
        assert outcome is not None, "only what is known is told"
        self._last[trial] = outcome
        self._searcher.tell(job, outcome)

    def _outcome(self, job: Job) -> Outcome | None:
        known = self._outcomes.get(_end(job)) or self._script.outcomes.get(_end(job))
        if known is None and job.trial in self._last:
            return Outcome("done", job.to_budget, values=self._last[job.trial].values)
        return known


def _end(job: Job) -> Stop:
    return job.trial, job.to_budget
