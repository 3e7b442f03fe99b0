"""Options of the part ``trainer``: how networks are trained, whatever the graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from automl_core.errors import RequestError
from automl_core.options import validate
from automl_core.spec import parse_size
from automl_core.types import Json


@dataclass(frozen=True)
class TrainerSettings:
    """How the collaborative trainer trains every node; the defaults are those of Minami et al. (ACCV 2020).

    Args:
        batch: Images per batch (B).
        largest_batch: Images per batch at most, where batches grow from ``batch`` on as memory allows; 0 keeps them as
            they are.
        batch_every: Where batches grow: steps from one look at the memory to the next.
        memory_limit: Where batches grow and train on the CPU: what the process may use, such as "4GB"; empty asks
            ``ulimit -v`` and the control group, and lets batches be when neither sets a limit.
        lr: Learning rate of SGD at the start.
        momentum: Momentum of SGD.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: L2 penalty on all weights.
        sparsity: L1 penalty on the scales of all batch normalisations (lambda of network slimming); 0 is none.
        norm_scale: Where the scales of batch normalisations of new networks begin; network slimming takes 0.5.
        clip: Norm to which each network's gradient is clipped before its step; 0 leaves it as it is.
        schedule: How the learning rate goes over the maximum budget: "step" (times decay at each milestone) or "cosine"
            (towards final_lr) from epoch to epoch, "linear" (towards final_lr) from batch to batch, or "constant".
        final_lr: For the schedules "cosine" and "linear": the learning rate that they go towards.
        milestones: For the schedule "step": fractions of the maximum budget; 0.3, 0.6, 0.9 of 200 epochs give 60
            full epochs between steps.
        decay: For the schedule "step": the factor at each milestone.
        pad: Pixels of padding on each side before the random crop; 0 switches it off.
        padding: What these show: "reflect" mirrors the image, "zeros" is black.
        flip: Whether images are flipped horizontally at random; none leaves it to the data set.
        auto_augment: Policy by which AutoAugment distorts each image after crop and flip: the one learned on "cifar10",
            "imagenet" or "svhn", or "random", one of 25 drawn sub-policies; "" switches it off.
        policy_seed: What the random policy is drawn by; the same one for all trainings with the same seed here.
        augmentations: Operations that RandAugment applies to each image then (its N); 0 switches it off.
        magnitude: How strong they are, from 0 to 30 (its M).
        cutout: Side in pixels of the square that Cutout blanks out then; 0 switches it off, 16 is usual for 32x32.
        cutmix: Probability that the images of a batch are mixed by CutMix at last, and their labels with them; 0
            switches it off, 0.5 is usual.
        drop_last: Whether the rest of an epoch that does not fill a batch (of the size then reached) is left out; one
            of a single image always is.
        frozen_statistics: Batch normalisation of frozen nodes: "eval" uses and keeps their statistics, "train" uses
            those of the batch and lets theirs drift, as the paper's code does.
        precision: "float32", or "bfloat16" for the forward and backward pass (weights stay float32), which is faster
            only on processors and GPUs that have instructions for it, and slower on others.
        channels_last: Whether images and convolutions lie channels last in memory, which is faster for most networks
            and gives the same up to rounding.
        evaluation_batch: Images per batch when measuring.

    Raises:
        RequestError: For a value out of its range.
    """

    batch: int = 64
    largest_batch: int = 0
    batch_every: int = 10
    memory_limit: str = ""
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    sparsity: float = 0.0
    norm_scale: float = 1.0
    clip: float = 0.0
    schedule: Literal["step", "cosine", "linear", "constant"] = "step"
    final_lr: float = 0.0
    milestones: tuple[float, ...] = (0.3, 0.6, 0.9)
    decay: float = 0.1
    pad: int = 4
    padding: Literal["reflect", "zeros"] = "reflect"
    flip: bool | None = None
    auto_augment: Literal["", "cifar10", "imagenet", "svhn", "random"] = ""
    policy_seed: int = 0
    augmentations: int = 0
    magnitude: int = 9
    cutout: int = 0
    cutmix: float = 0.0
    drop_last: bool = True
    frozen_statistics: Literal["eval", "train"] = "eval"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True
    evaluation_batch: int = 512

    def __post_init__(self) -> None:
        self._require("batch", self.batch >= 1, "at least 1")
        self._require(
            "largest_batch",
            self.largest_batch == 0 or self.largest_batch >= self.batch,
            f"0 or at least trainer.batch ({self.batch})",
        )
        self._require("batch_every", self.batch_every >= 1, "at least 1")
        self._require("memory_limit", _is_size(self.memory_limit), "a size above 0, such as 4GB or 500MB")
        self._require("evaluation_batch", self.evaluation_batch >= 1, "at least 1")
        self._require("lr", 0 < self.lr < math.inf, "a number above 0")
        self._require("momentum", 0 <= self.momentum < 1, "at least 0 and below 1")
        self._require("weight_decay", 0 <= self.weight_decay < math.inf, "a number of at least 0")
        self._require("sparsity", 0 <= self.sparsity < math.inf, "a number of at least 0")
        self._require("norm_scale", 0 < self.norm_scale < math.inf, "a number above 0")
        self._require("clip", 0 <= self.clip < math.inf, "a number of at least 0")
        self._require("final_lr", 0 <= self.final_lr <= self.lr, f"from 0 to trainer.lr ({self.lr:g})")
        self._require("decay", 0 < self.decay <= 1, "above 0 and at most 1")
        self._require("pad", self.pad >= 0, "at least 0")
        self._require("augmentations", self.augmentations >= 0, "at least 0")
        self._require("magnitude", 0 <= self.magnitude <= 30, "from 0 to 30")
        self._require("cutout", self.cutout >= 0, "at least 0")
        self._require("cutmix", 0 <= self.cutmix <= 1, "a probability, from 0 to 1")
        self._require("milestones", all(0 < one < 1 for one in self.milestones), "fractions between 0 and 1")
        self._require(
            "nesterov", self.momentum > 0 or not self.nesterov, "false where trainer.momentum is 0, which it builds on"
        )

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise RequestError(
                f"trainer.{name} must be {rule}, but got {getattr(self, name)!r}; "
                f"give another value with --set trainer.{name}=VALUE"
            )

    @property
    def batch_grows(self) -> bool:
        """Whether an epoch may have batches of several sizes."""
        return self.largest_batch > self.batch

    def replaced(self, options: Mapping[str, Json]) -> TrainerSettings:
        """Gives these settings with some replaced by options, as JSON has them.

        Raises:
            RequestError: For an unknown option, or a value that is none for it.
        """
        return replace(self, **validate(TrainerSettings, options, "trainer")) if options else self

    def learning_rate(self, past: float, max_epochs: int) -> float:
        """Gives the learning rate at a batch of a training planned for ``max_epochs``.

        Args:
            past: Epochs before the batch, those parts of one that are over included.
            max_epochs: The maximum budget.
        """
        if self.schedule == "linear":
            return self.final_lr + (self.lr - self.final_lr) * (1.0 - past / max_epochs)
        epoch = math.floor(past)
        if self.schedule == "cosine":
            fallen = 1.0 + math.cos(math.pi * epoch / max_epochs)
            return self.final_lr + (self.lr - self.final_lr) * 0.5 * fallen
        if self.schedule == "constant":
            return self.lr
        # In epochs and not in shares, so that 0.3 of 10 is passed at epoch 3 whatever the rounding.
        passed = sum(epoch >= milestone * max_epochs - 1e-6 for milestone in self.milestones)
        return self.lr * self.decay**passed

    def batches(self, images: int) -> int:
        """Counts the batches of an epoch over so many training images, while they are of the size they begin with.

        Raises:
            RequestError: When not even one batch can be filled.
        """
        count = images // self.batch if self.drop_last else -(-self._without_lone_rest(images) // self.batch)
        if count < 1:
            raise RequestError(
                f"trainer.batch must be at most the number of training images ({images}), but got {self.batch}; "
                "lower trainer.batch, set trainer.drop_last=false or raise dataset.limit"
            )
        return count

    def images(self, images: int) -> int:
        """Counts the images that an epoch over so many training images sees at most.

        Raises:
            RequestError: When not even one batch can be filled.
        """
        batches = self.batches(images)
        return images if self.batch_grows else min(batches * self.batch, self._without_lone_rest(images))

    def _without_lone_rest(self, images: int) -> int:
        """Leaves out a single image that would be a batch by itself: nothing normalises it where maps are one pixel."""
        return images - 1 if images % self.batch == 1 < self.batch < images else images


def _is_size(text: str) -> bool:
    try:
        return not text or parse_size(text) > 0
    except RequestError:
        return False
