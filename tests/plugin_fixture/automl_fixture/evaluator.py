"""The evaluator: builds and advances what a description describes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from automl_core import (
    Context,
    Dataset,
    Description,
    Evaluation,
    Evaluator,
    Job,
    Observation,
    RequestError,
    SearchSpace,
)
from automl_core.randomness import derive_seed
from automl_core.types import Direction, Json
from automl_fixture.space import Descent, DescentSpace


class DescentEvaluator(Evaluator):
    """Descends a parabola, half the sum of curvature times position squared, from a random start.

    Args:
        curvatures: One for each dimension.
    """

    unit: str = "steps"
    metrics: Mapping[str, Direction] = {"loss": "min"}

    def __init__(self, curvatures: tuple[float, ...] = (0.1, 0.5, 1.0)) -> None:
        if not curvatures or min(curvatures) <= 0:
            raise RequestError(
                f"curvatures must be positive, but got {list(curvatures)}; mend --set evaluator.curvatures"
            )
        self.curvatures = curvatures

    def check(self, space: SearchSpace, dataset: Dataset | None) -> None:
        if not isinstance(space, DescentSpace):
            raise RequestError(
                f"evaluator fixture takes space fixture alone, but got {space.name!r}; use --space fixture"
            )

    def presets(self, dataset: Dataset | None) -> Mapping[str, Mapping[str, Json]]:
        return {"quick": {"max_budget": 8, "trials": 10}, "paper": {"max_budget": 100, "trials": 25}}

    def start(self, description: Description, context: Context) -> DescentEvaluation:
        assert isinstance(description, Descent)
        return DescentEvaluation(description, self.curvatures, context.seed)

    def parse(self, data: Json) -> Descent:
        return Descent.from_json(data)


class DescentEvaluation(Evaluation):
    """One descent, at ``step``.

    Args:
        descent: Step size and momentum.
        curvatures: One for each dimension.
        seed: What the start follows from.
    """

    def __init__(self, descent: Descent, curvatures: tuple[float, ...], seed: int) -> None:
        self.descent = descent
        self.curvatures = curvatures
        generator = Random(derive_seed(seed, "start"))
        self.step = 0
        self.position = [generator.uniform(-1.0, 1.0) for _ in curvatures]
        self.velocity = [0.0 for _ in curvatures]

    def advance(self, job: Job) -> Iterator[Observation]:
        if self.step == 0:
            yield Observation(0, {"loss": self._loss()})
        while self.step < job.to_budget:
            self._descend()
            self.step += 1
            yield Observation(self.step, {"loss": self._loss()})

    def save(self, directory: Path) -> None:
        state = {"step": self.step, "position": self.position, "velocity": self.velocity}
        (directory / "state.json").write_text(json.dumps(state))

    def load(self, directory: Path) -> None:
        state = json.loads((directory / "state.json").read_text())
        self.step, self.position, self.velocity = state["step"], state["position"], state["velocity"]

    def export(self, directory: Path) -> None:
        (directory / "position.json").write_text(json.dumps(self.position))

    def _descend(self) -> None:
        rate, momentum = self.descent.rate, self.descent.momentum
        for axis, curvature in enumerate(self.curvatures):
            ahead = momentum * self.velocity[axis] if self.descent.nesterov else 0.0
            slope = curvature * (self.position[axis] + ahead)
            self.velocity[axis] = momentum * self.velocity[axis] - rate * slope
            self.position[axis] += self.velocity[axis]

    def _loss(self) -> float:
        return 0.5 * sum(one * place**2 for one, place in zip(self.curvatures, self.position, strict=True))
