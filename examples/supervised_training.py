"""Supervised training is the smallest knowledge-transfer graph: one network, taught by the label."""

from __future__ import annotations

import argparse

from automl_core import Context
from automl_core.plugins import get_registry
from automl_core.types import Job
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_vision import CollaborativeTrainer, TrainerSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, default=None, help="at most so many training images")
    arguments = parser.parse_args()

    graph = KnowledgeTransferGraph(nodes=(Node("resnet8"),), edges=(Edge(LABEL, TARGET),))
    digits = get_registry().create("dataset", "digits", {"limit": arguments.limit})
    settings = TrainerSettings(batch=32, lr=0.05, schedule="cosine", pad=1)
    training = CollaborativeTrainer(graph, settings, Context(seed=0, max_budget=arguments.epochs, dataset=digits))

    job = Job(trial=0, configuration={}, from_budget=0, to_budget=arguments.epochs)
    for observation in training.advance(job):
        print(f"epoch {observation.unit}: validation accuracy {100 * observation.metrics['accuracy']:.1f} %")


if __name__ == "__main__":
    main()
