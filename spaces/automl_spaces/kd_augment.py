"""Distillation with augmentation: in the teacher's training, in the student's, in both or in neither.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), section 4 and tables 4 and 5. While a student is taught, its teacher sees the same images as it
does, so that the student's switch decides over both.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Literal

from automl_core.errors import RequestError
from automl_core.types import Configuration, Json
from automl_spaces.choices import Choice, ChoiceSpace, check_usable, check_values
from automl_spaces.distilling import check_distillation, distillation_choices, distillation_of
from automl_spaces.graph import Node, alone
from automl_spaces.published_kd import ALPHA, AUGMENTATIONS, PAPER_AUGMENTATION, QUICK_BETA, TEMPERATURE
from automl_spaces.recipe import Recipe
from automl_spaces.trainings import Kind, Training

Augmentation = Literal["autoaugment", "randaugment", "cutout", "cutmix"]

OFF: Mapping[str, Mapping[str, Json]] = {
    "autoaugment": {"auto_augment": ""},
    "randaugment": {"augmentations": 0},
    "cutout": {"cutout": 0},
    "cutmix": {"cutmix": 0.0},
}
"""The trainer's options with which each augmentation is switched off."""

LARGEST_MAGNITUDE = 30


class KDAugmentSpace(ChoiceSpace):
    """A network that is taught by one of its own kind, each of them trained with augmented images or without.

    Hyperparameters: ``augmentation``, ``model``, ``type`` of distillation, ``student`` (whether its training is
    augmented) and, unless the type is none, ``teacher`` (whether its is); for labels ``alpha`` and ``temperature``, for
    features ``beta``; with several repeats ``repeat``.

    Each training decides all listed augmentations: what it does not switch on it switches off, whatever the study's
    trainer has.

    Args:
        augmentations: What is switched on and off.
        models: Registered names of the networks.
        types: What a teacher teaches: nothing, by its output (``label``), or by its last feature map (``feature``).
        alphas: For labels: weights of the teacher, above 0 and at most 1; the label has the rest.
        temperatures: For labels: what both outputs are divided by (T).
        betas: For features: weights of the distance between the maps; 0 is the published one of the model.
        repeats: How often everything is trained anew, teachers included, with other seeds.
        policy: Of AutoAugment: the trainer's ``auto_augment``. A random one is the same for all trainings of a
            repetition; of several, each has its own (the trainer's ``policy_seed`` is 0, 1, ...).
        operations: Of RandAugment: operations for each image, the trainer's ``augmentations``.
        magnitude: Of RandAugment: how strong they are, the trainer's ``magnitude``.
        cutout: Of Cutout: side of the square in pixels, the trainer's ``cutout``; 16 is usual for images of 32x32.
        cutmix: Of CutMix: probability with which a batch is mixed, the trainer's ``cutmix``.
        published: Whether those augmentations and models alone may come together that the published tables have.

    Raises:
        RequestError: For options that give no search space.
    """

    name = "kd-augment"
    default_evaluator: ClassVar[str] = "kd-pruning"

    def __init__(
        self,
        augmentations: tuple[Augmentation, ...] = ("autoaugment", "cutmix"),
        models: tuple[str, ...] = ("resnet8",),
        types: tuple[Kind, ...] = ("none", "label", "feature"),
        alphas: tuple[float, ...] = (ALPHA,),
        temperatures: tuple[float, ...] = (TEMPERATURE,),
        betas: tuple[float, ...] = (0.0,),
        repeats: int = 1,
        policy: Literal["cifar10", "imagenet", "svhn", "random"] = "random",
        operations: int = 2,
        magnitude: int = 9,
        cutout: int = 16,
        cutmix: float = 0.5,
        published: bool = False,
    ) -> None:
        self._on: Mapping[str, Mapping[str, Json]] = {
            "autoaugment": {"auto_augment": policy},
            "randaugment": {"augmentations": operations, "magnitude": magnitude},
            "cutout": {"cutout": cutout},
            "cutmix": {"cutmix": cutmix},
        }
        self._listed = augmentations
        self._policies = repeats > 1 and policy == "random"
        options = {
            "augmentations": augmentations,
            "models": models,
            "types": types,
            "alphas": alphas,
            "temperatures": temperatures,
            "betas": betas,
        }
        for option, values in options.items():
            check_values(self.name, option, values)
        check_distillation(self.name, alphas, temperatures, betas, repeats)
        _check_strengths(self.name, augmentations, operations, magnitude, cutout, cutmix)
        together = [
            ({"augmentation": augmentation, "model": model}, _refusal(augmentation, model) if published else "")
            for augmentation in augmentations
            for model in models
        ]
        check_usable(self.name, {"augmentations": "augmentation", "models": "model"}, together)
        super().__init__(
            {
                "augmentation": Choice(augmentations),
                "model": Choice(models),
                "type": Choice(types),
                "teacher": Choice((False, True), {"type": ("label", "feature")}),
                "student": Choice((False, True)),
                **distillation_choices(alphas, temperatures, betas, repeats),
            },
            [values for values, refused in together if refused],
        )

    def decode(self, configuration: Configuration) -> Training:
        """Gives the student's training, with its teacher's."""
        self.check(configuration)
        chosen: Mapping[str, Any] = configuration
        repeat = chosen.get("repeat", 0)
        graph = distillation_of(chosen).graph(Node(chosen["model"]))
        teachers: tuple[Training, ...] = ()
        if graph.frozen:
            teacher = Recipe(alone(chosen["model"]), self._options(chosen, "teacher"))
            teachers = (Training(teacher, repeat=repeat),)
        return Training(Recipe(graph, self._options(chosen, "student")), teachers, repeat=repeat)

    def canonical(self, configuration: Configuration) -> Hashable:
        """Gives what is trained; an augmentation that both switches leave off is none."""
        try:
            chosen: dict[str, Any] = dict(configuration)
            if not (chosen["student"] or chosen.get("teacher", False)):
                chosen["augmentation"] = None
            if chosen["type"] == "feature":
                chosen["beta"] = distillation_of(configuration).beta
        except KeyError:
            self.check(configuration)
            raise
        return tuple(sorted(chosen.items()))

    def _options(self, chosen: Mapping[str, Any], switch: str) -> Mapping[str, Json]:
        """Gives the trainer's options of one training, of all augmentations that may be on elsewhere."""
        options = {name: value for one in self._listed for name, value in OFF[one].items()}
        if chosen[switch]:
            options |= self._on[chosen["augmentation"]]
            if self._policies and options.get("auto_augment"):
                options["policy_seed"] = chosen["repeat"]
        return options

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """``quick`` is sized for digits; ``paper`` are the published tables, each cell a trial."""
        if evaluator != self.default_evaluator:
            return {}
        return {"quick": {"space": {"betas": [QUICK_BETA], "cutout": 4}}, "paper": PAPER_AUGMENTATION}


