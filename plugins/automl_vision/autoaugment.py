"""AutoAugment: two distortions of every image, as one of 25 learned (or drawn) sub-policies says.

Shapes: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from automl_core.errors import unknown
from automl_vision.operations import MIXING, MOVING, OPERATIONS, Operations

PolicyName = Literal["cifar10", "imagenet", "svhn", "random"]

MAGNITUDES = 10
"""Magnitudes are 0 to 9."""

PROBABILITIES = 11
"""Probabilities of a policy that is drawn are 0, 0.1, ..., 1."""

SUB_POLICIES = 25


class Step(NamedTuple):
    """One operation of a sub-policy.

    Args:
        operation: Its name; one of :data:`automl_vision.operations.OPERATIONS`.
        probability: That it is applied.
        magnitude: How strong it is, 0 to 9; 0 for what knows no magnitude.
    """

    operation: str
    probability: float
    magnitude: int


Policy = tuple[tuple[Step, Step], ...]
"""Sub-policies, each of which is two steps one after the other."""

DRAWABLE = tuple(name for name in OPERATIONS if name != "identity")
LEVELLED = (*MOVING, *MIXING, "posterize", "solarize")


def published_policy(name: str) -> Policy:
    """Gives the policy that was learned on a data set, from torchvision's table.

    Args:
        name: ``cifar10``, ``imagenet`` or ``svhn``.
    """
    from torchvision.transforms import AutoAugment as Torchvisions
    from torchvision.transforms import AutoAugmentPolicy

    def step(operation: str, probability: float, magnitude: int | None) -> Step:
        known = operation.lower()
        return Step(f"{known[:-1]}-{known[-1]}" if operation[-1] in "XY" else known, probability, magnitude or 0)

    return tuple((step(*first), step(*second)) for first, second in Torchvisions(AutoAugmentPolicy(name)).policies)


def random_policy(generator: torch.Generator) -> Policy:
    """Draws 25 sub-policies from those that AutoAugment searches: operations, probabilities and magnitudes uniform.

    Source: Cubuk et al., "AutoAugment" (CVPR 2019), section 3 for the search space and 5 for random policies. Of its 16
    operations two are left out: Cutout, which has an option of its own, and sample pairing, which mixes images.
    """

    def below(number: int) -> int:
        return int(torch.randint(number, (), generator=generator))

    def step() -> Step:
        name, probability = DRAWABLE[below(len(DRAWABLE))], below(PROBABILITIES) / (PROBABILITIES - 1)
        magnitude = below(MAGNITUDES)
        return Step(name, probability, magnitude if name in LEVELLED else 0)

    return tuple((step(), step()) for _ in range(SUB_POLICIES))


def policy_named(name: str, seed: int) -> Policy:
    """Gives a policy by its name.

    Args:
        name: Of a published policy, or ``random``.
        seed: What a random policy follows from.

    Raises:
        RequestError: For an unknown name.
    """
    if name not in get_args(PolicyName):
        raise unknown("policy of AutoAugment", name, get_args(PolicyName))
    return random_policy(torch.Generator().manual_seed(seed)) if name == "random" else published_policy(name)


class AutoAugment:
    """Draws a sub-policy for each image and applies those of its two operations that their probabilities let pass.

    What has two directions goes either way, each with probability 1/2. Source: Cubuk et al., "AutoAugment: Learning
    Augmentation Policies from Data" (CVPR 2019), section 3.

    Policies and ranges are torchvision's, and so is what each operation does, up to rounding; tests compare the two.
    But the images that have drawn the same operation are worked on together: in batches of 64, one CPU thread augments
    10000 and more images of 3x32x32 a second, where torchvision, which takes them one by one, gets through 1500 to
    2000. It would also draw from the process' own generator, and knows no images of 2 or 4 channels.

    Args:
        policy: The sub-policies.
        fill: What shows where pixels have moved away: one value in [0, 255] for each channel, or one for all.
    """

    def __init__(self, policy: Policy, fill: tuple[int, ...] = (0,)) -> None:
        self.policy = policy
        steps = [step for sub_policy in policy for step in sub_policy]
        shape = (len(policy), 2)
        self._numbers = torch.tensor([OPERATIONS.index(step.operation) for step in steps]).view(shape)
        self._probabilities = torch.tensor([step.probability for step in steps]).view(shape)
        self._magnitudes = torch.tensor([step.magnitude for step in steps]).view(shape)
        highest = MAGNITUDES - 1
        levels = [level / highest for level in range(-highest, MAGNITUDES)]
        self._operations = Operations(levels, fill, brightest=255)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draws what becomes of so many images.

        Returns:
            Places of sub-policies, shape (count,); numbers in [0, 1), which an operation's probability must be above
            for it to be applied, and directions, 0 or 1 (backwards or forwards), both of shape (count, 2).
        """
        chosen = torch.randint(len(self.policy), (count,), generator=generator, device=generator.device)
        chances = torch.rand(count, 2, generator=generator, device=generator.device)
        directions = torch.randint(2, (count, 2), generator=generator, device=generator.device)
        return chosen.cpu(), chances.cpu(), directions.cpu()

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augments a batch.

        Args:
            images: Shape (B, C, H, W), uint8, on any device; not changed.
            generator: The only source of randomness; a CPU generator gives the same draws on every device, and does
                not have to wait for it.

        Returns:
            A new tensor of the same shape and type.
        """
        images = images.clone(memory_format=torch.contiguous_format)
        chosen, chances, directions = self.draw(len(images), generator)
        applied = chances < self._probabilities[chosen]
        operations = torch.where(applied, self._numbers[chosen], OPERATIONS.index("identity"))
        levels = MAGNITUDES - 1 + (2 * directions - 1) * self._magnitudes[chosen]
        for step in range(2):
            self._operations.apply(images, operations[:, step], levels[:, step])
        return images
