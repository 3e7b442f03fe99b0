"""Curves and pictures of a refinement."""

from __future__ import annotations

import math
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_refine import pictures
from automl_refine.curves import disjoint_parts, minimum_curves
from automl_refine.edf import edf
from automl_refine.pictures import Line, Minimum, Panel, choice_picture, edf_picture, minimum_picture
from automl_refine.raster import ZOOM, to_png

SVG = "{http://www.w3.org/2000/svg}"
ERRORS = st.lists(st.floats(0, 100), min_size=3, max_size=30)


def texts(document: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(document).iter(f"{SVG}text")]


def looks(document: str) -> list[tuple[str, str]]:
    """Gives colour and dashes of every line of a picture that has a coloured one."""
    styles = [path.get("style", "") for path in ElementTree.fromstring(document).iter(f"{SVG}path")]
    parts = [dict(one.split(": ", 1) for one in style.split("; ") if ": " in one) for style in styles]
    return [(one["stroke"], one.get("stroke-dasharray", "")) for one in parts if "stroke" in one]


# -- minimum error so far ----------------------------------------------------------------------------------------------


def test_the_minimum_so_far_has_the_mean_and_the_sample_deviation_of_the_repeats() -> None:
    mean, deviation = minimum_curves([[30.0, 28.0, 29.0], [34.0, 35.0, 26.0], [32.0, 30.0, 20.0]])
    assert mean.tolist() == pytest.approx([32.0, 92 / 3, (28 + 26 + 20) / 3])
    assert deviation.tolist() == pytest.approx([2.0, np.std([28, 34, 30], ddof=1), np.std([28, 26, 20], ddof=1)])


def test_a_search_without_a_value_improves_nothing_and_a_curve_begins_where_all_repeats_have_one() -> None:
    mean, deviation = minimum_curves([[math.inf, 28.0, math.inf], [30.0, math.inf, 26.0]])
    assert math.isnan(mean[0]) and math.isnan(deviation[0])
    assert mean[1:].tolist() == [29.0, 27.0]
    assert np.isnan(minimum_curves([[3.0, 2.0]])[1]).all(), "one repeat has no deviation"


