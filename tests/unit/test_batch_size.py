"""Batches that grow into the memory: the rule, what tells how full it is, and trainings with several batch sizes."""

from __future__ import annotations

import math
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from automl_core import Context, RequestError
from automl_core.types import Job, Metrics
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_vision import CollaborativeTrainer, TrainerSettings
from automl_vision.data.digits import Digits
from automl_vision.trainer import memory_probes
from automl_vision.trainer.batch_size import BatchSizeController, grown
from automl_vision.trainer.memory_probes import ConstantMemory, CudaMemory, ProcessMemory, group_limit, memory_probe
from automl_vision.trainer.update import CollaborativeUpdate

CPU, GPU = torch.device("cpu"), torch.device("cuda:1")
LINEAR = KnowledgeTransferGraph((Node("resnet8", {"width": 2}),) * 2, (Edge(0, 1), Edge(2, 1, "linear"), Edge(0, 2)))


class Script:
    """A probe that tells what it is given, one after another, and notes when it begins anew."""

    def __init__(self, *fractions: float) -> None:
        self.fractions, self.resets = list(fractions), 0

    def fraction(self) -> float:
        return self.fractions.pop(0)

    def reset(self) -> None:
        self.resets += 1


@pytest.mark.parametrize(
    ("size", "fraction", "then"),
    [
        (24, 0.30, 48),
        (24, 0.50, 40),
        (48, 0.60, 72),
        (64, 0.94, 64),
        (120, 0.50, 128),
        (96, 0.999, 96),
        (72, 0.62, 104),
        (64, 1.7, 64),
        (64, 0.0, 64),
    ],
)
def test_batches_grow_by_the_published_rule(size: int, fraction: float, then: int) -> None:
    assert grown(size, fraction, 128) == then


@given(st.integers(1, 300), st.floats(0.001, 2.0), st.integers(1, 300))
def test_batches_never_shrink_nor_grow_by_more_than_the_double(size: int, fraction: float, largest: int) -> None:
    then = grown(size, fraction, largest)
    assert size <= then <= max(size, min(2 * size, largest))
    assert then % 8 == 0 or then in (size, 2 * size, largest)


@given(st.integers(1, 128), st.floats(0.0, 0.9), st.floats(1e-4, 0.05))
def test_what_grew_fits_whatever_part_of_the_memory_is_fixed(size: int, fixed: float, of_an_image: float) -> None:
    then = grown(size, fixed + size * of_an_image, 10_000)
    assert then == size or fixed + then * of_an_image <= 0.95 + 1e-9


def test_the_memory_is_looked_at_every_few_steps_and_its_highest_use_counts_until_a_reset() -> None:
    probe = Script(0.6, 0.5, 0.5)
    controller = BatchSizeController(48, 128, 3, probe)
    assert [controller.step() for _ in range(5)] == [48, 48, 72, 72, 72]
    assert (controller.step(), controller.highest) == (112, 0.6)  # and not 0.95 * 72 / 0.5 = 136
    controller.reset()
    assert (controller.highest, probe.resets) == (0.0, 1)
    assert [controller.step() for _ in range(3)] == [112, 112, 128]


def test_a_controller_goes_on_in_the_middle_of_its_steps() -> None:
    first, second = BatchSizeController(24, 128, 3, Script(0.9)), BatchSizeController(24, 128, 3, Script(0.6))
    for _ in range(5):
        first.step()
    second.load_state_dict(first.state_dict())
    assert (second.size, second.highest) == (24, 0.9)
    assert second.step() == 24
    assert second.probe.fractions == []  # type: ignore[attr-defined]


