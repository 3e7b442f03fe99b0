"""RandAugment's two hyperparameters, for the training of a chosen network.

Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space" (CVPR Workshops
2020). It is searched in Cao, "Efficient Model Performance Estimation via Feature Histories" (2021), section 4.3.1 and
appendix A.5, whose ranges are not given; here they are 1 to 3 and 0 to 30.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Json
from automl_spaces.graph import alone
from automl_spaces.published import FEATURE_HISTORIES
from automl_spaces.recipe import Recipe

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

LARGEST_MAGNITUDE = 30

LEARNING_RATES: Mapping[str, float] = {"vgg16": 0.01}
"""Published learning rates of models that do not have that of all others (appendix A.2 of Cao's thesis)."""


class RandAugmentSpace(SearchSpace):
    """How images are augmented: ``augmentations`` (N), how many operations each image undergoes, and ``magnitude`` (M).

    Both are the trainer's options of the same names. Cutout, which the published searches add, is the trainer's
    option too (``--set trainer.cutout=16`` for images of 32x32).

    Args:
        model: Registered name of the network that is trained, such as resnet18, vgg16 or mobilenetv2.
        max_augmentations: The largest N; the smallest is 1.

    Raises:
        RequestError: When there is no N.
    """

    name = "randaugment"
    default_evaluator: ClassVar[str] = "supervised"

    def __init__(self, model: str = "resnet8", max_augmentations: int = 3) -> None:
        if max_augmentations < 1:
            raise RequestError(
                f"max_augmentations must be at least 1, but got {max_augmentations}; raise "
                "--set space.max_augmentations"
            )
        self.model = model
        self._ranges = {"augmentations": (1, max_augmentations), "magnitude": (0, LARGEST_MAGNITUDE)}

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import ConfigurationSpace, Constant, Integer

        space = ConfigurationSpace(name=self.name)
        for name, (low, high) in self._ranges.items():
            space.add(Integer(name, (low, high)) if low < high else Constant(name, low))
        return space

    def decode(self, configuration: Configuration) -> Recipe:
        """Gives the network, taught by the label, with the trainer's options that the configuration decides."""
        for name in configuration:
            if name not in self._ranges:
                raise unknown(f"hyperparameter of space {self.name}", name, self._ranges)
        for name, (low, high) in self._ranges.items():
            value = configuration.get(name)
            if type(value) is not int or not low <= value <= high:
                raise RequestError(
                    f"{name} of space {self.name} must be a whole number from {low} to {high}, but got "
                    f"{configuration.get(name, 'nothing')!r}; choose one of them"
                )
        return Recipe(alone(self.model), {name: configuration[name] for name in self._ranges})

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """``paper`` is the published search, on a part of CIFAR-10 and with Cutout."""
        if evaluator != self.default_evaluator:
            return {}
        published = dict(FEATURE_HISTORIES["trainer"])
        rate = LEARNING_RATES.get(self.model, published["lr"])
        return {
            "quick": {"trainer": {"schedule": "linear"}},
            "paper": {
                **FEATURE_HISTORIES,
                "space": {"model": "resnet18"},
                "trainer": {**published, "lr": rate, "cutout": 16},
            },
        }
