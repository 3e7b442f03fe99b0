"""What the target costs: counted against numbers known by hand, timed without a trace, asked for or left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automl_core import Context, RequestError, hookimpl
from automl_core.plugins import Registry, use_registry
from automl_core.types import Job, Metrics
from automl_ktg.evaluator import KTGEvaluator
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node, alone
from automl_spaces.ktg import KTGSpace
from automl_vision import ClassifierModule, GraphEvaluator, TrainerSettings, costs
from automl_vision.costs import Sizes, count_costs, latencies
from automl_vision.data.digits import Digits
from automl_vision.trainer.loop import CollaborativeTrainer

CIFAR = Sizes(channels=3, classes=10, image_size=(32, 32))
ALL = frozenset({"accuracy", "flops", "params", "latency"})
NONE: frozenset[str] = frozenset()
SETTINGS = TrainerSettings(batch=20, pad=1)
BUILT: list[ClassifierModule] = []
"""What the tests' models built, by whichever way."""


class Known(ClassifierModule):
    """A network whose costs are known by hand, with everything in it that measuring could disturb.

    On 3x5x7 images and 4 classes: a convolution to 6 channels in 3 groups, 3x3, at stride 2 (3x4 places, one input
    channel each), a matrix product of two weights that are trained and one that is not, and a linear head.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, groups=channels)
        self.norm = nn.BatchNorm2d(2 * channels)
        self.drop = nn.Dropout(0.5)
        self.mix = nn.Parameter(torch.ones(2 * channels, 5))
        self.fixed = nn.Parameter(torch.ones(5), requires_grad=False)
        self.head = nn.Linear(5, classes)
        BUILT.append(self)

    def forward_features(self, images: Tensor) -> Tensor:
        maps = self.drop(self.norm(self.convolution(images)).relu())
        noise = torch.rand(1, device=images.device)  # drawn in evaluation mode too
        features: Tensor = maps.mean((2, 3)) @ self.mix * self.fixed + 0 * noise
        return features


class Picky(Known):
    """Looks at its numbers while it is built."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        assert float(self.fixed.sum()) == 5


class Broken(Known):
    """Cannot be run."""

    def forward_features(self, images: Tensor) -> Tensor:
        raise ValueError("no such image")


MODELS = {"known": Known, "picky": Picky, "broken": Broken}


class Plugin:
    @hookimpl
    def automl_models(self, register: Any) -> None:
        for name in MODELS:
            register(name, "test:Model", summary="")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    registry = Registry()
    registry.add("of-this-test", Plugin())
    load: Callable[[str, str], Any] = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: MODELS.get(name) or load(kind, name))
    BUILT.clear()
    with use_registry(registry):
        yield registry


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "RUNS", 3)


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def train(
    dataset: Digits, metrics: frozenset[str] = ALL, to: int = 1, **settings: Any
) -> tuple[CollaborativeTrainer, list[Metrics]]:
    context = Context(seed=3, max_budget=2, dataset=dataset, metrics=metrics)
    trainer = CollaborativeTrainer(alone("known"), TrainerSettings(batch=20, pad=1, **settings), context)
    return trainer, [dict(one.metrics) for one in trainer.advance(Job(0, {}, 0, to))]


@pytest.mark.parametrize(
    ("model", "sizes", "flops", "params"),
    [
        # 12 places x 6 outputs x 9 weights; 6 x 5; 5 x 4. Weights and biases; norm; mix; head.
        ("known", Sizes(3, 4, (5, 7)), 12 * 6 * 9 + 6 * 5 + 5 * 4, (6 * 9 + 6) + 2 * 6 + 6 * 5 + (5 * 4 + 4)),
        ("picky", Sizes(3, 4, (5, 7)), 12 * 6 * 9 + 6 * 5 + 5 * 4, (6 * 9 + 6) + 2 * 6 + 6 * 5 + (5 * 4 + 4)),
        # Convolutions of 3, then 16, 32 and 64 channels on 32x32, 16x16 and 8x8 places, two a stage; head.
        (
            "resnet8",
            CIFAR,
            9 * 1024 * (3 * 16 + 2 * 16 * 16) + 9 * 256 * (16 * 32 + 32 * 32) + 9 * 64 * (32 * 64 + 64 * 64) + 640,
            75_290,
        ),
    ],
)
def test_counts_known_by_hand(model: str, sizes: Sizes, flops: int, params: int) -> None:
    assert count_costs(Node(model), sizes) == {"flops": flops, "params": params}


