"""Tidy: points brought inside the threat to where they may lie: by the rules of a table, or on the levels of a file."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from frenemy.data.rules import Rules
from frenemy.threats.threat import Threat, broadcast, radii

__all__ = ["rounded", "single", "stuck", "tidied"]

_EDGE: Final = 1e-4
"""Share of a level by which a point may be past it, for float32 rounding."""
_SHARES: Final = (1.0, *(2.0**-k for k in range(1, 12)))
"""What is added to the share of a step, the largest first, as long as the point stays inside."""


def stuck(rules: Rules, threat: Threat) -> tuple[tuple[int, ...], tuple[tuple[str, tuple[int, ...]], ...]]:
    """Whole-number columns and groups that this size is too small to change: a step takes 1, a swap its norm."""
    order, eps = float(getattr(threat, "order", math.inf)), float(threat.eps)
    swap = 2.0 if order == 0 else 2.0 ** (1 / order)
    return rules.integer if eps < 1 else (), rules.groups if eps < swap * (1 - 1e-6) else ()


def tidied(x: Tensor, origin: Tensor, rules: Rules, threat: Threat) -> Tensor:
    """Make points keep the rules and stay in the threat.

    Fixed columns get their value back, whole-number columns go to the nearest whole number, the largest of a group
    becomes its 1. A row that leaves the threat by that takes less of the step in its other columns; if even none of it
    is little enough, whole numbers are cut towards the input instead, or groups put back, or both. With both no
    coordinate moves farther than it had, so there is always such a point.
    """
    size, places = radii(threat.eps, origin), [place for _, group in rules.groups for place in group]
    near, home = x.clone(), origin.clone()
    near[:, rules.fixed] = origin[:, rules.fixed]
    near[:, rules.integer] = x[:, rules.integer].round()
    for _, group in rules.groups:
        near[:, list(group)] = single(x[:, list(group)])
    if bool((inside := threat.contains(near, origin, size)).all()):
        return near
    if bool(inside.any()):
        near[~inside] = tidied(x[~inside], origin[~inside], rules, threat)
        return near
    step = (x - origin)[:, rules.integer]
    cut = origin[:, rules.integer] + step.sign() * (step.abs() + 1e-4).floor()
    other = [place for place in rules.free if place not in {*rules.integer, *places}]
    result, open_ = home, torch.ones(len(x), dtype=torch.bool, device=x.device)
    for wholes, swaps in ((True, True), (False, True), (True, False), (False, False)):
        point = near.clone()
        if not wholes:
            point[:, rules.integer] = cut
        if not swaps:
            point[:, places] = origin[:, places]
        share = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for part in _SHARES:
            trial = _mixed(point, origin, other, share + part)
            share = torch.where(
                threat.contains(trial, origin, size) & (share + part <= 1), share + part, share
            )
        point = _mixed(point, origin, other, share)
        good = open_ & threat.contains(point, origin, size)
        result = torch.where(good[:, None], point, result)
        open_ = open_ & ~good
    return result


def _mixed(point: Tensor, origin: Tensor, places: list[int], share: Tensor) -> Tensor:
    """Take so large a share of the step in some columns, and the other columns as they are."""
    mixed = point.clone()
    part = origin[:, places] + share[:, None] * (point - origin)[:, places]
    mixed[:, places] = torch.where(share[:, None] >= 1, point[:, places], part)
    return mixed


def single(part: Tensor) -> Tensor:
    """Put 1 where each row is largest, and 0 elsewhere."""
    return torch.zeros_like(part).scatter_(1, part.argmax(1, keepdim=True), 1.0)


def rounded(x: Tensor, origin: Tensor, threat: Threat, bits: int) -> tuple[Tensor, Tensor]:
    """Round points to multiples of `1 / (2^bits - 1)` inside the threat.

    To the nearest level; in an Linf ball to the nearest level of the ball; else, where the point leaves the threat by
    that, to the level towards the input in every coordinate.

    Returns:
        The points, and which of them lie in the threat; elsewhere there may be none that do.
    """
    top, size = 2**bits - 1, radii(threat.eps, origin)
    x, home = x.double(), origin.double()
    near, back = (x * top).round(), torch.where(x >= home, (x * top).floor(), (x * top).ceil())
    if getattr(threat, "order", None) == math.inf:
        reach = broadcast(size.double(), home)
        near = near.clamp(((home - reach) * top - _EDGE).ceil(), ((home + reach) * top + _EDGE).floor())
    near, back = ((level.clamp(0, top) / top).to(origin.dtype) for level in (near, back))
    inside = threat.contains(near, origin, size)
    point = torch.where(broadcast(inside, near), near, back)
    return point, inside | threat.contains(back, origin, size)