# --- what a training does ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=150)
    digits.load()
    return digits


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, float, float]]]:
    """Size, progress and learning rate of every batch."""
    seen: list[tuple[int, float, float]] = []
    update = CollaborativeUpdate.__call__

    def noted(self: CollaborativeUpdate, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        seen.append((len(images), progress, self._learners[0].optimiser.param_groups[0]["lr"]))
        return update(self, images, labels, progress)

    monkeypatch.setattr(CollaborativeUpdate, "__call__", noted)
    yield seen


def trainer_of(dataset: Digits, probe: Any = None, needs: frozenset[str] = frozenset(), **given: Any) -> Any:
    options = {"batch": 16, "largest_batch": 128, "batch_every": 2, "pad": 1, "schedule": "linear", "lr": 0.04}
    context = Context(seed=3, max_budget=4, dataset=dataset, needs=needs)
    trainer = CollaborativeTrainer(LINEAR, TrainerSettings(**{**options, **given}), context)
    if probe is not None:
        assert trainer.controller is not None
        trainer.controller.probe = probe
    return trainer


def run(trainer: CollaborativeTrainer, to: int) -> list[tuple[int, Metrics]]:
    return [(one.unit, dict(one.metrics)) for one in trainer.advance(Job(0, {}, trainer.epoch, to))]


def test_batches_grow_within_an_epoch_and_schedules_follow_the_images(dataset: Digits, sizes: list[Any]) -> None:
    probe = Script(0.6, 0.6, 0.3, *[1.0] * 9)
    trainer = trainer_of(dataset, probe)
    curve = run(trainer, 4)
    # 0.95 / 0.6 of 16 are 25, of 24 are 38, and of 32, since the highest counts, 50.
    assert [metrics.get("batch") for _, metrics in curve] == [None, 48, 48, 48, 48]
    assert probe.resets == 4
    epochs = [[sizes[i][0] for i in range(len(sizes)) if math.ceil(sizes[i][1] * 4) == epoch] for epoch in range(1, 5)]
    assert epochs == [[16, 16, 24, 24, 32, 32], [48] * 3, [48] * 3, [48] * 3]  # what is left fills no batch
    # 150 images are 9 batches of 16; a batch's progress is that of its last image, its rate that of its first.
    assert [progress for _, progress, _ in sizes[:7]] == pytest.approx([k / 36 for k in (1, 2, 4, 5, 7, 9, 12)])
    rates = [0.04 * (1 - k / 36) for k in (0, 1, 2, 4, 5, 7, 9, 12, 15, 18)]
    assert [rate for *_, rate in sizes[:10]] == pytest.approx(rates)


def test_a_rest_is_kept_where_none_is_left_out(dataset: Digits, sizes: list[Any]) -> None:
    run(trainer_of(dataset, ConstantMemory(0.5), drop_last=False), 2)
    assert [size for size, _, _ in sizes] == [16, 16, 24, 24, 40, 30, 72, 72, 6]
    assert sizes[5][1] == 0.25 and sizes[8][1] == 0.5


def test_a_batch_never_outgrows_the_images(dataset: Digits, sizes: list[Any]) -> None:
    curve = run(trainer_of(dataset, ConstantMemory(0.1), largest_batch=10_000, batch_every=1), 3)
    assert curve[-1][1]["batch"] == 150
    assert [size for size, _, _ in sizes] == [16, 32, 64, 128, 150]


def test_a_training_goes_on_with_the_batches_it_had(dataset: Digits, tmp_path: Path, sizes: list[Any]) -> None:
    def trainer() -> Any:
        return trainer_of(dataset, ConstantMemory(0.6), batch_every=3)

    whole, first, second = trainer(), trainer(), trainer()
    curve = run(whole, 4)
    seen = list(sizes)
    assert len({size for size, *_ in seen}) > 3
    sizes.clear()
    begun = run(first, 1)
    first.save(tmp_path)
    second.load(tmp_path)
    assert begun + run(second, 4) == curve
    assert sizes == seen
    for one, other in zip(whole.target.state_dict().values(), second.target.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_features_of_all_images_are_recorded_whatever_the_sizes(dataset: Digits) -> None:
    trainer = trainer_of(dataset, Script(0.5, *[1.0] * 20), needs=frozenset({"features"}), drop_last=False)
    *_, last = trainer.advance(Job(0, {}, 0, 2))
    labels = dataset.split("train").labels
    assert torch.equal(last.features.train_labels.sort().values, labels.sort().values)
    settings = TrainerSettings(batch=16, largest_batch=32)
    assert [settings.images(150), TrainerSettings(batch=16).images(150)] == [150, 144]


@pytest.mark.parametrize("largest", [0, 16])
def test_a_fixed_size_asks_no_memory_and_says_nothing_of_batches(dataset: Digits, largest: int) -> None:
    trainer = trainer_of(dataset, largest_batch=largest)
    assert trainer.controller is None
    assert "batch" not in run(trainer, 1)[-1][1]


def test_checkpoints_of_a_fixed_size_load_where_batches_grow(dataset: Digits, tmp_path: Path) -> None:
    fixed = trainer_of(dataset, largest_batch=0)
    run(fixed, 1)
    fixed.save(tmp_path)
    growing = trainer_of(dataset, ConstantMemory(1.0))
    growing.load(tmp_path)
    assert (growing.batches.size, growing.epoch) == (16, 1)


@pytest.mark.parametrize(
    "options", [{"largest_batch": 63}, {"largest_batch": -1}, {"batch_every": 0}, {"memory_limit": "much"}]
)
def test_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=rf"trainer\.{next(iter(options))} must be .*, but got .*--set trainer"):
        TrainerSettings(**options)


# --- probes -----------------------------------------------------------------------------------------------------------


def test_a_gpu_is_as_full_as_its_tensors_at_their_peak_and_others_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1000 bytes 300 are free; torch keeps 500, of which tensors took at most 400: 200 are others'."""
    asked: list[Any] = []
    answers = {
        "mem_get_info": (300, 1000),
        "memory_reserved": 500,
        "max_memory_allocated": 400,
        "reset_peak_memory_stats": None,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, n=name, a=answer: asked.append((n, device)) or a)
    probe = memory_probe(GPU, "1GB")
    assert isinstance(probe, CudaMemory)
    assert probe.fraction() == pytest.approx(0.6)
    assert ("reset_peak_memory_stats", GPU) not in asked
    probe.reset()
    assert {device for _, device in asked} == {GPU}
    assert asked[-1] == ("reset_peak_memory_stats", GPU)


STATUS = "Name:\tpython\nVmPeak:\t     900 kB\nVmSize:\t 800 kB\nVmHWM:\t 500 kB\nVmRSS:\t 400 kB\nThreads:\t1\n"


def test_a_process_uses_its_peaks_of_whichever_limit_is_nearer(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    assert ProcessMemory(resident=1024_000, process=tmp_path).fraction() == 0.5
    assert ProcessMemory(virtual=1024_000, process=tmp_path).fraction() == 0.9
    assert ProcessMemory(1024_000, 2 * 1024_000, tmp_path).fraction() == 0.5
    assert ProcessMemory(1024_000, 1024_000, tmp_path).fraction() == 0.9
    (tmp_path / "status").write_text("".join(line for line in STATUS.splitlines(True) if line[2:6] not in "Peak HWM:"))
    assert ProcessMemory(1024_000, 1600_000, tmp_path).fraction() == pytest.approx(0.512)  # no peaks are told
    ProcessMemory(1024_000, process=tmp_path).reset()
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_other_systems_tell_the_peak_of_the_whole_process(tmp_path: Path) -> None:
    probe = ProcessMemory(2.0**40, process=tmp_path / "missing")
    assert 2**20 < probe.fraction() * 2.0**40 < 2**40
    probe.reset()


def test_memory_that_was_taken_and_given_back_is_seen(tmp_path: Path) -> None:
    probe = ProcessMemory(resident=2.0**30)
    probe.reset()
    before = probe.fraction()
    torch.ones(2**24)  # 64 MiB, a sixteenth
    assert probe.fraction() > before + 0.05


def test_the_nearest_limit_of_a_control_group_counts(tmp_path: Path) -> None:
    groups, process = tmp_path / "groups", tmp_path / "process"

    def limit(path: str, text: str) -> None:
        (groups / path).parent.mkdir(parents=True, exist_ok=True)
        (groups / path).write_text(text)

    assert group_limit(process, groups) == math.inf
    process.mkdir()
    (process / "cgroup").write_text("0::/user/job:1\n")
    assert group_limit(process, groups) == math.inf
    limit("user/job:1/memory.max", "max\n")
    assert group_limit(process, groups) == math.inf
    limit("user/memory.max", "3000\n")
    assert group_limit(process, groups) == 3000
    limit("memory.max", "2000\n")
    assert group_limit(process, groups) == 2000
    (process / "cgroup").write_text("5:cpu:/a\n4:hugetlb,memory:/a/b\n0::/none\n")
    limit("memory.max", "max\n")
    limit("memory/memory.limit_in_bytes", "9223372036854771712\n")  # how version 1 says that there is none
    assert group_limit(process, groups) == math.inf
    limit("memory/a/b/memory.limit_in_bytes", "5000\n")
    assert group_limit(process, groups) == 5000


def test_what_limits_a_process_is_what_it_is_measured_against(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory_probes._warn_of_no_limit.cache_clear()
    limits = {"virtual": resource.RLIM_INFINITY, "group": math.inf}
    monkeypatch.setattr(memory_probes, "group_limit", lambda: limits["group"])
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits["virtual"], -1))
    unknown = memory_probe(CPU), memory_probe(CPU)
    assert [probe.fraction() for probe in unknown] == [1.0, 1.0]
    assert [record.message for record in caplog.records if "trainer.memory_limit" in record.message] != []
    assert len(caplog.records) == 1
    given = memory_probe(CPU, "1TB").fraction()
    assert 0 < given < 0.1
    limits["group"] = 10**12
    assert memory_probe(CPU).fraction() == pytest.approx(given, rel=0.5)
    limits["virtual"] = 10**9
    assert memory_probe(CPU, "1TB").fraction() > 100 * given