@pytest.mark.parametrize(
    ("model", "flops", "params"),
    [("resnet32", 69e6, 0.464e6), ("wrn-28-10", 5.24e9, 36.5e6), ("resnet18", 0.56e9, 11.2e6)],
)
def test_counts_are_those_of_the_fields_tables(model: str, flops: float, params: float) -> None:
    counted = count_costs(Node(model), CIFAR)
    assert counted == {"flops": pytest.approx(flops, rel=0.01), "params": pytest.approx(params, rel=0.01)}


def test_counting_takes_no_memory_for_weights_unless_a_model_looks_at_them() -> None:
    count_costs(Node("known"), CIFAR)
    assert [one.head.weight.device.type for one in BUILT] == ["meta"]
    count_costs(Node("picky"), CIFAR)
    assert [one.head.weight.device.type for one in BUILT[1:]] == ["meta", "cpu"]


def test_a_models_module_is_not_imported_where_numbers_are_lost(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[str] = []
    load: Callable[[str, str], Any] = registry.load

    def imported(kind: str, name: str) -> Any:
        places.append(torch.ones(1).device.type)
        return load(kind, name)

    monkeypatch.setattr(registry, "load", imported)
    count_costs(Node("known"), CIFAR)
    assert places[0] == "cpu"


def test_counting_and_timing_leave_the_generators_alone() -> None:
    before = torch.get_rng_state()
    count_costs(Node("picky"), CIFAR)
    latencies([lambda: torch.rand(3)], torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)


class Clock:
    """Stands for the clock; a run takes as long as the next of its durations says."""

    def __init__(self, *durations: float) -> None:
        self.now, self.durations = 0.0, list(durations)
        self.said: list[str] = []

    def __call__(self) -> float:
        return self.now

    def run(self) -> None:
        assert not torch.is_grad_enabled()
        self.said.append("run")
        self.now += self.durations.pop(0) if len(self.durations) > 1 else self.durations[0]


def test_latency_is_the_median_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "RUNS", 100)
    clock = Clock(*[0.5], *[0.3, 0.1, 0.2, 0.1, 0.2])
    monkeypatch.setattr(costs, "perf_counter", clock)
    assert latencies([clock.run], torch.device("cpu"))[0] == pytest.approx(0.2)
    assert clock.said == ["run"] * 6


def test_latency_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "RUNS", 100)
    quick, slow = Clock(1e-4), Clock(30.0)
    monkeypatch.setattr(costs, "perf_counter", quick)
    assert latencies([quick.run], torch.device("cpu"))[0] == pytest.approx(1e-4)
    assert len(quick.said) == 200
    monkeypatch.setattr(costs, "perf_counter", slow)
    assert latencies([slow.run], torch.device("cpu"))[0] == 30.0
    assert len(slow.said) == 2


def test_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.5, 0.25)
    monkeypatch.setattr(costs, "perf_counter", clock)
    monkeypatch.setattr(costs, "isolated_randomness", lambda seed, device: torch.no_grad())

    def wait(device: torch.device) -> None:
        assert device == torch.device("cuda:1")
        clock.said.append("wait")
        clock.now += 1.0

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    assert latencies([clock.run], torch.device("cuda:1"))[0] == 1.25
    assert clock.said == ["wait", "run", "wait"] * 2


