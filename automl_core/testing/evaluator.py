"""What every evaluator must keep."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from pathlib import Path

from automl_core.interfaces import Context, Dataset, Description, Evaluation, Evaluator, SearchSpace
from automl_core.sampling import RandomSampler
from automl_core.types import Job, Json, Metrics, Observation, Split

Curve = list[tuple[int, Metrics]]


class EvaluatorContract(ABC):
    """Tests of an evaluator; subclass it with a name that pytest collects.

    Example::

        class TestMyEvaluator(EvaluatorContract):
            def make_evaluator(self):
                return MyEvaluator(width=4)
            def make_space(self):
                return MySpace(layers=1)
    """

    max_budget: int = 3
    """Budget of a whole evaluation; small, but at least 2."""

    @abstractmethod
    def make_evaluator(self) -> Evaluator:
        """Gives a new evaluator, with the same options at every call."""

    @abstractmethod
    def make_space(self) -> SearchSpace:
        """Gives a search space that it takes."""

    def make_dataset(self) -> Dataset | None:
        """Gives a small data set that it takes; None when it takes none."""
        return None

    def make_description(self, split: Split = "search") -> Description:
        """Gives what is evaluated; by default a random configuration of the space, decoded."""
        space = self.make_space()
        configuration = RandomSampler(space, seed=0).draw()
        assert configuration is not None
        return space.decode(configuration)

    def start(self, directory: Path, seed: int = 0) -> Evaluation:
        """Starts an evaluation, with the artefacts that it requires trained into a directory."""
        evaluator, description = self.make_evaluator(), self.make_description()
        return self._start(evaluator, description, self.max_budget, directory, seed)

    def test_declarations(self) -> None:
        evaluator = self.make_evaluator()
        assert evaluator.unit
        assert evaluator.metrics, "there must be a metric that can be an objective"
        assert set(evaluator.metrics.values()) <= {"max", "min"}
        dataset = self.make_dataset()
        assert dataset is None or dataset.kind in evaluator.dataset_kinds

    def test_takes_its_space(self) -> None:
        self.make_evaluator().check(self.make_space(), self.make_dataset())

    def test_has_presets_quick_and_paper(self) -> None:
        presets = self.make_evaluator().presets(self.make_dataset())
        assert {"quick", "paper"} <= set(presets)
        assert json.loads(json.dumps({name: dict(preset) for name, preset in presets.items()}))

    def test_requires_the_same_artefacts_every_time(self) -> None:
        assert self._requests() == self._requests()

    def test_yields_every_unit_with_finite_metrics(self, tmp_path: Path) -> None:
        evaluation = self.start(tmp_path)
        curve = _advance(evaluation, self.max_budget)
        units = [unit for unit, _ in curve]
        if evaluation.stateless:
            assert units == sorted(set(units))
            assert units[-1] == self.max_budget
        else:
            assert units == list(range(self.max_budget + 1)), "unit 0 is the untrained network; then one a unit"
        evaluator = self.make_evaluator()
        for unit, metrics in curve:
            lacking = set(evaluator.metrics) - evaluator.fixed_metrics - set(metrics)
            assert not lacking, f"declared metrics are missing at unit {unit}: {lacking}"
            assert all(type(value) is float and math.isfinite(value) for value in metrics.values()), metrics
        json.dumps(evaluation.report())

    def test_reports_its_fixed_metrics_where_they_are_named(self, tmp_path: Path) -> None:
        evaluator, description = self.make_evaluator(), self.make_description()
        assert evaluator.fixed_metrics <= set(evaluator.metrics), "a fixed metric must be a declared one"
        evaluator.check(self.make_space(), self.make_dataset())
        foreseen = evaluator.foresee(description)
        assert set(foreseen) <= evaluator.fixed_metrics, "what is known beforehand is not changed by training"
        named = frozenset(evaluator.metrics)
        curve = _advance(self._start(evaluator, description, self.max_budget, tmp_path, 1, named), self.max_budget)
        for name in evaluator.fixed_metrics:
            values = {metrics[name] for _, metrics in curve}
            assert len(values) == 1, f"{name} changed in training: {values}"
            assert foreseen.get(name, min(values)) == min(values), f"{name} was foreseen as {foreseen[name]}"

    def test_same_seed_gives_the_same_metrics(self, tmp_path: Path) -> None:
        curves = []
        for repetition in ("first", "second"):
            directory = tmp_path / repetition
            directory.mkdir()
            curves.append(_advance(self.start(directory), self.max_budget))
        assert curves[0] == curves[1]

    def test_goes_on_from_a_checkpoint_as_if_nothing_had_happened(self, tmp_path: Path) -> None:
        whole = _advance(self.start(tmp_path), self.max_budget)
        for cut in range(self.max_budget):
            checkpoint = tmp_path / f"checkpoint-{cut}"
            checkpoint.mkdir()
            first, second = self.start(tmp_path), self.start(tmp_path)
            if first.stateless:
                parts = _advance(first, max(cut, 1)) + _advance(second, self.max_budget, max(cut, 1))
                assert parts[-1] == whole[-1]
                continue
            before = _advance(first, self.max_budget, stop_at=cut)
            first.save(checkpoint)
            second.load(checkpoint)
            after = _advance(second, self.max_budget, cut)
            repeated = before if cut == 0 else []  # at budget 0 the untrained network comes first, once more
            assert repeated + whole[cut + 1 :] == after
            assert before == whole[: cut + 1]

    def test_exports_if_it_can(self, tmp_path: Path) -> None:
        evaluation = self.start(tmp_path)
        if type(evaluation).export is Evaluation.export:
            return
        _advance(evaluation, self.max_budget)
        directory = tmp_path / "export"
        directory.mkdir()
        evaluation.export(directory)
        assert any(directory.iterdir())

    def test_parses_its_descriptions_if_it_can(self) -> None:
        evaluator, description = self.make_evaluator(), self.make_description()
        if type(evaluator).parse is Evaluator.parse:
            return
        trained = evaluator.translated(description)
        data = json.loads(json.dumps(trained.to_json()))
        assert evaluator.parse(data).to_json() == trained.to_json()

    def _requests(self) -> list[Json]:
        requests = self.make_evaluator().requires(self.make_description(), self.max_budget, "search")
        return [
            (request.label, request.description.to_json(), request.budget, request.split, request.repeat)
            for request in requests
        ]

    def _start(
        self,
        evaluator: Evaluator,
        description: Description,
        budget: int,
        directory: Path,
        seed: int,
        named: frozenset[str] = frozenset(),
    ) -> Evaluation:
        artefacts = []
        for number, request in enumerate(evaluator.requires(description, budget, "search")):
            artefact = directory / f"artefact-{number}"
            if not artefact.exists():
                artefact.mkdir()
                needs = directory / f"artefact-{number}-needs"
                needs.mkdir()
                support = self._start(evaluator, request.description, request.budget, needs, seed)
                _advance(support, request.budget)
                support.export(artefact)
            artefacts.append(artefact)
        context = Context(seed, budget, dataset=self.make_dataset(), artefacts=tuple(artefacts), metrics=named)
        return evaluator.start(description, context)


def _advance(evaluation: Evaluation, to_budget: int, from_budget: int = 0, stop_at: int | None = None) -> Curve:
    """Advances; with ``stop_at`` it stops iterating after that unit, as the engine may."""
    curve: Curve = []
    for observation in evaluation.advance(Job(0, {}, from_budget, to_budget)):
        assert isinstance(observation, Observation)
        curve.append((observation.unit, dict(observation.metrics)))
        if observation.unit == stop_at:
            break
    return curve
