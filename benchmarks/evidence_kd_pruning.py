"""Does what a teacher gives survive pruning, and what is pruning worth?

All cells of Park et al.'s tables (scratch, label and feature distillation; none, pre, post, pre-post and self) on two
small ResNets: filters removed by L1 norm, and channels by network slimming. One study for each setting and seed: the
space ``kd-pruning``, narrowed to that grid, and the searcher ``grid``, so nothing is selected and every cell is told.
Teachers and unpruned students are made once in each study and shared by its cells.

Studies lie in ``evidence/automl-workspace`` and are resumed there; each finished one is a line in
``evidence/kd-pruning.jsonl``. At the end, one process by itself measures seconds of forward passes, dense and pruned
network in turns. Killed and started again, it goes on with the same numbers.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # two processes share two cores

from evidence_kd_pruning_report import publish_evidence  # noqa: E402
from pruning import ratios  # noqa: E402
from reporting import HERE  # noqa: E402
from resumable import Line, carry_on  # noqa: E402

from automl_core import Study  # noqa: E402
from automl_core.exporting import exported  # noqa: E402
from automl_core.randomness import digest  # noqa: E402
from automl_core.records import TrialRow, Workspace  # noqa: E402
from automl_core.types import Json  # noqa: E402
from automl_kd_pruning.measured import read  # noqa: E402
from automl_spaces.graph import Node  # noqa: E402
from automl_spaces.trainings import Method, Training  # noqa: E402
from automl_vision.exporting import CARD  # noqa: E402

SETTINGS: Mapping[Method, Mapping[str, Any]] = {
    "l1-norm": {"models": ["resnet8"], "ratios": ["0.5/0.6/0.7"]},
    "slimming": {"models": ["preresnet11"], "remaining": [0.5], "sparsity": 1e-3},
}
"""Of the space. Shares are published ones; the published penalty is 1e-5, for some hundred times as many steps."""

BETA = 125.0
"""Of feature distillation. Published: 500, at 100 classes and maps of four times the pixels. With 10 classes
cross-entropy begins at half of that, and the mean difference of normalised maps of a quarter at twice."""

TRAINER: Mapping[str, Any] = {
    "batch": 64,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "schedule": "step",
    "milestones": [0.5, 0.75],
    "pad": 2,
    "padding": "zeros",
}
"""As published, but for the padding, which is 4 at images of twice the side."""

FINE_TUNING: Mapping[str, Any] = {"lr": 0.01, "schedule": "constant"}
"""Published: 0.001, for a hundred times as many steps."""

BATCHES, ROUNDS = (1, 64), 9


@dataclass(frozen=True)
class Scale:
    """Sizes of everything; none differs between cells.

    Args:
        images: Training images, and at most as many to validate on.
        resize: Rows and columns of the images, in pixels.
        epochs: Of a training before pruning.
        tuning: Epochs of fine-tuning.
        seeds: How many.
    """

    images: int = 4_000
    resize: int = 16
    epochs: int = 20
    tuning: int = 6
    seeds: int = 3


SMALL = Scale(images=80, resize=8, epochs=1, tuning=1, seeds=1)


@dataclass(frozen=True)
class Piece:
    """All cells of one setting and seed.

    Args:
        method: What removes.
        seed: Of the study.
        data: Path of the images; empty for the digits.
        scale: Sizes.
        workspace: Directory of its study.
        until: When it is to stop, to go on later; seconds since the epoch.
    """

    method: Method
    seed: int
    data: str
    scale: Scale
    workspace: str
    until: float

    @property
    def key(self) -> str:
        """Changes with everything that decides what comes out."""
        decides = {**asdict(self), "data": Path(self.data).name, "workspace": "", "until": 0}
        return digest(decides, dict(SETTINGS[self.method]), BETA, dict(TRAINER), dict(FINE_TUNING))

    @property
    def study(self) -> str:
        """Name of its study, which goes on only with the same settings."""
        return f"{self.method}-{self.seed}-{self.key[:8]}"


@dataclass(frozen=True)
class Timing:
    """Seconds of a dense and of a pruned network in turns.

    Args:
        dense: Model and options, as JSON.
        pruned: The same of what pruning left.
        sizes: Channels, classes, rows and columns that they are built for.
    """

    dense: str
    pruned: str
    sizes: tuple[int, int, int, int]

    @property
    def key(self) -> str:
        return digest(asdict(self), list(BATCHES), ROUNDS)


def planned(data: str, scale: Scale, workspace: str, until: float) -> list[Piece]:
    """Lists all studies, so that what is there at any time is balanced."""
    return [Piece(method, seed, data, scale, workspace, until) for seed in range(scale.seeds) for method in SETTINGS]


def perform(piece: Piece) -> Line:
    """Runs a study, or goes on with it, and gives its line."""
    began = time.perf_counter()
    left = max(1.0, piece.until - time.time())
    if piece.study in {row.name for row in Workspace(piece.workspace).studies()}:
        study = Study.resume(piece.study, workspace=piece.workspace, time_limit=left)
    else:
        study = _study(piece).run(time_limit=left)
    if study.status != "finished":  # out of time, or killed softly: no half of a piece
        raise RuntimeError(f"a study must be finished, but {piece.study} is {study.status}; start again to go on")
    dataset: Any = study.assembly.dataset
    dataset.load()
    results, _ = read([study.record])
    rows = study.record.trials()
    return {
        **asdict(piece),
        "data": Path(piece.data).name,
        "workspace": "",
        "until": 0,
        "sizes": [dataset.channels, dataset.classes, *dataset.image_size],
        "images": {name: len(dataset.split(name)) for name in ("train", "validation")},
        "cells": [_cell(study, row) for row in rows if row.role == "candidate"],
        "support": [
            {"training": one.training.to_json(), "metrics": dict(one.metrics)}
            for one in results.all[len(results.candidates) :]
        ],
        "jobs": [[row.role, row.label, row.budget, row.cost] for row in rows],
        "seconds": time.perf_counter() - began,
    }


def _study(piece: Piece) -> Study:
    scale = piece.scale
    data: dict[str, Json] = {"limit": scale.images, "resize": scale.resize}
    return Study(
        space="kd-pruning",
        searcher="grid",
        dataset="npz" if piece.data else "digits",
        min_budget=scale.tuning,
        max_budget=scale.tuning,
        seed=piece.seed,
        device="cpu",
        threads=1,
        options={
            "space": {"methods": [piece.method], "betas": [BETA], **SETTINGS[piece.method]},
            "evaluator": {"epochs": scale.epochs, "latency": False, **FINE_TUNING},
            "dataset": {**data, "path": piece.data} if piece.data else data,
            "trainer": TRAINER,
        },
        name=piece.study,
        workspace=piece.workspace,
        checkpoint="all",  # the networks that pruning left are timed at the end
    )


def _cell(study: Study, row: TrialRow) -> Line:
    """Tells what came of one cell, right after pruning and at the end, and which network is left."""
    training = study.assembly.space.decode(row.configuration)
    if not isinstance(training, Training) or training.origin is None:
        raise RuntimeError(f"the space kd-pruning must give fine-tunings of pruned networks, but gave {training}")
    curve = dict(next(part for number, part in study.record.journal.curves() if number == row.number))
    with exported(study, row.number) as found:
        card = json.loads((found.directory / CARD).read_text(encoding="utf-8"))
    return {
        "training": training.to_json(),
        "metrics": dict(row.metrics),
        "dense": [training.model.model, dict(training.model.options)],
        "pruned": [card["model"], card["options"]],
        "accuracy right after pruning": curve[0]["accuracy"],
    }


def time_networks(timing: Timing) -> Line:
    """Measures one pair of networks."""
    import torch

    from automl_vision.costs import Sizes

    torch.set_num_threads(1)
    channels, classes, *image_size = timing.sizes
    sizes = Sizes(channels, classes, (image_size[0], image_size[1]))
    dense, pruned = (sizes.build(Node(*json.loads(one))) for one in (timing.dense, timing.pruned))
    found = {}
    for batch in BATCHES:
        times, shares = ratios(dense, pruned, batch, sizes, ROUNDS)
        found[str(batch)] = {"dense seconds": times, "ratios": shares}
    return {**asdict(timing), "batches": found}


def timings(lines: Sequence[Line]) -> list[Timing]:
    """Lists the pairs of networks of the first seed's cells; equal ones once."""
    first = min((line["seed"] for line in lines), default=0)
    pairs = {timing_of(line, cell): None for line in lines if line["seed"] == first for cell in line["cells"]}
    return list(pairs)


