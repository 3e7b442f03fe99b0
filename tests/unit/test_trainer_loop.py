"""The training loop: seeds, schedules, metrics, divergence, and going on from a checkpoint bit by bit."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from math import isfinite, isnan
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automl_core import Context, RequestError, hookimpl
from automl_core.interfaces import Dataset
from automl_core.plugins import Registry, use_registry
from automl_core.types import Job, Metrics
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node, all_through
from automl_vision import ClassifierModule, CollaborativeTrainer, ImageDataset, ImageSplit, RawImages, TrainerSettings
from automl_vision.data.digits import Digits
from automl_vision.models import build_model
from automl_vision.randomness import isolated_randomness
from automl_vision.trainer.timing import seconds_per_epoch
from automl_vision.trainer.update import CollaborativeUpdate

SMALL, OTHER = Node("resnet8", {"width": 2}), Node("resnet8", {"width": 3})
SETTINGS = TrainerSettings(batch=20, pad=1, lr=0.05, schedule="cosine")
SINGLE = KnowledgeTransferGraph((SMALL,), (Edge(0, 1),))
LINEAR = KnowledgeTransferGraph(
    (SMALL, OTHER),
    (Edge(0, 1, "linear"), Edge(2, 1, "correct"), Edge(0, 2), Edge(1, 2, "linear", options={"temperature": 2.0})),
)


class WithDropout(ClassifierModule):
    """A linear network that drops half of its input."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(64 * channels, classes)

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.drop(images.flatten(1))
        return features


class Plugin:
    @hookimpl
    def automl_models(self, register: Any) -> None:
        register("with-dropout", "test:WithDropout", summary="")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    registry = Registry()
    registry.add("of-this-test", Plugin())
    load = registry.load
    monkeypatch.setattr(
        registry, "load", lambda kind, name: WithDropout if name == "with-dropout" else load(kind, name)
    )
    with use_registry(registry):
        yield registry


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def trainer_of(
    graph: KnowledgeTransferGraph, dataset: Dataset | None, settings: TrainerSettings = SETTINGS, **rest: Any
) -> CollaborativeTrainer:
    return CollaborativeTrainer(graph, settings, Context(**{"seed": 3, "max_budget": 4, "dataset": dataset} | rest))


def run(trainer: CollaborativeTrainer, to: int) -> list[tuple[int, Metrics]]:
    return [(one.unit, dict(one.metrics)) for one in trainer.advance(Job(0, {}, trainer.epoch, to))]


def weights(trainer: CollaborativeTrainer, number: int = 1) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.networks[number].state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_observations_begin_untrained_and_follow_every_epoch(dataset: Digits) -> None:
    trainer = trainer_of(LINEAR, dataset)
    curve = run(trainer, 2)
    assert [unit for unit, _ in curve] == [0, 1, 2]
    of_nodes = {"accuracy", "loss", "accuracy_1", "accuracy_2"}
    assert [set(metrics) for _, metrics in curve] == [of_nodes, of_nodes | {"train_loss"}, of_nodes | {"train_loss"}]
    assert all(metrics["accuracy"] == metrics["accuracy_1"] for _, metrics in curve)
    assert run(trainer, 2) == []
    assert [unit for unit, _ in run(trainer, 3)] == [3]


