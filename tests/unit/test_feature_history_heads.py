"""Refitted heads: against numbers worked out by hand, against torch's own SGD, and each independent of the others."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from automl_core.errors import RequestError
from automl_core.randomness import derive_seed
from automl_feature_history.heads import Refit, StoredEpoch, probabilities, refit, training_loss


def epoch(seed=0, samples=50, dimension=8, classes=4, measured=20, bias=True, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return StoredEpoch(
        train=normal(samples, dimension).to(dtype),
        train_labels=torch.randint(classes, (samples,), generator=generator),
        validation=normal(measured, dimension).to(dtype),
        weight=normal(classes, dimension),
        bias=normal(classes) if bias else None,
        seed=seed,
    )


THREE_SAMPLES = StoredEpoch(
    train=torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]]),
    train_labels=torch.tensor([0, 0, 1]),
    validation=torch.zeros(1, 2),
    weight=torch.eye(2),
    bias=torch.zeros(2),
    seed=7,
)


def test_one_step_worked_out_by_hand():
    heads = refit([THREE_SAMPLES], Refit(batch=3, passes=1))
    assert training_loss(THREE_SAMPLES, THREE_SAMPLES.weight, THREE_SAMPLES.bias) == pytest.approx(0.548224, abs=1e-6)
    expected = torch.tensor([[1.013059, 0.019586], [-0.013084, 0.980389]])
    torch.testing.assert_close(heads.weight[0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(heads.bias[0, 0], torch.tensor([0.008002, -0.008002]), atol=1e-6, rtol=0)
    assert training_loss(THREE_SAMPLES, heads.weight[0], heads.bias[0, 0]) == pytest.approx(0.524062, abs=1e-6)


def test_three_steps_worked_out_by_hand():
    heads = refit([THREE_SAMPLES], Refit(batch=3, passes=3))
    expected = torch.tensor([[1.040611, 0.060392], [-0.040690, 0.939528]])
    torch.testing.assert_close(heads.weight[0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(heads.bias[0, 0], torch.tensor([0.024319, -0.024319]), atol=1e-6, rtol=0)


def looped(one, recipe):
    """The same refit in torch's own words: a linear layer, autograd, SGD and a schedule by step."""
    head = nn.Linear(one.train.shape[1], len(one.weight), bias=one.bias is not None)
    with torch.no_grad():
        head.weight.copy_(one.weight)
        if one.bias is not None:
            head.bias.copy_(one.bias)
    optimiser = torch.optim.SGD(
        head.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    total = recipe.steps(len(one.train))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - step / total)
    for number in range(recipe.passes):
        generator = torch.Generator().manual_seed(derive_seed(one.seed, "refit", number))
        for chosen in torch.randperm(len(one.train), generator=generator).split(recipe.batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(head(one.train[chosen].float()), one.train_labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    return head


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("batch", [7, 50, 1024])
def test_equals_sgd_on_a_linear_layer(batch, dtype, bias):
    recipe = Refit(batch=batch, passes=3, weight_decay=0.01)
    epochs = [epoch(seed, bias=bias, dtype=dtype) for seed in range(3)]
    heads = refit([epochs[0], None, *epochs[1:]], recipe)
    for place, one in zip((0, 2, 3), epochs, strict=True):
        expected = looped(one, recipe)
        torch.testing.assert_close(heads.weight[place], expected.weight.detach(), atol=1e-5, rtol=1e-4)
        if bias:
            torch.testing.assert_close(heads.bias[place, 0], expected.bias.detach(), atol=1e-5, rtol=1e-4)
        else:
            assert heads.bias[place].eq(0).all()
        assert not torch.allclose(heads.weight[place], one.weight, atol=1e-3), "it has learnt something"


def test_what_is_refitted_is_left_as_it_was():
    one = epoch()
    before = dataclasses.replace(one, **{name: getattr(one, name).clone() for name in ("train", "weight", "bias")})
    refit([one], Refit())
    for name in ("train", "weight", "bias"):
        assert torch.equal(getattr(one, name), getattr(before, name))


def test_global_generators_are_left_alone():
    state = torch.get_rng_state()
    refit([epoch()], Refit())
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=30)
@given(st.sets(st.integers(0, 5), min_size=1), st.sampled_from([7, 16, 64]), st.integers(2, 40))
def test_a_head_is_the_same_whatever_is_refitted_beside_it(present, batch, samples):
    epochs = [epoch(seed, samples) for seed in range(6)]
    recipe = Refit(batch=batch, passes=2)
    together = refit(epochs, recipe)
    some = refit([one if place in present else None for place, one in enumerate(epochs)], recipe)
    for place in present:
        assert torch.equal(some.weight[place], together.weight[place])
        assert torch.equal(some.bias[place], together.bias[place])


@pytest.fixture(params=[2, 4])
def _threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("present", [{0}, {3, 9}])
def test_a_head_is_the_same_beside_others_on_several_threads(present):
    epochs = [epoch(seed, samples=1100, dimension=64, classes=10) for seed in range(10)]
    together = refit(epochs, Refit(passes=1))
    some = refit([one if place in present else None for place, one in enumerate(epochs)], Refit(passes=1))
    for place in present:
        assert torch.equal(some.weight[place], together.weight[place])
        assert torch.equal(some.bias[place], together.bias[place])


def test_features_that_are_not_finite_spoil_no_other_head():
    sick = dataclasses.replace(epoch(1), train=torch.full((50, 8), float("nan")))
    healthy = refit([epoch(0), None, epoch(2)], Refit())
    beside = refit([epoch(0), sick, epoch(2)], Refit())
    assert beside.weight[1].isnan().all()
    for place in (0, 2):
        assert torch.equal(beside.weight[place], healthy.weight[place])


@settings(max_examples=20)
@given(st.permutations(range(20)))
def test_probabilities_follow_their_rows(order):
    one = epoch()
    voted = probabilities(one.validation, one.weight, one.bias)
    assert voted.shape == (20, 4)
    torch.testing.assert_close(voted.sum(dim=1), torch.ones(20))
    torch.testing.assert_close(probabilities(one.validation[list(order)], one.weight, one.bias), voted[list(order)])


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("lr", 0.0, "a number above 0"),
        ("lr", float("inf"), "a number above 0"),
        ("momentum", 1.0, r"in \[0, 1\)"),
        ("momentum", -0.1, r"in \[0, 1\)"),
        ("weight_decay", -1e-4, "a number from 0"),
        ("batch", 0, "1 or more"),
        ("passes", 0, "1 or more"),
    ],
)
def test_recipes_out_of_range_are_refused(name, value, rule):
    with pytest.raises(RequestError, match=rf"{name} of the heads' refit must be {rule}, but got .*--set estimator"):
        Refit(**{name: value})
