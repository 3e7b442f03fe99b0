"""The collaborative trainer: epochs, schedules, measuring, checkpoints and observations for every kind of graph."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from automl_core import faults
from automl_core.errors import RequestError
from automl_core.interfaces import Context, Evaluation
from automl_core.randomness import derive_seed
from automl_core.types import Job, Observation
from automl_spaces.graph import TARGET, KnowledgeTransferGraph, Node
from automl_vision.costs import Sizes, count_costs, latencies
from automl_vision.exporting import ModelCard, save_network
from automl_vision.models import ClassifierModule
from automl_vision.observing import EpochFeatures, FeatureRecorder, LiveNetwork
from automl_vision.randomness import isolated_randomness
from automl_vision.trainer.batch_size import BatchSizeController
from automl_vision.trainer.batches import ImageBatches
from automl_vision.trainer.memory import keep_freed_memory
from automl_vision.trainer.nodes import build_learners, build_networks, placed
from automl_vision.trainer.settings import TrainerSettings
from automl_vision.trainer.update import CollaborativeUpdate, Forward, Update

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset

CHECKPOINT = "checkpoint.pt"
AUGMENTATION = "augmentation.json"
"""What an export says of AutoAugment's policy, where there is one."""

CHECK_EVERY = 32
"""Batches between two looks at whether the losses are still finite; each look waits for the device."""


