"""Whether what distillation gains adds to what pruning loses, and to what augmentation gains: the published tables.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), tables 1 to 5.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from automl_core.records import plain
from automl_core.types import Json
from automl_kd_pruning.measured import NOTHING, Cell, Measured, Results, dump, read
from automl_kd_pruning.surplus import Surplus
from automl_spaces.graph import LABEL, TARGET, KnowledgeTransferGraph
from automl_spaces.kd_augment import OFF
from automl_spaces.recipe import Recipe
from automl_spaces.trainings import METHODS, Distillation, Kind, Phase, Pruning, Training, kind_of, phase_of

if TYPE_CHECKING:
    from automl_core.records import StudyRecord

GAINS = ("params", "flops", "latency", "size")

_SWITCHED_OFF = {name: value for options in OFF.values() for name, value in options.items()}


@dataclass(frozen=True)
class PruningRow:
    """One row of tables 1 to 3.

    Args:
        network: Model that is pruned.
        pruning: What is removed.
        before: Options of the trainer before pruning.
        kind: Type of distillation.
        numbers: Its weights and temperature.
        unpruned: The whole network.
        tuned: Fine-tuned with labels alone; in rows with distillation: taught before pruning.
        post: Taught after it.
        pre_post: Taught in both.
        self_distilled: Taught in both, after pruning by the unpruned student.
        surplus: None without distillation, or when a term is missing.
    """

    network: str
    pruning: Pruning
    before: Mapping[str, Json]
    kind: Kind
    numbers: Mapping[str, float]
    unpruned: Cell
    tuned: Cell
    post: Cell = NOTHING
    pre_post: Cell = NOTHING
    self_distilled: Cell = NOTHING
    surplus: Surplus | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        return self.unpruned, self.tuned, self.post, self.pre_post, self.self_distilled

    def to_json(self) -> Json:
        names = ("unpruned", "pre" if self.kind != "none" else "fine_tuned", "post", "pre_post", "self")
        return {
            "network": self.network,
            **self.pruning.to_json(),
            "trainer_before": dict(self.before),
            "type": self.kind,
            **self.numbers,
            **{name: cell.to_json() for name, cell in zip(names, self.cells, strict=True) if cell.values},
            "surplus": None if self.surplus is None else self.surplus.to_json(),
        }


@dataclass(frozen=True)
class AugmentationRow:
    """One row of tables 4 and 5.

    Args:
        network: Model of teacher and student.
        augmentation: Options of the trainer that are switched on and off.
        beside: Augmentation of all cells: options of the study's trainer that no switch is for.
        kind: Type of distillation; without any, the switch is the student's alone.
        numbers: Its weights and temperature.
        cells: By switches: whether the teacher's training is augmented, and whether the student's is.
    """

    network: str
    augmentation: Mapping[str, Json]
    beside: Mapping[str, Json]
    kind: Kind
    numbers: Mapping[str, float]
    cells: Mapping[tuple[bool, bool], Cell]

    def to_json(self) -> Json:
        return {
            "network": self.network,
            "augmentation": dict(self.augmentation),
            "trainer_of_all": dict(self.beside),
            "type": self.kind,
            **self.numbers,
            "cells": [
                {"teacher": teacher if self.kind != "none" else None, "student": student, **cell.to_json()}
                for (teacher, student), cell in self.cells.items()
                if cell.values
            ],
        }


@dataclass(frozen=True)
class Gain:
    """What a pruning makes of a number, on average over candidates.

    Args:
        network: Model that is pruned.
        pruning: What is removed.
        metric: ``params``, ``flops``, ``latency`` (seconds), ``size`` (bytes) or ``sparsity``, which was none before.
        before: Of the whole network.
        after: Of what is left.
        trials: Number of candidates.
    """

    network: str
    pruning: Pruning
    metric: str
    before: float
    after: float
    trials: int

    def to_json(self) -> Json:
        numbers = {"metric": self.metric, "before": self.before, "after": self.after, "trials": self.trials}
        return {"network": self.network, **self.pruning.to_json(), **numbers}


@dataclass(frozen=True)
class Orthogonality:
    """All tables of some studies.

    Args:
        studies: Their names.
        dataset: What they train on.
        budget: Full budget of their candidates.
        unit: What it counts.
        trainer: Augmentation of all their trainings: what the studies' own trainer has and no training decides.
        pruning: Tables 1 to 3.
        augmentation: Tables 4 and 5.
        gains: What pruning makes of the networks.
        left_out: By study: candidates that did not complete the full budget.
    """

    studies: tuple[str, ...]
    dataset: str
    budget: int
    unit: str
    trainer: Mapping[str, Json]
    pruning: tuple[PruningRow, ...]
    augmentation: tuple[AugmentationRow, ...]
    gains: tuple[Gain, ...]
    left_out: Mapping[str, tuple[int, ...]]

    def to_json(self) -> Json:
        document = {
            "studies": self.studies,
            "dataset": self.dataset,
            "metric": "accuracy",
            "split": "validation",
            "budget": self.budget,
            "unit": self.unit,
            "trainer_of_all": dict(self.trainer),
            "pruning": [row.to_json() for row in self.pruning],
            "augmentation": [row.to_json() for row in self.augmentation],
            "gains": [gain.to_json() for gain in self.gains],
            "left_out": self.left_out,
        }
        return plain(document)


def orthogonality(records: Sequence[StudyRecord]) -> Orthogonality:
    """Reads studies of one data set, trained alike, and lays out their accuracies as the published tables do.

    Raises:
        RequestError: For studies that cannot be compared, that decode to no trainings, or without a finished candidate.
    """
    results, left_out = read(records)
    first = records[0]
    own = first.spec.trainer
    decided = {name for one in results.all for name in one.training.recipe.trainer}
    return Orthogonality(
        studies=tuple(record.spec.name for record in records),
        dataset=first.spec.dataset.name if first.spec.dataset is not None else "no data set",
        budget=first.spec.max_budget,
        unit=first.spec.unit,
        trainer=_switched_on({name: value for name, value in own.items() if name not in decided}),
        pruning=tuple(pruning_rows(results)),
        augmentation=tuple(augmentation_rows(results, own)),
        gains=tuple(gains(results.candidates)),
        left_out=left_out,
    )


def pruning_rows(results: Results) -> list[PruningRow]:
    """Lays out tables 1 to 3: for each pruned network a row without distillation, then one for each kind of it."""
    blocks: dict[str, Training] = {}
    taught: dict[str, dict[str, Training]] = {}
    for one in (measured.training for measured in results.all):
        if one.pruning is None or one.origin is None:
            continue
        name = dump([_block(one), one.origin.recipe.trainer])
        scratch = Training(Recipe(Distillation().graph(one.model), one.origin.recipe.trainer))
        blocks.setdefault(name, replace(one, recipe=Recipe(scratch.graph), teachers=(), origin=scratch))
        graph = one.graph if one.graph.frozen else one.origin.graph
        if graph.frozen:
            whole = Training(Recipe(graph, one.origin.recipe.trainer), (scratch,))
            taught.setdefault(name, {})[dump(graph.to_json())] = whole
    rows: list[PruningRow] = []
    for name in sorted(blocks, key=lambda name: _block(blocks[name])):
        alone = _alone(results, blocks[name])
        students = sorted(taught.get(name, {}).values(), key=_kind_order)
        rows += [alone, *(_taught(results, alone, blocks[name], student) for student in students)]
    return rows


def _alone(results: Results, tuned: Training) -> PruningRow:
    """Gives the row without distillation.

    Args:
        results: Where accuracies are found.
        tuned: The fine-tuning of a network that never had a teacher.
    """
    assert tuned.origin is not None, "a pruned network goes on from a whole one"
    assert tuned.pruning is not None, "only pruned networks have a row"
    return PruningRow(
        network=tuned.model.model,
        pruning=tuned.pruning,
        before=tuned.origin.recipe.trainer,
        kind="none",
        numbers={},
        unpruned=results.cell(tuned.origin),
        tuned=results.cell(tuned),
    )


def _taught(results: Results, alone: PruningRow, tuned: Training, student: Training) -> PruningRow:
    """Gives the row of one kind of distillation.

    Args:
        results: Where accuracies are found.
        alone: The row without distillation.
        tuned: The fine-tuning of a network that never had a teacher.
        student: The whole network, taught.
    """
    after = replace(tuned, recipe=Recipe(student.graph))
    trainings: dict[Phase, Training] = {
        "pre": replace(tuned, origin=student),
        "post": replace(after, teachers=student.teachers),
        "pre-post": replace(after, teachers=student.teachers, origin=student),
        "self": replace(after, teachers=(student,), origin=student),
    }
    assert all(phase_of(training) == phase for phase, training in trainings.items())
    cells = {phase: results.cell(training) for phase, training in trainings.items()}
    unpruned = results.cell(student)
    return replace(
        alone,
        kind=kind_of(student.graph),
        numbers=numbers(student.graph),
        unpruned=unpruned,
        tuned=cells["pre"],
        post=cells["post"],
        pre_post=cells["pre-post"],
        self_distilled=cells["self"],
        surplus=Surplus.of(alone.unpruned, unpruned, alone.tuned, cells["self"]),
    )


def augmentation_rows(results: Results, own: Mapping[str, Json] | None = None) -> list[AugmentationRow]:
    """Lays out tables 4 and 5: for each network and augmentation a row without distillation, then one for each kind.

    Args:
        results: Where accuracies are found.
        own: Options of the studies' own trainer, which a training has unless it decides them itself.
    """
    own = own or {}
    whole = [one for one in results.all if one.training.origin is None]
    found = Results([replace(one, training=_augmented(one.training, own)) for one in whole], [])
    switches: dict[str, tuple[Training, Mapping[str, Json], Mapping[str, Json]]] = {}
    students: dict[str, Training] = {}
    for one in (measured.training for measured in results.candidates if measured.training.origin is None):
        scratch = Training(Recipe(Distillation().graph(one.model)))
        for decided in (one.recipe.trainer, *(teacher.recipe.trainer for teacher in one.teachers)):
            options = _switched_on(decided)
            beside = _switched_on({name: value for name, value in own.items() if name not in decided})
            if options:
                switches[dump([one.model.signature, options, beside])] = scratch, options, beside
        for student in (scratch, one):
            students[dump(student.graph.to_json())] = student
    rows = []
    for name in sorted(switches):
        scratch, switched, common = switches[name]
        alike = [student for student in students.values() if student.model == scratch.model]
        for student in sorted(alike, key=_kind_order):
            row = _augmentation_row(found, student.graph, switched, common)
            if any(cell.values for cell in row.cells.values()):
                rows.append(row)
    return rows


def _augmentation_row(
    results: Results, graph: KnowledgeTransferGraph, options: Mapping[str, Json], beside: Mapping[str, Json]
) -> AugmentationRow:
    cells = {}
    for teacher in (False, True) if graph.frozen else (False,):
        for student in (False, True):
            taught_by = Recipe(Distillation().graph(graph.node(TARGET)), {**beside, **(options if teacher else {})})
            teachers = (Training(taught_by),) if graph.frozen else ()
            recipe = Recipe(graph, {**beside, **(options if student else {})})
            cells[teacher, student] = results.cell(Training(recipe, teachers))
    return AugmentationRow(graph.node(TARGET).model, options, beside, kind_of(graph), numbers(graph), cells)


def _augmented(training: Training, own: Mapping[str, Json]) -> Training:
    """Gives a training with the augmentation that it really has as its options, and its teachers with theirs."""
    return replace(
        training,
        recipe=Recipe(training.graph, _switched_on({**own, **training.recipe.trainer})),
        teachers=tuple(_augmented(teacher, own) for teacher in training.teachers),
    )


def _switched_on(trainer: Mapping[str, Json]) -> dict[str, Json]:
    """Gives those of a trainer's options that augment images; a random policy's seed is that of a repetition."""
    strengths = {"magnitude": trainer.get("augmentations")}
    return {
        name: value for name, value in trainer.items() if value != _SWITCHED_OFF.get(name, value) or strengths.get(name)
    }


def gains(candidates: Iterable[Measured]) -> list[Gain]:
    """Averages what was measured before and after each pruning."""
    blocks: dict[tuple[Any, ...], list[Measured]] = {}
    for one in candidates:
        if one.training.pruning is not None:
            blocks.setdefault(_block(one.training), []).append(one)
    found = []
    for block in sorted(blocks):
        training = blocks[block][0].training
        assert training.pruning is not None, "only pruned networks are kept above"
        for metric in (*GAINS, "sparsity"):
            pairs = [
                (metrics.get(f"{metric}_before", 0.0), metrics[metric])
                for metrics in (one.metrics for one in blocks[block])
                if metric in metrics and (f"{metric}_before" in metrics or metric == "sparsity")
            ]
            if pairs:
                before, after = (statistics.fmean(column) for column in zip(*pairs, strict=True))
                found.append(Gain(training.model.model, training.pruning, metric, before, after, len(pairs)))
    return found


def numbers(graph: KnowledgeTransferGraph) -> dict[str, float]:
    """Reads the weights and the temperature of distillation from a graph."""
    for edge in graph.incoming(TARGET):
        if edge.source != LABEL:
            if kind_of(graph) == "feature":
                return {"beta": edge.weight}
            return {"alpha": edge.weight, "temperature": edge.options.get("temperature", 1.0)}
    return {}


def _block(training: Training) -> tuple[Any, ...]:
    """What makes a block of rows, in the order of the published tables."""
    pruning = training.pruning
    assert pruning is not None, "only pruned networks have a block"
    return METHODS.index(pruning.method), training.model.signature, pruning.remaining, pruning.spared


def _kind_order(training: Training) -> tuple[int, list[float]]:
    kinds: tuple[Kind, ...] = ("none", "label", "feature")
    return kinds.index(kind_of(training.graph)), list(numbers(training.graph).values())
