"""Hinton's distillation as a graph: a frozen teacher and the label teach the target.

A node without incoming edges is frozen. Its network has been trained before, with labels only: here by a graph of one
node, whose export is the artefact that the second training starts from.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from automl_core import Context
from automl_core.plugins import get_registry
from automl_core.types import Job
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node, alone
from automl_vision import CollaborativeTrainer, TrainerSettings

TEACHER = 2
SETTINGS = TrainerSettings(batch=32, lr=0.05, schedule="cosine", pad=1)


def train(graph: KnowledgeTransferGraph, context: Context) -> CollaborativeTrainer:
    training = CollaborativeTrainer(graph, SETTINGS, context)
    for observation in training.advance(Job(0, {}, from_budget=0, to_budget=context.max_budget)):
        accuracies = [value for name, value in observation.metrics.items() if name.startswith("accuracy_")]
        print(f"epoch {observation.unit}: " + ", ".join(f"{100 * value:.1f} %" for value in accuracies))
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, default=None, help="at most so many training images")
    arguments = parser.parse_args()
    digits = get_registry().create("dataset", "digits", {"limit": arguments.limit})

    with TemporaryDirectory() as directory:
        print("teacher, on labels alone")
        teacher = train(alone("resnet14"), Context(seed=0, max_budget=arguments.epochs, dataset=digits))
        teacher.export(Path(directory))

        print("student, then its frozen teacher")
        graph = KnowledgeTransferGraph(
            nodes=(Node("resnet8"), Node("resnet14")),
            edges=(Edge(LABEL, TARGET), Edge(TEACHER, TARGET, loss="kl", options={"temperature": 2.0})),
        )
        artefacts = (Path(directory),)
        train(graph, Context(seed=1, max_budget=arguments.epochs, dataset=digits, artefacts=artefacts))


if __name__ == "__main__":
    main()
