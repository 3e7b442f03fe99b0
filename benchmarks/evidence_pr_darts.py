"""PR-DARTS against plain DARTS and random search among the same cells, at equal wall seconds.

Every search has the same seconds, its candidates' own training included, and may find any cell of the space cells-dl.
What it finds best is then trained anew on training and validation images, in the same way for all, and measured on test
images. How many epochs a supernet trains is fixed beforehand: the first pieces of work measure what an epoch takes on
this machine, and PR-DARTS' published table of cycles and DARTS' epochs are scaled to the seconds. Each finished piece,
those measurements too, is a line in ``evidence/pr-darts.jsonl``: killed and started again, it goes on with what is
missing, with the same numbers. Tables, cells and figures go into README.md and results/.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # two processes share two cores

from evidence_pr_darts_epochs import (  # noqa: E402
    CALIBRATED_CYCLES,
    CALIBRATED_EPOCHS,
    cycles_within,
    epochs_within,
)
from evidence_pr_darts_report import publish_evidence  # noqa: E402
from reporting import HERE  # noqa: E402
from resumable import Line, carry_on  # noqa: E402
from virtual import workspace  # noqa: E402

from automl_core import Job, Observation, Outcome, Study  # noqa: E402
from automl_core.engine.progress import Progress  # noqa: E402
from automl_core.randomness import digest  # noqa: E402
from automl_core.retraining import sized_space  # noqa: E402
from automl_core.types import Json  # noqa: E402

SPACE = "cells-dl"
TRAINER: Mapping[str, Any] = {
    "batch": 32,
    "lr": 0.05,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 3e-4,
    "schedule": "cosine",
    "clip": 5.0,
    "pad": 2,
    "padding": "zeros",
}
"""Of candidates and retrainings. Published: batch 96, from 0.025; here there are far fewer steps."""

SUPERNET: Mapping[str, Any] = {"batch": 32, "largest_batch": 32, "lr": 0.05, "final_lr": 0.02, "architecture_lr": 0.04}
"""Of both supernets. Adam's published rates times the published steps (PR-DARTS: of a cycle) are about 0.04 times the
steps here: with 3e-4 or 6e-4 the operations would stay equally probable."""

Arm = Literal["pr-darts", "darts", "random"]
ARMS: tuple[Arm, ...] = ("pr-darts", "darts", "random")
Part = Literal["calibration", "search"]


@dataclass(frozen=True)
class Scale:
    """Sizes of everything; none differs between searches.

    Args:
        images: Training images of a search, and at most as many to validate; a supernet trains on a half each.
        resize: Rows and columns of the images, in pixels.
        cells: Cells of supernets and of candidates in the search.
        channels: Their channels.
        candidate_epochs: How long a candidate is trained in the search.
        seconds: Of a search, everything included.
        final_images: Training images, validation images and test images of the retraining, at most as many of each.
        final_cells: Cells of the retrained network.
        final_channels: Its channels.
        final_seconds: About how long a retraining takes.
        average: Over how many last epochs its test accuracy is the mean.
        seeds: How many.
    """

    images: int = 600
    resize: int = 16
    cells: int = 3
    channels: int = 4
    candidate_epochs: int = 6
    seconds: float = 300.0
    final_images: int = 600
    final_cells: int = 5
    final_channels: int = 8
    final_seconds: float = 110.0
    average: int = 3
    seeds: int = 3


SMALL = Scale(images=80, resize=8, channels=4, candidate_epochs=1, seconds=10.0, final_images=80, final_cells=3,
              final_channels=4, final_seconds=1.0, average=1, seeds=1)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """One search with its retraining, or one measurement of how long its parts take.

    Args:
        part: Which of both.
        arm: The searcher.
        seed: Seed of search and retraining.
        data: Path of the images; empty for the digits.
        scale: Sizes.
        epochs: Epochs of each of the supernet's cycles; none for random search, and in a calibration.
        grace: Grace epochs of each.
        final_epochs: Epochs of the retraining.
    """

    part: Part
    arm: Arm
    seed: int
    data: str
    scale: Scale
    epochs: tuple[int, ...] = ()
    grace: tuple[int, ...] = ()
    final_epochs: int = 1

    @property
    def key(self) -> str:
        """Changes with everything that decides what comes out."""
        decides = {**asdict(self), "data": Path(self.data).name}
        return digest(decides, dict(TRAINER), dict(SUPERNET), dict(CALIBRATED_CYCLES), dict(CALIBRATED_EPOCHS))

    @property
    def searcher(self) -> dict[str, Json]:
        """Gives the searcher's options."""
        if self.arm == "random":
            return {}
        calibrated = CALIBRATED_CYCLES if self.arm == "pr-darts" else CALIBRATED_EPOCHS
        table = {"cycle_epochs": list(self.epochs), "cycle_grace": list(self.grace)}
        if self.arm == "darts" and self.epochs:
            table = {"epochs": self.epochs[0], "grace": self.grace[0]}
        return {**SUPERNET, "cells": self.scale.cells, "channels": self.scale.channels} | (
            dict(calibrated) if self.part == "calibration" else table
        )


