"""Drawings of knowledge-transfer graphs, for the terminal and as SVG."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import pytest

from automl_ktg.drawing import draw
from automl_ktg.picture import HEAD, NODE, STYLES, picture
from automl_spaces.graph import Edge, KnowledgeTransferGraph, Node, all_through

SVG = "{http://www.w3.org/2000/svg}"
GRAPH = KnowledgeTransferGraph(
    (Node("resnet8"), Node("resnet20"), Node("wrn-10-1"), Node("resnet14")),
    (Edge(0, 1), Edge(2, 4), Edge(3, 1, "linear"), Edge(4, 1, "correct"), Edge(0, 4, "correct"), Edge(4, 2)),
)
"""Node 2 teaches node 4 and through it the target; node 3 is frozen."""

EXPECTED = """\
  ┏━ 1 ━ target ━━━━━━━━━━━━━┓
  ┃ resnet8           91.2 % ┃◀━━━━━━ through  label
  ┃                          ┃◀▁▂▃▄▅▆ linear   node 3
  ┃                          ┃◀━╸━╸━╸ correct  node 4
  ┗━━━━━━━━━━━━━━━━━━━━━━━━━━┛
  ┌─ 2 ──────────────────────┐
  │ resnet20          80.0 % │◀━━━━━━ through  node 4
  └──────────────────────────┘
  ┌─ 3 ─ frozen ─────────────┐
  │ wrn-10-1          95.0 % │ trained beforehand by the label alone
  └──────────────────────────┘
  ┌─ 4 ──────────────────────┐
  │ resnet14          70.0 % │◀━━━━━━ through  label and node 2
  └──────────────────────────┘"""


def metrics() -> dict[str, float]:
    """Gives accuracies as the trainer reports them: by the numbers of the canonical graph."""
    by_original = {1: 0.912, 2: 0.8, 3: 0.95, 4: 0.7}
    order = GRAPH.canonical_order()
    assert order != tuple(sorted(order)), "this graph must be one that is renumbered"
    return {f"accuracy_{number}": by_original[original] for number, original in enumerate(order, start=1)}


def test_the_text_shows_nodes_gates_and_accuracies_under_the_configurations_numbers() -> None:
    assert draw(GRAPH, metrics()) == EXPECTED


def test_dropped_nodes_are_mentioned_and_not_drawn() -> None:
    graph = KnowledgeTransferGraph((Node("resnet8"), Node("resnet20")), (Edge(0, 1), Edge(1, 2)))
    note = "Left out, with no path to the target: node 2 (resnet20)."
    assert draw(graph, {"accuracy": 0.5}).splitlines()[-1].strip() == note
    assert "50.0 %" in draw(graph, {"accuracy": 0.5})
    document = picture(graph, {})
    assert note in document
    assert len(list(ElementTree.fromstring(document).iter(f"{SVG}circle"))) == 1


@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 7])
def test_text_fits_a_terminal_whatever_the_names(nodes: int) -> None:
    graph = all_through(
        KnowledgeTransferGraph((Node("a-model-with-a-rather-long-name", {"width": 12}),) * nodes, (Edge(0, 1),))
    )
    assert max(len(line) for line in draw(graph, {}).splitlines()) <= 80
    strange = KnowledgeTransferGraph(graph.nodes, (Edge(0, 1, loss="l" * 99), *graph.edges[1:]))
    assert max(len(line) for line in draw(strange, {}).splitlines()) <= 80


def test_the_picture_shows_every_edge_in_its_gates_style_and_is_always_the_same() -> None:
    document = picture(GRAPH, metrics())
    assert document == picture(GRAPH, metrics())
    root = ElementTree.fromstring(document)
    drawn = {path.findtext(f"{SVG}title"): path.get("stroke") for path in root.iter(f"{SVG}path")}
    colours = {gate: colour for gate, (colour, _) in STYLES.items()}
    assert {said: colour for said, colour in drawn.items() if said} == {
        "label to 1: through": colours["through"],
        "3 to 1: linear": colours["linear"],
        "4 to 1: correct": colours["correct"],
        "4 to 2: through": colours["through"],
        "label to 4: through": colours["through"],
        "2 to 4: through": colours["through"],
    }
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for text in ("1 target", "3 frozen", "resnet20", "91.2 %", "95.0 %", "through", "linear", "correct"):
        assert text in texts


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5, 6, 7])
def test_nothing_in_the_picture_overlaps_or_leaves_the_page(nodes: int) -> None:
    graph = all_through(KnowledgeTransferGraph((Node("resnet8"),) * nodes, (Edge(0, 1),)))
    root = ElementTree.fromstring(picture(graph, {}))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    circles = [complex(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter(f"{SVG}circle")]
    assert len(circles) == nodes
    assert all(abs(one - other) > 2 * NODE + 2 * HEAD for one, other in combinations(circles, 2))
    boxes = [
        [float(box.get(key, 0)) for key in ("x", "y", "width", "height")] for box in list(root.iter(f"{SVG}rect"))[1:]
    ]
    assert len(boxes) == nodes
    for x, y, across, down in boxes:
        assert 0 <= x <= width - across
        assert 0 <= y <= height - down
        assert all(abs(complex(x + across / 2, y + down / 2) - circle) > NODE + across / 2 for circle in circles)


def test_a_target_without_a_label_leaves_no_room_for_one() -> None:
    nodes = (Node("resnet8"), Node("resnet8"), Node("resnet8"))
    edges = (Edge(2, 1), Edge(3, 1), Edge(0, 2), Edge(0, 3))
    roots = [
        ElementTree.fromstring(picture(KnowledgeTransferGraph(nodes, one), {})) for one in (edges, (Edge(0, 1), *edges))
    ]
    tops = [min(float(c.get("cy", 0)) for c in root.iter(f"{SVG}circle")) - NODE for root in roots]
    assert 0 < tops[0] < 30 < tops[1]
    assert float(roots[0].get("height", 0)) < float(roots[1].get("height", 0))


def test_names_and_gates_of_plugins_are_escaped_and_styled() -> None:
    graph = KnowledgeTransferGraph((Node("resnet<8> & more"), Node("b")), (Edge(0, 1), Edge(2, 1, "negative-linear")))
    root = ElementTree.fromstring(picture(graph, {}))
    assert "resnet<8> & more" in [text.text for text in root.iter(f"{SVG}text")]
    heads = {marker.get("id") for marker in root.iter(f"{SVG}marker")}
    used = {path.get("marker-end") for path in root.iter(f"{SVG}path")} - {None}
    assert used == {f"url(#{head})" for head in heads}
