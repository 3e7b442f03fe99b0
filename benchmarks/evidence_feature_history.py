"""Feature histories against what is cheaper: how early, how well they rank, what they change, what they cost.

Four studies at small scale, on the images of ``--data``, in the layout of MedMNIST: (a) the accuracy of the original
head, of the refitted one and of the vote over the epochs of two networks; (b) how well several estimators rank cells of
NAS-Bench-201 early on; (c) HyperBand with and without the estimator on RandAugment's hyperparameters; (d) what an
estimate costs. Each finished piece is a line in ``evidence/feature-history.jsonl``: killed and started again, it goes
on with what is missing. The figures and the tables go into README.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # two processes share two cores; the overhead alone is measured with more threads

from evidence_feature_history_report import publish_evidence  # noqa: E402
from reporting import HERE  # noqa: E402
from resumable import Line, carry_on  # noqa: E402
from virtual import workspace  # noqa: E402

from automl_core import Context, RequestError, Study  # noqa: E402
from automl_core.auditing import audit  # noqa: E402
from automl_core.interfaces import Problem  # noqa: E402
from automl_core.plugins import get_registry  # noqa: E402
from automl_core.randomness import derive_seed, digest  # noqa: E402
from automl_core.sampling import RandomSampler  # noqa: E402
from automl_core.types import Job, Objective, Observation  # noqa: E402

IMAGES = 2_000
TRAINER: Mapping[str, Any] = {
    "batch": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "schedule": "linear",
}
"""Cao's recipe (appendix A.2), but for the batch: 128 instead of 256, since there are a twentieth of the images."""

NETWORKS: Mapping[str, Mapping[str, Any]] = {"resnet8": {}, "vgg16": {"width": 8}}
EPOCHS, SEEDS = 30, 3
CELLS, CELL_EPOCHS = 16, 20
CELL_SIZE = {"cells": 1, "channels": 8}
SEARCH_EPOCHS, SEARCH_SEEDS, RETRAININGS = 8, 3, 2
WITHOUT, WITH = "", "feature-history"
WINDOW, ROUNDS = 10, 5

Part = Literal["epochs", "cells", "search", "overhead"]
PARTS: tuple[Part, ...] = ("epochs", "cells", "search", "overhead")


@dataclass(frozen=True)
class Piece:
    """One training, one search or one measurement.

    Args:
        part: Which of the four studies it belongs to.
        subject: The network; the number of the cell; the estimator that ranks.
        seed: Seed of training or search.
        epochs: How far, or the maximum budget of a search.
        threads: Threads that it may use.
        data: Path of the images.
        images: How many training images.
    """

    part: Part
    subject: str
    seed: int
    epochs: int
    threads: int
    data: str
    images: int

    @property
    def key(self) -> str:
        """Changes with everything that decides what comes out."""
        decides = {**asdict(self), "data": Path(self.data).name}
        sizes = {"epochs": NETWORKS.get(self.subject), "cells": CELL_SIZE, "search": RETRAININGS}
        return digest(decides, dict(TRAINER), sizes.get(self.part, [WINDOW, ROUNDS]))


def planned(data: str, parts: Sequence[str], small: bool) -> list[Piece]:
    """Lists all pieces, so that what is there at any time is balanced.

    Args:
        data: Path of the images.
        parts: Which studies.
        small: Whether to do everything at a scale that shows nothing but that it runs.
    """
    images, seeds, cells = (200, 1, 3) if small else (IMAGES, SEEDS, CELLS)
    epochs, cell_epochs, search_epochs = (3, 4, 2) if small else (EPOCHS, CELL_EPOCHS, SEARCH_EPOCHS)

    def piece(part: Part, subject: str, seed: int, epochs: int, threads: int = 1) -> Piece:
        return Piece(part, subject, seed, epochs, threads, data, images)

    pieces = [
        *(piece("epochs", network, seed, epochs) for seed in range(seeds) for network in NETWORKS),
        *(piece("cells", str(cell), 0, cell_epochs) for cell in range(cells)),
        *(piece("search", ranks, seed, search_epochs) for seed in range(seeds) for ranks in (WITHOUT, WITH)),
        *(piece("overhead", network, 0, WINDOW, threads) for threads in (1, 2) for network in NETWORKS),
    ]
    return [one for one in pieces if one.part in parts]