@given(ERRORS, st.integers(1, 3))
def test_parts_share_nothing_keep_the_order_and_their_minima_never_rise(errors: list[float], repeats: int) -> None:
    parts = disjoint_parts(errors, repeats)
    assert [error for part in parts for error in part] == errors[: repeats * (len(errors) // repeats)]
    assert len({len(part) for part in parts}) == 1
    mean, _ = minimum_curves(parts)
    assert (np.diff(mean) <= 1e-9).all()
    assert mean[-1] == pytest.approx(np.mean([min(part) for part in parts]))


def test_trials_without_a_value_count_as_searches() -> None:
    assert disjoint_parts([3.0, None, 1.0, 2.0], repeats=2) == [[3.0, math.inf], [1.0, 2.0]]


@pytest.mark.parametrize(("errors", "repeats"), [([1.0, 2.0], 3), ([], 1), ([1.0], 0)])
def test_more_parts_than_trials_are_refused(errors: list[float], repeats: int) -> None:
    with pytest.raises(RequestError, match=f"{repeats} repeats of {len(errors)} trials"):
        disjoint_parts(errors, repeats)


# -- pictures ----------------------------------------------------------------------------------------------------------


@given(ERRORS, st.floats(0, 100), st.floats(0.01, 50))
def test_the_line_is_the_distribution_with_strictly_smaller_errors(
    errors: list[float], low: float, width: float
) -> None:
    corners, shares = pictures._steps(errors, low, low + width)
    assert (np.diff(corners) >= 0).all() and corners[0] == low and corners[-1] == low + width
    for left, right, share in zip(corners[:-1], corners[1:], shares[:-1], strict=True):
        if left < right:  # left of each corner, and so at it, the value that was reached at the one before holds
            assert edf(errors, right) == pytest.approx(share)


def test_a_legend_tells_how_many_errors_there_are_and_the_area() -> None:
    document = edf_picture([Line("A", [30.0, 40.0], 65.0), Line("X", [26.0, 28.0, 27.0], 73.0)], "Spaces", "error, %")
    found = texts(document)
    for text in ("A (n = 2, area 65.00)", "X (n = 3, area 73.00)", "Spaces", "error, %", "share with a smaller error"):
        assert text in found


def test_equal_pictures_are_equal_documents_and_the_process_stays_as_it_is() -> None:
    before = dict(mpl.rcParams)
    lines = [Line("$A$ <b> & c", [3.0, 1.0, 2.0])]
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path"}):  # what a user has set changes nothing
        first = edf_picture(lines, "title")
    assert first == edf_picture(lines, "title")
    assert dict(mpl.rcParams) == before
    assert "$A$ <b> & c (n = 3)" in texts(first)
    assert "<dc:date>" not in first
    code = (
        "import sys; from automl_refine.pictures import *; edf_picture([Line('A', [1, 2])]); print('x' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code.replace("'x'", "'matplotlib.pyplot'")], capture_output=True)
    assert ran.stdout.split() == [b"False"], ran.stderr


def test_lines_are_told_apart_by_colours_and_by_dashes_alone() -> None:
    lines = [Line(str(number), [number, number + 1.0, number + 2.0]) for number in range(8)]
    drawn = [look for look in looks(edf_picture(lines)) if look[0] in {colour for colour, _ in pictures.STYLES}]
    assert len({colour for colour, _ in drawn}) == len({dashes for _, dashes in drawn}) == 8


def test_of_many_categories_the_best_and_the_chosen_one_are_named() -> None:
    lines = [Line(f"category {number}", [float(number), number + 5.0], 90.0 - number) for number in range(25)]
    lines[20] = Line("the chosen one", [20.0, 25.0], 70.0, chosen=True)
    document = choice_picture([Panel("B: gates", lines[::-1])])
    named = [text.split(" (")[0] for text in texts(document) if "area" in text]
    assert named == [*(f"category {number}" for number in range(7)), "the chosen one"]
    assert "17 more" in texts(document)
    bold = [
        text
        for text in ElementTree.fromstring(document).iter(f"{SVG}text")
        if "font-weight: 700" in text.get("style", "")
    ]
    assert [text.text for text in bold] == ["the chosen one (n = 2, area 70.00)"]


@pytest.mark.parametrize(
    ("value", "text"), [(70.735, "70.73"), (0.012345, "0.0123"), (1234567.8, "1,234,568"), (0, "0")]
)
def test_numbers_are_as_long_as_they_tell_something(value: float, text: str) -> None:
    assert pictures.number(value) == text


def test_labels_are_cut_where_there_is_no_room() -> None:
    (found,) = [text for text in texts(edf_picture([Line("long " * 30, [1.0, 2.0], 98.5)])) if text.startswith("long")]
    assert len(found) == pictures.LONGEST
    assert found.endswith("… (n = 2, area 98.50)")


@pytest.mark.parametrize("panels", [1, 2, 3, 4, 5])
def test_every_panel_is_drawn_whatever_their_number(panels: int) -> None:
    document = choice_picture([Panel(f"panel {number}", [Line("a", [1.0, 2.0])]) for number in range(panels)])
    assert [text for text in texts(document) if text.startswith("panel")] == [f"panel {n}" for n in range(panels)]


@pytest.mark.parametrize("errors", [[7.0], [5.0, 5.0, 5.0], [0.0, 0.0]])
def test_equal_errors_can_be_drawn(errors: list[float]) -> None:
    assert f"A (n = {len(errors)})" in texts(edf_picture([Line("A", errors), Line("B", [])]))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(RequestError, match="has none; sample more"):
        edf_picture([Line("A", [])])
    with pytest.raises(RequestError, match="low < high must hold for a span of errors, but got 30 and 20"):
        edf_picture([Line("A", [25.0])], span=(30.0, 20.0))
    with pytest.raises(RequestError, match="needs a curve"):
        minimum_picture([])


def test_minima_are_drawn_up_to_two_hundred_searches_and_from_where_all_repeats_have_one() -> None:
    long = minimum_curves(disjoint_parts([None, *(50.0 - number / 100 for number in range(899))]))
    document = minimum_picture([Minimum("A", *long), Minimum("X", *minimum_curves([[20.0, 18.0], [19.0, 19.0]]))])
    found = texts(document)
    assert "minimum error, %" in found and "number of searches" in found and "A" in found and "X" in found
    assert "200" in found and "300" not in found
    nothing = minimum_curves([[math.inf, math.inf]])
    assert "A" in texts(minimum_picture([Minimum("A", *nothing)]))


# -- PNG ---------------------------------------------------------------------------------------------------------------


def test_a_png_has_twice_the_size_and_shows_text_in_any_font_family() -> None:
    head = "<svg xmlns='http://www.w3.org/2000/svg' width='60' height='20'>"
    text = f"{head}<text y='15' font-family='NoSuchFont, Helvetica, sans-serif'>words</text></svg>"
    png = to_png(text)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(png[place : place + 4], "big") for place in (16, 20)] == [60 * ZOOM, 20 * ZOOM]
    assert png == to_png(text) != to_png(f"{head}</svg>")


def test_a_document_in_points_becomes_a_png() -> None:
    assert to_png(edf_picture([Line("A", [1.0, 2.0])])).startswith(b"\x89PNG")


def test_what_is_no_svg_is_refused() -> None:
    with pytest.raises(RequestError, match="must be an SVG document"):
        to_png("a picture")


@pytest.mark.parametrize("package", ["matplotlib", "matplotlib.figure", "resvg_py"])
def test_a_missing_package_is_named_with_the_way_to_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RequestError, match=r"pip install 'automl-graph\[plots\]'"):
        edf_picture([Line("A", [1.0])]) if package == "matplotlib.figure" else to_png("<svg/>")
