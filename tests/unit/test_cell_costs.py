"""The closed form of what networks of cells cost, held against a count on the networks themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from random import Random

import pytest

from automl_core.errors import RequestError
from automl_spaces.cell_costs import CellCosts, Costs
from automl_spaces.cells import MODEL
from automl_spaces.genotype import DARTS_V1, DARTS_V2, OPERATIONS, Genotype
from automl_spaces.genotype_published import PR_DARTS_DL1, PR_DARTS_DL2
from automl_spaces.graph import Node
from automl_spaces.operations import POOLS_AND_SKIP, UR, OperationSet
from automl_vision.costs import Sizes, build_empty, count

NAMES = (*OPERATIONS, *OperationSet(UR).operations)


def drawn(random: Random) -> Iterator[Genotype]:
    """Gives genotypes in which each operation comes up, one after another in a random order."""
    names = cycle(random.sample(NAMES, len(NAMES)))
    while True:
        cells = [
            tuple(tuple((next(names), source) for source in random.sample(range(node), 2)) for node in range(2, 6))
            for _ in range(2)
        ]
        yield Genotype.from_json(dict(zip(("normal", "reduction"), cells, strict=True)))


def counted(genotype: Genotype, costs: CellCosts) -> Costs:
    sizes = Sizes(costs.image_channels, costs.classes, costs.image_size)
    options = {**genotype.to_json(), "cells": costs.cells, "width": costs.channels, "auxiliary": True}
    found = count(build_empty(Node(MODEL, options), sizes), sizes)
    return Costs(int(found["params"]), int(found["flops"]))


@pytest.mark.parametrize(
    ("cells", "channels", "image_size", "genotypes"),
    [
        *((3, 4, (8, 8), 3), (3, 3, (7, 13), 3), (4, 2, (1, 9), 1), (5, 6, (32, 32), 1), (8, 16, (28, 28), 1)),
        *((6, 4, (33, 5), 1), (7, 2, (2, 2), 1), (1, 4, (9, 9), 1), (2, 4, (12, 10), 1)),
    ],
)
def test_they_are_what_a_count_finds(cells: int, channels: int, image_size: tuple[int, int], genotypes: int) -> None:
    costs = CellCosts(cells, channels, 1 + cells % 3, 5 + channels, image_size)
    for genotype in islice(drawn(Random(str(image_size))), genotypes):
        assert costs.total(genotype) == counted(genotype, costs)


def test_every_operation_adds_what_the_network_grows_by() -> None:
    costs = CellCosts(3, 2, 1, 2, (9, 8))
    nothing = ((("none", 0), ("none", 1)),) * 4
    assert counted(Genotype(nothing, nothing), costs) == costs.base
    for name, source in (("skip_connect", 0), ("skip_connect", 3), ("conv_5x5_d2_e2-1", 1), ("conv_1x1_e1", 4)):
        cell = (*nothing[:3], (("none", 0), (name, source)))
        assert costs.base + costs.of("normal", name, source) == counted(Genotype(cell, nothing), costs)
        assert costs.base + costs.of("reduction", name, source) == counted(Genotype(nothing, cell), costs)


@pytest.mark.parametrize(
    ("genotype", "ten", "hundred"),
    [
        (PR_DARTS_DL1, 3_174_166, 3_226_096),
        (PR_DARTS_DL2, 4_017_646, 4_069_576),
        (DARTS_V1, 3_169_414, 3_221_344),
        (DARTS_V2, 3_349_342, 3_401_272),
    ],
    ids=["DL1", "DL2", "first order", "second order"],
)
def test_published_parameter_counts(genotype: Genotype, ten: int, hundred: int) -> None:
    found = [CellCosts(20, 36, 3, classes, (32, 32)).total(genotype).params for classes in (10, 100)]
    assert found == [ten, hundred]


def test_what_has_no_weights_is_free_but_for_a_skip_with_stride() -> None:
    costs = CellCosts(8, 16, 3, 10, (32, 32))
    free = [(name, source) for name in POOLS_AND_SKIP for source in range(5)]
    assert not any(costs.of("normal", *one).params or costs.of("normal", *one).flops for one in free)
    dear = [one for one in free if costs.of("reduction", *one) != Costs()]
    assert dear == [("skip_connect", 0), ("skip_connect", 1)]


def test_what_is_unknown_or_empty_is_refused() -> None:
    with pytest.raises(RequestError, match="conv_4x4"):
        CellCosts(3, 4, 1, 10, (8, 8)).of("normal", "conv_4x4", 0)
    with pytest.raises(RequestError, match="at least 1"):
        CellCosts(3, 4, 1, 10, (0, 8))
