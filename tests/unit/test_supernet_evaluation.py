"""The cycles of a supernet: what begins anew, what is inherited, and going on from a checkpoint anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from automl_core import Context, RequestError
from automl_core.constraints import ConstrainedSpace
from automl_core.interfaces import SearchSpace
from automl_core.types import Job, Json, Observation
from automl_prdarts.evaluation import SupernetEvaluation
from automl_prdarts.evaluator import SupernetEvaluator
from automl_prdarts.plan import KINDS, ArchitectureSettings, Cycle, CycleReport, Origin, SupernetPlan
from automl_spaces.cells import CellsDL
from automl_spaces.ktg import KTGSpace
from automl_vision import TrainerSettings
from automl_vision.costs import Sizes, count_costs
from automl_vision.data.digits import Digits

TRAINER = {"batch": 15, "pad": 1, "lr": 0.025, "final_lr": 0.01, "schedule": "cosine", "clip": 5.0}
EDGES = (0, 5, 10)
"""Where there is more than one candidate: enough to see all, and quick."""


def cycle_of(
    number: int, begins: int, epochs: int, pool: tuple[str, ...], grace: int = 0, **origins: tuple[str, str]
) -> Cycle:
    """Gives a cycle with one pool for the edges that have one; origins are ``child=(parent, morphism)``."""
    pools = tuple(pool if edge in EDGES else ("skip_connect",) for edge in range(14))
    found = [
        Origin(kind, edge, child, *whence) for kind in KINDS for edge in EDGES for child, whence in origins.items()
    ]
    return Cycle(number, begins, epochs, grace, pools, pools, tuple(found))


Seen = tuple[Observation, dict[str, tuple[tuple[float, ...], ...]]]

CYCLES = (
    cycle_of(0, 0, 2, ("max_pool_3x3", "skip_connect", "conv_3x3"), grace=1),
    cycle_of(
        1, 2, 1, ("skip_connect", "conv_5x5", "conv_3x3_e1"), conv_5x5=("conv_3x3", "grow"),
        conv_3x3_e1=("conv_3x3", "insert"),
    ),
    cycle_of(2, 3, 2, ("skip_connect", "conv_5x5", "conv_3x3_e2"), conv_3x3_e2=("conv_3x3_e1", "widen")),
)  # fmt: skip
EPOCHS = 5


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def start(
    dataset: Digits, seed: int = 3, trainer: dict[str, Any] | None = None, **architecture: Any
) -> SupernetEvaluation:
    options = {**TRAINER, **(trainer or {})}
    plan = SupernetPlan(cells=3, channels=2, trainer=options, architecture=ArchitectureSettings(**architecture))
    evaluator = SupernetEvaluator()
    evaluation = evaluator.start(
        evaluator.parse(json.loads(json.dumps(plan.to_json()))), Context(seed, 5, dataset=dataset)
    )
    assert isinstance(evaluation, SupernetEvaluation)
    return evaluation


def job_of(cycle: Cycle, reached: int | None = None, to: int | None = None) -> Job:
    told = {"cycle": json.loads(json.dumps(cycle.to_json()))}
    end = cycle.begins + cycle.epochs if to is None else to
    return Job(0, {}, cycle.begins if reached is None else reached, end, role="support", instruction=told)


def run(evaluation: SupernetEvaluation, reached: int = 0, stop_at: int | None = None) -> Iterator[Seen]:
    """Goes on through the cycles; with each observation come the probabilities then."""
    for cycle in CYCLES:
        if cycle.begins + cycle.epochs > reached:
            for observation in evaluation.advance(job_of(cycle, max(reached, cycle.begins))):
                yield observation, evaluation.probabilities()
                if observation.unit == stop_at:
                    return


@pytest.fixture(scope="module")
def whole(dataset: Digits) -> list[Seen]:
    return list(run(start(dataset, lr=0.05)))


def weights(evaluation: SupernetEvaluation) -> dict[str, Tensor]:
    trainer, _ = evaluation._current()
    return {name: tensor.clone() for name, tensor in trainer.target.state_dict().items()}


class TestCycles:
    def test_every_epoch_is_observed_once(self, whole: list[Seen]) -> None:
        assert [observation.unit for observation, _ in whole] == list(range(EPOCHS + 1))
        assert [observation.metrics["cycle"] for observation, _ in whole] == [0, 0, 0, 1, 2, 2]

    def test_observations_hold_what_is_drawn(self, whole: list[Seen]) -> None:
        for observation, _ in whole:
            metrics = observation.metrics
            assert all(type(value) is float for value in metrics.values())
            named = {"accuracy", "loss", "batch", "cycle"} | {f"similarity_{kind}" for kind in KINDS}
            named |= {f"{share}_share_{kind}" for share in ("pool", "skip", "convolution") for kind in KINDS}
            if observation.unit > 0:
                named |= {"train_loss", "train_accuracy"}
            if observation.unit > 1:  # the first epoch is one of grace
                named |= {"architecture_loss"}
            assert set(metrics) == named
            assert metrics["batch"] == 15

    def test_what_a_lost_checkpoint_held_is_trained_again(self, dataset: Digits, whole: list[Seen]) -> None:
        job = job_of(CYCLES[-1])
        before = [json.loads(json.dumps(cycle.to_json())) for cycle in CYCLES[:-1]]
        again = start(dataset, lr=0.05)
        seen = list(again.advance(replace(job, instruction={**job.instruction, "before": before})))
        assert [observation.unit for observation in seen] == list(range(EPOCHS + 1))
        assert again.probabilities() == whole[-1][1]

    def test_grace_leaves_candidates_equal(self, whole: list[Seen]) -> None:
        for unit, equal in ((0, True), (1, True), (2, False)):
            rows = [whole[unit][1]["normal"][edge] for edge in EDGES]
            assert all(row == pytest.approx((1 / 3,) * 3, abs=1e-7) for row in rows) == equal

    def test_reports_what_a_derivation_needs(self, dataset: Digits, whole: list[Seen]) -> None:
        evaluation = start(dataset, lr=0.05)
        list(evaluation.advance(job_of(CYCLES[0])))
        report = CycleReport.from_json(json.loads(json.dumps(evaluation.report())))
        assert {"normal": report.normal, "reduction": report.reduction} == whole[2][1]
        assert (report.channels, report.classes, report.image_size) == (1, 10, (8, 8))
        for row, pool in zip(report.normal, CYCLES[0].normal, strict=True):
            assert len(row) == len(pool)
            assert sum(row) == pytest.approx(1, abs=1e-6)
        trainer, _ = evaluation._current()
        assert report.multiply_accumulates == count_costs(trainer.graph.node(1), Sizes.of(dataset))["flops"]
        # Two epochs of weights, one of the architecture, two batches of 15 in each.
        assert report.images == 3 * 30

    def test_cosine_restarts_with_each_cycle(self, dataset: Digits) -> None:
        evaluation = start(dataset, trainer={"batch": 30})
        rates: list[list[float]] = []
        for cycle in (cycle_of(0, 0, 15, ("skip_connect",)), cycle_of(1, 15, 10, ("skip_connect",))):
            rates.append([])
            for observation in evaluation.advance(job_of(cycle)):
                if observation.unit > 0:
                    trainer, _ = evaluation._current()
                    rates[-1].append(trainer.learners[0].optimiser.param_groups[0]["lr"])
        long, short = rates
        assert [len(long), len(short)] == [15, 10]
        assert [long[epoch] for epoch in (0, 1, 7, 14)] == pytest.approx(
            [0.025, 0.024836, 0.018284, 0.010164], abs=5e-7
        )
        assert [short[epoch] for epoch in (0, 5, 9)] == pytest.approx([0.025, 0.0175, 0.010367], abs=5e-7)


class TestNextCycle:
    def test_keeps_weights_and_begins_all_else_anew(self, dataset: Digits) -> None:
        evaluation = start(dataset, lr=0.05)
        list(evaluation.advance(job_of(CYCLES[0])))
        before = weights(evaluation)
        trainer, _ = evaluation._current()
        trainer.batches.size = 30
        evaluation._turn_to(CYCLES[1])
        after = weights(evaluation)
        for name in ("stem.0.weight", "stem.1.running_mean", "head.weight"):
            assert torch.equal(before[name], after[name])
        assert before["architecture.normal"].abs().max() > 0
        assert after["architecture.normal"].abs().max() == 0
        trainer, _ = evaluation._current()
        assert trainer.batches.size == 15
        assert not trainer.update.state_dict()["optimiser"]["state"]
        momentum = [one["momentum_buffer"] for one in trainer.learners[0].optimiser.state.values()]
        assert all(not bool(one.any()) for one in momentum)

    def test_may_begin_with_noise(self, dataset: Digits) -> None:
        first, second, other = (start(dataset, seed=seed, noise=1e-3) for seed in (3, 3, 4))
        drawn = []
        for evaluation in (first, second, other):
            next(evaluation.advance(job_of(CYCLES[0])))
            drawn.append(weights(evaluation)["architecture.normal"])
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])
        assert 3e-4 < float(drawn[0].std()) < 3e-3

    def test_must_follow_the_one_before(self, dataset: Digits) -> None:
        evaluation = start(dataset)
        with pytest.raises(RequestError, match="at epoch 2, but this one is at epoch 0"):
            next(evaluation.advance(job_of(CYCLES[1])))
        with pytest.raises(RequestError, match="after epoch 2, but one asks for 3"):
            next(evaluation.advance(job_of(CYCLES[0], to=3)))

    def test_a_cycle_may_come_in_several_jobs(self, dataset: Digits, whole: list[Seen]) -> None:
        evaluation = start(dataset, lr=0.05)
        parts = [job_of(CYCLES[0], 0, 1), job_of(CYCLES[0], 1, 2), job_of(CYCLES[1])]
        seen = [(one, evaluation.probabilities()) for job in parts for one in evaluation.advance(job)]
        assert seen == whole[:4]


class TestRandomness:
    def test_equal_seeds_give_equal_weights_and_probabilities(self, dataset: Digits, whole: list[Seen]) -> None:
        evaluations = [start(dataset, lr=0.05) for _ in range(2)]
        torch.manual_seed(0)
        seen = [list(run(evaluations[0]))]
        torch.manual_seed(1)
        seen.append(list(run(evaluations[1])))
        assert seen[0] == seen[1] == whole
        one, other = map(weights, evaluations)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_other_seeds_give_others(self, dataset: Digits, whole: list[Seen]) -> None:
        evaluation = start(dataset, seed=4, lr=0.05)
        list(evaluation.advance(job_of(CYCLES[0])))
        assert evaluation.probabilities() != whole[2][1]


@pytest.mark.parametrize("cut", range(EPOCHS))
def test_a_run_cut_anywhere_ends_as_one_that_is_not(
    dataset: Digits, whole: list[Seen], tmp_path: Path, cut: int
) -> None:
    before = start(dataset, lr=0.05)
    assert list(run(before, stop_at=cut)) == whole[: cut + 1]
    before.save(tmp_path)
    after = start(dataset, lr=0.05)
    after.load(tmp_path)
    assert list(run(after, reached=cut)) == (whole if cut == 0 else whole[cut + 1 :])


class Memory:
    """A third of it is full, whatever happens."""

    def fraction(self) -> float:
        return 0.3

    def reset(self) -> None: ...


GROWING = {"batch": 8, "largest_batch": 24, "batch_every": 1}


class TestGrowingBatches:
    @pytest.fixture(autouse=True)
    def _memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("automl_vision.trainer.memory_probes.memory_probe", lambda *given: Memory())

    def test_grow_alike_in_both_halves_and_begin_anew_with_each_cycle(self, dataset: Digits) -> None:
        evaluation = start(dataset, trainer=GROWING)
        sizes: list[int] = []
        for cycle in (cycle_of(0, 0, 2, ("skip_connect",)), cycle_of(1, 2, 1, ("skip_connect",))):
            evaluation._turn_to(cycle)
            trainer, _ = evaluation._current()
            trainer.supernet.stem.register_forward_hook(
                lambda module, given, result: sizes.append(len(given[0])) if module.training else None
            )
            seen = [observation.metrics["batch"] for observation in evaluation.advance(job_of(cycle))]
            assert seen[-1] == 24
        # Second half and first in turn; an epoch ends when what is left of the first's 30 images fills no batch.
        assert sizes == [8, 8, 16, 16, *[24, 24], 8, 8, 16, 16]

    def test_go_on_from_a_checkpoint(self, dataset: Digits, tmp_path: Path) -> None:
        whole = list(run(start(dataset, trainer=GROWING, lr=0.05)))
        before = start(dataset, trainer=GROWING, lr=0.05)
        list(run(before, stop_at=4))
        before.save(tmp_path)
        after = start(dataset, trainer=GROWING, lr=0.05)
        after.load(tmp_path)
        assert list(run(after, reached=4)) == whole[5:]


def test_second_order_goes_on_from_a_checkpoint_too(dataset: Digits, tmp_path: Path) -> None:
    reports = []
    for cut in (False, True):
        evaluation = start(dataset, lr=0.05, second_order=True)
        for observation in evaluation.advance(job_of(CYCLES[0])):
            if cut and observation.unit == 1:
                break
        if cut:
            evaluation.save(tmp_path)
            evaluation = start(dataset, lr=0.05, second_order=True)
            evaluation.load(tmp_path)
            list(evaluation.advance(job_of(CYCLES[0], 1)))
        reports.append(evaluation.report())
    assert reports[0] == reports[1]
    # In the second epoch each step sees a batch of the second half, and three of the first before its own.
    assert reports[0]["images"] == 30 + 5 * 30


class TestEvaluator:
    def test_takes_cells_of_every_kind(self, dataset: Digits) -> None:
        evaluator = SupernetEvaluator(TrainerSettings(batch=15, pad=1))
        evaluator.check(CellsDL(), dataset)
        evaluator.check(ConstrainedSpace(CellsDL(), (), lambda description: {}), dataset)

    @pytest.mark.parametrize(
        ("space", "settings", "message"),
        [
            (KTGSpace(), TrainerSettings(), "got space 'ktg'; choose cells-dl, cells-dr, cells-ur or darts"),
            (CellsDL(), TrainerSettings(batch=8, pad=8), "smaller than the image"),
        ],
    )
    def test_refuses_what_cannot_work(
        self, dataset: Digits, space: SearchSpace, settings: TrainerSettings, message: str
    ) -> None:
        with pytest.raises(RequestError, match=message):
            SupernetEvaluator(settings).check(space, dataset)

    def test_refuses_data_that_cannot_be_halved(self) -> None:
        with pytest.raises(RequestError, match="both sides"):
            SupernetEvaluator(TrainerSettings(pad=1)).check(CellsDL(), Digits(limit=10))

    def test_a_plan_replaces_settings_of_the_study(self, dataset: Digits) -> None:
        evaluator = SupernetEvaluator(TrainerSettings(batch=10, lr=0.3, pad=1, auto_augment="svhn", cutmix=0.5))
        plan = SupernetPlan(cells=3, channels=2, trainer={"batch": 20})
        evaluation = evaluator.start(plan, Context(0, 2, dataset=dataset))
        assert isinstance(evaluation, SupernetEvaluation)
        assert evaluation._settings == TrainerSettings(batch=20, lr=0.3, pad=1), "and neither distorts nor mixes"
        with pytest.raises(RequestError, match="batch_size"):
            evaluator.start(SupernetPlan(trainer={"batch_size": 20}), Context(0, 2, dataset=dataset))

    @pytest.mark.parametrize("data", [{"nodes": [], "edges": []}, {"number": 0}, {}])
    def test_reads_plans_alone(self, data: Json) -> None:
        with pytest.raises(RequestError, match="plan"):
            SupernetEvaluator().parse(data)

    def test_starts_plans_alone(self, dataset: Digits) -> None:
        with pytest.raises(RequestError, match="plan of one, but got a CellNetwork"):
            space = CellsDL()
            description = space.decode(dict(space.config_space.get_default_configuration()))
            SupernetEvaluator().start(description, Context(0, 2, dataset=dataset))

    def test_is_for_searches_alone(self, dataset: Digits) -> None:
        with pytest.raises(RequestError, match="split 'search', but got 'final'"):
            SupernetEvaluator().start(
                SupernetPlan(trainer={"batch": 20}), Context(0, 2, split="final", dataset=dataset)
            )
