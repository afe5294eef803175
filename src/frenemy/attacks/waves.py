"""Waves: noise made of the low frequencies of a picture, to which models listen most."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from frenemy.attacks.site import Site

__all__ = ["smooth"]


def smooth(site: Site, name: str, count: int, share: float) -> Tensor:
    """Draw normal noise whose cosine transform is nought but for the lowest `share` of each side's frequencies.

    Args:
        share: in (0, 1]; 1 is white noise. Flat rows have no frequencies, and get white noise.

    Returns:
        `(count, features)`, of variance 1 on the mean over coordinates.
    """
    if len(site.shape) < 2 or share == 1:
        return site.noise(name, count)
    *lead, height, width = site.shape
    rows, columns = (max(1, math.ceil(share * side)) for side in (height, width))
    drawn = site.key.fold(name).noise(site.index, (count, *lead, rows, columns), site.x.dtype)
    down, across = _cosines(height, rows).to(site.x), _cosines(width, columns).to(site.x)
    return (down @ drawn @ across.T).flatten(1) * math.sqrt(height * width / (rows * columns))


@lru_cache(maxsize=16)
def _cosines(side: int, kept: int) -> Tensor:
    """`(side, kept)` orthonormal columns of the cosine transform (DCT-II), lowest frequencies first."""
    place, wave = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(kept, dtype=torch.float64)
    columns = torch.cos(math.pi / side * (place + 0.5) * wave) * math.sqrt(2 / side)
    columns[:, 0] /= math.sqrt(2)
    return columns
