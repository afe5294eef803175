"""Finite: threats that are a list of pictures made from each picture, such as its rotations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.threats.threat import broadcast
from frenemy.types import Counts, Flags, Inputs, PerExample

__all__ = [
    "Family",
    "changed",
    "drawn",
    "matches",
    "numbered",
    "pictures",
    "read",
    "refuse",
    "sources",
    "tolerance",
    "warp",
    "written",
]

_ULPS: Final = 16
_DECIMAL: Final = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WHOLE: Final = re.compile(r"\d+", re.ASCII)


@runtime_checkable
class Family(Protocol):
    """A threat that can be tried out: `count` pictures made from each picture, of which number 0 is itself.

    Such a set has no size: its `eps` is 1, and its norm is the discrete one, 0 where nothing changed and 1 elsewhere.
    It has no slope either: an attack tries members, and one that asks for a step is refused.
    """

    @property
    def count(self) -> int:
        """How many members there are, the picture itself among them."""
        ...

    def member(self, x: Inputs, number: Counts) -> Inputs:
        """Make one member of each row, by number; number 0 gives the row back bit for bit."""
        ...


def pictures(x: Tensor) -> None:
    """Refuse what is no batch of pictures.

    Raises:
        ThreatError: `x` is not `(batch, channels, height, width)`.
    """
    if x.ndim != 4:
        raise ThreatError(
            f"expected pictures (batch, channels, height, width) for this threat, got shape {tuple(x.shape)}; "
            "flat tables have no height and width: choose a ball such as linf:0.1"
        )


def numbered(number: Tensor, x: Tensor, count: int) -> None:
    """Refuse member numbers that do not fit the pictures.

    Raises:
        ThreatError: there is not one number a row, or one is not from 0 to `count - 1`.
    """
    pictures(x)
    if number.shape != (len(x),) or bool(((number < 0) | (number >= count)).any()):
        raise ThreatError(
            f"expected {len(x)} member numbers from 0 to {count - 1}, one a row, got shape {tuple(number.shape)}, "
            f"{number.flatten()[:4].tolist()}; take them below the threat's count"
        )


def refuse(kind: str) -> NoReturn:
    """Say that a family has no slope.

    Raises:
        ThreatError: always.
    """
    raise ThreatError(
        f"expected an attack that tries the members of {kind}, got one that follows a gradient; use grid or worstofk"
    )


def changed(delta: Inputs) -> PerExample:
    """The discrete norm: 0 for a row of zeros, 1 for any other."""
    return (delta != 0).flatten(1).any(1).to(delta.dtype)


def drawn(family: Family, x: Inputs, index: Tensor, key: Key) -> Inputs:
    """Draw one member of each row, all equally likely, by key and example index."""
    share = key.fold("member").uniform(index, (), torch.float64)
    return family.member(x, (share * family.count).long().clamp(max=family.count - 1))


def tolerance(origin: Inputs) -> PerExample:
    """How far a pixel may stray because two devices, or two ways of computing, round differently.

    `(16 + 2 (height + width)) ulp max|x|`: a source position is off by a few units in the last place of the side, and a
    pixel by so much times the difference of its neighbours.
    """
    ulp = torch.finfo(origin.dtype).eps * (_ULPS + 2 * (origin.shape[-2] + origin.shape[-1]))
    return ulp * origin.flatten(1).abs().amax(1)


def matches(
    family: Family, x: Inputs, origin: Inputs, likely: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Flags:
    """Say of each row of `x` whether it is a member of that row of `origin`, by making members until one fits.

    Args:
        likely: maps rows of `x` and `origin` to `(rows, count)` flags: members that may fit, no fitting one left out;
            all of them by default.
    """
    pictures(origin)
    found = (x == origin).flatten(1).all(1)
    rows = (~found).nonzero().flatten()
    if not len(rows):
        return found
    near = broadcast(tolerance(origin), x)
    if likely is None:
        left = torch.ones(len(rows), family.count, dtype=torch.bool, device=x.device)
    else:
        left = likely(x[rows], origin[rows])
    while len(rows := rows[left.any(1)]):
        left = left[left.any(1)]
        number = left.int().argmax(1)
        hit = ((family.member(origin[rows], number) - x[rows]).abs() <= near[rows]).flatten(1).all(1)
        found[rows[hit]] = True
        rows, left = rows[~hit], left.scatter(1, number[:, None], False)[~hit]
    return found


def sources(right: Tensor, down: Tensor, degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Where a point of the turned picture comes from: turn it back, `(r cos a - d sin a, r sin a + d cos a)`.

    Args:
        right, down: places relative to the centre, in pixels.
        degrees: angle, counter-clockwise as one looks at the picture.
    """
    angle = torch.deg2rad(degrees.double())
    cos, sin = angle.cos().to(right.dtype), angle.sin().to(right.dtype)
    return right * cos - down * sin, right * sin + down * cos


def warp(x: Tensor, right: Tensor, down: Tensor, padding: str) -> Tensor:
    """Read pictures between their pixels, bilinearly.

    Args:
        x: `(batch, channels, height, width)`.
        right, down: `(batch, rows, columns)` places to read at, relative to the centre, in pixels.
        padding: what lies beyond the edge: `zeros`, `border` or `reflection`.

    Returns:
        `(batch, channels, rows, columns)` of the dtype of `x`.
    """
    if not len(x):
        return x.new_zeros(0, x.shape[1], *right.shape[1:])
    height, width = x.shape[-2:]
    grid = torch.stack([right * (2 / width), down * (2 / height)], dim=-1)
    return grid_sample(x.contiguous(), grid, mode="bilinear", padding_mode=padding, align_corners=False)


def read(maker: Any, words: str) -> dict[str, Any]:
    """Read the settings of a family, `30,3`, in their order; those that are left out stay as usual.

    Args:
        maker: the family's class; its box is not among the settings.

    Raises:
        ThreatError: there are too many words, or one is not of the kind of its setting.
    """
    fields, given = _fields(maker), [word.strip() for word in words.split(",")] if words else []
    forms = {float: _DECIMAL, int: _WHOLE}
    sound = len(given) <= len(fields) and all(
        type(field.default) is str or forms[type(field.default)].fullmatch(word)
        for field, word in zip(fields, given)
    )
    if not sound:
        usual = ",".join(_plain(field.default) for field in fields)
        raise ThreatError(
            f"expected {', '.join(field.name for field in fields) or 'no settings'} for {maker.__name__.lower()}, "
            f"got '{words}'; write {maker.__name__.lower()}{':' if usual else ''}{usual}"
        )
    kinds: list[type] = [type(field.default) for field in fields]
    return {field.name: kind(word) for field, kind, word in zip(fields, kinds, given)}


def written(family: Any) -> str:
    """Write the settings of a family as `read` takes them: all sizes, and what else is not as usual."""
    fields = _fields(type(family))
    values = [getattr(family, field.name) for field in fields]
    while fields and values[-1] == fields[-1].default and not isinstance(fields[-1].default, float):
        del fields[-1], values[-1]
    return ",".join(map(_plain, values))


def _fields(maker: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(maker) if field.name not in ("low", "high")]


def _plain(value: object) -> str:
    return str(value).removesuffix(".0")
