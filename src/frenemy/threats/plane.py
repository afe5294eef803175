"""Plane: the shortest step inside a box onto a hyperplane, in the norm of a threat."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from frenemy.threats.slack import bounds
from frenemy.threats.threat import Threat, broadcast

__all__ = ["landing"]

_GRAIN: Final = 32_768
"""Up to so many elements PyTorch does an operation on one thread; to wake the others costs more than some passes do."""


def landing(x: Tensor, gap: Tensor, normal: Tensor, threat: Threat) -> Tensor:
    r"""The shortest step inside the box from `x` onto the hyperplane `gap + <normal, d> = 0`, in the threat's norm.

    $$ \min_d \|d\|_p \quad \text{s.t.} \quad \langle w, d \rangle = -g, \quad low \le x + d \le high $$

    Where the box keeps the hyperplane out of reach, the step goes to the corner that comes nearest to it. Coordinates
    with a slope of zero do not move. For Linf and L2, `|d_i|` is `min(t, m_i)` and `min(t |w_i|, m_i)` with `m_i` the
    room there, and `t` solves a concave, increasing, piecewise linear equation: Newton's method climbs to the exact
    solution in a few passes. For L1 the steepest coordinates are filled first, down to a cut that is bracketed. Nothing
    is sorted.

    Args:
        x: `(batch, *shape)` points of the box.
        gap: `(batch,)` height of the hyperplane's function at `x`.
        normal: `(batch, *shape)` its slope.
        threat: norm and box; `order` 1, 2 or inf.

    Returns:
        `(batch, *shape)` the step; not finite where gap or normal is not.

    Cost: some 12 passes over `x`, and 6 for each of a few Newton steps; on a CPU in blocks that stay in the cache.

    Source: Croce and Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML,
    arXiv:1907.02044, eq. 5 and Section 2.2, which sort.
    """
    size = len(x) if x.device.type != "cpu" else max(1, _GRAIN * len(x) // max(x.numel(), 1))
    blocks = zip(torch.split(x, size), torch.split(gap, size), torch.split(normal, size), strict=True)
    return torch.cat([_landing(*block, threat) for block in blocks])


def _landing(x: Tensor, gap: Tensor, normal: Tensor, threat: Threat) -> Tensor:
    order = float(getattr(threat, "order", 0.0))
    low, high = bounds(threat.low, threat.high, x)
    forward = (normal * -broadcast(gap.sign(), x)).flatten(1)
    lean, way = forward.abs(), forward.sign()
    peak = lean.amax(1, keepdim=True)
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    lean, need = lean.div_(peak), gap.abs()[:, None] / peak
    tiny = torch.finfo(x.dtype).tiny ** 0.5
    rise, fall = (high - x).flatten(1), (low - x).flatten(1)
    if bool((low > -torch.inf).all() & (high < torch.inf).all()):
        most = torch.maximum(rise.mul_(way), fall.mul_(way)).clamp_(min=0)
    else:
        most = torch.where(way > 0, rise, -fall).clamp_(min=0).minimum(need / lean.clamp(min=tiny))
    load = lean * most
    if order == 1.0:
        size = _filled(lean, most, load, need)
    elif order == 2.0:
        level = _level(most / lean.clamp(min=tiny), lean * lean, load, need)
        size = torch.minimum(level * lean, most)
    else:
        size = torch.minimum(_level(most, lean, load, need), most)
    return size.mul_(way).reshape(x.shape)


def _level(limit: Tensor, weight: Tensor, load: Tensor, need: Tensor) -> Tensor:
    """The `t` with `sum_i min(t weight_i, load_i) = need`, where `load_i = limit_i weight_i`; huge if there is none."""
    level, huge = torch.zeros_like(need), torch.finfo(need.dtype).max
    free, full = torch.empty_like(limit), torch.empty_like(limit)
    while True:
        torch.gt(limit, level, out=free)
        torch.le(limit, level, out=full)
        speed = _dot(weight, free)
        rest = need - _dot(load, full)
        ahead = torch.where(speed > 0, rest / speed, huge).clamp_(max=huge)
        going = ahead > level
        level = torch.maximum(level, ahead)
        if not bool(going.any()):
            return level


def _filled(lean: Tensor, most: Tensor, load: Tensor, need: Tensor) -> Tensor:
    """Fill coordinates up to `most`, the leanest last, until their loads sum to `need`; ties share what is left.

    The cut is bracketed and tried at the mean slope of the coordinates that lie between, weighted by `most`: there the
    tangents of the dual problem at both ends meet. It is found when it no longer parts them.
    """
    low, high = torch.full_like(need, -1.0), lean.amax(1, keepdim=True)
    load_low, load_high = load.sum(1, keepdim=True), torch.zeros_like(need)
    most_low, most_high = most.sum(1, keepdim=True), torch.zeros_like(need)
    for _ in range(lean.shape[1]):
        cut = (load_low - load_high) / (most_low - most_high)
        above = _above(lean, cut)
        loads, mosts = _dot(load, above), _dot(most, above)
        parted = (mosts < most_low) & (mosts > most_high)
        over, under = parted & (loads >= need), parted & (loads < need)
        if not bool(parted.any()):
            break
        low, high = torch.where(over, cut, low), torch.where(under, cut, high)
        load_low, load_high = torch.where(over, loads, load_low), torch.where(under, loads, load_high)
        most_low, most_high = torch.where(over, mosts, most_low), torch.where(under, mosts, most_high)
    above = _above(lean, high)
    edge = _above(lean, low).sub_(above)
    share = ((need - load_high) / (load_low - load_high)).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)
    return above.addcmul_(edge, share).mul_(most)


def _above(values: Tensor, level: Tensor) -> Tensor:
    """1 where a value exceeds the level of its row, else 0: arithmetic, since masks and their conversion are slow."""
    return torch.gt(values, level, out=torch.empty_like(values))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each pair of rows, `(batch, 1)`."""
    product: Tensor = torch.linalg.vecdot(a, b)
    return product[:, None]
