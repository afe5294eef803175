"""Tables of features in comma-separated values."""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, ClassVar, final

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.data.archive import LIMIT, opened
from frenemy.data.box import box
from frenemy.data.examples import Examples
from frenemy.data.rules import beside, heed, rules
from frenemy.errors import DataError, nearest

__all__ = ["Table"]

_MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
_TOO_MANY = 20


@final
@dataclass(frozen=True, slots=True)
class Table:
    """Read a table of numeric features with one column of labels, in natural units.

    The first row is a header if no feature in it is a number. Commas, semicolons or tabs separate the columns,
    whichever the first line has most of. Empty cells and `?` become NaN and are kept, so that whoever measures
    can set such examples apart and say so.

    Args:
        path: a .csv file, compressed with gzip or not.
        target: the column of labels: `last`; or its name in the header, or else `first` or its number from 1.
        limit: the most bytes of text that are read.

    Returns:
        Inputs `(n, features)` float32; the box of each feature is its least and largest finite value. Labels are
        any text; they are numbered in sorted order, by value if all are numbers. Where a file of the same name that
        ends in .yaml or .yml lies beside it, its rules hold (`frenemy.data.rules.rules`).

    Raises:
        DataError: a feature is no number, a row is short or long, a label is missing, or the target looks like
            a quantity rather than a class.
    """

    path: str
    target: str = "last"
    limit: int = LIMIT

    card: ClassVar[Card] = Card(
        authors="Shafranovich",
        title="Common Format and MIME Type for Comma-Separated Values (CSV) Files",
        year=2005,
        venue="RFC 4180",
    )

    def __call__(self) -> Examples:
        path = Path(self.path).expanduser()
        rows = _rows(path, self.limit)
        if not rows or len(rows[0][1]) < 2:
            raise DataError(
                f"expected rows of at least one feature and a label in {path}, got "
                f"{'one column' if rows else 'no row'}; check the file and its separator"
            )
        head = rows[0][1]
        column, header = self._target(path, head)
        names = head if header else [str(place) for place in range(1, len(head) + 1)]
        body = rows[1:] if header else rows
        if not body:
            raise DataError(f"expected rows below the header of {path}, got none; check the file")
        values = [_features(path, line, cells, column, names) for line, cells in body]
        x = torch.tensor(values, dtype=torch.float64).to(torch.float32)
        y, classes = _classes(path, [(line, cells[column]) for line, cells in body], names[column])
        features = [name for place, name in enumerate(names) if place != column]
        if empty := [
            name for name, some in zip(features, x.isfinite().any(0).tolist(), strict=True) if not some
        ]:
            raise DataError(
                f"expected numbers in column '{empty[0]}' of {path}, got none at all; drop the column"
            )
        low, high = box(x)
        name, file = path.name.removesuffix(".gz").removesuffix(".csv"), beside(path)
        if file is None:
            return Examples(name, x, y, classes, low, high)
        found, ends = rules(file, features)
        heed(found, x, path)
        for place, (least, most) in ends.items():
            if float(low[place]) < least or float(high[place]) > most:
                raise DataError(
                    f"expected column '{features[place]}' of {path} between {least:g} and {most:g}, as {file.name} "
                    f"says, got {float(low[place]):g} to {float(high[place]):g}; mend one of them"
                )
            low[place], high[place] = least, most
        for group in (group for _, group in found.groups):
            low[list(group)], high[list(group)] = 0.0, 1.0
        stuck = [place for place in found.fixed if low[place] == high[place]]
        high[stuck] += 1.0
        return Examples(name, x, y, classes, low, high, notes=(found.sentence(),), rules=found)

    def _target(self, path: Path, head: list[str]) -> tuple[int, bool]:
        """Find the column of labels, and say whether the first row is a header; a name there comes first."""
        texts = [not _missing(cell) and _number(cell) is None for cell in head]

        def heads(column: int) -> bool:
            return all(text for place, text in enumerate(texts) if place != column)

        if self.target in head and self.target != "last":
            column = head.index(self.target)
            if texts[column] or heads(column):
                return column, True
        places = {"first": 0, "last": len(head) - 1} | {str(n): n - 1 for n in range(1, len(head) + 1)}
        if self.target not in places:
            header = heads(len(head) - 1)
            likely = nearest(self.target, head) if header else "; the file has no header"
            ways = "its name, " if header else ""
            raise DataError(
                f"expected a column '{self.target}' in {path}, got none{likely}; give {ways}first, last, or its number "
                f"from 1 to {len(head)}"
            )
        return places[self.target], heads(places[self.target])


def _rows(path: Path, limit: int) -> list[tuple[int, list[str]]]:
    """Read the rows that are not blank, each with the number of its line."""
    found: list[tuple[int, list[str]]] = []
    with opened(path) as stream:
        lines = _lines(path, stream, limit)
        blank, first = next(((n, line) for n, line in enumerate(lines) if line.strip()), (0, ""))
        separator = max(",;\t", key=first.count)
        reader = csv.reader(chain([first], lines), delimiter=separator, skipinitialspace=True, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    found.append((blank + reader.line_num, [cell.strip() for cell in cells]))
        except csv.Error as error:
            raise DataError(
                f"expected comma-separated values in {path}, got {error} near row {len(found) + 1}; mend the row"
            ) from error
    for line, cells in found:
        if len(cells) != len(found[0][1]):
            raise DataError(
                f"expected {len(found[0][1])} columns in line {line} of {path}, got {len(cells)}; mend the line"
            )
    return found


def _lines(path: Path, stream: IO[bytes], limit: int) -> Iterator[str]:
    total = 0
    while raw := stream.readline(limit - total + 1):
        total += len(raw)
        if total > limit:
            raise DataError(
                f"expected at most {limit:,} bytes of text in {path}, got more; take a part of the rows"
            )
        try:
            yield raw.removeprefix(codecs.BOM_UTF8).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"expected text in UTF-8 in {path}, got other bytes; save it as UTF-8") from error


def _features(path: Path, line: int, cells: list[str], column: int, names: list[str]) -> list[float]:
    values = []
    for place, cell in enumerate(cells):
        if place == column:
            continue
        number = math.nan if _missing(cell) else _number(cell)
        if number is None:
            raise DataError(
                f"expected numbers in column '{names[place]}' of {path}, got '{cell[:40]}' in line {line}; "
                "drop the column or write its categories as numbers first"
            )
        values.append(number)
    return values


def _classes(path: Path, cells: list[tuple[int, str]], name: str) -> tuple[Tensor, tuple[str, ...]]:
    if lost := [line for line, cell in cells if cell.lower() in ("", "?", "nan")]:
        raise DataError(
            f"expected a label in every row of {path}, got none in line {lost[0]}; drop or mend the row"
        )
    texts = [cell for _, cell in cells]
    numbers = [number for text in texts if (number := _number(text)) is not None and math.isfinite(number)]
    if len(numbers) == len(texts):
        texts = [str(int(number)) if number == int(number) else repr(number) for number in numbers]
        names = sorted(set(texts), key=float)
    else:
        names = sorted(set(texts))
    if len(names) > max(_TOO_MANY, len(texts) // 2):
        raise DataError(
            f"expected a column of classes in {path}, got {len(names)} different values in the {len(texts)} rows of "
            f"column '{name}'; name the column of labels with --target"
        )
    places = {text: place for place, text in enumerate(names)}
    return torch.tensor([places[text] for text in texts], dtype=torch.int64), tuple(names)


def _missing(cell: str) -> bool:
    return cell.lower() in _MISSING


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None
