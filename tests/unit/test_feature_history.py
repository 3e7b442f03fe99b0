"""The estimator feature-history: windows, votes, memory, checkpoints and what it refuses."""

import dataclasses
import errno
import json
import logging
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from automl_core.errors import RequestError
from automl_core.interfaces import FeatureSizes, Problem
from automl_core.randomness import derive_seed
from automl_core.testing.doubles import ToyEvaluator, ToySpace
from automl_core.types import Objective, Observation
from automl_feature_history.heads import Refit, StoredEpoch, refit
from automl_feature_history.history import FeatureHistory, _write
from automl_feature_history.room import Room
from automl_vision.observing import EpochFeatures

TRAIN, VALIDATION, DIMENSION, CLASSES = 60, 30, 6, 3


def features(unit, train=TRAIN, dimension=DIMENSION, classes=CLASSES, scale=1.0, bias=True):
    """Noisy features of classes that become easier to tell from epoch to epoch."""
    generator = torch.Generator().manual_seed(unit)
    centres = torch.randn(classes, dimension, generator=torch.Generator().manual_seed(99))

    def drawn(labels):
        noise = torch.randn(len(labels), dimension, generator=generator)
        return scale * (centres[labels] * 0.2 * unit + noise)

    train_labels = torch.randint(classes, (train,), generator=generator)
    validation_labels = torch.randint(classes, (VALIDATION,), generator=torch.Generator().manual_seed(98))
    return EpochFeatures(
        train=drawn(train_labels),
        train_labels=train_labels,
        validation=drawn(validation_labels),
        validation_labels=validation_labels,
        weight=0.3 * torch.randn(classes, dimension, generator=generator),
        bias=torch.randn(classes, generator=generator) if bias else None,
        seed=unit,
    )


def observation(unit, **options):
    return Observation(unit, {"accuracy": 0.1, "loss": 2.0}, features=features(unit, **options) if unit else None)


def observed(units, estimator=None, **options):
    estimator = estimator or FeatureHistory(**options)
    for unit in units:
        estimator.observe(observation(unit))
    return estimator


