"""Draws the two cells of a genotype for a terminal: a line for each operation, from its input to its node."""

from __future__ import annotations

from collections.abc import Iterator

from automl_spaces.genotype import INPUTS, NODES, CellNodes, Genotype

STEP = 4
"""Columns from one number to the next."""

NAME_WIDTH = 44

HEADINGS = {
    "normal": "normal cell, which keeps the image's size",
    "reduction": "reduction cell, which halves it: what is applied to 0 and 1 has stride 2",
}


def draw(genotype: Genotype) -> str:
    """Draws both cells in at most 80 columns.

    A column for each input (0 is the output of the cell before the last, 1 that of the last one) and each node runs
    downwards from where it is there; a line goes from it through each operation to the node that sums it.
    """
    parts = (("normal", genotype.normal), ("reduction", genotype.reduction))
    return "\n\n".join("\n".join([f"  {HEADINGS[kind]}", "", *_cell(cell)]) for kind, cell in parts)


def _cell(cell: CellNodes) -> Iterator[str]:
    rows = [(number, *application) for number, node in enumerate(cell, start=INPUTS) for application in node]
    last = [max((row for row, (_, _, used) in enumerate(rows) if used == one), default=-1) for one in range(INPUTS)]
    yield _line([str(one) for one in range(INPUTS)])
    for row, (node, name, source) in enumerate(rows):
        marks = []
        for place in range(node):
            runs = place >= INPUTS or row <= last[place]
            if place == source:
                marks.append("└" if place < INPUTS and row == last[place] else "├")
            elif place < source:
                marks.append("│" if runs else " ")
            else:
                marks.append("┼" if runs else "─")
        marks.append(str(node) if row % 2 else "┐")
        yield _line(marks, source, name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…")
    yield _line([" "] * INPUTS + ["└"] + ["┴"] * (NODES - 1), INPUTS, "output: 2 to 5, concatenated")


def _line(marks: list[str], source: int | None = None, name: str = "") -> str:
    """Joins the marks of a line's columns, by a stroke from the source on, with the name to the right of all."""
    text = "    "
    for place, mark in enumerate(marks):
        joined = source is not None and source <= place < len(marks) - 1
        text += mark + ("─" if joined else " ") * (STEP - 1)
    return f"{text:<{4 + STEP * (INPUTS + NODES)}}{name}".rstrip()
