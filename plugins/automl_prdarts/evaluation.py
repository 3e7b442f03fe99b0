"""A supernet's training, cycle by cycle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from automl_core.errors import RequestError
from automl_core.interfaces import Context, Evaluation
from automl_core.randomness import derive_seed
from automl_core.types import Job, Json, Metrics, Observation
from automl_prdarts import morphing
from automl_prdarts.halves import halves
from automl_prdarts.plan import KINDS, ArchitectureSettings, Cycle, CycleReport, SupernetPlan
from automl_prdarts.statistics import pool_statistics
from automl_prdarts.supernet import Supernet, multiply_accumulates
from automl_prdarts.update import SupernetUpdate, Watch
from automl_spaces.cell_costs import CellCosts
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_vision.costs import Sizes
from automl_vision.trainer.batches import ImageBatches
from automl_vision.trainer.loop import CollaborativeTrainer, image_dataset
from automl_vision.trainer.settings import TrainerSettings

if TYPE_CHECKING:
    from automl_vision.data import ImageDataset
    from automl_vision.trainer.update import Update

MODEL = "supernet"
"""Registered name of the network."""

CYCLE = "cycle.json"


class SupernetTrainer(CollaborativeTrainer):
    """Trains the supernet of one cycle: supervised training with a step of its own.

    Args:
        node: The supernet.
        settings: How its weights are trained.
        context: Where, from which seed, on the first half; its ``max_budget`` is the cycle's number of epochs.
        second: The second half, which architecture weights are trained on.
        architecture: How they are trained.
        grace: First epochs, in which they stay as they are.
    """

    update: SupernetUpdate

    def __init__(
        self,
        node: Node,
        settings: TrainerSettings,
        context: Context,
        second: ImageDataset,
        architecture: ArchitectureSettings,
        grace: int,
    ) -> None:
        self._second, self._architecture, self._grace = second, architecture, grace
        super().__init__(KnowledgeTransferGraph((node,), (Edge(LABEL, TARGET),)), settings, context)

    @property
    def supernet(self) -> Supernet:
        return cast(Supernet, self.target)

    def build_update(self, watch: Watch | None) -> Update:
        seed = derive_seed(self.context.seed, "architecture")
        batches = ImageBatches(self._second, self.context.split, self.settings, self.device, seed)
        (learner,) = self.learners
        return SupernetUpdate(
            learner, self.forward, batches, self._architecture, self._grace, self.context.max_budget, watch
        )


class SupernetEvaluation(Evaluation):
    """The cycles of one search process, one after another.

    A job's instruction names its cycle. One that is not the current one begins anew: with a network of the cycle's
    candidates, whose weights come from the network before; equal architecture weights; new optimisers; the learning
    rate's schedule from its start; and the smallest batch.

    Metrics, beside the trainer's ``accuracy`` and ``loss`` on validation and ``train_loss``: ``train_accuracy`` on the
    first half as it is trained on, ``architecture_loss``, ``batch`` (size at the end of the epoch), ``cycle`` (its
    number, from 0), and what :func:`automl_prdarts.statistics.pool_statistics` tells of the candidates.

    Source: Laube and Zell, "Prune and Replace NAS" (2019), sections III-B and IV-A.

    Args:
        plan: The supernet.
        settings: How its weights are trained.
        context: Where, on what data, from which seed. Its ``max_budget`` are the epochs of all cycles.

    Raises:
        RequestError: For data that do not do.
    """

    def __init__(self, plan: SupernetPlan, settings: TrainerSettings, context: Context) -> None:
        if context.split != "search":
            raise RequestError(
                f"a supernet must be trained on the split 'search', but got {context.split!r}; "
                "retrain what was derived from it instead"
            )
        self._plan, self._settings, self._context = plan, settings, context
        self._halves = halves(image_dataset(context))
        self._cycle: Cycle | None = None
        self._trainer: SupernetTrainer | None = None

    def advance(self, job: Job) -> Iterator[Observation]:
        """Trains up to the job's budget, in epochs, within the cycle that its instruction names.

        What was trained before and is not there any more, because a checkpoint was lost, is trained again: the
        instruction names the cycles before as well.

        Raises:
            RequestError: For a job that goes beyond its cycle, or whose cycle begins after epochs that were not trained
                here.
        """
        cycle, before = job.instruction["cycle"], job.instruction.get("before", ())
        cycles = [Cycle.from_json(one) for one in (*before, cycle)]
        if job.to_budget > cycles[-1].begins + cycles[-1].epochs:
            raise RequestError(
                f"a supernet's job must end with its cycle, after epoch {cycles[-1].begins + cycles[-1].epochs}, but "
                f"one asks for {job.to_budget}; give the next cycle a job of its own"
            )
        reached = 0 if self._cycle is None else self._cycle.number
        for one in cycles:
            if one.number >= reached:
                yield from self._advance(one, replace(job, to_budget=min(job.to_budget, one.begins + one.epochs)))

    def _advance(self, cycle: Cycle, job: Job) -> Iterator[Observation]:
        """Trains within one cycle, after a turn to it where it is not the current one."""
        if cycle != self._cycle:
            self._turn_to(cycle)
        trainer, _ = self._current()
        statistics = {"cycle": float(cycle.number)} | pool_statistics(cycle)
        within = replace(job, from_budget=trainer.epoch, to_budget=job.to_budget - cycle.begins)
        for observation in trainer.advance(within):
            if observation.unit == 0 and cycle.begins > 0:
                continue  # that epoch was observed at the end of the cycle before
            metrics = {**_own(observation.metrics), "batch": float(trainer.batches.size), **statistics}
            yield replace(observation, unit=cycle.begins + observation.unit, metrics=metrics)

    def probabilities(self) -> dict[str, tuple[tuple[float, ...], ...]]:
        """Gives each candidate's probability, by kind of cell and edge, in the order of the cycle's pools."""
        trainer, _ = self._current()
        with torch.no_grad():
            found = trainer.supernet.architecture.probabilities()
        return {kind: tuple(tuple(edge.tolist()) for edge in found[kind]) for kind in KINDS}

    def report(self) -> Json:
        """Gives the cycle's :class:`~automl_prdarts.plan.CycleReport`."""
        trainer, cycle = self._current()
        sizes = Sizes.of(self._halves[0])
        plan = self._plan
        costs = CellCosts(plan.cells, plan.channels, sizes.channels, sizes.classes, sizes.image_size)
        report = CycleReport(
            **self.probabilities(),
            channels=sizes.channels,
            classes=sizes.classes,
            image_size=sizes.image_size,
            multiply_accumulates=float(multiply_accumulates(cycle.normal, cycle.reduction, costs)),
            images=trainer.update.images,
        )
        return report.to_json()

    def save(self, directory: Path) -> None:
        """Writes the trainer's checkpoint, and the cycle it belongs to."""
        trainer, cycle = self._current()
        trainer.save(directory)
        (directory / CYCLE).write_text(json.dumps(cycle.to_json()), encoding="utf-8")

    def load(self, directory: Path) -> None:
        """Goes on from what ``save`` wrote, in the middle of a cycle or at its end."""
        self._cycle = Cycle.from_json(json.loads((directory / CYCLE).read_text(encoding="utf-8")))
        self._trainer = self._build(self._cycle)
        self._trainer.load(directory)

    def _turn_to(self, cycle: Cycle) -> None:
        """Builds a cycle's network, with what it takes over from the one before."""
        before = self._cycle
        reached = 0 if before is None else before.begins + self._current()[0].epoch
        if reached != cycle.begins:
            raise RequestError(
                f"a supernet's cycle must begin where the one before it ended, at epoch {cycle.begins}, but this one "
                f"is at epoch {reached}; start the search again"
            )
        parent = None if self._trainer is None else self._trainer.supernet
        self._trainer = None  # its optimisers and batches need not stay beside the new ones
        trainer = self._build(cycle)
        if parent is not None:
            morphing.inherit(trainer.supernet, parent, cycle.origins)
        self._trainer, self._cycle = trainer, cycle

    def _build(self, cycle: Cycle) -> SupernetTrainer:
        first, second = self._halves
        options = {
            "normal": [list(pool) for pool in cycle.normal],
            "reduction": [list(pool) for pool in cycle.reduction],
            "cells": self._plan.cells,
            "width": self._plan.channels,
        }
        seed = derive_seed(self._context.seed, "cycle", cycle.number)
        # What an objective names (flops, latency) is said of what is derived, and not of a supernet.
        context = replace(self._context, seed=seed, max_budget=cycle.epochs, dataset=first, metrics=frozenset())
        architecture = self._plan.architecture
        trainer = SupernetTrainer(Node(MODEL, options), self._settings, context, second, architecture, cycle.grace)
        if architecture.noise:
            generator = torch.Generator().manual_seed(derive_seed(seed, "noise"))
            with torch.no_grad():
                for weights in trainer.supernet.architecture.parameters():
                    weights.copy_(torch.randn(weights.shape, generator=generator) * architecture.noise)
        return trainer

    def _current(self) -> tuple[SupernetTrainer, Cycle]:
        assert self._trainer is not None and self._cycle is not None, "advance or load comes first"
        return self._trainer, self._cycle


def _own(metrics: Metrics) -> Metrics:
    """Leaves out the accuracy of node 1, which is the network's own under a name of graphs."""
    return {name: value for name, value in metrics.items() if name != f"accuracy_{TARGET}"}
