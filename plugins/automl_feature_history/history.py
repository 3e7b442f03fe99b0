"""The estimator ``feature-history``: classifiers refitted on the features of the last epochs vote."""

from __future__ import annotations

import json
import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from automl_core.errors import RequestError
from automl_core.interfaces import Estimator, Evaluator, FeatureSizes, Problem
from automl_core.types import EMPTY, Estimate, Metrics, Observation
from automl_feature_history.heads import Heads, Refit, StoredEpoch, probabilities, refit, training_loss
from automl_feature_history.room import Precision, Room, parse_memory

if TYPE_CHECKING:
    from automl_vision.observing import EpochFeatures

log = logging.getLogger(__name__)

SIDE_BY_SIDE = 16
"""Heads that are refitted in one batched computation at most."""

WORTH_A_NOTE = 256 * 10**6
"""Bytes of a full window that the user is told about."""

ROWS = 1024
"""Rows whose precision is changed at once."""

STATE = "state.json"
LABELS = "labels.npy"


@dataclass(frozen=True)
class Accuracies:
    """Accuracies on the validation images after an epoch, fractions in [0, 1]; NaN where features are not finite.

    Args:
        original: That of the head that was trained with the network.
        refitted: That of the refitted head alone.
        vote: That of all refitted heads in the window together.
    """

    original: float
    refitted: float
    vote: float


@dataclass(frozen=True)
class _Vote:
    """What is left of an epoch whose head was refitted."""

    probabilities: Tensor  # (m, C), float32
    original: float
    refitted: float

    @property
    def nbytes(self) -> int:
        return self.probabilities.nbytes


