"""What can be drawn of a recorded study. No data are loaded for it, and nothing is replayed or trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property

from automl_core.building import build_evaluator, build_space
from automl_core.errors import RequestError
from automl_core.interfaces import Evaluator, SearchSpace
from automl_core.plugins import get_registry
from automl_core.records import Best, StudyRecord
from automl_core.spec import Part
from automl_core.types import Configuration, Point

log = logging.getLogger(__name__)


class Drawings:
    """Draws candidates, and what the searcher trained of its own; gives None for what nothing draws.

    Nothing is drawn where space or evaluator were Python objects, which no journal can hold.

    Args:
        record: The study.
    """

    def __init__(self, record: StudyRecord) -> None:
        self.record = record
        self._registry = get_registry()

    def title(self, configuration: Configuration) -> str:
        """Says in a few words what a candidate is; empty where nothing says it."""
        if self._parts is None:
            return ""
        space, evaluator = self._parts
        return evaluator.title(space.decode(configuration))

    @property
    def evaluator(self) -> str:
        """Name of the evaluator that would draw."""
        return self.record.spec.evaluator.name

    def text(self, one: Best) -> str | None:
        """Draws a candidate's description for a terminal."""
        if self._parts is None:
            return None
        space, evaluator = self._parts
        return evaluator.draw(space.decode(one.configuration), one.metrics)

    def only_text(self) -> str | None:
        """Draws what a space of one configuration, such as a recipe, stands for; None for a larger space."""
        if self._parts is None or self._parts[0].size() != 1:
            return None
        space, evaluator = self._parts
        only = next(space.enumerate(), None)
        return None if only is None else evaluator.draw(space.decode(only), {})

    def picture(self, one: Best) -> str | None:
        """Draws a candidate's description as SVG."""
        if self._parts is None:
            return None
        space, evaluator = self._parts
        return evaluator.picture(space.decode(one.configuration), one.metrics)

    @cached_property
    def curves(self) -> Mapping[int, tuple[Point, ...]]:
        """The learning curves of the searcher's own support trials, by number."""
        return self.record.own_curves()

    def curve_text(self, number: int) -> str | None:
        """Draws the curve of one of the searcher's own support trials for a terminal."""
        return None if self._own is None else self._own.draw_curve(self.curves[number])

    def curve_plot(self, number: int) -> str | None:
        """Draws the curve of one of the searcher's own support trials as SVG."""
        return None if self._own is None else self._own.plot_curve(self.curves[number])

    @cached_property
    def _parts(self) -> tuple[SearchSpace, Evaluator] | None:
        spec = self.record.spec
        if {"space", "evaluator"} & set(spec.objects):
            return None
        try:
            evaluator = build_evaluator(spec.evaluator, spec.trainer, {}, self._registry)
            return build_space(spec.space, {}, self._registry), evaluator
        except RequestError as error:  # its plugin is gone or broken; what was recorded can be shown all the same
            log.warning("candidates are not drawn: %s", error)
            return None

    @cached_property
    def _own(self) -> Evaluator | None:
        """The evaluator of the searcher's own support trials."""
        spec = self.record.spec
        if spec.searcher.given:
            return None
        try:
            name = self._registry.load("searcher", spec.searcher.name).evaluator
            return build_evaluator(Part(name), {}, {}, self._registry) if name else None
        except RequestError as error:
            log.warning("what the searcher trained of its own is not drawn: %s", error)
            return None