def perform(piece: Piece) -> Line:
    """Does one piece of work and gives its line."""
    began = time.perf_counter()
    do = {"epochs": _epochs, "cells": _cell, "search": _search, "overhead": _overhead}[piece.part]
    return {**asdict(piece), "data": Path(piece.data).name, **do(piece), "seconds": time.perf_counter() - began}


def _epochs(piece: Piece) -> Line:
    from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node

    network = Node(piece.subject, NETWORKS[piece.subject])
    return _trained(piece, KnowledgeTransferGraph((network,), (Edge(0, 1),)), derive_seed(piece.seed, piece.subject))


def _cell(piece: Piece) -> Line:
    space = get_registry().create("space", "nas-bench-201", CELL_SIZE)
    sampler = RandomSampler(space, piece.seed)
    configuration = [sampler.draw() for _ in range(int(piece.subject) + 1)][-1]
    cell = space.decode(configuration)
    found = _trained(piece, cell, derive_seed(piece.seed, space.canonical(configuration)))
    return {"configuration": dict(configuration), "architecture": cell.architecture, **found}


def _trained(piece: Piece, description: Any, seed: int) -> Line:
    """Trains, and estimates after every epoch."""
    registry, dataset, evaluator = get_registry(), _dataset(piece), _evaluator()
    space = registry.create("space", "nas-bench-201", CELL_SIZE)
    problem = Problem(space, (Objective("accuracy"),), 1, piece.epochs, None, piece.seed)
    history, untrained = registry.create("estimator", WITH, {"window": WINDOW}), None
    history.start(problem)
    if piece.part == "cells":
        untrained = registry.create("estimator", "naswot", {})
        untrained.start(problem)
    needs = frozenset({"features", "network"})
    context = Context(seed, piece.epochs, dataset=dataset, threads=piece.threads, needs=needs)
    curve, accuracies, score = [], [], None
    for observation in evaluator.start(description, context).advance(Job(0, {}, 0, piece.epochs)):
        curve.append([observation.unit, dict(observation.metrics)])
        history.observe(observation)
        if observation.unit == 0:
            score = None if untrained is None else _score(untrained, observation)
        else:
            accuracies.append(asdict(history.accuracies()))
    return {"curve": curve, "accuracies": accuracies, "naswot": score}


def _score(untrained: Any, observation: Observation) -> float | None:
    """Gives NASWOT's score; None for a network that has none, such as a cell without a rectifier."""
    try:
        untrained.observe(observation)
        return float(untrained.estimate().metrics["accuracy"])
    except RequestError:
        return None


def _search(piece: Piece) -> Line:
    with workspace() as directory:
        study = Study(
            space="randaugment",
            searcher="hyperband",
            estimator=piece.subject or (),
            dataset="npz",
            min_budget=1,
            max_budget=piece.epochs,
            seed=piece.seed,
            device="cpu",
            threads=piece.threads,
            options={
                "space": {"model": "resnet8"},
                "searcher": {"eta": 2},
                "dataset": {"path": piece.data, "limit": piece.images},
                "trainer": TRAINER,
            },
            workspace=directory,
        ).run()
        best = study.best
        rows = [row for row in study.record.trials() if row.role == "candidate"]
        retrained = study.retrain(epochs=piece.epochs, repeats=RETRAININGS)
        if {study.status, retrained["status"]} != {"finished"}:  # what is killed softly must not leave half a piece
            raise RuntimeError(f"search and retraining must be finished, but are {study.status}, {retrained['status']}")
        return {
            "configuration": dict(best.configuration),
            "ranked by": best.value,
            "validation accuracy": best.metrics["accuracy"],
            "test accuracy": retrained["results"][0]["values"],
            "trials": len(rows),
            "epochs trained": sum(row.budget for row in rows),
            "search seconds": sum(row.cost for row in rows),
            "audit": [one.to_json() for one in audit(study.record)],
        }


