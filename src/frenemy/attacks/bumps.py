"""Bumps: the patterns by which a search over squares moves length about."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["bump", "pair", "tiles"]


def bump(height: int, width: int, order: float) -> Tensor:
    r"""A rectangle that falls off from its centre, of norm 1.

    $$ \eta_{rs} \propto \sum_{k=d_{rs}}^{n} (k + 1)^{-q}, \quad n = \max(\lfloor h/2 \rfloor, \lfloor w/2 \rfloor) $$

    with d the larger of the distances down and across from cell (h // 2, w // 2), and q = 2 for L2, 4 for L1 (2020,
    eq. 2; for L1 the code released with 2021).

    Args:
        height, width: cells, at least 1 each.
        order: norm, 2 or 1.

    Returns:
        `(height, width)` float64, above 0 everywhere.
    """
    down = (torch.arange(height) - height // 2).abs()
    across = (torch.arange(width) - width // 2).abs()
    far = torch.maximum(down[:, None], across[None, :])
    last = max(height // 2, width // 2)
    terms = torch.arange(1, last + 2, dtype=torch.float64) ** -(2.0 if order == 2 else 4.0)
    shape = terms.flip(0).cumsum(0).flip(0)[far]
    bumped: Tensor = shape / torch.linalg.vector_norm(shape, order)
    return bumped


def pair(height: int, width: int, order: float, across: bool) -> Tensor:
    """Two bumps of opposite signs side by side, of norm 1 together.

    Args:
        height, width: cells of the whole.
        order: norm, 2 or 1.
        across: split the width, not the height; the other one where that is a single cell. A single cell is 1.

    Returns:
        `(height, width)` float64.
    """
    if max(height, width) == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    if (width if across else height) == 1:
        across = not across
    if across:
        return pair(width, height, order, False).T
    half = height // 2
    halves = torch.cat([bump(half, width, order), -bump(height - half, width, order)])
    both: Tensor = halves / torch.linalg.vector_norm(halves, order)
    return both


def tiles(height: int, width: int, order: float) -> tuple[Tensor, Tensor]:
    """Pairs on a grid of about five by five, in the middle of the picture, to start from.

    Returns:
        `(height, width)` float64 pattern, 0 outside the tiles; `(height, width)` int64 number of each cell's tile.
    """
    high, wide = max(1, height // 5), max(1, width // 5)
    rows, columns = height // high, width // wide
    top, left = (height - rows * high) // 2, (width - columns * wide) // 2
    one = pair(high, wide, order, True)
    pattern = torch.zeros(height, width, dtype=torch.float64)
    number = torch.zeros(height, width, dtype=torch.int64)
    inside = slice(top, top + rows * high), slice(left, left + columns * wide)
    pattern[inside] = one.repeat(rows, columns)
    down = torch.arange(rows).repeat_interleave(high)
    right = torch.arange(columns).repeat_interleave(wide)
    number[inside] = down[:, None] * columns + right[None, :]
    return pattern, number
