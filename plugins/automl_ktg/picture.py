"""Draws knowledge-transfer graphs as SVG: networks on a circle, edges by gate, the target highlighted.

The document is self-contained and the same for the same graph. Lengths are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from automl_ktg.view import View, gate_of, look, name_of, percent, shorten
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph

Spot = complex
"""A place on the page: x + y * 1j."""

WIDTH = 760
MARGIN = 20
NODE = 46
LABEL_SIDE = 26
LABEL_DISTANCE = NODE + 62
HEAD = 11
BEND = 4
"""How far an edge may reach beyond the nodes that it joins, about."""
INK, PAPER, TARGET_FILL, TARGET_RIM = "#222222", "#ffffff", "#fff3c4", "#d19a00"
NODE_FILL, NODE_RIM, FROZEN_FILL, FROZEN_RIM = "#eef2f7", "#5b6b7f", "#e3f4fb", "#4b9fc4"

STYLES = {
    "through": ("#0b5fa5", ""),
    "linear": ("#d55e00", "9 4"),
    "correct": ("#00875f", "2 4"),
    "negative-linear": ("#b03a83", "9 4 2 4"),
}
"""Gate to colour and dashes; told apart without colours too."""

OTHER_STYLES = (("#7a5195", "14 4"), ("#8a6d00", "4 4"), ("#555555", "1 3"))
"""For other gates, in the order of their names."""


def picture(graph: KnowledgeTransferGraph, metrics: Mapping[str, float]) -> str:
    """Draws a graph as an SVG document.

    Args:
        graph: The graph, numbered as in its configuration.
        metrics: Accuracies of the nodes of its canonical form, ``accuracy_1`` and so on, where they are known.
    """
    view = look(graph, metrics)
    labelled = [number for number in view.nodes if any(edge.source == LABEL for edge in view.incoming(number))]
    spots = _moved_up(_spots(list(view.nodes)), labelled)
    styles = _styles(view.edges)
    bottom = _extent(spots, labelled)[1] + MARGIN
    parts = [
        *(_marker(gate, colour) for gate, (colour, _) in styles.items()),
        *(_edge(edge, spots, styles[edge.gate]) for edge in view.edges),
        *(_label(spots, number) for number in labelled),
        *(_node(view, number, spots[number]) for number in view.nodes),
        *_legend(styles, bottom),
    ]
    height = bottom + 40
    if view.note():
        parts.append(_text(WIDTH / 2 + height * 1j, shorten(view.note(), 100), 12))
        height += 24
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif" fill="{INK}">\n'
        f"<title>Knowledge-transfer graph</title>\n"
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n{inside}\n</svg>\n'
    )


def _spots(numbers: list[int]) -> dict[int, Spot]:
    """Places the nodes on a circle, clockwise, the target on top; two stand side by side."""
    count = len(numbers)
    radius = 0.0 if count == 1 else max(130.0, 34.0 * count)
    first = math.pi if count == 2 else -math.pi / 2
    directions = [_turn(first + 2 * math.pi * place / count) for place in range(count)]
    top = min(direction.imag for direction in directions) * radius
    centre = WIDTH / 2 + (MARGIN + LABEL_DISTANCE + LABEL_SIDE / 2 - top) * 1j
    return {number: centre + radius * direction for number, direction in zip(numbers, directions, strict=True)}


def _moved_up(spots: Mapping[int, Spot], labelled: Iterable[int]) -> dict[int, Spot]:
    """Leaves no room for labels that are not there."""
    excess = _extent(spots, labelled)[0] - MARGIN
    return {number: spot - excess * 1j for number, spot in spots.items()}


def _extent(spots: Mapping[int, Spot], labelled: Iterable[int]) -> tuple[float, float]:
    """Gives the upper and the lower end of all nodes and labels."""
    labels = [(spots[number] + _outward(spots, number) * LABEL_DISTANCE).imag for number in labelled]
    nodes = [spot.imag for spot in spots.values()]
    ends = [(middle, LABEL_SIDE / 2) for middle in labels] + [(middle, NODE + BEND) for middle in nodes]
    return min(middle - half for middle, half in ends), max(middle + half for middle, half in ends)


def _outward(spots: Mapping[int, Spot], number: int) -> Spot:
    """Gives the direction in which a node's label stands: away from the other nodes."""
    centre = sum(spots.values()) / len(spots)
    away = spots[number] - centre
    return away / abs(away) if abs(away) > 1 else -1j


