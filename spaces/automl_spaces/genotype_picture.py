"""Draws the two cells of a genotype as SVG: each input and node runs down, operations lie between them and their nodes.

The document is self-contained and the same for the same genotype. Lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from automl_core.errors import RequestError
from automl_spaces.genotype import INPUTS, NODES, CellNodes, Genotype
from automl_spaces.operations import kind_of, short_name

LANES = (70.0, 150.0, 330.0, 510.0, 690.0, 870.0)
"""Where inputs and nodes run down."""

WIDTH = 940
TOP = 30
ROW = 34
INPUT_WIDTH, INPUT_HEIGHT = 74, 26
NODE_WIDTH, NODE_HEIGHT = 34, 58
PILL_WIDTH, PILL_HEIGHT = 118, 24
HEAD = 8
FONT_SIZE = 13.0
LETTER = 0.62
"""Width of a letter on average, as a share of the font's size."""

LONGEST = 24
"""Letters of an operation that are shown."""

CELL_HEIGHT = TOP + 20 + INPUT_HEIGHT + 24 + ROW * (2 * NODES) + 76

INK, PAPER, RIM, NODE_FILL, OUTPUT_FILL = "#222222", "#ffffff", "#5b6b7f", "#eef2f7", "#fff3c4"
COLOURS = ("#0b5fa5", "#d55e00", "#00875f", "#b03a83", "#7a5195", "#8a6d00")
"""Of what leaves each input and node."""

FILLS = {"pool": "#e3f4fb", "skip": "#f2f2f2", "convolution": "#fdf0e2", "none": "#ffffff"}

NOTES = {
    "normal": "keeps the image's size",
    "reduction": "halves the image: what is applied to its inputs has stride 2",
}


def picture(genotype: Genotype) -> str:
    """Draws both cells, one below the other, as an SVG document."""
    cells = (("normal", genotype.normal), ("reduction", genotype.reduction))
    inside = "\n".join(part for place, one in enumerate(cells) for part in _cell(*one, place * CELL_HEIGHT))
    height = 2 * CELL_HEIGHT
    markers = "\n".join(_marker(place, colour) for place, colour in enumerate(COLOURS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="{FONT_SIZE:g}" fill="{INK}">\n'
        f'<title>Genotype</title>\n<rect width="100%" height="100%" fill="{PAPER}"/>\n{markers}\n{inside}\n</svg>\n'
    )


def _cell(kind: str, cell: CellNodes, top: float) -> Iterator[str]:
    begin = top + TOP + 20
    inputs = begin + INPUT_HEIGHT
    rows = [inputs + 24 + ROW * (row + 0.5) for row in range(2 * NODES)]
    output = rows[-1] + 56
    applications = [(number, *one) for number, node in enumerate(cell, start=INPUTS) for one in node]
    yield (
        f'<text x="20" y="{top + TOP:g}"><tspan font-size="16" font-weight="bold">{kind.capitalize()} cell</tspan>'
        f'<tspan dx="10" fill="{RIM}">{NOTES[kind]}</tspan></text>'
    )
    # Lines first, so that everything else lies upon them.
    for place in range(INPUTS + NODES):
        used = [row for row, (_, _, source) in zip(rows, applications, strict=True) if source == place]
        first = inputs if place < INPUTS else rows[2 * (place - INPUTS)] + ROW / 2 + NODE_HEIGHT / 2
        last = max(used, default=first) if place < INPUTS else output - INPUT_HEIGHT / 2
        yield _stroke(place, f"M {LANES[place]:g} {first:g} V {last:g}")
    for row, (node, name, source) in zip(rows, applications, strict=True):
        tip = LANES[node] - NODE_WIDTH / 2 - HEAD
        said = f"<title>{escape(name)}: {source} to {node}</title>"
        yield _stroke(source, f"M {LANES[source]:g} {row:g} H {tip:g}", f' marker-end="url(#head-{source})"', said)
        yield f'<circle cx="{LANES[source]:g}" cy="{row:g}" r="4" fill="{COLOURS[source]}"/>'
    for row, (node, name, source) in zip(rows, applications, strict=True):
        centre = (LANES[node - 1] + LANES[node] - NODE_WIDTH / 2 - HEAD) / 2
        yield _box(centre, row, PILL_WIDTH, PILL_HEIGHT, _fill(name), COLOURS[source], _shortened(name))
    for place, text in enumerate(("cell k-2", "cell k-1")):
        yield _box(LANES[place], begin + INPUT_HEIGHT / 2, INPUT_WIDTH, INPUT_HEIGHT, NODE_FILL, RIM, text)
    for node in range(INPUTS, INPUTS + NODES):
        middle = rows[2 * (node - INPUTS)] + ROW / 2
        yield _box(LANES[node], middle, NODE_WIDTH, NODE_HEIGHT, NODE_FILL, RIM, str(node))
    left, right = LANES[INPUTS] - NODE_WIDTH, LANES[-1] + NODE_WIDTH
    text = f"cell k: nodes {INPUTS} to {INPUTS + NODES - 1}, concatenated"
    yield _box((left + right) / 2, output, right - left, INPUT_HEIGHT, OUTPUT_FILL, RIM, text)


def _shortened(name: str) -> str:
    text = short_name(name)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _fill(name: str) -> str:
    try:
        return FILLS[kind_of(name)]
    except RequestError:  # a genotype may name an operation that only its model knows
        return PAPER


def _stroke(place: int, path: str, more: str = "", inside: str = "") -> str:
    return f'<path d="{path}" fill="none" stroke="{COLOURS[place]}" stroke-width="2"{more}>{inside}</path>'


def _box(x: float, y: float, width: float, height: float, fill: str, rim: str, text: str) -> str:
    """Draws a box around its centre, with a text as large as fits."""
    size = min(FONT_SIZE, (width - 10) / (LETTER * len(text)))
    return (
        f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="5" '
        f'fill="{fill}" stroke="{rim}" stroke-width="1.4"/>'
        f'<text x="{x:g}" y="{y + size * 0.35:.1f}" font-size="{size:.1f}" text-anchor="middle">{escape(text)}</text>'
    )


def _marker(place: int, colour: str) -> str:
    return (
        f'<marker id="head-{place}" markerUnits="userSpaceOnUse" markerWidth="{HEAD}" markerHeight="{HEAD}" refX="0" '
        f'refY="{HEAD / 2:g}" orient="auto"><path d="M 0 0 L {HEAD} {HEAD / 2:g} L 0 {HEAD} z" fill="{colour}"/>'
        "</marker>"
    )