def _overhead(piece: Piece) -> Line:
    """Measures an epoch without the estimator, one with it, and an estimate with a full window, turn by turn."""
    from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node

    graph = KnowledgeTransferGraph((Node(piece.subject, NETWORKS[piece.subject]),), (Edge(0, 1),))
    registry, dataset, evaluator = get_registry(), _dataset(piece), _evaluator()
    space = registry.create("space", "nas-bench-201", CELL_SIZE)
    plain = Context(0, 10**6, dataset=dataset, threads=piece.threads)
    watched = replace(plain, needs=frozenset({"features"}))
    runs = {
        name: evaluator.start(graph, context).advance(Job(0, {}, 0, 10**6))
        for name, context in (("bare", plain), ("watched", watched))
    }
    for run in runs.values():
        next(run), next(run)  # the untrained network, and an epoch that warms up
    turns = []
    for _ in range(ROUNDS):
        seconds = {"bare": _timed(lambda: next(runs["bare"])), "watched": _timed(lambda: next(runs["watched"]))}
        observation: Observation = next(runs["watched"])
        history = registry.create("estimator", WITH, {"window": piece.epochs})
        history.start(Problem(space, (Objective("accuracy"),), 1, 10**6, None, 0))
        for unit in range(1, piece.epochs + 1):
            own = replace(observation.features, train=observation.features.train.clone(), seed=unit)
            history.observe(replace(observation, unit=unit, features=own))
        held = history.nbytes
        seconds["estimate"] = _timed(history.estimate)
        turns.append({**seconds, "bytes": held, "bytes after": history.nbytes})
    ratios = [turn["estimate"] / turn["bare"] for turn in turns]
    return {"turns": turns, "ratio": statistics.median(ratios)}


def _timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _evaluator() -> Any:
    from automl_vision import GraphEvaluator, TrainerSettings

    return GraphEvaluator(TrainerSettings(**TRAINER))


@cache
def _loaded(path: str, images: int) -> Any:
    dataset = get_registry().create("dataset", "npz", {"path": path, "limit": images})
    dataset.load()
    return dataset


def _dataset(piece: Piece) -> Any:
    return _loaded(piece.data, piece.images)


def _told(piece: Piece, line: Line) -> str:
    found = {
        "epochs": lambda: f"{line['accuracies'][-1]}",
        "cells": lambda: f"{line['architecture']}: {line['curve'][-1][1]['accuracy']:.3f}",
        "search": lambda: f"{line['configuration']}, test accuracy {line['test accuracy']}",
        "overhead": lambda: f"{piece.threads} threads, {line['ratio']:.3f} of an epoch",
    }[piece.part]()
    return f"{piece.part}, {piece.subject or 'without'}, seed {piece.seed}: {found}, {line['seconds']:.0f} s"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="images in an .npz file in the layout of MedMNIST, such as a part of CIFAR-10")
    parser.add_argument("--processes", type=int, default=2, help="at once, for all but the overhead")
    parser.add_argument("--minutes", type=float, default=40.0, help="no piece begins later; start again to go on")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--small", action="store_true", help="at a scale that shows nothing but that it runs")
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md, results/ and evidence/ are")
    given = parser.parse_args(arguments)
    if given.data is None or not Path(given.data).is_file():
        parser.error(
            f"--data must be an .npz file with train_images, train_labels and so on, but got {given.data}; "
            "with make: make evidence-feature-history DATA=images.npz"
        )
    record = given.results / "evidence" / ("feature-history-small.jsonl" if given.small else "feature-history.jsonl")
    pieces = planned(str(Path(given.data).resolve()), given.parts, given.small)
    deadline = time.monotonic() + 60 * given.minutes
    done: dict[str, Line] = {}
    # What an estimate costs is measured when nothing else runs.
    for parts, processes in ((PARTS[:-1], given.processes), (PARTS[-1:], 1)):
        chosen = [piece for piece in pieces if piece.part in parts]
        if chosen:
            found, _ = carry_on(record, chosen, perform, _told, processes, deadline)
            done |= found
    finished = [done[piece.key] for piece in pieces if piece.key in done]
    publish_evidence(finished, len(pieces), given.results)
    missing = len(pieces) - len(finished)
    if missing:
        print(f"{missing} of {len(pieces)} pieces are missing; start again to go on", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
