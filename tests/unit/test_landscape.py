from __future__ import annotations

import copy
import errno
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from automl_core.errors import RequestError
from automl_kd_pruning.landscape import Grid, Landscape, _moved, direction, look
from automl_kd_pruning.landscape_picture import _loss_levels, check_target, draw
from automl_vision.models import ClassifierModule, build_model

IMAGES = torch.randn(300, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(300) % 10


@pytest.fixture
def network() -> ClassifierModule:
    return build_model("resnet8", 1, 10, seed=1).eval()


def test_each_filter_has_the_norm_of_the_networks_own_and_the_rest_stays(network: ClassifierModule) -> None:
    found = direction(network, 0)
    for name, parameter in network.named_parameters():
        if parameter.dim() < 2:
            assert name not in found, "biases and batch normalisation stay"
        else:
            torch.testing.assert_close(found[name].flatten(1).norm(dim=1), parameter.detach().flatten(1).norm(dim=1))
    assert len(found) > 5 and "head.weight" in found


def test_a_direction_follows_from_its_seed(network: ClassifierModule) -> None:
    first, again, other = (direction(network, seed)["head.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_removed_weights_stay_removed(network: ClassifierModule) -> None:
    weights = network.head.weight
    with torch.no_grad():
        weights[:, ::2] = 0.0
        weights[3] = 0.0
    found = direction(network, 0)["head.weight"]
    assert bool((found[weights == 0] == 0).all()) and bool((found[weights != 0] != 0).all())
    torch.testing.assert_close(found.norm(dim=1), weights.detach().norm(dim=1))


def test_in_the_middle_is_the_network_itself_and_it_stays_as_it_was(network: ClassifierModule) -> None:
    before = copy.deepcopy(network.state_dict())
    plane = [direction(network, seed) for seed in (1, 2)]
    with torch.no_grad():
        logits = network(IMAGES)
    loss, accuracy = look(network, _moved(network, plane, (0.0, 0.0)), IMAGES, LABELS)
    assert loss == pytest.approx(float(F.cross_entropy(logits, LABELS)), rel=1e-5)
    assert accuracy == pytest.approx(float((logits.argmax(dim=1) == LABELS).float().mean()))
    far, _ = look(network, _moved(network, plane, (1.0, -1.0)), IMAGES, LABELS)
    assert far != pytest.approx(loss, rel=1e-3)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_elsewhere_is_a_network_with_those_weights(network: ClassifierModule) -> None:
    plane = [direction(network, seed) for seed in (1, 2)]
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in moved.named_parameters():
            if name in plane[0]:
                parameter += 0.5 * plane[0][name] - 0.25 * plane[1][name]
        expected = float(F.cross_entropy(moved(IMAGES), LABELS))
    assert look(network, _moved(network, plane, (0.5, -0.25)), IMAGES, LABELS)[0] == pytest.approx(expected, rel=1e-4)


def test_steps_are_symmetric_with_the_network_in_the_middle() -> None:
    assert Grid(points=5, reach=2.0).steps == (-2.0, -1.0, 0.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("options", "way_out"),
    [
        ({"points": 4}, "pass 5"),
        ({"points": 1}, "pass 3"),
        ({"points": -2}, "pass 3"),
        ({"reach": 0.0}, "--range must be above 0"),
        ({"reach": float("inf")}, "finite"),
        ({"reach": float("nan")}, "finite"),
        ({"images": 0}, "at least 1"),
    ],
)
def test_grids_that_are_none_are_refused(options: dict[str, float], way_out: str) -> None:
    with pytest.raises(RequestError, match=way_out):
        Grid(**options)  # type: ignore[arg-type]


FOUND = Landscape(
    study="a_b",
    trial=3,
    label="costs $5 and $6",  # no formula
    dataset="digits",
    images=60,
    seed=0,
    steps=(-1.0, 0.0, 1.0),
    loss=((9.0, 3.0, 40.0), (3.0, 0.1, 2.0), (7.0, 2.0, 9.0)),
    accuracy=((0.1, 0.2, 0.1), (0.3, 0.9, 0.4), (0.1, 0.3, 0.1)),
)
FLAT = ((2.0, 2.0, 2.0),) * 3
INFINITE = ((float("inf"), 3.0, float("nan")), *FOUND.loss[1:])


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("B.PNG", b"\x89PNG")]
)
def test_a_picture_is_written_alone_and_changes_nothing_of_the_process(tmp_path: Path, name: str, start: bytes) -> None:
    settings = dict(mpl.rcParams)
    draw(FOUND, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(start)
    assert dict(mpl.rcParams) == settings


def test_a_picture_says_what_it_shows(tmp_path: Path) -> None:
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw(FOUND, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for words in (
        "a_b, trial 3: costs $5 and $6",
        "60 validation images",
        "logarithmic",
        "random direction 2",
        "seed 0",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("least", "most", "levels", "logarithmic"),
    [
        (0.13, 9.0, [0.1, 0.2, 0.5, 1, 2, 5, 10], True),
        (0.1, 5.0, [0.1, 0.2, 0.5, 1, 2, 5], True),
        (1.0, 8.0, [1, 2, 5, 10], True),
        (1.0, 7.9, [1, 2, 3, 4, 5, 6, 7, 8], False),
        (2.31, 2.52, [2.3, 2.32, 2.34, 2.36, 2.38, 2.4, 2.42, 2.44, 2.46, 2.48, 2.5, 2.52], False),
        (0.0, 80.0, [0, 10, 20, 30, 40, 50, 60, 70, 80], False),
        (3e-4, 2e4, [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1e3, 1e4, 1e5], True),
        (2e-9, 7e9, [1e-9, 1e-7, 1e-5, 1e-3, 0.1, 10, 1e3, 1e5, 1e7, 1e9, 1e11], True),
        (2.0, 2.0, [1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.1, 2.2, 2.3, 2.4, 2.5], False),
    ],
)
def test_lines_are_at_round_numbers_around_all_losses(
    least: float, most: float, levels: list[float], logarithmic: bool
) -> None:
    found, scale = _loss_levels(np.array([[most, least], [least, most]]))
    assert found.tolist() == pytest.approx(levels) and scale is logarithmic


@pytest.mark.parametrize("loss", [FLAT, INFINITE, ((0.0, 1e6, 2.0),) * 3])
def test_flat_infinite_and_steep_landscapes_are_drawn_without_warnings(tmp_path: Path, loss: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(replace(FOUND, loss=loss, accuracy=((0.1,) * 3,) * 3), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")

    def full(self: Figure, target: Path, **options: object) -> None:
        Path(target).write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="no space"):
        draw(FOUND, path)
    assert path.read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a.gif", r"unknown suffix of a picture '\.gif'"),
        ("a", "unknown suffix of a picture 'a'"),
        ("none/a.png", "a directory that exists"),
        ("file/a.png", "a directory that exists"),
        ("there.png", "is a directory"),
    ],
)
def test_places_where_no_picture_can_be_are_refused(tmp_path: Path, name: str, rule: str) -> None:
    (tmp_path / "there.png").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=rule):
        check_target(tmp_path / name)


def test_a_directory_that_takes_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr("automl_kd_pruning.landscape_picture.TemporaryFile", refuse)
    with pytest.raises(RequestError, match=r"a directory to write to, but .*read-only file system"):
        check_target(tmp_path / "a.png")


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RequestError, match=r"pip install 'automl-graph\[plots\]'"):
        check_target(tmp_path / "a.png")