def _refusal(augmentation: str, model: str) -> str:
    """Says why the published tables do not have an augmentation of a model; empty where they have it."""
    models = [one for published, one in AUGMENTATIONS if published == augmentation]
    if model in models:
        return ""
    return f"space.published allows {augmentation} of {', '.join(models) or 'no model'}, not of {model}"


def _check_strengths(
    space: str,
    augmentations: tuple[Augmentation, ...],
    operations: int,
    magnitude: int,
    cutout: int,
    cutmix: float,
) -> None:
    """Refuses options with which a listed augmentation would be off, or none.

    Raises:
        RequestError: With the option to change.
    """
    for augmentation, option, value, fits, rule in (
        ("randaugment", "operations", operations, operations >= 1, "at least 1"),
        ("randaugment", "magnitude", magnitude, 0 <= magnitude <= LARGEST_MAGNITUDE, f"0 to {LARGEST_MAGNITUDE}"),
        ("cutout", "cutout", cutout, cutout >= 1, "at least 1 pixel"),
        ("cutmix", "cutmix", cutmix, 0 < cutmix <= 1, "a probability above 0 and at most 1"),
    ):
        if augmentation in augmentations and not fits:
            raise RequestError(
                f"{option} of space {space} must be {rule} where {augmentation} is switched on and off, but got "
                f"{value}; mend --set space.{option}, or leave {augmentation} out of space.augmentations"
            )