def timing_of(line: Line, cell: Line) -> Timing:
    """Gives the pair of networks of a cell."""
    dense, pruned = (json.dumps(cell[name], sort_keys=True) for name in ("dense", "pruned"))
    channels, classes, rows, columns = line["sizes"]
    return Timing(dense, pruned, (channels, classes, rows, columns))


def _told(piece: Piece, line: Line) -> str:
    cells = [*line["support"], *line["cells"]]
    shown = (f"{100 * one['metrics']['accuracy']:.1f}" for one in cells)
    return f"{piece.method}, seed {piece.seed}: {', '.join(shown)} %, {line['seconds']:.0f} s"


def _timed(timing: Timing, line: Line) -> str:
    found = (f"batch {batch} {median(one['ratios']):.2f}" for batch, one in line["batches"].items())
    return f"{timing.dense}: latency over the dense network's: {', '.join(found)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="images in an .npz file in the layout of MedMNIST; digits without")
    parser.add_argument("--processes", type=int, default=2, help="at once, for all but the seconds of forward passes")
    parser.add_argument("--minutes", type=float, default=36.0, help="studies stop then; start again to go on")
    parser.add_argument("--small", action="store_true", help="at a scale that shows nothing but that it runs")
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md, results/ and evidence/ are")
    given = parser.parse_args(arguments)
    if given.data and not Path(given.data).is_file():
        parser.error(
            f"--data must be an .npz file with train_images, train_labels and so on, but got {given.data}; with make: "
            "make evidence-kd-pruning DATA=images.npz, or without DATA for the digits"
        )
    evidence = given.results / "evidence"
    record = evidence / ("kd-pruning-small.jsonl" if given.small else "kd-pruning.jsonl")
    data = str(Path(given.data).resolve()) if given.data else ""
    scale = SMALL if given.small else Scale()
    seconds = 60 * given.minutes
    pieces = planned(data, scale, str((evidence / "automl-workspace").resolve()), time.time() + seconds)
    done, _ = carry_on(record, pieces, perform, _told, given.processes, time.monotonic() + seconds, "studies")
    finished = [done[piece.key] for piece in pieces if piece.key in done]
    missing, timed = len(pieces) - len(finished), []
    if not missing:  # seconds are measured when nothing else runs
        pairs = timings(finished)
        done, _ = carry_on(record, pairs, time_networks, _timed, 1, math.inf, "pairs of networks")
        timed = [done[pair.key] for pair in pairs]
    if finished:
        publish_evidence(finished, timed, len(pieces), given.results)
    if missing:
        print(f"{missing} of {len(pieces)} studies are missing; start again to go on", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
