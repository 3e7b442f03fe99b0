"""What a supernet inherits: each morphism's rule for weights, which of them keep the function, and whole supernets."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from automl_core import RequestError
from automl_prdarts.candidates import Candidate, Source
from automl_prdarts.morphing import inherit, morph
from automl_prdarts.plan import Origin
from automl_prdarts.supernet import Supernet
from automl_spaces.genotype import EDGES
from automl_spaces.operations import POOLS_AND_SKIP, START, Convolution, Restriction

ONE = torch.ones((), dtype=torch.float64)
FREE = Restriction(sizes=(1, 7), dilations=(1, 3))
CONVOLUTIONS = st.builds(
    Convolution,
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 2]),
    st.lists(st.integers(1, 3), max_size=2).map(tuple),
).filter(FREE.allows)


def convolution(which: Convolution, channels: int, stride: int, seed: int) -> Candidate:
    """Gives a convolution whose weights and running statistics look trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        candidate = Candidate(which.name, channels, stride).double()
        for name, buffer in candidate.named_buffers():
            if name.endswith(("mean", "var")):
                buffer.uniform_(0.5, 2)
        return candidate


def apply(candidate: Candidate, maps: Tensor) -> Tensor:
    return candidate.add_to(None, Source(maps), ONE).detach()


def difference(first: Candidate, second: Candidate, maps: Tensor) -> float:
    return float((apply(first, maps) - apply(second, maps)).abs().max())


def single(name: str, kernel: Tensor | None = None, stride: int = 1) -> Candidate:
    """Gives a convolution of one channel with a given kernel."""
    candidate = Candidate(name, 1, stride).double()
    if kernel is not None:
        candidate.blocks[0].depthwise.weight.data.copy_(kernel)
    return candidate


@settings(max_examples=60, deadline=None)
@given(
    CONVOLUTIONS, st.sampled_from(["grow", "widen"]), st.integers(1, 4), st.sampled_from([1, 2]), st.integers(0, 2**31)
)
def test_growing_and_widening_keep_the_function(
    which: Convolution, morphism: str, channels: int, stride: int, seed: int
) -> None:
    changed = FREE.children(which).get(morphism)
    assume(changed is not None)
    assert changed is not None
    parent, child = (convolution(made, channels, stride, seed + i) for i, made in enumerate((which, changed)))
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, channels, 9, 8, generator=generator, dtype=torch.float64)
    morph(child, parent)
    for training in (False, True):
        assert difference(child.train(training), parent.train(training), maps) < 1e-10


