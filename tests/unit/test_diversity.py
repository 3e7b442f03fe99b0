from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from automl_kd_pruning.diversity import Scored, _groups, _scored, diversity_score, fitting, input_gradients
from automl_kd_pruning.trained import TrainedNetwork
from automl_vision.models import build_model


@pytest.mark.parametrize(
    ("rows", "score"),
    [
        ([[1, 2, 0, 1], [2, 0, 1, 1], [0, 1, 3, -1]], -5.990740),
        ([[1, 0, -1, 0], [0, 1, 0, -1]], -2.000000),
    ],
)
def test_known_scores(rows: list[list[int]], score: float) -> None:
    assert diversity_score(torch.tensor(rows)) == pytest.approx(score, abs=5e-7)


def test_rows_that_depend_on_one_another_score_far_less() -> None:
    rows = torch.tensor([[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0], [1.0, 1.0, -1.0, -1.0]])
    assert diversity_score(rows) == pytest.approx(-99_990.68, abs=5e-3)


shapes = st.tuples(st.integers(2, 6), st.integers(7, 20), st.integers(0, 10_000))


def drawn(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(shapes)
def test_no_score_is_above_the_number_of_rows_negated(shape: tuple[int, int, int]) -> None:
    score = diversity_score(drawn(*shape))
    assert score is not None
    assert score <= -shape[0] + 1e-12


@given(shapes, st.floats(0.01, 100.0), st.floats(-10.0, 10.0))
def test_scale_and_mean_of_a_row_do_not_count(shape: tuple[int, int, int], scale: float, shift: float) -> None:
    rows = drawn(*shape)
    moved = rows.clone()
    moved[0] = scale * moved[0] + shift
    assert diversity_score(moved) == pytest.approx(diversity_score(rows), rel=1e-6)


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [0.1, 0.1, 0.1], [float("nan"), 1.0, 2.0], [float("inf"), 1.0, 2.0]])
def test_a_constant_or_infinite_row_has_no_score(row: list[float]) -> None:
    assert diversity_score(torch.tensor([[1.0, 2.0, 4.0], row])) is None


def test_a_dead_network_has_no_score() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        network[1].bias.fill_(-1e6)
    assert diversity_score(input_gradients(network, torch.rand(3, 1, 2, 2))) is None


def test_gradients_of_a_linear_network_are_its_summed_weights() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    gradients = input_gradients(network, torch.rand(5, 1, 2, 2))
    torch.testing.assert_close(gradients, network[1].weight.detach().sum(dim=0).expand(5, 4))


def test_each_image_has_a_gradient_of_its_own_and_the_network_stays_as_it_was() -> None:
    network = build_model("resnet8", 1, 10, seed=1).eval()
    before = copy.deepcopy(network.state_dict())
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    together = input_gradients(network, images)
    alone = torch.cat([input_gradients(network, image[None]) for image in images])
    assert together.shape == (6, 64)
    torch.testing.assert_close(together, alone)
    assert not images.requires_grad and all(one.grad is None for one in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("batch", "warned"), [(3, False), (4, True)])
def test_more_images_than_an_image_has_numbers_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, batch: int, warned: bool
) -> None:
    def loaded(study: object, trial: int, images: int) -> TrainedNetwork:
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        pixels = torch.rand(images, 1, 2, 2, generator=torch.Generator().manual_seed(0))
        labels = torch.zeros(images)
        return TrainedNetwork(trial, "candidate", "", "", False, "", network, pixels, labels)  # type: ignore[arg-type]

    monkeypatch.setattr("automl_kd_pruning.diversity.load_trained", loaded)
    found = _scored(None, 7, batch)  # type: ignore[arg-type]
    assert found.score is not None
    assert ["--batch 3 or fewer" in record.getMessage() for record in caplog.records] == [True] * warned


def test_groups_are_of_networks_trained_alike_and_of_scores_that_there_are() -> None:
    networks = [
        Scored(0, "candidate", "one", -4.0, alike="a"),
        Scored(1, "candidate", "one", -6.0, alike="a"),
        Scored(2, "candidate", "one", None, alike="a"),
        Scored(3, "support", "one", -9.0, alike="b"),
        Scored(4, "candidate", "one", -9.0, alike="c"),
    ]
    (group,) = _groups(networks)
    assert (group.role, group.label, group.count, group.mean) == ("candidate", "one", 2, -5.0)
    assert group.deviation == pytest.approx(2**0.5)


@pytest.mark.parametrize(
    ("shape", "batch"),
    [((2000, 1, 8, 8), 32), ((2000, 3, 8, 8), 96), ((5000, 3, 32, 32), 128), ((50, 3, 32, 32), 50), ((1, 1, 1, 1), 2)],
)
def test_no_more_images_are_compared_than_tell_something(shape: tuple[int, ...], batch: int) -> None:
    assert fitting(torch.empty(shape, dtype=torch.uint8)) == batch


def test_what_is_not_correlated_is_not_taken_for_alike_by_default() -> None:
    """Random rows of a fitting number are far from the scores of rows that depend on one another."""
    score = diversity_score(drawn(fitting(torch.empty(500, 1, 8, 8)), 64, seed=0))
    assert score is not None and score > -100
