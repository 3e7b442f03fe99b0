"""Gates on real tensors, in double precision, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from automl_core.plugins import get_registry
from automl_spaces.gates import GateInput

TEACHER = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
STUDENT = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])
PROGRESS = 30 / 120


def kl(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    reference = log_softmax(teacher.detach(), 1)
    return (reference.exp() * (reference - log_softmax(student, 1))).sum(1)


def model_edge(student: torch.Tensor = STUDENT, teacher: torch.Tensor = TEACHER) -> GateInput:
    return GateInput(kl(teacher, student), teacher.argmax(1) == LABELS, PROGRESS)


def label_edge() -> GateInput:
    return GateInput(cross_entropy(STUDENT, LABELS, reduction="none"), torch.ones(2, dtype=torch.bool), PROGRESS)


def value(gate: str, batch: GateInput) -> float:
    result = get_registry().load("gate", gate)()(batch)
    assert result.shape == ()
    return float(result)


def test_divergences_of_the_vectors() -> None:
    assert model_edge().divergence.tolist() == pytest.approx([0.061554, 0.170640], abs=1e-6)
    assert label_edge().divergence.tolist() == pytest.approx([0.407606, 1.458020], abs=1e-6)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [("through", 0.116097), ("linear", 0.029024), ("correct", 0.030777), ("negative-linear", 0.116097 - 0.029024)],
)
def test_gates_on_an_edge_between_nodes(gate: str, expected: float) -> None:
    assert value(gate, model_edge()) == pytest.approx(expected, abs=1.5e-6)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [("through", 0.932813), ("linear", 0.233203), ("correct", 0.932813), ("negative-linear", 0.932813 - 0.233203)],
)
def test_gates_on_a_label_edge(gate: str, expected: float) -> None:
    assert value(gate, label_edge()) == pytest.approx(expected, abs=1.5e-6)


def test_gradient_reaches_the_destination_alone() -> None:
    student = STUDENT.clone().requires_grad_()
    teacher = TEACHER.clone().requires_grad_()
    get_registry().load("gate", "through")()(model_edge(student, teacher)).backward()
    expected = [[-0.060873, 0.069111, -0.008238], [0.069462, -0.140795, 0.071333]]
    assert student.grad is not None
    for row, expected_row in zip(student.grad.tolist(), expected, strict=True):
        assert row == pytest.approx(expected_row, abs=1e-6)
    assert teacher.grad is None


def test_linear_is_never_closed_and_ends_fully_open() -> None:
    ones = torch.ones(4, dtype=torch.float64)
    first, last = (GateInput(ones, ones.bool(), progress) for progress in (1 / 156_200, 1.0))
    assert value("linear", first) == pytest.approx(6.402e-6, rel=1e-4)
    assert value("linear", last) == 1.0
    assert value("negative-linear", last) == 0.0


def test_a_correct_gate_says_what_it_means_on_a_label_edge_and_cutoff_that_it_is_closed() -> None:
    gates = {name: get_registry().load("gate", name) for name in get_registry().names("gate")}
    assert {name: gate.on_label for name, gate in gates.items() if gate.on_label} == {"correct": "through"}
    assert [name for name, gate in gates.items() if not gate.open] == ["cutoff"]
