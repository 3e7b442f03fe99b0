"""Networks of DARTS' cells: published sizes, every size of image, path dropout, the auxiliary tower, checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_core import Context, RequestError
from automl_core.types import Job
from automl_spaces.genotype import DARTS_V1, DARTS_V2, OPERATIONS, CellNodes, Genotype
from automl_spaces.genotype_published import PR_DARTS_DL1, PR_DARTS_DL2, PR_DARTS_DR, PR_DARTS_UR
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node
from automl_spaces.operations import Convolution
from automl_vision import CollaborativeTrainer, TrainerSettings, build_model, count_parameters, load_exported
from automl_vision.costs import Sizes, count_costs
from automl_vision.data.digits import Digits
from automl_vision.models import darts as module
from automl_vision.models.darts import AuxiliaryTower, Cell, DARTSNetwork
from automl_vision.models.darts_operations import (
    FactorisedReduction,
    Projection,
    SeparableConvolution,
    build_operation,
    drop_paths,
)

SKIP: CellNodes = ((("skip_connect", 0), ("skip_connect", 1)),) * 4
POOL: CellNodes = ((("max_pool_3x3", 0), ("max_pool_3x3", 1)),) * 4
SMALL: dict[str, Any] = {"cells": 3, "width": 2, "path_dropout": 0.6, "auxiliary": True}
GRAPH = KnowledgeTransferGraph((Node("darts", SMALL),), (Edge(0, 1, options={"auxiliary": 0.4}),))


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def small(**options: Any) -> DARTSNetwork:
    network = build_model("darts", 3, 10, options=SMALL | options)
    assert isinstance(network, DARTSNetwork)
    return network


@pytest.mark.parametrize(
    ("genotype", "parameters"),
    [
        *((DARTS_V1, 3_169_414), (DARTS_V2, 3_349_342), (PR_DARTS_DL1, 3_174_166), (PR_DARTS_DL2, 4_017_646)),
        *((PR_DARTS_DR, 4_248_766), (PR_DARTS_UR, 5_369_158)),  # published as 4.2 and 5.4 million
    ],
    ids=["first order", "second order", "DL1", "DL2", "DR", "UR"],
)
def test_published_parameter_counts(genotype: Genotype, parameters: int) -> None:
    with torch.device("meta"):
        plain = DARTSNetwork(3, 10, genotype.normal, genotype.reduction)
        towered = DARTSNetwork(3, 10, genotype.normal, genotype.reduction, auxiliary=True)
        hundred = DARTSNetwork(3, 100, genotype.normal, genotype.reduction)
    assert count_parameters(plain) == parameters
    assert count_parameters(hundred) == parameters + 90 * 577
    # 576 channels to 128, normalised; 2x2 to 768, normalised; the classes.
    tower = 576 * 128 + 2 * 128 + 4 * 128 * 768 + 2 * 768 + 768 * 10 + 10
    assert sum(one.numel() for one in towered.auxiliary.parameters()) == tower == 476_426
    assert count_parameters(towered) == parameters  # the tower serves training alone


def test_reductions_are_at_one_and_two_thirds() -> None:
    with torch.device("meta"):
        cells = list(DARTSNetwork(3, 10, cells=20, width=36).cells)
    widths = [cell.outputs for cell in cells]  # type: ignore[union-attr]
    assert widths == [144] * 6 + [288] * 7 + [576] * 7
    assert [isinstance(cell.inputs[0], FactorisedReduction) for cell in cells].index(True) == 7  # type: ignore
    assert sum(isinstance(cell.inputs[0], FactorisedReduction) for cell in cells) == 2  # type: ignore[index,union-attr]


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [(4, 4), (8, 8), (13, 18), (28, 28), (33, 7)])
def test_every_size_of_image_and_number_of_cells_works(cells: int, size: tuple[int, int]) -> None:
    network = small(cells=cells)
    network.set_progress(0.5)
    features, logits = network.forward_with_auxiliary(draw(2, 3, *size))
    assert features.shape == (2, network.head.in_features) and logits is not None and logits.shape == (2, 10)
    network.eval()
    images = draw(2, 3, *size)
    assert torch.equal(network(images), network.head(network.forward_features(images)))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_operations_keep_channels_and_stride_halves(name: str, stride: int, size: int) -> None:
    operation = build_operation(name, 6, stride)
    assert operation(draw(2, 6, size, size)).shape == (2, 6, -(-size // stride), -(-size // stride))
    weights = {
        "sep_conv_3x3": 2 * (9 * 6 + 36 + 12),
        "sep_conv_5x5": 2 * (25 * 6 + 36 + 12),
        "dil_conv_3x3": 9 * 6 + 36 + 12,
        "dil_conv_5x5": 25 * 6 + 36 + 12,
        "skip_connect": (36 + 12) * (stride - 1),
    }
    assert sum(one.numel() for one in operation.parameters()) == weights.get(name, 0)


@pytest.mark.parametrize("name", ["conv_1x1", "conv_3x3", "conv_5x5_d2", "conv_7x7_e2", "conv_3x3_d2_e1-3-2"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_convolutions_are_blocks_of_the_widths_in_their_names(name: str, stride: int, size: int) -> None:
    found = Convolution.parse(name)
    assert found is not None
    for affine in (True, False):
        operation = build_operation(name, 4, stride, affine)
        assert operation(draw(2, 4, size, size)).shape == (2, 4, -(-size // stride), -(-size // stride))
        widths = [4 * factor for factor in (1, *found.widths, 1)]
        assert isinstance(operation, nn.Sequential) and len(operation) == len(widths) - 1
        for place, block in enumerate(operation):
            rectifier, depthwise, pointwise, norm = block  # type: ignore[misc]
            assert isinstance(rectifier, nn.ReLU) and depthwise.groups == depthwise.in_channels == widths[place]
            assert depthwise.kernel_size == (found.size,) * 2 and depthwise.dilation == (found.dilation,) * 2
            assert depthwise.stride == ((stride if place == 0 else 1),) * 2
            assert (pointwise.in_channels, pointwise.out_channels) == tuple(widths[place : place + 2])
            assert norm.affine is affine


def test_without_affine_no_normalisation_learns() -> None:
    parts = [build_operation(name, 4, 2, affine=False) for name in (*OPERATIONS, "conv_3x3_e2")]
    parts += [Projection(3, 4, affine=False), FactorisedReduction(3, 4, affine=False)]
    norms = [module for part in parts for module in part.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 1 + 2 + 2 + 1 + 1 + 2 + 2 and not any(norm.affine for norm in norms)


def test_operations_compute_what_they_are_called() -> None:
    maps = draw(2, 4, 5, 5)
    assert torch.equal(build_operation("skip_connect", 4, 1)(maps), maps)
    assert not build_operation("none", 4, 2)(maps).any()
    torch.testing.assert_close(build_operation("avg_pool_3x3", 4, 1)(torch.ones(1, 4, 5, 5)), torch.ones(1, 4, 5, 5))
    assert torch.equal(build_operation("max_pool_3x3", 4, 1)(maps)[:, :, 2, 2], maps[:, :, 1:4, 1:4].amax((2, 3)))
    wide = SeparableConvolution(4, 4, 3, dilation=2)
    seen = torch.zeros(1, 4, 9, 9)
    seen[:, :, 4, 4] = 1.0
    nonzero = (wide[1](seen)[0, 0] != 0).nonzero().tolist()
    assert nonzero == [[row, column] for row in (2, 4, 6) for column in (2, 4, 6)]


def test_an_unknown_operation_is_refused_with_the_nearest() -> None:
    cell = ((("sep_conv_3x4", 0), ("skip_connect", 1)), *SKIP[1:])
    with pytest.raises(RequestError, match="sep_conv_3x3"):
        small(normal=cell)


def test_the_factorised_reduction_sees_even_and_odd_pixels() -> None:
    reduction = FactorisedReduction(1, 2).eval()
    with torch.no_grad():
        for one in (reduction.even, reduction.odd):
            one.weight.fill_(1.0)
        reduction.norm.eps = 0.0
        for size in (4, 5):
            maps = torch.arange(1.0, size**2 + 1).view(1, 1, size, size)
            even, odd = reduction(maps)[0]
            assert torch.equal(even, maps[0, 0, ::2, ::2])
            assert torch.equal(odd[:2, :2], maps[0, 0, 1::2, 1::2])
            assert size == 4 or not (odd[2].any() or odd[:, 2].any())


def test_equal_genotypes_differ_in_the_order_of_channels_alone() -> None:
    nodes: CellNodes = (
        (("sep_conv_3x3", 1), ("dil_conv_3x3", 0)),
        (("avg_pool_3x3", 0), ("sep_conv_5x5", 1)),
        (("skip_connect", 2), ("dil_conv_5x5", 3)),
        (("max_pool_3x3", 0), ("sep_conv_3x3", 3)),
    )
    order = (1, 3, 0, 2)  # node 2 of the other cell is node 3 of this one, and so on
    number_of = [0, 1, *(2 + order.index(place) for place in range(4))]
    swapped = [nodes[place][::-1] for place in order]
    renumbered: CellNodes = tuple(
        ((first[0], number_of[first[1]]), (second[0], number_of[second[1]])) for first, second in swapped
    )
    assert Genotype(nodes, nodes).canonical() == Genotype(renumbered, renumbered).canonical()
    for reduces in (False, True):
        one, other = (Cell(cell, (3, 5), 4, reduces, False).double() for cell in (nodes, renumbered))
        other.inputs.load_state_dict(one.inputs.state_dict())
        for place, old in enumerate(order):
            for side in (0, 1):
                state = one.operations[old][side].state_dict()  # type: ignore[index]
                other.operations[place][1 - side].load_state_dict(state)  # type: ignore[index]
        first, second = draw(2, 3, 6, 6).double(), draw(2, 5, 6, 6).double()
        blocks = one(first, second, 0.0).chunk(4, dim=1)
        assert torch.equal(torch.cat([blocks[old] for old in order], dim=1), other(first, second, 0.0))


def test_paths_are_dropped_image_by_image_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    maps = torch.ones(20_000, 2, 3, 1)
    dropped = drop_paths(maps, 0.3)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert torch.equal(dropped.amin((1, 2, 3)), dropped.amax((1, 2, 3)))
    deviation = (0.3 / 0.7 / 20_000) ** 0.5
    assert abs(float(dropped.mean()) - 1.0) < 5 * deviation
    assert torch.equal(drop_paths(maps, 0.0), maps)


def test_identities_are_never_dropped() -> None:
    torch.manual_seed(0)
    first, second = draw(8, 2, 4, 4), draw(8, 2, 4, 4)
    for nodes, same in ((SKIP, True), (POOL, False)):
        cell = Cell(nodes, (2, 2), 2, reduces=False, follows_reduction=False)
        assert torch.equal(cell(first, second, 0.9), cell(first, second, 0.0)) is same


def test_path_dropout_grows_with_progress_and_is_off_when_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def recorded(maps: Tensor, probability: float) -> Tensor:
        seen.append(probability)
        return maps

    monkeypatch.setattr(module, "drop_paths", recorded)
    network = small(path_dropout=0.2)
    for progress, expected in ((0.0, []), (0.5, [0.1]), (0.75, [0.15])):
        seen.clear()
        network.set_progress(progress)
        network.train()(draw(2, 3, 8, 8))
        assert sorted(set(seen)) == pytest.approx(expected)
        seen.clear()
        network.eval()(draw(2, 3, 8, 8))
        assert not seen


def test_the_tower_pools_as_published_on_maps_of_8_pixels_and_to_two_by_two_on_all() -> None:
    maps = draw(2, 3, 8, 8)
    assert torch.equal(AuxiliaryTower.pool(maps), F.avg_pool2d(maps, 5, 3))
    for rows in range(1, 18):
        pooled = AuxiliaryTower.pool(draw(2, 3, rows, 7))
        assert pooled.shape == (2, 3, 2, 2)
    assert torch.equal(AuxiliaryTower.pool(maps[:, :, :1, :1]), maps[:, :, :1, :1].expand(-1, -1, 2, 2))


def test_the_towers_loss_trains_the_cells_below_it_and_nothing_else() -> None:
    network = small(cells=6)
    _, logits = network.forward_with_auxiliary(draw(4, 3, 8, 8))
    assert logits is not None
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()

    def learns(part: nn.Module) -> bool:
        gradients = [one.grad for one in part.parameters()]
        assert len({gradient is None for gradient in gradients}) == 1
        return gradients[0] is not None and all(bool(gradient.any()) for gradient in gradients if gradient is not None)

    assert learns(network.stem) and network.auxiliary is not None and learns(network.auxiliary.head)
    assert [learns(cell.inputs[1]) for cell in network.cells] == [True] * 5 + [False]  # type: ignore[index,union-attr]
    assert not learns(network.head)


def test_without_a_tower_there_are_no_auxiliary_logits_and_the_features_are_the_same() -> None:
    network = small(auxiliary=False)
    images = draw(2, 3, 8, 8)
    features, logits = network.forward_with_auxiliary(images)
    assert logits is None and torch.equal(features, network.forward_features(images))


def test_a_cell_of_nothing_but_none_gives_zeros_and_still_trains() -> None:
    nothing: CellNodes = ((("none", 0), ("none", 1)),) * 4
    network = small(normal=nothing, reduction=nothing, auxiliary=False)
    features = network.forward_features(draw(2, 3, 8, 8))
    assert not features.any()
    network.head(features).sum().backward()
    assert network.head.bias.grad is not None


@pytest.mark.parametrize(
    "options", [{"cells": 0}, {"width": 0}, {"path_dropout": 1.0}, {"path_dropout": -0.1}, {"normal": SKIP[:3]}]
)
def test_what_gives_no_network_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        small(**options)


def test_costs_leave_the_tower_out_of_the_forward_pass() -> None:
    sizes = Sizes(3, 10, (32, 32))
    plain, towered = (count_costs(Node("darts", SMALL | {"auxiliary": one}), sizes) for one in (False, True))
    assert plain["flops"] == towered["flops"] > 0


@pytest.fixture(scope="module")
def dataset() -> Digits:
    digits = Digits(limit=60)
    digits.load()
    return digits


def trainer_of(graph: KnowledgeTransferGraph, dataset: Digits, **settings: Any) -> CollaborativeTrainer:
    chosen = TrainerSettings(**{"batch": 20, "pad": 1, "cutout": 3, "schedule": "linear", "lr": 0.025} | settings)
    return CollaborativeTrainer(graph, chosen, Context(seed=3, max_budget=3, dataset=dataset))


def run(trainer: CollaborativeTrainer, to: int) -> list[dict[str, float]]:
    return [dict(one.metrics) for one in trainer.advance(Job(0, {}, trainer.epoch, to))]


def test_a_resumed_training_is_the_same_to_the_bit(dataset: Digits, tmp_path: Path) -> None:
    whole, begun, resumed = (trainer_of(GRAPH, dataset) for _ in range(3))
    expected = run(whole, 3)
    run(begun, 1)
    begun.save(tmp_path)
    resumed.load(tmp_path)
    assert run(resumed, 3) == expected[2:]
    states = [trainer.target.state_dict() for trainer in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_tower_and_path_dropout_change_the_training(dataset: Digits) -> None:
    def losses(**options: Any) -> list[float]:
        weight = options.pop("weight", 0.4)
        node = Node("darts", SMALL | options)
        graph = KnowledgeTransferGraph((node,), (Edge(0, 1, options={"auxiliary": weight} if weight else {}),))
        return [one["train_loss"] for one in run(trainer_of(graph, dataset), 2)[1:]]

    both, no_dropout, no_weight = losses(), losses(path_dropout=0.0), losses(weight=0.0)
    assert both[0] == no_dropout[0] and both[1] != no_dropout[1]  # in the first epoch nothing is dropped yet
    assert no_weight[0] < both[0]  # the tower's part is missing


def test_a_trained_network_with_a_tower_is_exported_and_loaded(dataset: Digits, tmp_path: Path) -> None:
    trainer = trainer_of(GRAPH, dataset)
    run(trainer, 1)
    trainer.export(tmp_path)
    images = dataset.split("validation").images
    exported = load_exported(tmp_path)
    expected = trainer.target.eval()((images / 255.0 - exported.mean) / exported.std)
    torch.testing.assert_close(exported(images), expected)
