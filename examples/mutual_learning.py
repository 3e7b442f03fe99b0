"""Deep mutual learning as a graph: two networks, each taught by the label and by the other, every gate through.

Other gates make other methods of the same two networks: with ``Edge(2, 1, gate="correct")`` the target listens to its
peer only where that one is right; with ``gate="linear"`` more and more.
"""

from __future__ import annotations

import argparse

from automl_core import Context
from automl_core.plugins import get_registry
from automl_core.types import Job
from automl_spaces.graph import LABEL, Edge, KnowledgeTransferGraph, Node
from automl_vision import CollaborativeTrainer, TrainerSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, default=None, help="at most so many training images")
    arguments = parser.parse_args()

    graph = KnowledgeTransferGraph(
        nodes=(Node("resnet8"), Node("resnet14")),
        edges=(Edge(LABEL, 1), Edge(2, 1), Edge(LABEL, 2), Edge(1, 2)),
    )
    digits = get_registry().create("dataset", "digits", {"limit": arguments.limit})
    settings = TrainerSettings(batch=32, lr=0.05, schedule="cosine", pad=1)
    training = CollaborativeTrainer(graph, settings, Context(seed=0, max_budget=arguments.epochs, dataset=digits))

    job = Job(trial=0, configuration={}, from_budget=0, to_budget=arguments.epochs)
    for observation in training.advance(job):
        target, peer = observation.metrics["accuracy_1"], observation.metrics["accuracy_2"]
        print(f"epoch {observation.unit}: target {100 * target:.1f} %, its peer {100 * peer:.1f} %")


if __name__ == "__main__":
    main()