def refitted(one, recipe):
    """A head refitted by torch's own SGD."""
    head = nn.Linear(one.train.shape[1], len(one.weight))
    with torch.no_grad():
        head.weight.copy_(one.weight)
        head.bias.copy_(one.bias)
    optimiser = torch.optim.SGD(
        head.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    step, total = 0, recipe.steps(len(one.train))
    for number in range(recipe.passes):
        generator = torch.Generator().manual_seed(derive_seed(one.seed, "refit", number))
        for chosen in torch.randperm(len(one.train), generator=generator).split(recipe.batch):
            optimiser.param_groups[0]["lr"] = recipe.lr * (1.0 - step / total)
            optimiser.zero_grad()
            nn.functional.cross_entropy(head(one.train[chosen]), one.train_labels[chosen]).backward()
            optimiser.step()
            step += 1
    return head


def expected(units, recipe):
    """Accuracy and loss of the vote over these epochs, one after the other."""
    with torch.enable_grad():
        heads = [refitted(features(unit), recipe) for unit in units]
    with torch.no_grad():
        votes = [head(features(unit).validation).softmax(1) for unit, head in zip(units, heads, strict=True)]
    mean, labels = torch.stack(votes).mean(0), features(1).validation_labels
    accuracy = float((mean.argmax(1) == labels).double().mean())
    return accuracy, float(nn.functional.nll_loss(mean.log(), labels))


@pytest.mark.parametrize(
    ("epochs", "window", "voting"),
    [
        (4, 10, range(1, 5)),
        (12, 10, range(3, 13)),
        (10, 10, range(1, 11)),
        (11, 10, range(2, 12)),
        (7, 1, range(7, 8)),
        (40, 35, range(6, 41)),
    ],
)
def test_the_newest_epochs_in_the_window_vote(epochs, window, voting):
    recipe = Refit(batch=25, passes=2)
    estimate = observed(range(epochs + 1), window=window, batch=25, passes=2).estimate()
    accuracy, loss = expected(list(voting), recipe)
    assert estimate.metrics["accuracy"] == pytest.approx(accuracy)
    assert estimate.metrics["loss"] == pytest.approx(loss, rel=1e-4)
    others = [expected(list(range(voting[0] + 1, epochs + 1)) or [1], recipe)[1]] if epochs < 15 else []
    assert all(other != pytest.approx(loss, rel=1e-4) for other in others), "another window would give another loss"


def standing_still(logits, labels):
    """Estimator that has seen epochs whose heads give these logits, and are refitted by next to nothing."""
    estimator = FeatureHistory(lr=1e-12)
    for unit, rows in enumerate(logits, start=1):
        validation = torch.tensor(rows)
        one = EpochFeatures(
            train=torch.zeros(1, validation.shape[1]),
            train_labels=torch.zeros(1, dtype=torch.int64),
            validation=validation,
            validation_labels=torch.tensor(labels),
            weight=torch.eye(validation.shape[1]),
            bias=None,
            seed=unit,
        )
        estimator.observe(Observation(unit, {}, features=one))
    return estimator


def test_probabilities_are_averaged_and_not_logits():
    estimator = standing_still([[[10.0, 0.0, 0.0]], [[0.0, 1.5, 0.0]], [[0.0, 1.5, 0.0]]], [1])
    estimate = estimator.estimate()
    assert estimate.metrics["accuracy"] == 1.0, "the mean of the logits would be wrong"
    assert estimate.metrics["loss"] == pytest.approx(-math.log(0.460974), abs=1e-5)


def test_a_vote_can_be_worse_than_the_newest_head():
    logits = [
        [[5.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
        [[0.0, 1.5, 0.0], [0.0, 2.0, 0.0]],
    ]
    single = [standing_still([one], [1, 1]).estimate().metrics["accuracy"] for one in logits]
    assert single == [0.5, 0.5, 1.0]
    estimator = standing_still(logits, [1, 1])
    metrics = estimator.estimate().metrics
    assert metrics["accuracy"] == 0.5
    assert metrics["loss"] == pytest.approx(-(math.log(0.424735) + math.log(0.525015)) / 2, abs=1e-5)
    compared = estimator.accuracies()
    assert (compared.original, compared.refitted, compared.vote) == (1.0, 1.0, 0.5)


def test_a_vote_that_is_certain_and_wrong_has_a_finite_loss():
    metrics = standing_still([[[300.0, 0.0], [0.0, 1.0]]], [1, 1]).estimate().metrics
    assert metrics["loss"] == pytest.approx((87.3365 + math.log(1 + math.exp(-1))) / 2, abs=1e-3)


def test_accuracies_are_those_of_the_three_ways():
    estimator = observed(range(6), batch=25)
    one = features(5)
    original = (one.validation @ one.weight.T + one.bias).argmax(1)
    with torch.enable_grad():
        head = refitted(one, Refit(batch=25))
    compared = estimator.accuracies()
    assert compared.original == pytest.approx(float((original == one.validation_labels).double().mean()))
    hits = head(one.validation).argmax(1) == one.validation_labels
    assert compared.refitted == pytest.approx(float(hits.double().mean()))
    assert compared.vote == estimator.estimate().metrics["accuracy"]
    assert len({compared.original, compared.refitted, compared.vote}) > 1
    with pytest.raises(RequestError, match="after the first epoch"):
        FeatureHistory().accuracies()


def test_the_untrained_network_is_estimated_by_what_was_measured():
    estimator = FeatureHistory()
    estimator.observe(Observation(0, {"accuracy": 0.125, "loss": 2.5, "accuracy_2": 0.3}))
    assert estimator.estimate().metrics == {"accuracy": 0.125, "loss": 2.5}
    with pytest.raises(RequestError, match="features of every epoch, but got none at 1: it takes a model with forw"):
        estimator.observe(Observation(1, {"accuracy": 0.2}))


def test_features_are_not_written_into():
    one = features(3)
    before = {name: getattr(one, name).clone() for name in ("train", "validation", "weight", "bias", "train_labels")}
    estimator = FeatureHistory()
    estimator.observe(Observation(1, {}, features=one))
    estimator.estimate()
    for name, tensor in before.items():
        assert torch.equal(getattr(one, name), tensor)


@settings(max_examples=25)
@given(
    st.integers(1, 6),
    st.lists(st.sampled_from(["nothing", "estimate", "save"]), min_size=1, max_size=9),
    st.sampled_from([None, "tight", "two epochs"]),
    st.sampled_from(["float32", "float16"]),
)
def test_nothing_that_happens_on_the_way_changes_the_estimate(tmp_path_factory, window, happenings, memory, precision):
    options = {"window": window, "precision": precision, "batch": 25}
    room = Room.of(FeatureSizes(TRAIN, VALIDATION, DIMENSION, CLASSES), precision)
    bound = {None: None, "tight": room.least(window), "two epochs": room.least(window) + room.epoch}[memory]
    undisturbed = FeatureHistory(**options)
    disturbed = FeatureHistory(**options, memory=bound)
    for unit, happening in enumerate(happenings):
        undisturbed.observe(observation(unit))
        disturbed.observe(observation(unit))
        assert bound is None or disturbed.nbytes <= bound
        if happening == "estimate":
            disturbed.estimate()
        elif happening == "save":
            directory = tmp_path_factory.mktemp("saved")
            disturbed.save(directory)
            disturbed = FeatureHistory(**options, memory=bound)
            disturbed.load(directory)
        assert bound is None or disturbed.nbytes <= bound
    assert disturbed.estimate() == undisturbed.estimate()
    if len(happenings) > 1:
        assert disturbed.accuracies() == undisturbed.accuracies()


def test_asked_every_epoch_on_two_threads_as_asked_once():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        often, once = FeatureHistory(passes=1), FeatureHistory(passes=1)
        for unit in range(1, 4):
            one = Observation(unit, {}, features=features(unit, train=1100, dimension=64, classes=10))
            often.observe(one)
            often.estimate()
            once.observe(one)
        once.estimate()
    finally:
        torch.set_num_threads(before)
    for left, right in zip(often._entries, once._entries, strict=True):
        assert torch.equal(left.probabilities, right.probabilities)


@pytest.mark.parametrize("window", [1, 4, 20])
def test_an_epoch_has_its_own_place_whenever_it_is_refitted(monkeypatch, window):
    places = []

    def noted(epochs, recipe):
        places.extend((one.seed, len(epochs), place) for place, one in enumerate(epochs) if one is not None)
        return refit(epochs, recipe)

    monkeypatch.setattr("automl_feature_history.history.refit", noted)
    seen = []
    for asked in ({30}, {3, 4, 11, 30}, set(range(31))):
        places.clear()
        estimator = FeatureHistory(window=window, passes=1)
        for unit in range(31):
            estimator.observe(observation(unit))
            if unit in asked:
                estimator.estimate()
        seen.append({place for place in places if place[0] > 30 - window})
    assert len(seen[0]) == window
    assert seen[0] == seen[1] == seen[2]


def test_bytes_are_counted_as_they_are():
    sizes = FeatureSizes(TRAIN, VALIDATION, DIMENSION, CLASSES)
    for precision in ("float32", "float16"):
        estimator = observed(range(13), window=10, precision=precision)
        waiting = [one for one in estimator._entries if isinstance(one, StoredEpoch)]
        assert len(waiting) == 10
        kept = [tensor for one in waiting for tensor in (one.train, one.train_labels, one.validation, one.weight)]
        held = sum(tensor.nbytes for tensor in [*kept, *(one.bias for one in waiting)]) + VALIDATION * 8
        assert estimator.nbytes == held == Room.of(sizes, precision).full(10)
        estimator.estimate()
        assert estimator.nbytes == 10 * VALIDATION * CLASSES * 4 + VALIDATION * 8


def test_room_for_more_classes_than_features():
    estimator = FeatureHistory(window=3, memory=Room.of(FeatureSizes(5, VALIDATION, 2, 40), "float32").least(3))
    for unit in range(1, 8):
        one = features(unit, train=5, dimension=2, classes=40)
        estimator.observe(Observation(unit, {}, features=one))
        assert estimator.nbytes <= estimator.memory
        if unit % 2:
            estimator.estimate()
            assert estimator.nbytes <= estimator.memory


def test_an_epoch_that_does_not_fit_is_refused():
    least = Room.of(FeatureSizes(TRAIN, VALIDATION, DIMENSION, CLASSES), "float32").least(10)
    assert observed(range(3), memory=least).estimate()
    with pytest.raises(RequestError, match=rf"votes of 10, {least} bytes for this configuration, but is {least - 1} "):
        observed(range(3), memory=least - 1)
    wide = FeatureHistory(memory=least)
    with pytest.raises(RequestError, match=r"float16, a smaller estimator.window or dataset.limit"):
        wide.observe(observation(1, dimension=DIMENSION + 1))


def test_half_precision_halves_the_features_and_clamps():
    whole, half = observed(range(5)), observed(range(5), precision="float16")
    assert half.nbytes < 0.7 * whole.nbytes
    assert half.estimate().metrics["loss"] == pytest.approx(whole.estimate().metrics["loss"], rel=1e-2)
    huge = FeatureHistory(precision="float16")
    huge.observe(observation(1, scale=1e6))
    (stored,) = huge._entries
    assert stored.train.isfinite().all()
    assert stored.train.abs().max() == torch.finfo(torch.float16).max
    assert math.isfinite(huge.estimate().metrics["accuracy"])


@pytest.mark.parametrize("part", ["train", "validation", "weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_make_no_finite_estimate(part, value):
    estimator = observed(range(3))
    sick = features(3)
    getattr(sick, part)[1, 2] = value
    estimator.observe(Observation(3, {}, features=sick))
    metrics = estimator.estimate().metrics
    assert math.isnan(metrics["accuracy"])
    assert math.isnan(metrics["loss"])


def test_epochs_of_different_sizes_vote_together():
    estimator = FeatureHistory(batch=25)
    for unit, size in ((1, 60), (2, 44), (3, 60)):
        estimator.observe(observation(unit, train=size))
    alone = FeatureHistory(batch=25)
    for unit, size in ((1, 60), (2, 44), (3, 60)):
        alone.observe(observation(unit, train=size))
        alone.estimate()
    assert estimator.estimate() == alone.estimate()


def test_heads_without_bias_vote():
    estimator = FeatureHistory()
    estimator.observe(observation(1, bias=False))
    assert 0.0 <= estimator.estimate().metrics["accuracy"] <= 1.0


@settings(max_examples=10)
@given(st.permutations(range(VALIDATION)))
def test_the_order_of_the_validation_images_does_not_matter(order):
    order = list(order)
    estimator, shuffled = FeatureHistory(passes=1), FeatureHistory(passes=1)
    for unit in (1, 2, 3):
        one = features(unit)
        estimator.observe(Observation(unit, {}, features=one))
        other = dataclasses.replace(
            one, validation=one.validation[order], validation_labels=one.validation_labels[order]
        )
        shuffled.observe(Observation(unit, {}, features=other))
    found, again = estimator.estimate().metrics, shuffled.estimate().metrics
    assert again["accuracy"] == pytest.approx(found["accuracy"])
    assert again["loss"] == pytest.approx(found["loss"], rel=1e-5)


def test_a_refit_that_makes_it_worse_is_used_and_logged(caplog):
    with caplog.at_level(logging.DEBUG, logger="automl_feature_history.history"):
        observed(range(2), lr=1000.0, passes=1).estimate()
    assert "a refitted head is worse on its own features, and used" in caplog.text


def test_a_checkpoint_holds_votes_alone(tmp_path):
    estimator = observed(range(13))
    estimator.save(tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 10 * (VALIDATION * CLASSES * 4 + 200) + 1000
    assert json.loads((tmp_path / "state.json").read_text())["taken"] == 12


def test_a_checkpoint_before_the_first_epoch(tmp_path):
    estimator, again = observed([0]), FeatureHistory()
    estimator.save(tmp_path)
    again.load(tmp_path)
    assert again.estimate() == estimator.estimate()
    assert observed([1, 2], again).estimate() == observed([1, 2]).estimate()


def test_a_damaged_checkpoint_is_not_loaded(tmp_path):
    observed(range(3)).save(tmp_path)
    file = tmp_path / "vote-0001.npy"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError):
        FeatureHistory().load(tmp_path)


def test_a_full_disk_is_told_as_what_it_is():
    with pytest.raises(OSError) as caught:
        _write(Path("/dev/full"), torch.zeros(100_000))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window of feature-history must hold 1 epoch or more, but got 0"),
        ({"memory": "much"}, "memory of feature-history must be a size above 0 such as 500MB or 2GiB, but got 'much'"),
        ({"memory": 0}, "leave it out for no bound"),
        ({"precision": "float8"}, "must be float32 or float16, but got 'float8'"),
        ({"lr": -1.0}, "lr of the heads' refit must be a number above 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        FeatureHistory(**options)


def test_sizes_are_read_as_elsewhere():
    assert FeatureHistory(memory="1.5GiB").memory == 1.5 * 2**30
    assert FeatureHistory(memory=12345).memory == 12345


class Sized(ToyEvaluator):
    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def feature_sizes(self, description):
        assert description.digits, "the default configuration is decoded"
        return self.sizes


def checked(sizes, min_budget=16, max_budget=64, **options):
    estimator = FeatureHistory(**options)
    estimator.start(Problem(ToySpace(), (Objective("accuracy"),), min_budget, max_budget, None, seed=0))
    return list(estimator.check(Sized(sizes)))


def test_a_window_longer_than_the_first_rung_is_told():
    assert checked(None) == []
    (note,) = checked(None, min_budget=1)
    assert note == (
        "the window holds 10 epochs, but trials are first compared at 1: estimates use the epochs there are"
    )


def test_large_windows_are_told_and_can_be_bounded():
    thesis = FeatureSizes(train=40_000, validation=10_000, dimension=512, classes=10)
    (note,) = checked(thesis)
    assert "a full window takes 1027 MB" in note
    assert "float16" in note and "memory" in note
    assert checked(thesis, memory="1GB") == []
    assert checked(FeatureSizes(1000, 500, 64, 10)) == []
    (note,) = checked(thesis, min_budget=2, max_budget=2)
    assert "a full window" not in note, "there will never be more than two epochs"


def test_a_bound_that_the_default_configuration_breaks_is_refused_up_front():
    sizes = FeatureSizes(2000, 500, 64, 10)
    least = Room.of(sizes, "float32").least(10)
    assert checked(sizes, memory=least) == []
    with pytest.raises(RequestError, match=rf"{least} bytes for the space's default configuration, but is {least - 1}"):
        checked(sizes, memory=least - 1)
    assert checked(sizes, memory=least - 1, precision="float16") == []
    with pytest.raises(RequestError, match="the votes of 4, "):
        checked(sizes, memory=1000, min_budget=16, max_budget=16, window=4)
