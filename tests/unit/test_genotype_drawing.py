"""Drawings of cells, for the terminal and as SVG."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_spaces.genotype import DARTS_V1, OPERATIONS, Genotype
from automl_spaces.genotype_drawing import draw
from automl_spaces.genotype_picture import HEAD, picture
from automl_spaces.genotype_published import PR_DARTS_DL1, PR_DARTS_UR
from automl_spaces.operations import UR, OperationSet

SVG = "{http://www.w3.org/2000/svg}"
LONG = "an operation of somebody else with <a> rather & long name"
NAMES = [*OPERATIONS, *OperationSet(UR).operations, LONG]


def node(number):
    return st.tuples(*[st.tuples(st.sampled_from(NAMES), st.integers(0, number - 1))] * 2)


CELLS = st.tuples(*(node(number) for number in range(2, 6)))
GENOTYPES = st.builds(Genotype, CELLS, CELLS)


def test_a_cell_is_drawn_as_it_is_wired():
    assert draw(PR_DARTS_DL1).split("\n\n")[1].splitlines() == [
        "    0   1",
        "    ├───┼───┐               conv_5x5_e1",
        "    │   ├───2               conv_3x3_e1",
        "    │   ├───┼───┐           conv_3x3_e1",
        "    │   │   ├───3           skip_connect",
        "    │   └───┼───┼───┐       conv_3x3_e1",
        "    │       ├───┼───4       skip_connect",
        "    └───────┼───┼───┼───┐   skip_connect",
        "            ├───┼───┼───5   skip_connect",
        "            └───┴───┴───┴   output: 2 to 5, concatenated",
    ]


def wired(lines):
    """Reads the operations and their sources and nodes back from a drawn cell."""
    for row, line in enumerate(lines[1:-1]):
        marks, name = line[4:28], line[28:]
        (source,) = (place for place in range(6) if marks[4 * place] in "├└")
        strokes = marks[4 * source : 4 * (2 + row // 2)]
        assert set(strokes) <= set("├└─┼") and marks[4 * (2 + row // 2)] in ("┐", str(2 + row // 2))
        yield name, source


@given(GENOTYPES)
def test_every_genotype_is_drawn_within_80_columns_and_can_be_read_back(genotype):
    text = draw(genotype)
    assert max(map(len, text.splitlines())) <= 80
    _, normal, _, reduction = text.split("\n\n")
    for lines, cell in ((normal, genotype.normal), (reduction, genotype.reduction)):
        expected = [(name if name != LONG else name[:43] + "…", source) for pair in cell for name, source in pair]
        assert list(wired(lines.splitlines())) == expected


def boxes(root):
    for box in list(root.iter(f"{SVG}rect"))[1:]:
        x, y, width, height = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        yield x, y, x + width, y + height


@settings(max_examples=25)
@given(GENOTYPES)
def test_nothing_in_a_picture_overlaps_or_is_cut_off(genotype):
    root = ElementTree.fromstring(picture(genotype))
    width, height = float(root.get("width")), float(root.get("height"))
    found = list(boxes(root))
    assert len(found) == 2 * (2 + 8 + 4 + 1)  # inputs, operations, nodes and the output of each cell
    for left, top, right, bottom in found:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
    for one, other in combinations(found, 2):
        assert one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
    for text in root.iter(f"{SVG}text"):
        if text.get("text-anchor") != "middle":
            continue
        x, y, size = float(text.get("x")), float(text.get("y")), float(text.get("font-size"))
        half = 0.6 * size * len(text.text) / 2
        assert size >= 6
        assert any(box[0] <= x - half and x + half <= box[2] and box[1] < y - size / 2 < box[3] for box in found)


@given(GENOTYPES)
@settings(max_examples=25)
def test_lines_lead_from_sources_to_nodes_and_pass_no_box_but_their_own(genotype):
    root = ElementTree.fromstring(picture(genotype))
    named = [path for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    expected = [
        f"{name}: {source} to {number}"
        for cell in (genotype.normal, genotype.reduction)
        for number, pair in enumerate(cell, start=2)
        for name, source in pair
    ]
    assert [path.findtext(f"{SVG}title") for path in named] == expected
    found = list(boxes(root))
    for path in named:
        _, x, y, _, tip = path.get("d").split()
        crossed = [box for box in found if box[0] < float(tip) and float(x) < box[2] and box[1] <= float(y) <= box[3]]
        assert len(crossed) == 1 and float(x) < crossed[0][0] < crossed[0][2] < float(tip)
        assert any(box[0] == float(tip) + HEAD and box[1] < float(y) < box[3] for box in found)
    for path in root.iter(f"{SVG}path"):
        if " V " in path.get("d"):
            _, x, top, _, bottom = path.get("d").split()
            inside = [
                box for box in found if box[0] < float(x) < box[2] and float(top) < box[3] and box[1] < float(bottom)
            ]
            assert len(inside) <= 1  # the output, in which nodes end


@pytest.mark.parametrize("genotype", [DARTS_V1, PR_DARTS_UR])
def test_the_same_genotype_is_the_same_document(genotype):
    assert picture(genotype) == picture(Genotype.from_json(genotype.to_json()))
    texts = [text.text for text in ElementTree.fromstring(picture(genotype)).iter(f"{SVG}text")]
    assert ("skip" if genotype is DARTS_V1 else "3x3 e1-1-1") in texts
