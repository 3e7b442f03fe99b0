"""Refinements: running them from Python, and reading them from a study's journal.

::

    from automl_refine import refine

    found = refine("nas-bench-201", evaluator="tabular", per_step=300, lower_limit=100, seed=0)
    print(found.space.restriction, found.reason)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from automl_core.building import RESTRICT
from automl_core.design_files import DesignFile
from automl_core.engine.progress import Progress
from automl_core.errors import RequestError
from automl_core.interfaces import SearchSpace
from automl_core.study import Study
from automl_core.types import EMPTY, Json
from automl_refine.choosing import RULES
from automl_refine.rounds import Step
from automl_refine.searcher import RefineSearcher

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

NAME = "refine"
"""The searcher's registered name."""

SHORTEST = 1e-3
"""Seconds that are left at least when a time limit has run out, so that a run begins, and ends at its first unit."""

Chooser = Callable[[Step], Mapping[str, str] | None]
"""Given a step, names the condition and the category to fix, ``{"condition": ..., "category": ...}``; None stops."""


@dataclass(frozen=True)
class Refinement:
    """What a study's refinement has come to.

    Args:
        study: The study's name.
        steps: The steps that are over, the widest space first.
        waiting: A step that a person is to decide on; None when none is.
        space: The last design space.
        status: How far it is.
        reason: Why it ended, or what it waits for.
        exhausted: Whether all of the last space has been taken.
        best: Number of the best trial; None while there is none.
        source: The study.
    """

    study: str
    steps: tuple[Step, ...]
    waiting: Step | None
    space: SearchSpace
    status: Literal["sampling", "waiting", "searching all", "done", "stopped"]
    reason: str
    exhausted: bool
    best: int | None
    source: Study = field(repr=False, compare=False)

    @classmethod
    def of(cls, study: Study) -> Refinement:
        """Reads a refinement, finished or under way, by replaying its study's journal. Nothing is trained.

        Raises:
            RequestError: When the study has not been run, or is not one of searcher ``refine``.
            ReplayError: When the journal cannot be repeated.
        """
        from automl_core.engine.state import StudyState

        _refuse_other(study)
        searcher = cast(RefineSearcher, study.assembly.searcher())
        record = study.record
        StudyState(searcher, study.assembly.problem).replay(record.journal.events())
        best = record.best()
        return cls(
            study.name,
            tuple(searcher.steps),
            searcher.waiting,
            searcher.space,
            searcher.status,
            searcher.reason,
            searcher.exhausted,
            None if best is None else best.trial,
            study,
        )

    @property
    def spaces(self) -> tuple[SearchSpace, ...]:
        """The design spaces, the widest first; the last one may not have been sampled to its end."""
        found = [step.space for step in self.steps]
        if not found or found[-1].restriction != self.space.restriction:
            found.append(self.space)
        return tuple(found)

    @property
    def letters(self) -> tuple[str, ...]:
        """A name for each design space: A, B, C and so on, X for a last one that is taken as a whole."""
        count = len(self.spaces)
        letters = [chr(ord("A") + place) if place < 23 else f"S{place + 1}" for place in range(count)]
        if self.exhausted or self.status == "searching all":
            letters[-1] = "X"
        return tuple(letters)

    def designs(self) -> list[tuple[str, DesignFile]]:
        """Gives each design space by its letter, ready to be written, with what it was chosen by.

        Raises:
            RequestError: When the space was given as an object, which no file can name.
        """
        spec = self.source.spec
        if spec.space.given:
            raise RequestError(
                f"a design space's file names its search space, but that of study {self.study!r} was given as an "
                "object; register it in a plugin"
            )
        options = {name: value for name, value in spec.space.options.items() if name != RESTRICT}
        return [
            (letter, DesignFile(spec.space.name, options, space.restriction, self._provenance(place)))
            for place, (letter, space) in enumerate(zip(self.letters, self.spaces, strict=True))
        ]

    def _provenance(self, place: int) -> Json:
        spec = self.source.spec
        space = self.spaces[place]
        return {
            "study": self.study,
            "seed": spec.seed,
            "evaluator": spec.evaluator.name,
            "dataset": None if spec.dataset is None else {"name": spec.dataset.name, **spec.dataset.options},
            "budget": f"{spec.max_budget} {spec.unit}",
            "size": {"raw": space.size(), "up to symmetries": space.orbits()},
            "steps": [_evidence(letter, step) for letter, step in zip(self.letters, self.steps[:place], strict=False)],
        }

    def to_json(self) -> Json:
        """Gives all of it as plain JSON."""
        steps = [*self.steps, *([] if self.waiting is None else [self.waiting])]
        return {
            "study": self.study,
            "status": self.status,
            "reason": self.reason,
            "best": self.best,
            "spaces": [
                {
                    "space": letter,
                    "restriction": space.restriction.to_json(),
                    "size": space.size(),
                    "orbits": space.orbits(),
                }
                for letter, space in zip(self.letters, self.spaces, strict=True)
            ],
            "steps": [step_json(letter, step) for letter, step in zip(self.letters, steps, strict=False)],
        }

    def write(self, directory: str | Path) -> list[str]:
        """Writes design spaces, tables and pictures into a new directory. See :func:`automl_refine.writing.write`."""
        from automl_refine.writing import write

        return write(self, self.source, Path(directory))


