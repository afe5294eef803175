"""Strip: small images side by side, a column each, with words below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frenemy.reports.png import address, image
from frenemy.reports.svg import element, write

__all__ = ["strip"]

_SIDE, _SPACE = 76.0, 8.0


def strip(columns: Sequence[tuple[Sequence[NDArray[Any]], Sequence[str]]], what: str) -> str:
    """Draw columns of inputs as SVG; nothing if they are no images.

    Args:
        columns: the inputs of a column from top to bottom, and the lines of text below them. What leaves [0, 1] is
            brought into it, an image at a time.
        what: told to who cannot see it.
    """
    parts = []
    tall, lines = (max(len(one[place]) for one in columns) for place in (0, 1))
    for column, (inputs, words) in enumerate(columns):
        left = column * (_SIDE + _SPACE)
        for row, one in enumerate(inputs):
            shown = image(one)
            if shown is None:
                return ""
            low, high = min(float(shown.min()), 0.0), max(float(shown.max()), 1.0)
            parts.append(
                element(
                    "image",
                    x=left,
                    y=row * (_SIDE + _SPACE),
                    width=_SIDE,
                    height=_SIDE,
                    image_rendering="pixelated",
                    href=address(np.asarray((shown - low) / (high - low))),
                )
            )
        for line, text in enumerate(words):
            base = tall * (_SIDE + _SPACE) + 12 + 16 * line
            parts.append(
                element("text", text[:16], x=left + _SIDE / 2, y=base, text_anchor="middle", class_="tick")
            )
    width, height = len(columns) * (_SIDE + _SPACE) - _SPACE, tall * (_SIDE + _SPACE) + 16 * lines
    box = f"0 0 {width:g} {height:g}"
    return write(element("svg", *parts, viewBox=box, role="img", aria_label=what, class_="panel"))
