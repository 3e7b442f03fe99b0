"""A plugin tried out without being installed: a gate of one's own in a search for knowledge-transfer graphs.

As a distribution of its own it would be the same class and the same hook, behind an entry point: see docs/plugins.md.

    python examples/plugins/late_gate.py --trials 8
"""

from __future__ import annotations

import argparse
import tempfile
from typing import TYPE_CHECKING

from automl_core import Study, hookimpl
from automl_core.hookspecs import Register
from automl_core.plugins import Registry, use_registry
from automl_spaces.gates import Gate, GateInput

if TYPE_CHECKING:
    from torch import Tensor


class Late(Gate):
    """Nothing in the first half of the training, everything in the second."""

    def __call__(self, batch: GateInput) -> Tensor:
        return batch.divergence.mean() * float(batch.progress > 0.5)


class Plugin:
    """What would be a module: its ``hookimpl`` methods register parts and observe studies."""

    @hookimpl
    def automl_gates(self, register: Register) -> None:
        register("late", f"{__name__}:Late", summary="opens after half of the training")

    @hookimpl
    def automl_incumbent_changed(self, trial: int, value: float) -> None:
        print(f"trial {trial} is the best so far: {value:.1%}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trials", type=int, default=4)
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--limit", type=int, default=500, help="training images")
    given = arguments.parse_args()
    registry = Registry()
    registry.add("late-gate", Plugin())
    space = {"nodes": 2, "target": "resnet8", "models": ["resnet8"], "gates": ["through", "cutoff", "late"]}
    with use_registry(registry), tempfile.TemporaryDirectory() as workspace:
        study = Study(
            space="ktg",
            trials=given.trials,
            max_budget=given.epochs,
            options={"space": space, "dataset": {"limit": given.limit}},
            workspace=workspace,
        ).run()
        print(study.draw_best())


if __name__ == "__main__":
    main()
