"""Does refining a design space find what is good, and how soon? On a table whose truth is known, and on graphs.

Cells: on the tables of NAS-Bench-201 the searcher ``refine``, random search and SMAC look for a cell within half a
point of the best one; what counts is how many different trainings were paid for until then. Nothing is trained.

Graphs: one refinement of the space ``ktg`` at the published number of configurations, on images and networks that are
small enough for 270 samples a step, from A to X; its best graph is then trained anew against its controls.

Each finished search is a line in ``evidence/refine.jsonl``; the study of the graphs lies in
``evidence/automl-workspace`` and is resumed there. Killed and started again, it goes on with the same numbers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # two processes share two cores

from evidence_refine_cells import CONTENDERS, FLOORS, planned, search, told  # noqa: E402
from evidence_refine_report import publish_evidence  # noqa: E402
from reporting import HERE  # noqa: E402
from resumable import Line, carry_on, read  # noqa: E402

from automl_core import Study  # noqa: E402
from automl_core.randomness import digest  # noqa: E402
from automl_core.records import Workspace  # noqa: E402
from automl_core.types import Json  # noqa: E402
from automl_ktg.presets import REFINEMENT  # noqa: E402
from automl_refine.refining import Refinement  # noqa: E402


@dataclass(frozen=True)
class Scale:
    """Sizes of the refinement of graphs.

    Args:
        per_step: Samples of each design space.
        lower_limit: From which size on all of a space is taken; as published.
        min_group: Fewest trials of a category that can be chosen: pairs of equal gates are a ninth of a sample.
        models: The target first; it and the second are the auxiliaries.
        gates: Of all edges; as published.
        epochs: Of a training.
        data: Options of the data set: nearly as many images to measure on as to train on.
        retrained: Epochs of the last trainings; twice as many as in the search, as published.
        repeats: How many of these.
    """

    per_step: int = 270
    lower_limit: int = 500
    min_group: int = 20
    models: tuple[str, ...] = ("resnet8", "resnet14")
    gates: tuple[str, ...] = ("through", "cutoff", "linear")
    epochs: int = 4
    data: tuple[tuple[str, float], ...] = (("limit", 700), ("validation", 0.4))
    retrained: int = 8
    repeats: int = 5


SMALL = Scale(8, 30, 2, ("resnet8",), ("through", "cutoff"), 1, (("limit", 80), ("validation", 0.4)), 1, 2)

TRAINER: Mapping[str, Json] = {**REFINEMENT["trainer"], "pad": 1}
"""As published, but for the padding: 4 pixels at 32x32 are an eighth, as 1 is at 8x8."""


@dataclass(frozen=True)
class Graphs:
    """The refinement of graphs.

    Args:
        data: Path of the images; empty for the digits.
        scale: Sizes.
        workspace: Directory of its study; its pictures are written beside it.
        until: When it is to stop, to go on later; seconds since the epoch.
        workers: How many trainings at once.
    """

    data: str
    scale: Scale
    workspace: str
    until: float
    workers: int

    @property
    def key(self) -> str:
        decides = {**asdict(self), "data": _content(self.data), "workspace": "", "until": 0, "workers": 0}
        return digest(decides, dict(TRAINER))

    @property
    def study(self) -> str:
        return f"refine-{self.key[:8]}"

    @property
    def files(self) -> Path:
        """Where its tables and pictures are."""
        return Path(self.workspace).parent / self.study


def refine_graphs(piece: Graphs) -> Line:
    """Runs the refinement, or goes on with it, and trains what it found anew."""
    if piece.study in {row.name for row in Workspace(piece.workspace).studies()}:
        study = Study.resume(piece.study, workspace=piece.workspace, time_limit=_left(piece), workers=piece.workers)
    else:
        study = _study(piece).run(time_limit=_left(piece))
    if study.status != "finished":
        raise RuntimeError(f"the refinement must be finished, but is {study.status}; start again to go on")
    scale = piece.scale
    refinement = Refinement.of(study)
    reference = study.assembly.space.reference()
    first = next(row.number for row in study.record.trials() if row.configuration == reference)
    retrained = {}
    for name, trial in (("best", study.best.trial), ("labels alone", first)):
        found = study.retrain(trial=trial, epochs=scale.retrained, repeats=scale.repeats, time_limit=_left(piece))
        if found["status"] != "finished":
            raise RuntimeError(f"retraining must be finished, but is {found['status']}; start again to go on")
        retrained[name] = found
    shutil.rmtree(piece.files, ignore_errors=True)
    refinement.write(piece.files)
    dataset: Any = study.assembly.dataset
    dataset.load()
    rows = study.record.trials()
    return {
        **asdict(piece),
        "data": Path(piece.data).name,
        "workspace": "",
        "until": 0,
        "images": {name: len(dataset.split(name)) for name in ("train", "validation", "test")},
        "pixels": list(dataset.image_size),
        "refinement": refinement.to_json(),
        "distinct": [len({member.key for member in step.members}) for step in refinement.steps],
        "page": (piece.files / "areas.md").read_text(encoding="utf-8"),
        "label only": next(row.value for row in rows if row.number == first),
        "best": {"value": study.best.value, "configuration": dict(study.best.configuration)},
        "retrained": retrained,
        "trainings": {
            role: sum(row.role == role and row.cost > 0 for row in rows) for role in ("candidate", "support")
        },
        "seconds": sum(row.cost for row in rows),
    }


def _study(piece: Graphs) -> Study:
    scale = piece.scale
    data = dict(scale.data) | ({"path": piece.data, "resize": 8} if piece.data else {})
    return Study(
        space="ktg",
        searcher="refine",
        dataset="npz" if piece.data else "digits",
        min_budget=scale.epochs,
        max_budget=scale.epochs,
        device="cpu",
        threads=1,
        workers=piece.workers,
        options={
            "space": {"nodes": 3, "target": scale.models[0], "models": scale.models, "gates": scale.gates},
            "searcher": {
                "choose": "auc",
                "per_step": scale.per_step,
                "lower_limit": scale.lower_limit,
                "min_group": scale.min_group,
            },
            "dataset": data,
            "trainer": TRAINER,
        },
        name=piece.study,
        workspace=piece.workspace,
    )


@cache
def _content(data: str) -> str:
    """Gives what tells a file's content from others', whatever it is called; empty for the digits."""
    return sha256(Path(data).read_bytes()).hexdigest() if data else ""


def _left(piece: Graphs) -> float:
    return max(1.0, piece.until - time.time())


def _told_of_graphs(piece: Graphs, line: Line) -> str:
    return f"{line['trainings']} trainings, {line['seconds']:.0f} s, {line['refinement']['reason']}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default="", help="images in an .npz file in the layout of MedMNIST, scaled to 8x8; digits without"
    )
    parser.add_argument("--processes", type=int, default=2, help="trainings, or searches of cells, at once")
    parser.add_argument("--minutes", type=float, default=38.0, help="nothing begins later; start again to go on")
    parser.add_argument("--repeats", type=int, default=20, help="seeds of the searches of cells")
    parser.add_argument("--datasets", nargs="+", default=list(FLOORS), choices=list(FLOORS), help="tables of cells")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--part", choices=("both", "cells", "graphs"), default="both")
    parser.add_argument("--small", action="store_true", help="graphs at a scale that shows nothing but that it runs")
    parser.add_argument("--results", type=Path, default=HERE, help="where README.md, results/ and evidence/ are")
    given = parser.parse_args(arguments)
    if given.data and not Path(given.data).is_file():
        parser.error(
            f"--data must be an .npz file with train_images, train_labels and so on, but got {given.data}; with make: "
            "make evidence-refine DATA=images.npz, or without DATA for the digits"
        )
    began, seconds = time.monotonic(), 60 * given.minutes
    evidence = given.results / "evidence"
    record = evidence / ("refine-small.jsonl" if given.small else "refine.jsonl")
    data = str(Path(given.data).resolve()) if given.data else ""
    directory = str((evidence / "automl-workspace").resolve())
    scale = SMALL if given.small else Scale()
    graphs = [Graphs(data, scale, directory, time.time() + seconds, given.processes)]
    searches = planned(given.repeats, given.datasets, given.contenders)
    done = read(record)
    # Cells first, for a while; what is missing of them takes what the graphs leave.
    for part, share in (("cells", 0.3), ("graphs", 1.0), ("cells", 1.0)):
        if given.part not in ("both", part):
            continue
        until = began + seconds * (share if given.part == "both" else 1.0)
        if part == "cells":
            done |= carry_on(record, searches, search, told, given.processes, until, "searches of cells")[0]
        else:
            done |= carry_on(record, graphs, refine_graphs, _told_of_graphs, 1, until, "refinements of graphs")[0]
    cells = [done[piece.key] for piece in searches if piece.key in done]
    found = next((done[piece.key] for piece in graphs if piece.key in done), None)
    most = {name: one.most for name, one in CONTENDERS.items()}
    publish_evidence(cells, len(searches), list(CONTENDERS), most, found, graphs[0].files, given.results)
    missing = len(searches) - len(cells) if given.part != "graphs" else 0
    missing += found is None and given.part != "cells"
    if missing:
        print(f"{missing} searches are missing; start again to go on", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