class CollaborativeTrainer(Evaluation):
    """Trains a knowledge-transfer graph; supervised training and every distillation are special cases of it.

    It trains the graph's canonical form: numbers of nodes in seeds, metrics and artefacts are those of
    ``graph.canonical()``. Equal canonical forms therefore give bit-equal results on the same number of threads.

    Trainers on several threads of one process take turns, epoch by epoch, since layers draw from generators that
    belong to the process; trainings at the same time need a process each.

    Metrics: ``accuracy`` and ``loss`` (cross-entropy) of the target on validation (on test when the split is
    ``final``), ``accuracy_1`` to ``accuracy_N`` of every node, and ``train_loss``, the mean of the target's loss L_1
    over the epoch (NaN as soon as any node's loss is not finite; the rest of that epoch is then left out); ``batch``,
    where batches may grow, their size at the end of the epoch; and what an update of a method's own adds. Those of
    ``flops``, ``params`` and ``latency`` (seconds) of the target that the context asks for are found once, and are the
    same in every observation. The latency is that of a forward pass of one image as accuracy is measured: on the
    context's device and threads, in the settings' precision.

    Args:
        graph: What to train.
        settings: How.
        context: Where, on what data, from which seed; its ``artefacts`` are the networks of the frozen nodes of the
            canonical graph by rising number. Schedules and the linear gate run over its ``max_budget``.
        target: The network of node 1, where it goes on from what it has learnt before; a new one when None.

    Raises:
        RequestError: For a graph whose target nothing trains, unknown or misfit parts, or data that do not do.
    """

    def __init__(
        self,
        graph: KnowledgeTransferGraph,
        settings: TrainerSettings,
        context: Context,
        target: ClassifierModule | None = None,
    ) -> None:
        self.graph = graph.canonical()
        if TARGET in self.graph.frozen:
            raise RequestError(
                "the target (node 1) must have an incoming edge with an open gate, but every one is cut off; "
                "open one, for example the edge from the label"
            )
        self.settings = settings
        self.context = context
        self.epoch = 0
        """Epochs trained so far."""
        self.device = torch.device(context.device)
        self.dataset = image_dataset(context)
        self.batches = ImageBatches(self.dataset, context.split, settings, self.device, context.seed)
        begun = {} if target is None else {TARGET: target}
        self.networks = build_networks(
            self.graph, self.dataset, settings, context.artefacts, self.device, context.seed, begun
        )
        self.learners = build_learners(self.graph, self.networks, settings, self.device, context.seed)
        """The nodes that are trained, by rising number."""
        self.forward = Forward(self.device, settings.precision)
        self._seen = FeatureRecorder(self.batches.images)
        self._measured_features = FeatureRecorder(self.batches.measured_images)
        watch = self._seen.record if "features" in context.needs else None
        self._measured_frozen: dict[int, tuple[float, float]] = {}
        self._costs: dict[str, float] = {}
        self.controller = self.build_controller()
        """What lets batches grow; None when their size is fixed."""
        self.update: Update = self.build_update(watch)

    def build_controller(self) -> BatchSizeController | None:
        """Builds what lets batches grow as memory allows, where the settings want them to."""
        if not self.settings.batch_grows:
            return None
        from automl_vision.trainer.memory_probes import memory_probe  # not every system tells what it probes

        settings, probe = self.settings, memory_probe(self.device, self.settings.memory_limit)
        largest = min(settings.largest_batch, self.batches.images)  # beyond, an epoch would not fill one batch
        return BatchSizeController(settings.batch, largest, settings.batch_every, probe)

    def build_update(self, watch: Callable[[Tensor, Tensor], None] | None) -> Update:
        """Builds what is done with a batch; called once, when everything else is built.

        Args:
            watch: Is to be shown the target's features, shape (B, d), and the labels of every batch; None when nobody
                wants them.
        """
        return CollaborativeUpdate(self.networks, self.learners, self.forward, watch)

    @property
    def target(self) -> ClassifierModule:
        """The network of node 1."""
        return self.networks[TARGET]

    @property
    def iterations(self) -> int:
        """k_end: the updates of the whole planned training, even when it is stopped before.

        Where batches grow, k counts images in batches of the size they begin with.
        """
        return self.context.max_budget * self.batches.count

    def progress(self, epoch: int, batch: int) -> float:
        """Gives k / k_end, in (0, 1], of a batch; both counted from 0, k from 1."""
        return (epoch * self.batches.count + batch + 1) / self.iterations

    def advance(self, job: Job) -> Iterator[Observation]:
        """Trains up to the job's budget, in epochs; see the interface."""
        if job.to_budget > self.context.max_budget:
            raise RequestError(
                f"a training must not go beyond its maximum budget, {self.context.max_budget} epochs, since its "
                f"schedules end there, but a job asks for {job.to_budget}"
            )
        torch.set_num_threads(self.context.threads)
        keep_freed_memory()
        if self.epoch == 0:
            yield self._observation({})
        while self.epoch < job.to_budget:
            train_loss = self._train_epoch()
            self.epoch += 1
            size = {"batch": float(self.batches.size)} if self.settings.batch_grows else {}
            yield self._observation({"train_loss": train_loss} | size | self.update.metrics())

    def _train_epoch(self) -> float:
        for learner in self.learners:
            learner.set_progress(self.epoch / self.context.max_budget)
        if self.controller is not None:
            self.controller.reset()
        self._seen.begin()
        for number, network in self.networks.items():
            network.train(number not in self.graph.frozen or self.settings.frozen_statistics == "train")
        total = torch.zeros(len(self.learners), dtype=torch.float64, device=self.device)
        images_seen = 0
        with self._isolated("layers"):
            self.update.begin(self.epoch)
            for batch, (images, labels) in enumerate(self.batches.epoch(self.epoch)):
                self._set_learning_rate(self.batches.passed(images_seen))
                images_seen += len(labels)
                progress = self.progress(self.epoch, self.batches.passed(images_seen) - 1)
                total += self.update(images, labels, progress) * len(labels)
                if self.controller is not None:
                    self.batches.size = self.controller.step()
                faults.point("trainer.batch")
                if batch % CHECK_EVERY == CHECK_EVERY - 1 and not bool(total.isfinite().all()):
                    break
        means: list[float] = (total / images_seen).tolist()
        return means[0] if bool(total.isfinite().all()) else float("nan")

    def _set_learning_rate(self, batches: int) -> None:
        past = self.epoch + batches / self.batches.count
        for learner in self.learners:
            learner.set_learning_rate(self.settings.learning_rate(past, self.context.max_budget))

    def _observation(self, training: dict[str, float]) -> Observation:
        shows_features = "features" in self.context.needs and self.epoch > 0
        measured = self._measure(self._measured_features if shows_features else None)
        accuracy, loss = measured[TARGET]
        of_nodes = {f"accuracy_{number}": measured[number][0] for number in sorted(measured)}
        if missing := self.fixed_metrics - self._costs.keys():
            self._costs |= self.find_costs(missing)
        asked = {name: value for name, value in self._costs.items() if name in self.fixed_metrics}
        metrics = {"accuracy": accuracy, "loss": loss} | of_nodes | training | asked
        features = self._epoch_features() if shows_features else None
        network = LiveNetwork(self.target, self.batches.first) if "network" in self.context.needs else None
        return Observation(self.epoch, metrics, features, network)

    def _epoch_features(self) -> EpochFeatures:
        head = self.target.head
        return EpochFeatures(
            *self._seen.taken(),
            *self._measured_features.taken(),
            weight=head.weight.detach().clone(),
            bias=None if head.bias is None else head.bias.detach().clone(),
            seed=derive_seed(self.context.seed, "features", self.epoch),
        )

    @property
    def fixed_metrics(self) -> frozenset[str]:
        """Names of the metrics that training does not change and that observations carry: what the context asks for."""
        return self.context.metrics

    def find_costs(self, missing: frozenset[str]) -> dict[str, float]:
        """Finds metrics that training does not change: those that are missing, as far as they are known here."""
        node = self.graph.node(TARGET)
        found = count_costs(node, Sizes.of(self.dataset)) if missing & {"flops", "params"} else {}
        return found | {"latency": self.latencies(node)[0]} if "latency" in missing else found

    def latencies(self, *nodes: Node) -> list[float]:
        """Measures the seconds of a forward pass of one image through networks of the nodes' kinds, taking turns."""
        image = next(self.batches.measured())[0][:1]

        def passing(node: Node) -> Callable[[], object]:
            # A network of its own: measuring must change neither statistics nor modes of the one that is trained.
            network = placed(Sizes.of(self.dataset).build(node), self.settings, self.device).eval()
            return lambda: self.forward(network, image)

        return latencies([passing(node) for node in nodes], self.device)

    def _measure(self, recorder: FeatureRecorder | None) -> dict[int, tuple[float, float]]:
        """Gives accuracy and mean cross-entropy of every node on the images to measure on.

        Args:
            recorder: Is shown the target's features; None when nobody wants them.
        """
        if recorder is not None:
            recorder.begin()
        numbers = [number for number in self.networks if number not in self._measured_frozen]
        for number in numbers:
            self.networks[number].eval()
        total = torch.zeros(len(numbers), 2, dtype=torch.float64, device=self.device)
        count = 0
        with self._isolated("measuring"):
            for images, labels in self.batches.measured():
                total += self.look(images, labels, numbers, recorder)
                count += len(labels)
        rows = (total / count).tolist()
        measured = self._measured_frozen | {number: (row[0], row[1]) for number, row in zip(numbers, rows, strict=True)}
        if self.settings.frozen_statistics == "eval":
            self._measured_frozen = {number: measured[number] for number in self.graph.frozen}
        return measured

    @torch.no_grad()
    def look(
        self, images: Tensor, labels: Tensor, numbers: Sequence[int], recorder: FeatureRecorder | None = None
    ) -> Tensor:
        """Gives correct samples and summed cross-entropy of some nodes on one batch, shape (len(numbers), 2)."""
        rows = []
        for number in numbers:
            output = self.forward(self.networks[number], images)
            if recorder is not None and number == TARGET:
                recorder.record(output.features, labels)
            logits = output.logits
            hits = (logits.argmax(dim=1) == labels).sum()
            rows.append(torch.stack([hits.to(logits.dtype), F.cross_entropy(logits, labels, reduction="sum")]))
        return torch.stack(rows)

    @contextlib.contextmanager
    def _isolated(self, purpose: str) -> Iterator[None]:
        """Seeds what layers draw from by seed, purpose and epoch, and makes cuDNN deterministic.

        Both are settings of the process: while one thread is in here, others wait.
        """
        seed = derive_seed(self.context.seed, purpose, self.epoch)
        with contextlib.ExitStack() as stack:
            stack.enter_context(isolated_randomness(seed, self.device))
            if self.device.type == "cuda":
                # All named, since what is left out is switched off: cuDNN itself would be.
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True))
            yield

    def save(self, directory: Path) -> None:
        """Writes networks, optimisers, losses' parameters, update and epoch: tensors and plain Python values."""
        state = {
            "epoch": self.epoch,
            "costs": self._costs,
            "networks": {number: self.networks[number].state_dict() for number in self._changing},
            "optimisers": {learner.number: learner.optimiser.state_dict() for learner in self.learners},
            "losses": {learner.number: learner.losses.state_dict() for learner in self.learners},
            "update": self.update.state_dict(),
            "controller": None if self.controller is None else self.controller.state_dict(),
        }
        # Python writes the file: torch's own writer hides why it failed, and a full disk must be told from a bug.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        (directory / CHECKPOINT).write_bytes(buffer.getbuffer())

    def load(self, directory: Path) -> None:
        """Goes on from what ``save`` wrote; frozen networks come from the context's artefacts again."""
        state = torch.load(directory / CHECKPOINT, map_location=self.device, weights_only=True)
        for number in self._changing:
            self.networks[number].load_state_dict(state["networks"][number])
        for learner in self.learners:
            learner.optimiser.load_state_dict(state["optimisers"][learner.number])
            learner.losses.load_state_dict(state["losses"][learner.number])
        # Version 0.1.0 wrote neither what update and controller hold nor costs.
        if "update" in state:
            self.update.load_state_dict(state["update"])
        if self.controller is not None and state.get("controller") is not None:
            self.controller.load_state_dict(state["controller"])
            self.batches.size = self.controller.size
        self.epoch = state["epoch"]
        self._costs = state.get("costs", {})

    def export(self, directory: Path) -> None:
        """Writes the target for :func:`automl_vision.load_exported`, and for graphs in which it is a frozen node."""
        node, dataset = self.graph.node(TARGET), self.dataset
        card = ModelCard(
            model=node.model,
            options=dict(node.options),
            channels=dataset.channels,
            classes=dataset.classes,
            image_size=dataset.image_size,
            mean=tuple(dataset.mean),
            std=tuple(dataset.std),
            dataset=dataset.name,
        )
        save_network(self.target, card, directory)
        if self.batches.policy is not None:  # what its seed has drawn, or the published one
            text = json.dumps({"auto_augment": self.batches.policy}, indent=2)
            (directory / AUGMENTATION).write_text(text + "\n", encoding="utf-8")

    @property
    def _changing(self) -> list[int]:
        """Numbers of the nodes whose weights or buffers training changes."""
        drifting = self.settings.frozen_statistics == "train"
        return [number for number in self.networks if drifting or number not in self.graph.frozen]


def image_dataset(context: Context) -> ImageDataset:
    """Gives the context's data set, which must be one of labelled images.

    Raises:
        RequestError: When there is none, or it is of another kind.
    """
    dataset = context.dataset
    if dataset is None or dataset.kind != "image-classification":
        found = "none" if dataset is None else f"{dataset.name!r}, which is of kind {dataset.kind!r}"
        raise RequestError(
            f"training networks needs a data set of kind 'image-classification', but got {found}; "
            "choose one that 'automl plugins' lists"
        )
    return dataset  # type: ignore[return-value]  # the kind says so; strangers need not derive from our class