@settings(max_examples=30, deadline=None)
@given(CONVOLUTIONS.filter(lambda which: which.size > 1 and which.widths), st.integers(2, 4), st.integers(0, 2**31))
def test_new_columns_that_are_not_zero_break_widening(which: Convolution, channels: int, seed: int) -> None:
    changed = FREE.children(which)["widen"]
    parent, child = (convolution(made, channels, 1, seed + i) for i, made in enumerate((which, changed)))
    maps = torch.randn(3, channels, 9, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    morph(child, parent)
    place = which.widths.index(min(which.widths))
    columns = child.blocks[place + 1].pointwise.weight.data[:, channels * which.widths[place] :]
    assert columns.shape[1] == channels and not columns.any()
    columns.copy_(torch.randn(columns.shape, generator=torch.Generator().manual_seed(seed)))
    assert difference(child, parent, maps) > 1e-6


IMAGE = torch.arange(1.0, 10.0, dtype=torch.float64).view(1, 1, 3, 3)
KERNEL = torch.tensor([[1.0, 2, 1], [0, 1, 0], [-1, 0, 2]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv_3x3", [[11, 10, -2], [24, 24, 6], [20, 28, 26]]),
        ("conv_3x3_d2", [[19, 2, -4], [4, 5, 6], [12, 12, 16]]),
    ],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_grown_kernel_gives_the_same_numbers(name: str, expected: list[list[float]], stride: int) -> None:
    parent, child = single(name, KERNEL, stride), single(name.replace("3x3", "5x5"), stride=stride)
    morph(child, parent)
    numbers = torch.tensor(expected, dtype=torch.float64)[None, None, ::stride, ::stride]
    for one in (parent, child):
        assert torch.equal(one.blocks[0].depthwise(IMAGE), numbers)


def test_shrinking_takes_the_centre() -> None:
    parent, child = single("conv_5x5", torch.arange(25.0).view(5, 5)), single("conv_3x3")
    morph(child, parent)
    assert child.blocks[0].depthwise.weight.flatten().tolist() == [6, 7, 8, 11, 12, 13, 16, 17, 18]


@pytest.mark.parametrize("morphism", ["dilate", "undilate"])
def test_dilating_copies(morphism: str) -> None:
    which = Convolution(3, 2, (2, 1))
    parent = convolution(which, 3, 2, seed=0)
    child = convolution(FREE.children(which)[morphism], 3, 2, seed=1)
    morph(child, parent)
    for (name, mine), its in zip(child.state_dict().items(), parent.state_dict().values(), strict=True):
        assert torch.equal(mine, its), name
    assert child.blocks[0].depthwise.dilation != parent.blocks[0].depthwise.dilation


def test_widening_by_hand() -> None:
    parent, child = (Candidate(name, 2, 1).double() for name in ("conv_1x1_e1", "conv_1x1_e2"))
    parent.blocks[0].pointwise.weight.data.copy_(torch.tensor([[1.0, 2], [0, -1]])[..., None, None])
    parent.blocks[1].pointwise.weight.data.copy_(torch.tensor([[1.0, 1], [2, 0]])[..., None, None])
    child.blocks[0].pointwise.weight.data[2:] = torch.tensor([[0.5, 0.5], [-1, 4]])[..., None, None]
    morph(child, parent)
    for one in (parent, child):
        values = torch.tensor([3.0, -1], dtype=torch.float64).view(1, 2, 1, 1)
        for block in one.blocks:
            values = block.pointwise(values.relu())
        assert values.flatten().tolist() == [3, 6]
    # New channels are as they were initialised.
    assert child.blocks[0].pointwise.weight[2:].flatten().tolist() == [0.5, 0.5, -1, 4]


@settings(max_examples=30, deadline=None)
@given(CONVOLUTIONS, st.integers(1, 4), st.sampled_from([1, 2]), st.integers(0, 2**31), st.booleans())
def test_an_inserted_block_only_rectifies_and_normalises(
    which: Convolution, channels: int, stride: int, seed: int, training: bool
) -> None:
    parent = convolution(which, channels, stride, seed)
    child = Candidate(FREE.children(which)["insert"].name, channels, stride).double()
    maps = torch.randn(3, channels, 9, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    morph(child, parent)
    before = apply(parent.train(training), maps)
    after = apply(child.train(training), maps)
    statistics = torch.zeros(channels, dtype=torch.float64), torch.ones(channels, dtype=torch.float64)
    torch.testing.assert_close(after, F.batch_norm(before.relu(), *statistics, training=training), rtol=0, atol=1e-12)
    assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("child", "parent"),
    [("conv_3x3", "skip_connect"), ("max_pool_3x3", "conv_3x3"), ("conv_3x3", "conv_3x3_e1")],
)
def test_what_is_no_morphism_is_refused(child: str, parent: str) -> None:
    with pytest.raises(RequestError, match="by a morphism"):
        morph(Candidate(child, 2, 1), Candidate(parent, 2, 1))


EDGE = EDGES.index((1, 4))


def supernet(seed: int, **pools: tuple[str, ...]) -> Supernet:
    """Gives a supernet of one candidate an edge, but for those of one edge in either kind of cell."""
    normal, reduction = (
        tuple(pools.get(kind, START) if edge == EDGE else ("skip_connect",) for edge in range(len(EDGES)))
        for kind in ("normal", "reduction")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Supernet(1, 3, normal, reduction, cells=3, width=2)
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 2)
        return network


def one(network: Supernet, cell: int, name: str) -> Candidate:
    return network.mixed_cells[cell].mixed_edges[EDGE].candidates[name]


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_what_stays_is_copied_and_shares_no_memory() -> None:
    parent, child = supernet(0), supernet(1)
    assert not same(parent.stem, child.stem)
    inherit(child, parent, ())
    assert same(child, parent)
    for mine, its in zip(child.state_dict().values(), parent.state_dict().values(), strict=True):
        assert mine.data_ptr() != its.data_ptr() or not mine.numel()


def test_architecture_weights_stay_the_childs() -> None:
    parent, child = supernet(0), supernet(1)
    parent.architecture.normal.data.fill_(2.0)
    child.architecture.normal.data.fill_(3.0)
    inherit(child, parent, ())
    assert (child.architecture.normal == 3.0).all()


def test_new_candidates_come_from_parents_that_are_dropped_as_well() -> None:
    """Over two cycles: a 3x3 is replaced by a 5x5 made of it, the 5x5 by a 7x7 and by the 3x3 that comes back."""
    first = supernet(0)
    second = supernet(1, normal=(*POOLS_AND_SKIP, "conv_5x5"))
    inherit(second, first, [Origin("normal", EDGE, "conv_5x5", "conv_3x3", "grow")])
    kernel = one(first, 0, "conv_3x3").blocks[0].depthwise.weight
    assert torch.equal(one(second, 0, "conv_5x5").blocks[0].depthwise.weight, F.pad(kernel, (1,) * 4))
    # The other kind of cell has other origins: there the 3x3 stays.
    assert same(one(second, 1, "conv_3x3"), one(first, 1, "conv_3x3"))

    third = supernet(2, normal=("conv_7x7", "conv_3x3"))
    grown = Origin("normal", EDGE, "conv_7x7", "conv_5x5", "grow")
    inherit(third, second, [grown, Origin("normal", EDGE, "conv_3x3", "conv_5x5", "shrink")])
    assert torch.equal(one(third, 0, "conv_7x7").blocks[0].depthwise.weight, F.pad(kernel, (2,) * 4))
    assert same(one(third, 0, "conv_3x3"), one(first, 0, "conv_3x3"))


def test_an_origin_goes_before_a_candidate_of_the_same_name() -> None:
    """One that is dropped and comes back at once begins with its parent's weights."""
    parent = supernet(0, normal=("conv_5x5", "conv_3x3"))
    child = supernet(1, normal=("conv_5x5", "conv_3x3"))
    inherit(child, parent, [Origin("normal", EDGE, "conv_3x3", "conv_5x5", "shrink")])
    centre = one(parent, 0, "conv_5x5").blocks[0].depthwise.weight[..., 1:-1, 1:-1]
    assert torch.equal(one(child, 0, "conv_3x3").blocks[0].depthwise.weight, centre)


@pytest.mark.parametrize("origins", [[], [Origin("normal", EDGE, "conv_5x5", "conv_7x7", "shrink")]])
def test_candidates_from_nowhere_are_refused(origins: list[Origin]) -> None:
    with pytest.raises(RequestError, match="must come from one of the cycle before"):
        inherit(supernet(1, normal=("conv_5x5",)), supernet(0), origins)
