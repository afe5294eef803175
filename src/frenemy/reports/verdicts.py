"""What happened to each example, in words, for the first rows of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from frenemy.reports.words import class_name, size
from frenemy.risks.result import Audit

__all__ = ["Cell", "Column", "Verdicts", "verdicts"]

_NAMES = {
    "index": "example",
    "label": "class",
    "clean_answer": "clean answer",
    "set_apart": "set apart",
    "untargeted": "enemy",
    "hypocritical": "false friend",
    "reversal": "reversal",
}
_STATUS = ("already there", "found", "not found", "out of budget", "not finite")


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, the number to sort it by (empty for text), and its look: right, wrong or empty."""

    text: str
    number: str = ""
    look: str = ""


@final
@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column: its name in words, and whether it holds numbers."""

    name: str
    numeric: bool


@final
@dataclass(frozen=True, slots=True)
class Verdicts:
    """The first examples of an audit, and how many there are in all."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int


def verdicts(audit: Audit, limit: int = 200) -> Verdicts:
    """Put the first `limit` examples into words; columns that are empty in all of them are left out."""
    total = max((len(column) for column in audit.examples.values()), default=0)
    label = audit.examples.get("label")
    columns = {}
    for name, values in audit.examples.items():
        labels = [None] * limit if label is None else label
        cells = [_cell(audit, name, *pair) for pair in zip(values[:limit], labels[:limit], strict=False)]
        if any(cell.text for cell in cells):
            columns[Column(_title(name), any(cell.number for cell in cells))] = cells
    rows = tuple(zip(*columns.values(), strict=True))
    return Verdicts(tuple(columns), rows, total)


def _title(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    who, _, fact = name.rpartition("_")
    return f"{_NAMES.get(who, who)} {fact}".strip()


def _cell(audit: Audit, name: str, value: Any, label: Any) -> Cell:
    plain = value.item() if isinstance(value, np.generic) else value
    if name == "label" or name.endswith("_answer"):
        if not isinstance(plain, int):
            return Cell(str(plain))
        shown = class_name(audit.classes, plain)
        if name == "label" or label is None or plain < 0:
            return Cell(shown)
        return Cell(f"{'✓' if plain == label else '✗'} {shown}", look="right" if plain == label else "wrong")
    if name.endswith("_outcome") and isinstance(plain, int) and not isinstance(plain, bool):
        return Cell(_STATUS[plain] if 0 <= plain < len(_STATUS) else str(plain))
    if isinstance(plain, float):
        if not math.isfinite(plain):
            return Cell("–" if math.isnan(plain) else str(plain))
        return Cell(size(plain) if name.endswith("_distance") else f"{plain:.4g}", repr(plain))
    if isinstance(plain, bool):
        return Cell("yes" if plain else "no")
    if isinstance(plain, int):
        return Cell(str(plain), str(plain)) if plain >= 0 or name == "index" else Cell("–")
    return Cell(str(plain).replace("_", " ") if name.endswith("_outcome") else str(plain))
