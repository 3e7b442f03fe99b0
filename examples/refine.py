"""Which gates do small graphs want? A design space refined in a few trainings, and the best graph of what is left.

Two networks of eight layers on the digits: the target, and one auxiliary. Every edge is open or closed, which makes 16
graphs. Samples are far too small to tell choices apart; a real refinement takes hundreds a step.
"""

from __future__ import annotations

import argparse
from tempfile import TemporaryDirectory

from automl_refine import refine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--limit", type=int, default=None, help="at most so many training images")
    arguments = parser.parse_args()
    epochs: int = arguments.epochs
    options = {
        "space": {"nodes": 2, "target": "resnet8", "models": ["resnet8"], "gates": ["through", "cutoff"]},
        "dataset": {"limit": arguments.limit},
        "trainer": {"batch": 32},
    }
    with TemporaryDirectory() as workspace:
        found = refine(
            "ktg",
            choose="auc",
            per_step=8,
            min_group=2,
            lower_limit=8,
            dataset="digits",
            min_budget=epochs,
            max_budget=epochs,
            options=options,
            workspace=workspace,
        )
        for letter, space, step in zip(found.letters, found.spaces, found.steps, strict=True):
            print(f"{letter}: {space.size()} graphs; {step.migrated} of {len(step.members)} were known. {step.reason}")
            for condition, row in step.table.rows():
                if row.area is not None:
                    print(f"    {condition.label}, {row.category.label}: area {row.area:.1f}, {row.trials} trials")
        study = found.source
        print(f"epoch {study.best.budget}: {100 * study.best.value:.1f} %, by {found.space.restriction}")


if __name__ == "__main__":
    main()