def test_costs_are_reported_where_they_are_asked_for(dataset: Digits) -> None:
    plain, some, every = (train(dataset, frozenset(names))[1] for names in ((), {"params", "loss"}, ALL))
    assert [{*one} & {"flops", "params", "latency"} for one in plain] == [set(), set()]
    assert [{*one} & {"flops", "params", "latency"} for one in some] == [{"params"}, {"params"}]
    for one in every:
        assert (one["flops"], one["params"]) == (4 * 4 * 2 * 9 + 2 * 5 + 5 * 10, (2 * 9 + 2) + 2 * 2 + 2 * 5 + 60)
        assert one["latency"] > 0
        assert all(type(value) is float for value in one.values())
    assert every[0]["latency"] == every[1]["latency"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_is_the_same_to_the_bit_whatever_is_asked_for(dataset: Digits, precision: str) -> None:
    (plain, without), (asked, with_costs) = (train(dataset, names, 2, precision=precision) for names in (NONE, ALL))
    expected, found = plain.target.state_dict(), asked.target.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert int(found["norm.num_batches_tracked"]) == 2 * plain.batches.count
    assert [{name: one[name] for name in rest} for one, rest in zip(with_costs, without, strict=True)] == without


def test_a_resumed_trial_keeps_its_latency(dataset: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, metrics = train(dataset)
    first.save(tmp_path)
    monkeypatch.setattr("automl_vision.trainer.loop.latencies", lambda *_: pytest.fail("measured again"))
    second = CollaborativeTrainer(alone("known"), SETTINGS, first.context)
    second.load(tmp_path)
    (last,) = second.advance(Job(0, {}, 1, 2))
    assert {name: last.metrics[name] for name in ALL - {"accuracy"}} == {
        name: metrics[0][name] for name in ALL - {"accuracy"}
    }


def test_a_checkpoint_from_before_there_were_costs_is_taken(dataset: Digits, tmp_path: Path) -> None:
    first, _ = train(dataset, NONE)
    first.save(tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["costs"]
    torch.save(state, tmp_path / "checkpoint.pt")
    second = CollaborativeTrainer(alone("known"), SETTINGS, Context(3, 2, dataset=dataset, metrics=ALL))
    second.load(tmp_path)
    (last,) = second.advance(Job(0, {}, 1, 2))
    assert last.metrics["latency"] > 0


def test_costs_are_declared_as_what_training_does_not_change() -> None:
    for evaluator in (GraphEvaluator, KTGEvaluator):
        assert dict(evaluator.metrics) == {
            "accuracy": "max",
            "loss": "min",
            "flops": "min",
            "params": "min",
            "latency": "min",
        }
        assert next(iter(evaluator.metrics)) == "accuracy"
        assert evaluator.fixed_metrics == {"flops", "params", "latency"}


def test_what_is_foreseen_is_what_is_reported(dataset: Digits) -> None:
    space = KTGSpace(nodes=2, target="known", models=("resnet8",))
    evaluator = KTGEvaluator(SETTINGS)
    assert evaluator.foresee(alone("known")) == {}
    evaluator.check(space, dataset)
    _, metrics = train(dataset)
    foreseen = evaluator.foresee(alone("known"))
    assert set(foreseen) == {"flops", "params"}
    assert foreseen == {name: metrics[1][name] for name in foreseen}


def test_only_the_target_counts_and_each_target_is_counted_once(dataset: Digits) -> None:
    evaluator = GraphEvaluator(SETTINGS)
    evaluator.check(KTGSpace(nodes=2, target="known", models=("resnet8",)), dataset)
    for gate in ("through", "linear"):
        graph = KnowledgeTransferGraph((Node("known"), Node("resnet110")), (Edge(0, 1), Edge(2, 1, gate)))
        assert evaluator.foresee(graph) == evaluator.foresee(alone("known"))
    assert len(BUILT) == 1
    narrow, wide = (
        evaluator.foresee(KnowledgeTransferGraph((Node("resnet8", {"width": width}),), (Edge(0, 1),)))
        for width in (2, 4)
    )
    assert narrow["flops"] < wide["flops"]


def test_another_data_set_has_other_costs(dataset: Digits) -> None:
    evaluator, space = GraphEvaluator(SETTINGS), KTGSpace(nodes=2, target="known", models=("resnet8",))
    evaluator.check(space, dataset)
    small = evaluator.foresee(alone("known"))
    larger = Digits(limit=60, resize=16)
    evaluator.check(space, larger)
    assert evaluator.foresee(alone("known"))["flops"] > small["flops"]
    evaluator.check(space, dataset)
    assert evaluator.foresee(alone("known")) == small


def test_a_model_that_cannot_be_counted_is_left_to_its_trial(dataset: Digits, caplog: pytest.LogCaptureFixture) -> None:
    evaluator = GraphEvaluator(SETTINGS)
    evaluator.check(KTGSpace(nodes=2, target="known", models=("resnet8",)), dataset)
    with caplog.at_level(logging.WARNING):
        assert evaluator.foresee(alone("broken")) == {} == evaluator.foresee(alone("resnet9"))
        assert evaluator.foresee(alone("broken")) == {}
    assert [record.message for record in caplog.records if "broken" in record.message] == [
        "flops and params of broken cannot be told before training: ValueError('no such image')"
    ]
    with pytest.raises(RequestError, match="unknown model 'resnet9'"):
        count_costs(Node("resnet9"), CIFAR)