def _edge(edge: Edge, spots: Mapping[int, Spot], style: tuple[str, str]) -> str:
    colour, dashes = style
    end = spots[edge.destination]
    if edge.source == LABEL:
        outward = _outward(spots, edge.destination)
        start = end + outward * (LABEL_DISTANCE - LABEL_SIDE / 2)
        tip = end + outward * (NODE + HEAD)
        path = f"M {_at(start)} L {_at(tip)}"
    else:
        # Both directions between two nodes bend to their own right, and so stand apart.
        start = spots[edge.source]
        bend = (start + end) / 2 + (end - start) * 1j * (0.10 + 14 / abs(end - start))
        leave = start + _towards(start, bend) * NODE
        tip = end + _towards(end, bend) * (NODE + HEAD)
        path = f"M {_at(leave)} Q {_at(bend)} {_at(tip)}"
    said = f"{edge.source or 'label'} to {edge.destination}: {gate_of(edge)}"
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5"{dash} '
        f'marker-end="url(#{_marker_name(edge.gate)})"><title>{escape(said)}</title></path>'
    )


def _label(spots: Mapping[int, Spot], number: int) -> str:
    middle = spots[number] + _outward(spots, number) * LABEL_DISTANCE
    corner = middle - LABEL_SIDE / 2 * (1.5 + 1j)
    return (
        f'<rect x="{corner.real:.1f}" y="{corner.imag:.1f}" width="{LABEL_SIDE * 1.5:.1f}" height="{LABEL_SIDE}" '
        f'rx="3" fill="{PAPER}" stroke="{INK}" stroke-width="1.2"/>' + _text(middle + 4j, "label", 12)
    )


def _node(view: View, number: int, spot: Spot) -> str:
    fill, rim, width, dashes, role = NODE_FILL, NODE_RIM, 2.0, "", ""
    if number == TARGET:
        fill, rim, width, role = TARGET_FILL, TARGET_RIM, 4.5, "target"
    elif number in view.frozen:
        fill, rim, dashes, role = FROZEN_FILL, FROZEN_RIM, ' stroke-dasharray="5 4"', "frozen"
    name = shorten(name_of(view.nodes[number]), 18)
    size = min(14.0, 1.75 * NODE / (0.58 * len(name)))
    accuracy = percent(view.accuracy.get(number))
    return (
        f'<circle cx="{spot.real:.1f}" cy="{spot.imag:.1f}" r="{NODE}" fill="{fill}" stroke="{rim}" '
        f'stroke-width="{width}"{dashes}/>'
        + _text(spot - 21j, f"{number} {role}".strip(), 11)
        + _text(spot + (2j if accuracy else 6j), name, size, bold=True)
        + (_text(spot + 21j, accuracy, 13) if accuracy else "")
    )


def _legend(styles: Mapping[str, tuple[str, str]], top: float) -> Iterable[str]:
    widths = [62 + 7.5 * len(gate) for gate in styles]
    left = (WIDTH - sum(widths)) / 2
    for (gate, (colour, dashes)), width in zip(styles.items(), widths, strict=True):
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield (
            f'<path d="M {_at(left + (top + 10) * 1j)} h 34" stroke="{colour}" stroke-width="2.5"{dash}/>'
            f'<text x="{left + 41:.1f}" y="{top + 14:.1f}" font-size="13">{escape(gate)}</text>'
        )
        left += width


def _styles(edges: Iterable[Edge]) -> dict[str, tuple[str, str]]:
    """Gives the style of every gate that occurs, the known ones first."""
    gates = {edge.gate for edge in edges}
    others = sorted(gates - set(STYLES))
    return {gate: style for gate, style in STYLES.items() if gate in gates} | {
        gate: OTHER_STYLES[place % len(OTHER_STYLES)] for place, gate in enumerate(others)
    }


def _marker_name(gate: str) -> str:
    return "head-" + "".join(letter if letter.isalnum() else "-" for letter in gate)


def _marker(gate: str, colour: str) -> str:
    return (
        f'<marker id="{_marker_name(gate)}" markerUnits="userSpaceOnUse" markerWidth="{HEAD}" markerHeight="{HEAD}" '
        f'refX="0" refY="{HEAD / 2}" orient="auto"><path d="M 0 0 L {HEAD} {HEAD / 2} L 0 {HEAD} z" '
        f'fill="{colour}"/></marker>'
    )


def _text(spot: Spot, text: str, size: float, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{spot.real:.1f}" y="{spot.imag:.1f}" font-size="{size:.1f}" text-anchor="middle"{weight}>'
        f"{escape(text)}</text>"
    )


def _turn(angle: float) -> Spot:
    return math.cos(angle) + math.sin(angle) * 1j


def _towards(start: Spot, end: Spot) -> Spot:
    return (end - start) / abs(end - start)


def _at(spot: Spot) -> str:
    return f"{spot.real:.1f} {spot.imag:.1f}"
