"""How commands of plugins lay out tables and notes: within the terminal's width, 80 columns where there is none."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Collection, Sequence

import click

NARROWEST = 20
"""Columns that wrapped words are given at least."""


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[int] = (0,)) -> str:
    """Lays out columns; words stand to the left, numbers to the right. Words in the last column are wrapped.

    Args:
        titles: One per column.
        rows: Cells as text.
        words: Numbers of the columns that hold words.
    """
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [
        _wrapped(
            "".join(
                f"  {cell.ljust(wide) if index in words else cell.rjust(wide)}"
                for index, (cell, wide) in enumerate(zip(cells[:-1], widths, strict=False))
            )
            + "  ",
            cells[-1] if len(cells) - 1 in words else cells[-1].rjust(widths[-1]),
        )
        for cells in (titles, *rows)
    ]
    return "\n".join([click.style(lines[0], dim=True), *lines[1:]])


def _wrapped(head: str, last: str) -> str:
    room = max(width() - len(head), NARROWEST)
    if len(last) <= room:
        return (head + last).rstrip()
    return textwrap.fill(last, len(head) + room, initial_indent=head, subsequent_indent=" " * len(head))


def note(text: str) -> str:
    """Wraps a sentence or two."""
    return textwrap.fill(text, max(width(), NARROWEST), break_on_hyphens=False, break_long_words=False)


def width() -> int:
    return shutil.get_terminal_size().columns
