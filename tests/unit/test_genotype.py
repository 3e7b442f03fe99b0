"""Genotypes: what is one, JSON both ways, and when two are the same network."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_spaces.genotype import DARTS_V1, DARTS_V2, NONE, OPERATIONS, Genotype

SKIP, MAX, SEP, DIL = "skip_connect", "max_pool_3x3", "sep_conv_3x3", "dil_conv_5x5"
CHAIN = (((SEP, 0), (SEP, 1)), ((SEP, 2), (SKIP, 0)), ((SEP, 3), (SKIP, 0)), ((SEP, 4), (SKIP, 0)))


def node(number):
    return st.tuples(*[st.tuples(st.sampled_from(OPERATIONS), st.integers(0, number - 1))] * 2)


CELLS = st.tuples(*(node(number) for number in range(2, 6)))
GENOTYPES = st.builds(Genotype, CELLS, CELLS)


def renumbered(cell, order):
    """Puts the nodes in another order; None when an input would not come before its node."""
    number_of = [0, 1, *(2 + order.index(place) for place in range(4))]
    nodes = tuple(tuple((name, number_of[source]) for name, source in cell[place]) for place in order)
    fits = all(source < number for number, pair in enumerate(nodes, start=2) for _, source in pair)
    return nodes if fits else None


@given(GENOTYPES)
def test_json_is_read_back(genotype):
    assert Genotype.from_json(json.loads(json.dumps(genotype.to_json()))) == genotype


def test_json_is_a_list_of_nodes_for_each_cell():
    assert DARTS_V1.to_json()["normal"][0] == [[SEP, 1], [SEP, 0]]
    assert list(DARTS_V1.to_json()) == ["normal", "reduction"]


@given(GENOTYPES)
def test_the_canonical_genotype_is_its_own_and_no_larger_for_a_sum_in_another_order(genotype):
    chosen = genotype.canonical()
    assert chosen.canonical() == chosen
    swapped = Genotype(tuple((second, first) for first, second in genotype.normal), genotype.reduction)
    assert swapped.canonical() == chosen


@given(CELLS)
def test_all_numberings_of_a_cell_have_one_canonical_form(cell):
    chosen = Genotype(cell, cell).canonical()
    forms = [form for order in permutations(range(4)) if (form := renumbered(cell, order)) is not None]
    assert cell in forms
    assert {Genotype(form, form).canonical() for form in forms} == {chosen}
    assert chosen.normal == chosen.reduction
    if not any(name == NONE for pair in cell for name, _ in pair):  # nothing but numbers and order was changed
        assert sorted(map(sorted, chosen.normal)) in [sorted(map(sorted, form)) for form in forms]


def test_what_none_is_applied_to_does_not_count():
    one = (((SEP, 0), (SEP, 1)), ((NONE, 2), (MAX, 1)), ((SKIP, 3), (NONE, 1)), ((NONE, 4), (NONE, 0)))
    other = (((SEP, 0), (SEP, 1)), ((NONE, 0), (MAX, 1)), ((SKIP, 3), (NONE, 2)), ((NONE, 1), (NONE, 3)))
    assert Genotype(one, CHAIN).canonical() == Genotype(other, CHAIN).canonical()


@pytest.mark.parametrize(
    "changed",
    [
        (((SEP, 0), (SEP, 1)), ((SEP, 2), (SKIP, 1)), ((SEP, 3), (SKIP, 0)), ((SEP, 4), (SKIP, 0))),
        (((SEP, 0), (SEP, 1)), ((SEP, 2), (MAX, 0)), ((SEP, 3), (SKIP, 0)), ((SEP, 4), (SKIP, 0))),
        (((SEP, 0), (SEP, 1)), ((SKIP, 2), (SEP, 0)), ((SEP, 3), (SKIP, 0)), ((SEP, 4), (SKIP, 0))),
    ],
    ids=["input", "operation", "operations swapped"],
)
def test_different_cells_stay_different(changed):
    assert Genotype(changed, CHAIN).canonical() != Genotype(CHAIN, CHAIN).canonical()


def test_the_two_cells_are_not_exchanged():
    assert Genotype(CHAIN, DARTS_V1.normal).canonical() != Genotype(DARTS_V1.normal, CHAIN).canonical()


def test_operations_are_any_names():
    cell = (((SEP, 0), ("conv 5x5 [1, 2]", 1)), *CHAIN[1:])
    assert Genotype.from_json(Genotype(cell, CHAIN).to_json()).canonical().normal[0] == cell[0]


def test_published_genotypes():
    names = [
        [name for cell in (g.normal, g.reduction) for pair in cell for name, _ in pair] for g in (DARTS_V1, DARTS_V2)
    ]
    counts = [[of.count(name) for name in OPERATIONS] for of in names]
    assert counts == [[0, 4, 1, 6, 5, 0, 0, 0], [0, 5, 0, 5, 5, 0, 1, 0]]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (CHAIN[:3], "must have 4 nodes, but got 3"),
        ((((SEP, 0),), *CHAIN[1:]), "node 2 of the normal cell has 1"),
        ((((SEP, 0), (SEP, 2)), *CHAIN[1:]), "numbers from 0 to 1, but .* applied to 2"),
        ((((SEP, 0), (SEP, -1)), *CHAIN[1:]), "applied to -1"),
        ((((SEP, 0), (SEP, True)), *CHAIN[1:]), "applied to True"),
        ((((SEP, 0), (SEP, 1.0)), *CHAIN[1:]), "applied to 1.0"),
        ((((SEP, 0), ("", 1)), *CHAIN[1:]), "must be a name"),
        ((((SEP, 0), (3, 1)), *CHAIN[1:]), "must be a name"),
    ],
)
def test_what_is_no_cell_is_refused(cell, message):
    with pytest.raises(RequestError, match=message):
        Genotype(cell, CHAIN)


@pytest.mark.parametrize("data", [None, {}, {"normal": []}, {"normal": [[1]], "reduction": []}, [1], "text"])
def test_other_json_is_refused(data):
    with pytest.raises(RequestError):
        Genotype.from_json(data)