class FeatureHistory(Estimator):
    """Lets refitted classifiers of the last epochs vote on the validation images, and takes their accuracy.

    For each of the last epochs, a linear head is refitted on the features that the epoch computed of the training
    images, starting from the epoch's own head; the refitted heads' softmax outputs on that epoch's features of the
    validation images are averaged. Accuracy and loss (the mean negative logarithm of the right class' averaged
    probability) of that vote estimate those after full training. The network itself is left alone.

    A refit depends on its own epoch alone. So an epoch's features are kept only until its head was refitted, which
    happens when an estimate is asked for, when a checkpoint is written, or when the memory is needed; when it happens
    changes no estimate. Memory is taken where the network trains. Besides it, a refit works on batches of up to 16
    heads at once.

    Source: Cao, "Efficient Model Performance Estimation via Feature Histories" (2021), algorithm 1 and appendix A.1.

    Args:
        window: How many epochs vote (K); those that there are, while there are fewer.
        precision: In what features are kept until they are used; float16 halves the memory and clamps to its range.
        memory: Bytes that the history may take, such as 500MB; none for no bound. Where the next epoch does not fit,
            those before it are refitted first: that changes no estimate, but costs refits which may leave the window
            unused. Must hold one epoch's features and the votes of the window.
        lr: Learning rate of a refit's first step; it falls linearly to 0.
        momentum: Momentum of the refit.
        weight_decay: Weight decay of the refit, of the bias too.
        batch: Training images per step of the refit.
        passes: Passes of the refit over the training images.

    Raises:
        RequestError: For a value out of its range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    def __init__(
        self,
        window: int = 10,
        precision: Precision = "float32",
        memory: int | str | None = None,
        lr: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        batch: int = 1024,
        passes: int = 5,
    ) -> None:
        if window < 1:
            raise RequestError(
                f"the window of feature-history must hold 1 epoch or more, but got {window}; "
                "--set estimator.window=10 is the published one"
            )
        if precision not in ("float32", "float16"):
            raise RequestError(f"precision of feature-history must be float32 or float16, but got {precision!r}")
        self.window = window
        self.precision: Precision = precision
        self.memory = parse_memory(memory)
        self.recipe = Refit(lr, momentum, weight_decay, batch, passes)
        self._most = window
        self._entries: deque[StoredEpoch | _Vote] = deque()
        self._taken = 0
        self._labels = torch.empty(0, dtype=torch.int64)
        self._untrained: Metrics = EMPTY

    def start(self, problem: Problem) -> None:
        super().start(problem)
        self._most = min(self.window, problem.max_budget)

    def check(self, evaluator: Evaluator) -> Sequence[str]:
        """Refuses a memory bound that the default configuration breaks; tells of short histories and large ones."""
        notes = []
        first = self.problem.min_budget
        if self.window > first:
            notes.append(
                f"the window holds {self.window} {evaluator.unit}, but trials are first compared at {first}: "
                f"estimates use the {evaluator.unit} there are"
            )
        space = self.problem.space
        sizes = evaluator.feature_sizes(space.decode(dict(space.config_space.get_default_configuration())))
        if sizes is None:
            return notes
        self._check_memory(sizes, "the space's default configuration")
        full = Room.of(sizes, self.precision).full(self._most)
        if self.memory is None and full > WORTH_A_NOTE:
            notes.append(
                f"a full window takes {full / 1e6:.0f} MB for the space's default configuration; "
                "estimator.precision=float16 halves that, and estimator.memory bounds it"
            )
        return notes

    def observe(self, observation: Observation) -> None:
        """Takes in an epoch's features, which are copied.

        Raises:
            RequestError: When a trained network comes without features, or one epoch's do not fit into the memory.
        """
        features: EpochFeatures | None = observation.features
        if features is None:
            if observation.unit > 0:
                raise RequestError(
                    "feature-history must be given the features of every epoch, but got none at "
                    f"{observation.unit}: it takes a model with forward_features and head, trained by an evaluator "
                    "that offers features; choose another --estimator"
                )
            known = observation.metrics
            self._untrained = {name: known[name] for name in ("accuracy", "loss") if name in known}
            return
        while len(self._entries) >= self.window:
            self._entries.popleft()
        self._make_room(features)
        self._labels = features.validation_labels.clone()
        self._entries.append(self._stored(features))
        self._taken += 1

    def estimate(self) -> Estimate:
        """Gives accuracy and loss of the vote; before the first epoch, those of the untrained network.

        Both are NaN when features in the window are not finite.
        """
        if not self._entries:
            return Estimate(dict(self._untrained))
        mean = self._mean()
        accuracy = _accuracy(mean, self._labels)
        right = mean.gather(1, self._labels.unsqueeze(1)).clamp(min=torch.finfo(mean.dtype).tiny)
        return Estimate({"accuracy": accuracy, "loss": float(-right.log().mean())})

    def accuracies(self) -> Accuracies:
        """Compares the original head, the refitted one and the vote after the newest epoch, for studies of the method.

        Raises:
            RequestError: Before the first epoch.
        """
        if not self._entries:
            raise RequestError("accuracies can be compared after the first epoch, but none was observed; observe one")
        mean, newest = self._mean(), self._entries[-1]
        assert isinstance(newest, _Vote)
        return Accuracies(newest.original, newest.refitted, _accuracy(mean, self._labels))

    @property
    def nbytes(self) -> int:
        """Bytes that the history takes now: features that wait for their refit, votes and labels."""
        return sum(entry.nbytes for entry in self._entries) + self._labels.nbytes

    def save(self, directory: Path) -> None:
        """Refits what waits for it, and writes the votes, one file each."""
        self._refit_waiting()
        votes = [entry for entry in self._entries if isinstance(entry, _Vote)]
        for number, vote in enumerate(votes):
            _write(directory / _vote_file(number), vote.probabilities)
        _write(directory / LABELS, self._labels)
        state = {
            "taken": self._taken,
            "untrained": dict(self._untrained),
            "votes": [[vote.original, vote.refitted] for vote in votes],
        }
        (directory / STATE).write_text(json.dumps(state))

    def load(self, directory: Path) -> None:
        """Reads votes and labels into the CPU's memory; later epochs stay where they are."""
        state = json.loads((directory / STATE).read_text())
        self._taken, self._untrained = state["taken"], state["untrained"]
        self._labels = _read(directory / LABELS)
        self._entries = deque(
            _Vote(_read(directory / _vote_file(number)), original, refitted)
            for number, (original, refitted) in enumerate(state["votes"])
        )

    def _stored(self, features: EpochFeatures) -> StoredEpoch:
        """Takes an epoch's features in the precision that they are kept in."""
        return StoredEpoch(
            train=self._kept(features.train),
            train_labels=features.train_labels.clone(),
            validation=self._kept(features.validation),
            weight=features.weight.float(),
            bias=None if features.bias is None else features.bias.float(),
            seed=features.seed,
        )

    def _kept(self, features: Tensor) -> Tensor:
        if self.precision == "float32":
            return features.to(torch.float32, copy=True)
        limits = torch.finfo(torch.float16)
        kept = torch.empty_like(features, dtype=torch.float16)
        for begin in range(0, len(kept), ROWS):  # a part at a time, so that there is no second copy of all
            rows = slice(begin, begin + ROWS)
            kept[rows] = features[rows].clamp(limits.min, limits.max)
        return kept

    def _check_memory(self, sizes: FeatureSizes, whose: str) -> None:
        least = Room.of(sizes, self.precision).least(self._most)
        if self.memory is not None and least > self.memory:
            raise RequestError(
                f"memory of feature-history must hold the features of one epoch and the votes of {self._most}, "
                f"{least} bytes for {whose}, but is {self.memory} bytes; raise --set estimator.memory, or need less "
                "by estimator.precision=float16, a smaller estimator.window or dataset.limit"
            )

    def _make_room(self, features: EpochFeatures) -> None:
        """Refits what waits for it if the next epoch does not fit beside it."""
        if self.memory is None:
            return
        (images, dimension), classes = features.train.shape, len(features.weight)
        sizes = FeatureSizes(images, len(features.validation), dimension, classes)
        self._check_memory(sizes, "this configuration")
        room = Room.of(sizes, self.precision)
        if self.nbytes - self._labels.nbytes + room.labels + room.epoch > self.memory:
            self._refit_waiting()

    def _mean(self) -> Tensor:
        """Averages the probabilities of all epochs in the window, shape (m, C)."""
        self._refit_waiting()
        votes = [entry for entry in self._entries if isinstance(entry, _Vote)]
        total = torch.zeros_like(votes[0].probabilities, device=self._labels.device)
        for vote in votes:
            total += vote.probabilities.to(total.device)
        return total / len(votes)

    def _refit_waiting(self) -> None:
        """Turns epochs into votes, side by side.

        Each epoch has a place of its own that follows from its number, because what a refit gives depends on the
        place in the last bits, though on no other epoch: thus it is the same, whenever and beside whatever it is done.
        """
        width = min(self.window, SIDE_BY_SIDE)
        first = self._taken - len(self._entries)
        blocks: dict[object, list[tuple[int, int, StoredEpoch]]] = defaultdict(list)
        for index, entry in enumerate(self._entries):
            if isinstance(entry, StoredEpoch):
                block, place = divmod((first + index) % self.window, width)
                blocks[block, entry.shape].append((index, place, entry))
        for waiting in blocks.values():
            side_by_side: list[StoredEpoch | None] = [None] * width
            for _, place, epoch in waiting:
                side_by_side[place] = epoch
            heads = refit(side_by_side, self.recipe)
            for index, place, epoch in waiting:
                self._entries[index] = self._vote(epoch, heads, place)

    def _vote(self, epoch: StoredEpoch, heads: Heads, place: int) -> _Vote:
        weight, bias = heads.weight[place], heads.bias[place, 0]
        if log.isEnabledFor(logging.DEBUG):
            before, after = training_loss(epoch, epoch.weight, epoch.bias), training_loss(epoch, weight, bias)
            if not after <= before:
                log.debug("a refitted head is worse on its own features, and used: loss %g, before %g", after, before)
        original = _accuracy(probabilities(epoch.validation, epoch.weight, epoch.bias), self._labels)
        voted = probabilities(epoch.validation, weight, bias)
        return _Vote(voted, original, _accuracy(voted, self._labels))


def _accuracy(voted: Tensor, labels: Tensor) -> float:
    """Gives the share of samples whose most probable class is right; NaN when probabilities are not finite."""
    if not bool(voted.isfinite().all()):
        return float("nan")
    return float((voted.argmax(dim=1) == labels).double().mean())


def _vote_file(number: int) -> str:
    return f"vote-{number:04d}.npy"


def _write(path: Path, tensor: Tensor) -> None:
    """Writes a tensor as an ``.npy`` file. Python writes it, since numpy's own way hides why a write failed."""
    array = np.ascontiguousarray(tensor.cpu().numpy())
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def _read(path: Path) -> Tensor:
    """Reads what was written; nothing is unpickled."""
    return torch.from_numpy(np.load(path, allow_pickle=False))
