"""Options of the trainer and what follows from them: learning rates, batches, refusals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core import RequestError
from automl_core.options import describe, validate
from automl_vision.trainer.settings import TrainerSettings


def test_steps_follow_full_epochs() -> None:
    settings = TrainerSettings(lr=0.1)
    rates = [settings.learning_rate(epoch, 200) for epoch in range(200)]
    expected = [0.1] * 60 + [0.01] * 60 + [0.001] * 60 + [0.0001] * 20
    assert rates == pytest.approx(expected)


def test_milestones_are_shares_of_the_budget() -> None:
    settings = TrainerSettings(milestones=(0.5, 0.75, 0.875))
    changes = [e for e in range(1, 80) if settings.learning_rate(e, 80) != settings.learning_rate(e - 1, 80)]
    assert changes == [40, 60, 70]


@given(st.integers(1, 300), st.sampled_from(["step", "cosine", "linear", "constant"]))
def test_rates_start_at_lr_never_rise_and_stay_above_zero(epochs: int, schedule: Any) -> None:
    settings = TrainerSettings(lr=0.3, schedule=schedule)
    rates = [settings.learning_rate(epoch, epochs) for epoch in range(epochs)]
    assert rates[0] == pytest.approx(0.3)
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert rates[-1] > 0


def test_rates_fall_to_the_floor() -> None:
    """Epochs 0, 1, 7, 14 of 15, and 0, 5, 9 of 10, from 0.025 to 0.01."""
    settings = TrainerSettings(lr=0.025, final_lr=0.01, schedule="cosine")
    assert [round(settings.learning_rate(epoch, 15), 6) for epoch in (0, 1, 7, 14)] == [
        *(0.025, 0.024836, 0.018284, 0.010164)
    ]
    assert [round(settings.learning_rate(epoch, 10), 6) for epoch in (0, 5, 9)] == [0.025, 0.0175, 0.010367]
    linear = TrainerSettings(lr=0.025, final_lr=0.01, schedule="linear")
    assert [round(linear.learning_rate(epoch, 10), 6) for epoch in (0, 5, 9)] == [0.025, 0.0175, 0.0115]


def test_batches_of_an_epoch() -> None:
    assert TrainerSettings(batch=64).batches(50_000) == 781
    assert TrainerSettings(batch=64).batches(40_000) == 625
    assert TrainerSettings(batch=64, drop_last=False).batches(50_000) == 782
    assert TrainerSettings(batch=64, drop_last=False).batches(10) == 1
    with pytest.raises(RequestError, match=r"at most the number of training images \(10\), but got 64"):
        TrainerSettings(batch=64).batches(10)


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 0},
        {"evaluation_batch": 0},
        {"lr": 0.0},
        {"lr": float("inf")},
        {"momentum": 1.0},
        {"momentum": 0.0},  # with the default, Nesterov's
        {"weight_decay": -1e-4},
        {"clip": -1.0},
        {"clip": float("inf")},
        {"final_lr": -0.01},
        {"lr": 0.1, "final_lr": 0.2},
        {"decay": 0.0},
        {"pad": -1},
        {"cutmix": 1.5},
        {"milestones": (0.5, 1.5)},
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"trainer\.\w+ must be .*, but got"):
        TrainerSettings(**options)


def test_every_option_is_described_and_validates_from_yaml_values() -> None:
    assert all(option.meaning for option in describe(TrainerSettings))
    assert validate(TrainerSettings, {"milestones": [0.5], "flip": None, "lr": 1}, "trainer") == {
        "milestones": (0.5,),
        "flip": None,
        "lr": 1.0,
    }
    with pytest.raises(RequestError, match="did you mean 'momentum'"):
        validate(TrainerSettings, {"momentun": 0.5}, "trainer")
    with pytest.raises(RequestError, match=r"cifar10 \| imagenet \| svhn \| random, but got 'cifar'"):
        validate(TrainerSettings, {"auto_augment": "cifar"}, "trainer")


@pytest.mark.parametrize(("images", "batch", "batches", "seen"), [
    (57 * 7 + 1, 57, 7, 57 * 7), (57 * 7 + 2, 57, 8, 57 * 7 + 2), (1, 57, 1, 1), (3, 1, 3, 3), (9, 4, 2, 8),
])  # fmt: skip
def test_a_rest_of_one_image_is_left_out(images: int, batch: int, batches: int, seen: int) -> None:
    settings = TrainerSettings(batch=batch, drop_last=False)
    assert (settings.batches(images), settings.images(images)) == (batches, seen)
