"""Edge losses: published definitions, numbers worked out by hand, and the laws of a divergence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from automl_core import RequestError
from automl_core.plugins import get_registry
from automl_spaces.gates import GateInput
from automl_vision.losses import CrossEntropy, EdgeInput, EdgeLoss, KLDivergence, NodeOutput

# Two samples of three classes; the first source is right on sample 1 only, the second one on sample 2 only.
SOURCE = torch.tensor([[2.0, 0, 0], [0, 1, -1]], dtype=torch.float64)
SECOND_SOURCE = torch.tensor([[0.0, 0, 3], [0, 0, 1]], dtype=torch.float64)
DESTINATION = torch.tensor([[1.0, 0, -1], [0.5, 0.5, 0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])
PROGRESS = 30 / 120


def output(logits: torch.Tensor) -> NodeOutput:
    return NodeOutput(features=torch.zeros(len(logits), 1), logits=logits)


def divergence(loss: EdgeLoss, source: torch.Tensor | None, destination: torch.Tensor = DESTINATION) -> torch.Tensor:
    result: torch.Tensor = loss(EdgeInput(LABELS, output(destination), None if source is None else output(source)))
    return result


def gated(name: str, per_sample: torch.Tensor, source: torch.Tensor | None) -> float:
    right = torch.ones(len(LABELS), dtype=torch.bool) if source is None else source.argmax(1) == LABELS
    gate: Any = get_registry().create("gate", name)
    return float(gate(GateInput(per_sample, right, PROGRESS)))


def test_divergence_per_sample() -> None:
    assert divergence(KLDivergence(), SOURCE).tolist() == pytest.approx([0.061554, 0.170640], abs=1e-6)
    assert divergence(CrossEntropy(), None).tolist() == pytest.approx([0.407606, 1.458020], abs=1e-6)


@pytest.mark.parametrize(("gate", "value"), [("through", 0.116097), ("linear", 0.029024), ("correct", 0.030777)])
def test_gates_on_an_edge_from_a_node(gate: str, value: float) -> None:
    assert gated(gate, divergence(KLDivergence(), SOURCE), SOURCE) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(("gate", "value"), [("through", 0.932813), ("linear", 0.233203), ("correct", 0.932813)])
def test_gates_on_an_edge_from_the_label(gate: str, value: float) -> None:
    assert gated(gate, divergence(CrossEntropy(), None), None) == pytest.approx(value, abs=1e-6)


def test_temperature_comes_with_its_square() -> None:
    per_sample = divergence(KLDivergence(temperature=2.0), SOURCE)
    assert gated("through", per_sample, SOURCE) == pytest.approx(0.142526, abs=1e-6)


def test_gradient_is_the_difference_of_probabilities_and_reaches_no_source() -> None:
    source, destination = SOURCE.clone().requires_grad_(), DESTINATION.clone().requires_grad_()
    edge = EdgeInput(LABELS, output(destination), output(source).detached())
    KLDivergence()(edge).mean().backward()
    assert source.grad is None
    assert destination.grad is not None
    expected = torch.tensor([[-0.060873, 0.069111, -0.008238], [0.069462, -0.140795, 0.071333]], dtype=torch.float64)
    torch.testing.assert_close(destination.grad, expected, atol=1e-6, rtol=0)
    by_hand = (DESTINATION.softmax(1) - SOURCE.softmax(1)) / len(LABELS)
    torch.testing.assert_close(destination.grad, by_hand)


def test_total_of_a_target_with_three_edges() -> None:
    parts = (
        gated("through", divergence(CrossEntropy(), None), None),
        gated("linear", divergence(KLDivergence(), SOURCE), SOURCE),
        gated("correct", divergence(KLDivergence(), SECOND_SOURCE), SECOND_SOURCE),
    )
    assert parts == pytest.approx((0.932813, 0.029024, 0.135375), abs=1e-6)
    assert sum(parts) == pytest.approx(1.097213, abs=2e-6)


LOGITS = st.lists(st.floats(-30, 30), min_size=3, max_size=3)


@given(LOGITS, LOGITS, st.floats(0.5, 8), st.floats(-50, 50))
def test_a_divergence_is_never_negative_and_sees_differences_of_logits_only(
    source: list[float], destination: list[float], temperature: float, shift: float
) -> None:
    loss = KLDivergence(temperature)
    one = torch.tensor([source] * 2, dtype=torch.float64)
    other = torch.tensor([destination] * 2, dtype=torch.float64)
    value = divergence(loss, one, other)
    assert float(value.min()) >= -1e-9
    torch.testing.assert_close(divergence(loss, one + shift, other - shift), value, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(divergence(loss, one, one), torch.zeros_like(value), atol=1e-9, rtol=0)


def test_certain_outputs_give_finite_losses_and_gradients() -> None:
    source = torch.tensor([[1e4, 0.0, 0.0], [0.0, 1e4, 0.0]])
    destination = torch.tensor([[0.0, 1e4, 0.0], [0.0, 1e4, 0.0]], requires_grad=True)
    value = divergence(KLDivergence(), source, destination)
    value.sum().backward()
    assert value.tolist() == pytest.approx([1e4, 0.0])
    assert destination.grad is not None
    assert bool(destination.grad.isfinite().all())


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_impossible_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(RequestError, match="temperature"):
        KLDivergence(temperature)