class Watch(Progress):
    """Notes how long each epoch of a supernet took, what supernets reported, and how far candidates were trained.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._before = clock()
        self.epochs: list[tuple[int, int, float]] = []
        """Of a supernet: number of the cycle, the epoch, counted over all cycles, and its seconds."""
        self.reports: list[Json] = []
        self.trained: dict[int, tuple[Mapping[str, Any], int]] = {}
        """Of candidates, those that were cut too: configuration and epochs."""

    def job_started(self, job: Job, label: str) -> None:
        self._before = self._clock()

    def observed(self, job: Job, observation: Observation) -> None:
        now = self._clock()
        if job.role == "candidate":
            self.trained[job.trial] = job.configuration, observation.unit
        elif "cycle" in (job.instruction or {}) and observation.unit > 0:
            self.epochs.append((job.instruction["cycle"]["number"], observation.unit, now - self._before))
        self._before = now

    def job_finished(self, job: Job, outcome: Outcome, label: str) -> None:
        if job.role == "support" and outcome.report:
            self.reports.append(outcome.report)


def planned(data: str, scale: Scale, measured: Mapping[str, Line]) -> list[Piece]:
    """Lists all searches, so that what is there at any time is balanced.

    Args:
        data: Path of the images.
        scale: Sizes.
        measured: What the calibrations found, by searcher.
    """
    epochs, grace = cycles_within(scale.seconds, measured["pr-darts"])
    tables: dict[Arm, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "pr-darts": (epochs, grace),
        "darts": ((epochs_within(scale.seconds, measured["darts"]),), (0,)),
        "random": ((), ()),
    }
    slowest = max(line["final epoch"] for line in measured.values())
    final = max(scale.average, int(scale.final_seconds / slowest))
    return [Piece("search", arm, seed, data, scale, *tables[arm], final) for seed in range(scale.seeds) for arm in ARMS]


def calibrations(data: str, scale: Scale) -> list[Piece]:
    """Lists the measurements: a short search and a short retraining for each of both supernets."""
    # Three epochs, so that what comes before the first one does not count for much.
    return [Piece("calibration", arm, 0, data, scale, final_epochs=3) for arm in ("pr-darts", "darts")]


def perform(piece: Piece) -> Line:
    """Does one piece of work and gives its line."""
    watch, scale = Watch(), piece.scale
    calibrates = piece.part == "calibration"
    with workspace() as directory:
        study = _study(piece, directory)
        began = time.perf_counter()
        study.run(time_limit=scale.seconds if piece.arm == "random" else None, progress=watch)
        seconds = time.perf_counter() - began
        expected = "time-limit" if piece.arm == "random" else "finished"
        sizes = {"cells": scale.final_cells, "channels": scale.final_channels}
        began = time.perf_counter()
        retrained = study.retrain(
            epochs=piece.final_epochs,
            repeats=1,
            average=1 if calibrates else scale.average,
            options={"space": sizes, "dataset": {"limit": scale.final_images}},
        )
        final_seconds = time.perf_counter() - began
        if (study.record.status, retrained["status"]) != (expected, "finished"):
            raise RuntimeError(
                f"a search must be {expected} and its retraining finished, but they are {study.record.status} and "
                f"{retrained['status']}"
            )
        line = {**asdict(piece), "data": Path(piece.data).name, "seconds": seconds, "final seconds": final_seconds}
        if calibrates:
            of_supernet = sum(one for _, _, one in watch.epochs)
            return {
                **line,
                "supernet epochs": watch.epochs,
                "rest": seconds - of_supernet,
                "final epoch": final_seconds / piece.final_epochs,
            }
        return {**line, **_found(study, watch, sizes), "test accuracy": retrained["results"][0]["mean"]}


def _study(piece: Piece, directory: str) -> Study:
    scale = piece.scale
    data: dict[str, Json] = {"limit": scale.images, "resize": scale.resize}
    return Study(
        space=SPACE,
        searcher=piece.arm,
        dataset="npz" if piece.data else "digits",
        min_budget=scale.candidate_epochs,
        max_budget=scale.candidate_epochs,
        trials=1_000_000 if piece.arm == "random" else 1,  # random search ends with its seconds
        seed=piece.seed,
        device="cpu",
        threads=1,
        options={
            "space": {"cells": scale.cells, "channels": scale.channels, "auxiliary": 0.0, "path_dropout": 0.0},
            "searcher": piece.searcher,
            "dataset": {**data, "path": piece.data} if piece.data else data,
            "trainer": TRAINER,
        },
        workspace=directory,
    )


def _found(study: Study, watch: Watch, sizes: Mapping[str, Json]) -> Line:
    """Tells what a search found, and what was spent on it."""
    best = study.best
    foresee, space = study.assembly.evaluator.foresee, study.assembly.space
    large = sized_space(study, {"space": sizes})
    images = _images_of_an_epoch(study)
    candidates = sum(
        epochs * images * foresee(space.decode(configuration))["flops"]
        for configuration, epochs in watch.trained.values()
    )
    return {
        "configuration": dict(best.configuration),
        "validation accuracy": best.metrics["accuracy"],
        "candidates": sum(row.role == "candidate" and row.status == "completed" for row in study.record.trials()),
        "supernet multiply-accumulates": sum(one["images"] * one["multiply_accumulates"] for one in watch.reports),
        "candidate multiply-accumulates": candidates,
        "supernet images": sum(one["images"] for one in watch.reports),
        "candidate images": sum(epochs * images for _, epochs in watch.trained.values()),
        **foresee(large.decode(best.configuration)),
        "curves": [
            [[point.unit, dict(point.metrics)] for point in curve] for curve in study.record.own_curves().values()
        ],
    }


def _images_of_an_epoch(study: Study) -> int:
    """Counts the images on which a candidate is trained in an epoch, without those that fill no batch."""
    from automl_vision import TrainerSettings

    settings = TrainerSettings(**TRAINER)
    images: Any = study.assembly.dataset
    count = len(images.split("train"))
    return min(count, settings.batches(count) * settings.batch)


def _told(piece: Piece, line: Line) -> str:
    if piece.part == "calibration":
        return f"{piece.arm}: {len(line['supernet epochs'])} epochs and the rest, {line['seconds']:.0f} s"
    trained = f"cycles {piece.epochs}, " if piece.epochs else ""
    return (
        f"{piece.arm}, seed {piece.seed}: {trained}{line['candidates']} candidates, validation "
        f"{line['validation accuracy']:.3f}, test {line['test accuracy']:.3f}, search {line['seconds']:.0f} s, "
        f"retraining {piece.final_epochs} epochs, {line['final seconds']:.0f} s"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="images in an .npz file in the layout of MedMNIST; digits without")
    parser.add_argument("--processes", type=int, default=2, help="at once")
    parser.add_argument(
        "--minutes", type=float, default=33.0, help="no piece, of 7 minutes, begins later; start again to go on"
    )
    parser.add_argument("--calibrate", action="store_true", help="only measure, and say what would be done")
    parser.add_argument("--small", action="store_true", help="at a scale that shows nothing but that it runs")
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md, results/ and evidence/ are")
    given = parser.parse_args(arguments)
    if given.data and not Path(given.data).is_file():
        parser.error(
            f"--data must be an .npz file with train_images, train_labels and so on, but got {given.data}; with make: "
            "make evidence-pr-darts DATA=images.npz, or without DATA for the digits"
        )
    record = given.results / "evidence" / ("pr-darts-small.jsonl" if given.small else "pr-darts.jsonl")
    data = str(Path(given.data).resolve()) if given.data else ""
    scale = SMALL if given.small else Scale()
    deadline = time.monotonic() + 60 * given.minutes
    first = calibrations(data, scale)
    done, _ = carry_on(record, first, perform, _told, given.processes, deadline, "calibrations")
    if not all(piece.key in done for piece in first):
        print("a calibration is missing; start again to go on", file=sys.stderr)
        return 1
    measured = {piece.arm: done[piece.key] for piece in first}
    pieces = planned(data, scale, measured)
    for piece in pieces[: len(ARMS)]:
        print(f"{piece.arm}: epochs {piece.epochs}, grace {piece.grace}, retraining {piece.final_epochs} epochs")
    if given.calibrate:
        return 0
    done, _ = carry_on(record, pieces, perform, _told, given.processes, deadline, "searches")
    finished = [done[piece.key] for piece in pieces if piece.key in done]
    if finished:
        publish_evidence(finished, list(measured.values()), len(pieces), given.results)
    missing = len(pieces) - len(finished)
    if missing:
        print(f"{missing} of {len(pieces)} searches are missing; start again to go on", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