def test_accuracy_and_loss_are_those_of_the_network(dataset: Digits) -> None:
    trainer = trainer_of(SINGLE, dataset, TrainerSettings(batch=20, pad=1, evaluation_batch=7))
    (_, metrics) = run(trainer, 1)[-1]
    split = dataset.split("validation")
    mean = torch.tensor(dataset.mean).view(1, -1, 1, 1)
    std = torch.tensor(dataset.std).view(1, -1, 1, 1)
    with torch.no_grad():
        logits = trainer.target.eval()((split.images / 255 - mean) / std)
    assert metrics["accuracy"] == pytest.approx(float((logits.argmax(1) == split.labels).float().mean()))
    assert metrics["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, split.labels)), rel=1e-4)


@pytest.mark.parametrize("graph", [LINEAR, KnowledgeTransferGraph((Node("with-dropout"),), (Edge(0, 1),))])
@pytest.mark.parametrize("settings", [SETTINGS, TrainerSettings(batch=20, pad=1, momentum=0.0, nesterov=False)])
def test_a_training_goes_on_bit_by_bit(
    dataset: Digits, tmp_path: Path, graph: KnowledgeTransferGraph, settings: TrainerSettings
) -> None:
    whole = trainer_of(graph, dataset, settings)
    curve = run(whole, 4)
    pieces: list[tuple[int, Metrics]] = []
    for to in range(1, 5):
        part = trainer_of(graph, dataset, settings)
        if to > 1:
            part.load(tmp_path / str(to - 1))
        pieces += run(part, to)
        (tmp_path / str(to)).mkdir()
        part.save(tmp_path / str(to))
    assert pieces == curve
    assert all(same(weights(whole, number), weights(part, number)) for number in whole.networks)


def test_a_job_can_be_cut_after_any_epoch(dataset: Digits, tmp_path: Path) -> None:
    whole, cut = trainer_of(LINEAR, dataset), trainer_of(LINEAR, dataset)
    curve = run(whole, 3)
    observations = cut.advance(Job(0, {}, 0, 3))
    begun = [next(observations), next(observations)]
    observations.close()  # type: ignore[attr-defined]
    cut.save(tmp_path)
    rest = trainer_of(LINEAR, dataset)
    rest.load(tmp_path)
    assert [(one.unit, dict(one.metrics)) for one in begun] + run(rest, 3) == curve


def test_checkpoints_are_read_without_unpickling(dataset: Digits, tmp_path: Path) -> None:
    trainer = trainer_of(LINEAR, dataset)
    run(trainer, 1)
    trainer.save(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Exception, match="Weights only load failed"):
        trainer.load(tmp_path)


def test_results_follow_from_the_seed_alone(dataset: Digits) -> None:
    before = torch.get_rng_state()
    first = trainer_of(LINEAR, dataset)
    curve = run(first, 2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert run(trainer_of(LINEAR, dataset), 2) == curve
    assert run(trainer_of(LINEAR, dataset, seed=4), 2) != curve


def test_threads_of_one_process_give_the_numbers_of_one(dataset: Digits) -> None:
    graph = KnowledgeTransferGraph((Node("with-dropout"),), (Edge(0, 1),))

    def train(seed: int) -> list[tuple[int, Metrics]]:
        return run(trainer_of(graph, dataset, seed=seed), 4)

    alone = [train(seed) for seed in range(4)]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(train, range(4))) == alone
    assert torch.equal(torch.get_rng_state(), before)


def test_who_draws_from_the_global_generator_has_it_alone() -> None:
    def draw_late() -> None:
        with isolated_randomness(7):
            entered.set()
            leave.wait(10)

    entered, leave = Event(), Event()
    with isolated_randomness(5):
        expected = torch.rand(2)
    other = Thread(target=draw_late)
    with isolated_randomness(5):
        other.start()
        intruded = entered.wait(0.2)
        build_model("resnet8", 1, 2, {"width": 2})  # the same thread may come in again
        assert not intruded
        assert torch.equal(torch.rand(2), expected)
    leave.set()
    other.join(10)
    assert entered.is_set()


def test_what_cannot_influence_the_target_changes_nothing(dataset: Digits) -> None:
    bare = all_through(KnowledgeTransferGraph((SMALL, OTHER), ()))
    swapped_and_more = KnowledgeTransferGraph(
        (SMALL, SMALL, OTHER),
        (
            *(Edge(0, 1, "correct"), Edge(3, 1), Edge(2, 1, "cutoff")),
            *(Edge(0, 3), Edge(1, 3)),
            *(Edge(0, 2), Edge(1, 2, "linear"), Edge(3, 2)),
        ),
    )
    one, other = trainer_of(bare, dataset), trainer_of(swapped_and_more, dataset)
    assert len(other.networks) == 2
    assert run(one, 2) == run(other, 2)
    assert same(weights(one), weights(other))


def test_every_node_of_a_graph_sees_the_batches_that_a_single_one_sees(dataset: Digits) -> None:
    one, three = trainer_of(SINGLE, dataset), trainer_of(all_through(KnowledgeTransferGraph((SMALL,) * 3, ())), dataset)
    for epoch in (0, 1):
        for (images, labels), (others, their_labels) in zip(
            one.batches.epoch(epoch), three.batches.epoch(epoch), strict=True
        ):
            assert torch.equal(images, others)
            assert torch.equal(labels, their_labels)
    assert not torch.equal(next(one.batches.epoch(0))[0], next(one.batches.epoch(1))[0])
    assert same(weights(one), weights(three))  # the target's initial weights, too


class Counted(ImageDataset):
    """50,000 blank images of 4x4 pixels, of two classes."""

    name = "counted"

    def _read(self) -> RawImages:
        def blank(count: int) -> ImageSplit:
            return ImageSplit(torch.zeros(count, 1, 4, 4, dtype=torch.uint8), torch.arange(count) % 2)

        return RawImages(blank(50_000), blank(10), blank(100))


def test_the_linear_gate_runs_over_all_iterations_that_were_planned() -> None:
    trainer = trainer_of(SINGLE, Counted(), TrainerSettings(pad=1), max_budget=200)
    assert trainer.iterations == 156_200
    assert trainer.progress(0, 0) == pytest.approx(6.402e-6, rel=1e-4)
    assert trainer.progress(99, 780) == 0.5
    assert trainer.progress(199, 780) == 1.0


def test_the_gates_are_told_the_progress_of_every_batch(dataset: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(SINGLE, dataset, max_budget=2)
    told: list[float] = []
    update = CollaborativeUpdate.__call__

    def recorded(self: CollaborativeUpdate, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        told.append(progress)
        return update(self, images, labels, progress)

    monkeypatch.setattr(CollaborativeUpdate, "__call__", recorded)
    run(trainer, 2)
    assert told == pytest.approx([k / 6 for k in range(1, 7)])


def test_a_final_training_learns_from_validation_too_and_is_measured_on_test(dataset: Digits) -> None:
    trainer = trainer_of(SINGLE, dataset, split="final")
    search = trainer_of(SINGLE, dataset)
    images = torch.cat([labels for _, labels in trainer.batches.epoch(0)])
    assert (len(images), search.batches.count * 20) == (120, 60)
    measured = torch.cat([labels for _, labels in trainer.batches.measured()])
    assert torch.equal(measured, dataset.split("test").labels)
    assert torch.equal(
        torch.cat([labels for _, labels in search.batches.measured()]), dataset.split("validation").labels
    )


def test_a_rest_that_fills_no_batch_is_kept_on_request(dataset: Digits) -> None:
    trainer = trainer_of(SINGLE, dataset, TrainerSettings(batch=25, pad=1, drop_last=False))
    assert [len(labels) for _, labels in trainer.batches.epoch(0)] == [25, 25, 10]
    assert trainer.iterations == 12
    dropping = trainer_of(SINGLE, dataset, TrainerSettings(batch=25, pad=1))
    assert [len(labels) for _, labels in dropping.batches.epoch(0)] == [25, 25]


def test_a_training_that_diverges_says_so_and_does_not_finish_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = Digits(limit=200)
    trainer = trainer_of(LINEAR, digits, TrainerSettings(batch=2, pad=1, lr=1e30))
    updates = []
    update = CollaborativeUpdate.__call__
    monkeypatch.setattr(CollaborativeUpdate, "__call__", lambda *batch: updates.append(1) or update(*batch))
    (_, metrics) = run(trainer, 1)[-1]
    assert isnan(metrics["train_loss"])
    assert isnan(metrics["loss"])
    assert len(updates) < trainer.batches.count == 100


def test_an_epoch_reads_no_tensor_batch_by_batch(dataset: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU every read waits for the device, so their number must not grow with the batches."""
    reads: list[str] = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
        read = getattr(Tensor, name)
        monkeypatch.setattr(
            Tensor, name, lambda self, *a, _read=read, _name=name: reads.append(_name) or _read(self, *a)
        )
    counts = []
    for batch in (20, 4):
        trainer = trainer_of(LINEAR, dataset, TrainerSettings(batch=batch, pad=1, clip=1.0))
        reads.clear()
        run(trainer, 1)
        counts.append(len(reads))
    assert counts[0] == counts[1] > 0


def test_reduced_precision_keeps_weights_in_full_precision(dataset: Digits) -> None:
    trainer = trainer_of(LINEAR, dataset, TrainerSettings(batch=20, pad=1, precision="bfloat16"))
    curve = run(trainer, 1)
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(trainer).values())
    assert curve != run(trainer_of(LINEAR, dataset, TrainerSettings(batch=20, pad=1)), 1)
    assert all(isfinite(value) for _, metrics in curve for value in metrics.values())


def test_memory_layout_changes_no_more_than_rounding(dataset: Digits) -> None:
    last, first = (
        trainer_of(SINGLE, dataset, TrainerSettings(batch=20, pad=1, lr=0.01, channels_last=layout))
        for layout in (True, False)
    )
    assert run(last, 1)[-1][1]["loss"] == pytest.approx(run(first, 1)[-1][1]["loss"], rel=1e-3)


def test_a_target_that_nothing_trains_is_refused(dataset: Digits) -> None:
    dead = KnowledgeTransferGraph((SMALL, SMALL), (Edge(0, 1, "cutoff"), Edge(0, 2), Edge(1, 2)))
    with pytest.raises(RequestError, match="target"):
        trainer_of(dead, dataset)


class Words(Dataset):
    kind = "text"
    name = "words"

    def load(self) -> None: ...

    def describe(self) -> Any: ...

    def fingerprint(self) -> str:
        return ""


@pytest.mark.parametrize("dataset", [None, Words()])
def test_other_data_than_images_are_refused(dataset: Dataset | None) -> None:
    with pytest.raises(RequestError, match="image-classification"):
        trainer_of(SINGLE, dataset)


def test_padding_is_what_the_settings_say(dataset: Digits) -> None:
    """Zeros are black pixels before normalisation, and may be wider than the image."""
    settings = TrainerSettings(batch=60, pad=9, padding="zeros", flip=False)
    images, _ = next(trainer_of(SINGLE, dataset, settings).batches.epoch(0))
    blank = (images == -dataset.mean[0] / dataset.std[0]).flatten(1).all(1)
    assert 10 < blank.sum() < 60  # shifted out of sight: by 8 or 9 to some side
    whole = next(trainer_of(SINGLE, dataset, TrainerSettings(batch=60, pad=3, flip=False)).batches.epoch(0))[0]
    assert not (whole == -dataset.mean[0] / dataset.std[0]).flatten(1).all(1).any()


def test_misfits_are_refused(dataset: Digits) -> None:
    with pytest.raises(RequestError, match=r"reflection padding must be smaller.*8 pixels"):
        run(trainer_of(SINGLE, dataset, TrainerSettings(batch=20, pad=8)), 1)
    with pytest.raises(RequestError, match=r"trainer\.batch must be at most"):
        trainer_of(SINGLE, dataset, TrainerSettings(batch=61, pad=1))
    with pytest.raises(RequestError, match="maximum budget, 4 epochs"):
        run(trainer_of(SINGLE, dataset), 5)
    with pytest.raises(RequestError, match="an edge from the label must carry"):
        trainer_of(KnowledgeTransferGraph((SMALL,), (Edge(0, 1, loss="kl"),)), dataset)
    with pytest.raises(RequestError, match="did you mean 'kl'"):
        trainer_of(KnowledgeTransferGraph((SMALL,), (Edge(0, 1, loss="kll"),)), dataset)


class Counting(CollaborativeUpdate):
    """Counts its batches, and draws a number at the beginning of each epoch."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.begun: list[int] = []
        self.batches, self.sum = 0, torch.zeros(())

    def begin(self, epoch: int) -> None:
        self.begun.append(epoch)
        self.drawn = torch.rand(())

    def __call__(self, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        self.batches, self.sum = self.batches + 1, self.sum + self.drawn
        return super().__call__(images, labels, progress)

    def metrics(self) -> dict[str, float]:
        return {"batches": float(self.batches), "sum": float(self.sum)}

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches, "sum": self.sum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches, self.sum = state["batches"], state["sum"]


class CountingTrainer(CollaborativeTrainer):
    def build_update(self, watch: Any) -> Counting:
        return Counting(self.networks, self.learners, self.forward, watch)


def test_an_update_of_its_own_is_told_of_epochs_observed_and_kept(dataset: Digits, tmp_path: Path) -> None:
    def trainer() -> CountingTrainer:
        return CountingTrainer(LINEAR, SETTINGS, Context(seed=3, max_budget=4, dataset=dataset))

    whole, first, second = trainer(), trainer(), trainer()
    curve = run(whole, 3)
    assert whole.update.begun == [0, 1, 2]  # type: ignore[attr-defined]
    assert [metrics.get("batches") for _, metrics in curve] == [None, 3, 6, 9]
    begun = run(first, 2)
    first.save(tmp_path)
    second.load(tmp_path)
    assert begun + run(second, 3) == curve
    assert second.update.begun == [2]  # type: ignore[attr-defined]
    plain = [{name: metrics[name] for name in metrics if name not in ("batches", "sum")} for _, metrics in curve]
    assert plain == [metrics for _, metrics in run(trainer_of(LINEAR, dataset), 3)]


def test_checkpoints_of_before_updates_had_a_state_still_load(dataset: Digits, tmp_path: Path) -> None:
    whole = trainer_of(LINEAR, dataset)
    curve = run(whole, 1)
    whole.save(tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["update"], state["costs"]
    torch.save(state, tmp_path / "checkpoint.pt")
    for trainer in (trainer_of(LINEAR, dataset), CountingTrainer(LINEAR, SETTINGS, whole.context)):
        trainer.load(tmp_path)
        assert trainer.epoch == len(curve) - 1 == 1
        assert same(weights(whole), weights(trainer))


def test_timing_begins_epochs_as_training_does(dataset: Digits) -> None:
    trainer = CountingTrainer(SINGLE, SETTINGS, Context(seed=3, max_budget=4, dataset=dataset))
    assert seconds_per_epoch(trainer) > 0
    assert set(trainer.update.begun) == {0}  # type: ignore[attr-defined]
    assert len(trainer.update.begun) >= trainer.update.batches / 3 > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("drop_last", [True, False])
def test_an_epoch_uses_every_image_once_whatever_the_sizes(dataset: Digits, drop_last: bool) -> None:
    settings = TrainerSettings(batch=8, pad=0, flip=False, drop_last=drop_last)
    batches = trainer_of(SINGLE, dataset, settings).batches
    images = torch.cat([images for images, _ in batches.epoch(0)])
    sizes, varied = [], []
    for batch, (some, labels) in enumerate(batches.epoch(0)):
        sizes.append(len(labels))
        varied.append(some)
        batches.size = 8 + 4 * batch
    assert sizes == [8, 8, 12, 16] + [16] * (not drop_last)
    assert torch.equal(torch.cat(varied)[:44], images[:44])


@pytest.mark.parametrize("name", ["checkpoint.pt", "model.safetensors"])
def test_a_full_disk_is_told_from_a_bug(name: str, dataset: Digits, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to("/dev/full")
    trainer = trainer_of(SINGLE, dataset)
    with pytest.raises(OSError, match="No space left on device") as raised:
        trainer.save(tmp_path) if name == "checkpoint.pt" else trainer.export(tmp_path)
    assert raised.value.errno == errno.ENOSPC


def test_the_linear_schedule_falls_from_batch_to_batch(dataset: Digits) -> None:
    settings = TrainerSettings(lr=0.1, schedule="linear")
    told = [round(settings.learning_rate(epoch, 128), 6) for epoch in (0, 1, 64, 127)]
    assert told == [0.1, 0.099219, 0.05, 0.000781]
    trainer = trainer_of(SINGLE, dataset, TrainerSettings(batch=20, pad=1, lr=0.1, schedule="linear"))
    rates = []
    step = trainer.learners[0].optimiser.step
    trainer.learners[0].optimiser.step = lambda: (
        rates.append(trainer.learners[0].optimiser.param_groups[0]["lr"]) or step()
    )  # type: ignore[method-assign,assignment]
    run(trainer, 2)
    assert rates == pytest.approx([0.1 * (1 - t / 12) for t in range(6)])


class Growing(ClassifierModule):
    """A linear network with an auxiliary head, which notes what it is told."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(64 * channels, classes)
        self.side = nn.Linear(64 * channels, classes)
        self.told: list[float] = []

    def set_progress(self, progress: float) -> None:
        self.told.append(progress)

    def forward_features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1), self.side(images.flatten(1))


def test_networks_are_told_the_progress_and_auxiliary_heads_learn(
    dataset: Digits, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: Growing if name == "with-dropout" else load(kind, name))
    trainers = {}
    for weight in (0.0, 0.4):
        options = {"auxiliary": weight} if weight else {}
        graph = KnowledgeTransferGraph((Node("with-dropout"),), (Edge(0, 1, options=options),))
        trainers[weight] = trainer_of(graph, dataset)
        before = weights(trainers[weight])
        run(trainers[weight], 2)
        after = weights(trainers[weight])
        assert not torch.equal(before["head.weight"], after["head.weight"])
        assert torch.equal(before["side.weight"], after["side.weight"]) is (weight == 0.0)
    network: Any = trainers[0.4].target
    assert network.told == [0.0, 0.25]
    # The auxiliary head shares nothing with the head here, so the head must learn as without it.
    assert torch.equal(weights(trainers[0.0])["head.weight"], weights(trainers[0.4])["head.weight"])


def test_an_auxiliary_loss_needs_an_auxiliary_head(dataset: Digits) -> None:
    graph = KnowledgeTransferGraph((SMALL,), (Edge(0, 1, options={"auxiliary": 0.4}),))
    with pytest.raises(RequestError, match="no forward_with_auxiliary"):
        run(trainer_of(graph, dataset), 1)
    with pytest.raises(RequestError, match="at least 0, but got -1"):
        trainer_of(KnowledgeTransferGraph((SMALL,), (Edge(0, 1, options={"auxiliary": -1}),)), dataset)


def test_on_a_gpu_cudnn_is_on_and_deterministic(dataset: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(SINGLE, dataset, SETTINGS)
    monkeypatch.setattr("automl_vision.trainer.loop.isolated_randomness", lambda *_: nullcontext())
    trainer.device = torch.device("cuda")
    with trainer._isolated("layers"):
        flags = torch.backends.cudnn.enabled, torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    assert flags == (True, True, False)


def test_a_rest_of_one_image_does_not_end_a_training(dataset: Digits) -> None:
    count = len(dataset.split("train"))
    size = next(size for size in range(2, count) if count % size == 1)
    trainer = trainer_of(SINGLE, dataset, TrainerSettings(batch=size, pad=1, drop_last=False))
    sizes = [len(labels) for _, labels in trainer.batches.epoch(0)]
    assert sum(sizes) == count - 1 == trainer.batches.images
    assert len(sizes) == trainer.batches.count