def step_json(letter: str, step: Step) -> Json:
    """Gives a step as plain JSON.

    Args:
        letter: Name of its design space.
        step: The step.
    """
    chosen = step.chosen
    return {
        "space": letter,
        "sampled": len(step.members),
        "migrated": step.migrated,
        "extra": step.extra,
        "exhaustive": step.exhaustive,
        "chosen": None if chosen is None else {"condition": chosen.condition.label, "category": chosen.label},
        "reason": step.reason,
        "areas": step.table.to_json(),
    }


def _evidence(letter: str, step: Step) -> Json:
    """Gives what a choice was made by: the areas of its condition's categories."""
    chosen = step.chosen
    rows = [row for _, row in step.table.rows() if chosen is not None and row.category.condition == chosen.condition]
    return {
        "space": letter,
        "trials": step.table.trials,
        "condition": None if chosen is None else chosen.condition.label,
        "chosen": None if chosen is None else chosen.label,
        "reason": step.reason,
        "areas": {
            row.category.label: {
                "area": None if row.area is None else round(row.area, 4),
                "interval": None if row.interval is None else [round(end, 4) for end in row.interval],
                "trials": row.trials,
            }
            for row in rows
        },
    }


def refine(
    space: str | SearchSpace | ConfigurationSpace,
    *,
    choose: Literal["separated", "auc"] | Chooser = "separated",
    time_limit: float | None = None,
    progress: Progress | None = None,
    options: Mapping[str, Mapping[str, Json]] = EMPTY,
    **settings: Any,
) -> Refinement:
    """Refines a search space, and searches what is left of it exhaustively.

    Args:
        space: As of a study.
        choose: By which rule a choice is fixed, or a function that names it, called once for each step.
        time_limit: Seconds, after which to stop.
        progress: Watches the run.
        options: As of a study.
        settings: Options of :class:`~automl_refine.searcher.RefineSearcher` (``per_step``, ``lower_limit``,
            ``max_extra``, ``conditions``, ``min_group``, ``floor``, ``low``, ``high``), and all else that a
            :class:`~automl_core.study.Study` takes.

    Raises:
        RequestError: As for a study, and when a function names what is not in the step's table.
        StudyFailed: When every trial failed.
    """
    from automl_core.options import describe

    names = {option.name for option in describe(RefineSearcher)}
    searcher = {name: settings.pop(name) for name in list(settings) if name in names}
    if not callable(choose) and choose not in RULES:
        raise RequestError(
            f"choose must be one of {', '.join(RULES)} or a function of a step, but got {choose!r}; pass one of them"
        )
    searcher["choose"] = "ask" if callable(choose) else choose
    given = {**options, "searcher": {**options.get("searcher", {}), **searcher}}
    study = Study(space, NAME, options=given, **settings)
    return go_on(study, choose if callable(choose) else None, time_limit, progress)


def go_on(
    study: Study, choose: Chooser | None = None, time_limit: float | None = None, progress: Progress | None = None
) -> Refinement:
    """Runs a refinement to its end, or goes on with one: ``go_on(Study.load(name), choose)``.

    Args:
        study: A study of searcher ``refine``.
        choose: Names what to fix wherever the study waits for it; None leaves it waiting.
        time_limit: Seconds of training in all, what ``choose`` takes not counted.
        progress: Watches the run.

    Raises:
        RequestError: When the study is none of this searcher, or ``choose`` names what is not in the step's table.
        StudyFailed: When every trial failed.
    """
    _refuse_other(study)
    left, begun = time_limit, time.monotonic()
    if study.status != "finished":
        study.run(left, progress)
    while (found := Refinement.of(study)).waiting is not None and choose is not None and study.status == "finished":
        if left is not None:
            left = max(left - (time.monotonic() - begun), SHORTEST)
        decision = _decision(choose(found.waiting))
        begun = time.monotonic()
        study.run(left, progress, instruction=decision)
    return found


def _decision(chosen: object) -> Json:
    """Gives what a function has chosen as the searcher takes it.

    Raises:
        RequestError: When it is neither a mapping nor None.
    """
    if chosen is None:
        return {"stop": True}
    if not isinstance(chosen, Mapping):
        raise RequestError(
            'what choose gives must be {"condition": LABEL, "category": LABEL}, or None to stop, but is '
            f"{type(chosen).__name__}; give the labels of a row: condition.label and row.category.label"
        )
    return dict(chosen)


def _refuse_other(study: Study) -> None:
    if study.spec.searcher.name != NAME:
        raise RequestError(
            f"a refinement must be a study of searcher {NAME}, but {study.name!r} is one of "
            f"{study.spec.searcher.name}; run 'automl refine', or look at its areas: 'automl areas {study.name}'"
        )
