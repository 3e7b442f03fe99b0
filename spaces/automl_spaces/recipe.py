"""Recipes: a graph together with those settings of its training that a configuration decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from automl_core.errors import RequestError
from automl_core.interfaces import Description
from automl_core.types import Json
from automl_spaces.graph import KnowledgeTransferGraph


@dataclass(frozen=True)
class Recipe:
    """What to train and, where the configuration decides it, how.

    Args:
        graph: The networks and what teaches them.
        trainer: Options of the part ``trainer`` by name, JSON values; they replace the study's own.
    """

    graph: KnowledgeTransferGraph
    trainer: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        try:
            plain = json.loads(json.dumps(dict(self.trainer), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise RequestError(
                f"the trainer's options of a recipe must be JSON values, but got {self.trainer!r}: {error}"
            ) from error
        object.__setattr__(self, "trainer", plain)  # so that a recipe equals itself after a round trip

    def to_json(self) -> Json:
        return {"graph": self.graph.to_json(), "trainer": dict(self.trainer)}

    @classmethod
    def from_json(cls, data: Json) -> Recipe:
        """Builds a recipe from what :meth:`to_json` or a graph's own gave.

        Raises:
            RequestError: For anything else.
        """
        if isinstance(data, Mapping) and set(data) == {"graph", "trainer"}:
            return cls(KnowledgeTransferGraph.from_json(data["graph"]), data["trainer"])
        return cls(KnowledgeTransferGraph.from_json(data))


@runtime_checkable
class HasRecipe(Protocol):
    """A description, such as a cell, that says how it is trained."""

    def recipe(self) -> Recipe: ...


@runtime_checkable
class DrawsItself(Protocol):
    """A description, such as a cell, that can be drawn."""

    def draw(self) -> str:
        """Draws it as text for a terminal, at most 80 columns wide."""

    def picture(self) -> str:
        """Draws it as an SVG document."""


@runtime_checkable
class KnowsCosts(Protocol):
    """A description, such as a cell, that tells in closed form what its target network costs."""

    def costs(self, channels: int, classes: int, image_size: tuple[int, int]) -> Mapping[str, float]:
        """Gives ``params`` and ``flops`` (multiply-accumulates for one image, forward).

        Args:
            channels: Channels of the images.
            classes: Number of classes.
            image_size: Rows and columns of the images, in pixels.
        """


def recipe_of(description: Description) -> Recipe | None:
    """Gives the recipe that a description is or has; None when it has none."""
    if isinstance(description, Recipe):
        return description
    if isinstance(description, KnowledgeTransferGraph):
        return Recipe(description)
    return description.recipe() if isinstance(description, HasRecipe) else None
