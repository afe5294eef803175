"""Sheet: a page of figures, with a sentence for each model above them and the numbers below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from frenemy.reports.frame import framed

__all__ = ["Sheet", "sheet"]


@final
@dataclass(frozen=True, slots=True)
class Sheet:
    """What stands on the page.

    Args:
        title: the question.
        about: attack, data, threat.
        sentences: one a model, each with whether it gives a reason for doubt.
        figures: title, a sentence, and the drawing as SVG.
        caption, heads, rows: the table of numbers.
        command: how to make the page again.
        settings: names and values of all that decides the numbers.
    """

    title: str
    about: str
    sentences: tuple[tuple[str, bool], ...]
    figures: tuple[tuple[str, str, str], ...]
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    command: str
    settings: tuple[tuple[str, str], ...]


def sheet(page: Sheet, beside: Sequence[str] = ()) -> str:
    """Write the page as one HTML file that loads nothing.

    Args:
        page: what stands on it.
        beside: names of files in the same directory that hold the same figures.
    """
    return framed("sheet.html", page=page, beside=beside)
