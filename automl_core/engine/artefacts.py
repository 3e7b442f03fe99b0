"""What has to be trained before something else can be, and where it is found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from automl_core.engine.worker import Workbench
from automl_core.interfaces import ArtefactRequest, Description, Problem
from automl_core.randomness import digest
from automl_core.types import EMPTY, Job, Json, Split

Purpose = Literal["artefact", "baseline", "retraining", "control"]

DEEPEST = 20
"""Artefacts that may stand behind one another; a longer chain is taken for an endless one."""


@dataclass(frozen=True)
class Wanted:
    """A request with its address and the addresses of what it requires in turn."""

    request: ArtefactRequest
    address: str
    requires: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """What a job trains: description, budget over which schedules run, split, setting."""

    description: Description
    max_budget: int
    split: Split
    setting: Mapping[str, Json]


class Artefacts:
    """Addresses artefacts and finds out which ones a training requires.

    Args:
        problem: The study's problem; its seed is part of every address.
        workbench: Gives evaluator and data set for a setting.
        identity: Gives JSON that says what evaluator, data and trainer a setting stands for.
        own: Setting of the searcher's own support trials.
    """

    def __init__(
        self,
        problem: Problem,
        workbench: Callable[[Mapping[str, Json]], Workbench],
        identity: Callable[[Mapping[str, Json]], Json],
        own: Mapping[str, Json] = EMPTY,
    ) -> None:
        self.problem = problem
        self.workbench = workbench
        self.identity = identity
        self.own = own

    def address(self, request: ArtefactRequest, setting: Mapping[str, Json]) -> str:
        """Hashes all that an artefact's content follows from, the study's seed included."""
        return digest(
            self.identity(setting),
            request.description.to_json(),
            request.budget,
            self.schedule(request),
            request.split,
            request.repeat,
            self.problem.seed,
        )

    def schedule(self, request: ArtefactRequest) -> int:
        """Budget over which a training's schedules run: unless it says, in the search that of the study."""
        if request.schedule is not None:
            return request.schedule
        return max(request.budget, self.problem.max_budget) if request.split == "search" else request.budget

    def of(self, subject: Subject) -> tuple[tuple[str, ...], list[Wanted]]:
        """Finds what a training requires.

        Returns:
            The addresses that it requires itself, in the order of ``Evaluator.requires``; and everything that these
            require in turn, each before what stands behind it.

        Raises:
            RuntimeError: When an artefact requires itself, or the chain has no end.
            Exception: Whatever the evaluator raises.
        """
        evaluator = self.workbench(subject.setting).evaluator
        requests = evaluator.requires(subject.description, subject.max_budget, subject.split)
        wanted = self.closure(requests, subject.setting)
        return tuple(self.address(request, subject.setting) for request in requests), wanted

    def closure(
        self, requests: Sequence[ArtefactRequest], setting: Mapping[str, Json], behind: tuple[str, ...] = ()
    ) -> list[Wanted]:
        """Gives requests with all that they require in turn; raises as :meth:`of`."""
        found: list[Wanted] = []
        evaluator = self.workbench(setting).evaluator
        for request in requests:
            address = self.address(request, setting)
            if address in behind or len(behind) >= DEEPEST:
                raise RuntimeError(
                    f"what an artefact requires must come to an end, but {request.label!r} requires itself or stands "
                    f"behind {len(behind)} others; mend Evaluator.requires of {type(evaluator).__name__}"
                )
            further = evaluator.requires(request.description, self.schedule(request), request.split)
            requires = tuple(self.address(one, setting) for one in further)
            found += [Wanted(request, address, requires), *self.closure(further, setting, (*behind, address))]
        return found

    def instruction(
        self, request: ArtefactRequest, setting: Mapping[str, Json], purpose: Purpose, of: int | None
    ) -> dict[str, Json]:
        """Gives what a support job carries, from which :meth:`subject` builds its training again."""
        return {
            "description": request.description.to_json(),
            "max_budget": self.schedule(request),
            "split": request.split,
            "repeat": request.repeat,
            "setting": dict(setting),
            "purpose": purpose,
            "of": of,
        }

    def subject(self, job: Job, is_artefact: bool) -> Subject:
        """Gives what a job trains."""
        if job.role == "candidate":
            return Subject(self.problem.space.decode(job.configuration), self.problem.max_budget, "search", {})
        told = job.instruction
        setting = told["setting"] if is_artefact else self.own
        description = self.workbench(setting).evaluator.parse(told["description"])
        return Subject(description, told["max_budget"], told["split"] if is_artefact else "search", setting)
