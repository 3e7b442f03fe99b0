"""What spaces with distillation have in common: its hyperparameters, what they stand for, and what they can be.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from automl_core.errors import RequestError
from automl_core.types import Value
from automl_spaces.choices import Choice
from automl_spaces.published_kd import beta_of
from automl_spaces.trainings import Distillation


def distillation_choices(
    alphas: tuple[float, ...], temperatures: tuple[float, ...], betas: tuple[float, ...], repeats: int
) -> dict[str, Choice]:
    """Gives the hyperparameters of each type of distillation, and the one that repeats trainings."""
    label: dict[str, tuple[Value, ...]] = {"type": ("label",)}
    choices = {
        "alpha": Choice(tuple(sorted(alphas)), label),
        "temperature": Choice(tuple(sorted(temperatures)), label),
        "beta": Choice(tuple(sorted(betas)), {"type": ("feature",)}),
    }
    return choices | ({"repeat": Choice(tuple(range(repeats)))} if repeats > 1 else {})


def distillation_of(chosen: Mapping[str, Any]) -> Distillation:
    """Reads how a network is taught; a weight of 0 is the published one of the model."""
    if chosen["type"] == "label":
        return Distillation("label", alpha=chosen["alpha"], temperature=chosen["temperature"])
    if chosen["type"] == "feature":
        return Distillation("feature", beta=chosen["beta"] or beta_of(chosen["model"]))
    return Distillation()


def check_distillation(
    space: str, alphas: tuple[float, ...], temperatures: tuple[float, ...], betas: tuple[float, ...], repeats: int
) -> None:
    """Refuses numbers that no distillation can have.

    Raises:
        RequestError: With the option to change.
    """
    check_shares(space, "alphas", alphas)
    for option, values, fits in (
        ("temperatures", temperatures, all(0 < one < math.inf for one in temperatures)),
        ("betas", betas, all(0 <= one < math.inf for one in betas)),
    ):
        if not fits:
            least = "above 0" if option == "temperatures" else "of at least 0"
            raise RequestError(
                f"{option} of space {space} must be numbers {least}, but got {list(values)}; mend --set space.{option}"
            )
    if repeats < 1:
        raise RequestError(f"repeats must be at least 1, but got {repeats}; raise --set space.repeats")


def check_shares(space: str, option: str, values: tuple[float, ...]) -> None:
    """Refuses what is no share.

    Raises:
        RequestError: With the option to change.
    """
    if not all(0 < one <= 1 for one in values):
        raise RequestError(
            f"{option} of space {space} must be shares above 0 and at most 1, but got {list(values)}; mend --set "
            f"space.{option}"
        )
