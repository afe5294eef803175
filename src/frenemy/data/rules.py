"""Rules: which columns of a table may change, and how; read from the YAML beside the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
import yaml
from torch import Tensor

from frenemy.errors import DataError, nearest

__all__ = ["Rules", "beside", "heed", "rules"]

_LARGEST: Final = 1 << 16
_WORDS: Final = ("fixed", "integer", "onehot", "bounds")
_FIX: Final = (
    "write such as fixed: [age], integer: [debts], onehot: {job: [clerk, nurse]}, bounds: {income: [0, 200]}"
)


@final
@dataclass(frozen=True, slots=True)
class Rules:
    """What may change in a row of features.

    Args:
        columns: the name of each feature.
        fixed: places of those that stay as they are.
        integer: places of those that hold whole numbers.
        groups: places of those that belong together: one of them is 1, the others are 0; with the name of each group.
        source: the file they were read from.
    """

    columns: tuple[str, ...]
    fixed: tuple[int, ...] = ()
    integer: tuple[int, ...] = ()
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    source: str = ""

    @property
    def free(self) -> tuple[int, ...]:
        """Places of the features that may change."""
        return tuple(place for place in range(len(self.columns)) if place not in self.fixed)

    def kept(self, x: Tensor, origin: Tensor) -> Tensor:
        """Say of each row `(batch, features)` whether it keeps the rules, measured against the row it was made from."""
        good = (x[:, self.fixed] == origin[:, self.fixed]).all(1) & self.whole(x)
        for _, group in self.groups:
            good &= self.single(x, group)
        return good

    def whole(self, x: Tensor) -> Tensor:
        """Say of each row whether its whole-number columns hold whole numbers."""
        return (x[:, self.integer] == x[:, self.integer].round()).all(1)

    @staticmethod
    def single(x: Tensor, group: Sequence[int]) -> Tensor:
        """Say of each row whether one column of a group is 1 and the others are 0."""
        part = x[:, list(group)]
        return ((part == 0) | (part == 1)).all(1) & (part.sum(1) == 1)

    def told(self) -> dict[str, Any]:
        """The rules by the names of the columns, as JSON values."""
        held = {place for _, group in self.groups for place in group} | {*self.fixed, *self.integer}
        return {
            "any number": [name for place, name in enumerate(self.columns) if place not in held],
            "whole numbers": [self.columns[place] for place in self.integer if place not in self.fixed],
            "one of each group": {
                name: [self.columns[place] for place in group] for name, group in self.groups
            },
            "held still": [self.columns[place] for place in self.fixed],
        }

    def sentence(self) -> str:
        """Say in words what could change."""
        told = self.told()
        groups = [f"{name} ({', '.join(group)})" for name, group in told["one of each group"].items()]
        parts = (
            ("to any number in its range", told["any number"]),
            ("to whole numbers", told["whole numbers"]),
            ("to another of its group", groups),
        )
        could = "; ".join(f"{how}: {', '.join(names)}" for how, names in parts if names) or "nothing"
        still = ", ".join(told["held still"]) or "none"
        return f"By {self.source or 'its rules'}, columns could change {could}. Held still: {still}."


def beside(table: Path) -> Path | None:
    """Find the YAML of a table: the same name with `.yaml` or `.yml` in the place of `.csv`, if there is one."""
    stem = table.name.removesuffix(".gz").removesuffix(".csv")
    return next((f for end in ("yaml", "yml") if (f := table.with_name(f"{stem}.{end}")).exists()), None)


def rules(file: Path, columns: Sequence[str]) -> tuple[Rules, dict[int, tuple[float, float]]]:
    """Read the rules of a table.

    Args:
        file: at most 64 KiB of plain YAML with some of `fixed`, `integer` (lists of columns), `onehot` (a list of
            columns for each name of a group) and `bounds` (`[low, high]` for each column).
        columns: the names of the features.

    Returns:
        The rules, and the ends of the columns that have bounds.

    Raises:
        DataError: it cannot be read or is no such YAML, a name in it is no column, or a column stands twice.
    """
    said = _read(file)
    if unknown := [word for word in said if word not in _WORDS]:
        raise DataError(
            f"unknown rule '{str(unknown[0])[:40]}' in {file}{nearest(str(unknown[0])[:40], _WORDS)}"
        )
    fixed, integer = (_places(file, word, said.get(word) or [], columns) for word in ("fixed", "integer"))
    groups = tuple(
        (str(name), _places(file, f"onehot: {name}", group, columns))
        for name, group in _mapping(file, "onehot", said).items()
    )
    for name, group in groups:
        if len(group) < 2 or set(group) & set(fixed) not in (set(), set(group)):
            raise _wrong(
                file, f"two columns or more in the group {name}, all or none of them fixed", "others"
            )
    placed = [*integer, *(place for _, group in groups for place in group)]
    if twice := [place for place in placed if placed.count(place) > 1]:
        raise _wrong(
            file, "each column in one place", f"'{columns[twice[0]]}' in several of integer and onehot"
        )
    ends = {}
    for name, pair in _mapping(file, "bounds", said).items():
        (place,) = _places(file, "bounds", [name], columns)
        sound = isinstance(pair, list) and len(pair) == 2 and all(type(end) in (int, float) for end in pair)
        if not sound or not -float("inf") < pair[0] < pair[1] < float("inf"):
            raise _wrong(file, f"two numbers, the smaller first, as bounds of {name}", str(pair)[:60])
        if place in integer and any(end != int(end) for end in pair):
            raise _wrong(file, f"whole numbers as bounds of {name}", str(pair)[:60])
        ends[place] = float(pair[0]), float(pair[1])
    movable = tuple((name, group) for name, group in groups if not set(group) <= set(fixed))
    found = Rules(tuple(columns), fixed, tuple(p for p in integer if p not in fixed), movable, file.name)
    if not found.free:
        raise _wrong(file, "a column that may change", "every column in fixed")
    return found, ends


def _read(file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise _wrong(file, "rules of at most 64 KiB", "more")
        text = content.decode("utf-8-sig")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise _wrong(file, "plain values", "an alias")
        said = yaml.safe_load(text)
    except OSError as error:
        raise _wrong(file, "a readable file", str(error.strerror)) from error
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _wrong(file, "YAML", f"something else{f' in line {mark.line + 1}' if mark else ''}") from error
    if not isinstance(said, dict):
        raise _wrong(file, "rules by name", "none")
    return said


def _mapping(file: Path, word: str, said: Mapping[str, Any]) -> Mapping[Any, Any]:
    found = said.get(word) or {}
    if not isinstance(found, dict):
        raise _wrong(file, f"names below {word}", str(found)[:60])
    return found


def _places(file: Path, word: str, names: Any, columns: Sequence[str]) -> tuple[int, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise _wrong(file, f"a list of columns below {word}", str(names)[:60])
    known = {name: place for place, name in enumerate(columns)}
    for name in map(str, names):
        if name not in known:
            raise DataError(
                f"expected columns of the table below {word} in {file}, got '{name[:40]}'{nearest(name, known)}"
            )
    return tuple(sorted({known[str(name)] for name in names}))


def _wrong(file: Path, expected: str, got: str) -> DataError:
    return DataError(f"expected {expected} in {file}, got {got}; {_FIX}")


def heed(found: Rules, x: Tensor, path: Path) -> None:
    """Refuse rows that break their own rules.

    Raises:
        DataError: a whole-number column holds another number, or a group has not exactly one 1.
    """
    full = torch.nan_to_num(x)
    for place in found.integer:
        off = (full[:, place] != full[:, place].round()).nonzero().flatten()
        if len(off):
            got = f"{float(full[off[0], place]):g} in row {int(off[0]) + 1}"
            raise _wrong(
                path, f"whole numbers in column '{found.columns[place]}', as {found.source} says", got
            )
    for name, group in found.groups:
        off = (~Rules.single(full, group) & x[:, list(group)].isfinite().all(1)).nonzero().flatten()
        if len(off):
            got = f"{full[off[0], list(group)].tolist()} in row {int(off[0]) + 1}"
            raise _wrong(path, f"one 1 and else 0 in the columns of {name}, as {found.source} says", got)
