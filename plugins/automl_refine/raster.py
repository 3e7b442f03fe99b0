"""SVG to PNG, the same on every machine: text is set in fonts that matplotlib brings along, never in the system's."""

from __future__ import annotations

from pathlib import Path

from automl_core.errors import RequestError

FONT = "DejaVu Sans"
FILES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf")
ZOOM = 2
"""Pixels for each of the drawing's, in both directions."""

DOTS_PER_INCH = 96.0
"""What a drawing in points is measured by; 96 is that of CSS."""


def to_png(svg: str) -> bytes:
    """Gives a drawing's PNG at twice its size.

    Args:
        svg: An SVG document.

    Raises:
        RequestError: When a package is missing, or the document is no SVG.
    """
    try:
        import matplotlib
        import resvg_py
    except ImportError as error:
        raise missing("a picture as PNG", error) from error
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    try:
        return resvg_py.svg_to_bytes(
            svg_string=svg,
            skip_system_fonts=True,
            font_files=[str(fonts / name) for name in FILES],
            font_family=FONT,
            sans_serif_family=FONT,
            zoom=ZOOM,
            dpi=DOTS_PER_INCH,
        )
    except ValueError as error:
        raise RequestError(f"a picture must be an SVG document to become PNG, but this one is not: {error}") from error


def missing(what: str, error: ImportError) -> RequestError:
    """Builds the error for a package of the extra ``plots`` that cannot be imported."""
    return RequestError(
        f"{what} needs the packages matplotlib and resvg-py, but one cannot be imported ({error}); "
        "pip install 'automl-graph[plots]'"
    )
