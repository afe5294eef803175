"""The box that rows of features live in."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["box"]


def box(x: Tensor) -> tuple[Tensor, Tensor]:
    """Find the least and the largest finite value of each feature.

    Args:
        x: `(n, features)` in natural units; NaN and infinities are passed over.

    Returns:
        Two tensors `(features,)`; both are 0 for a feature that has no finite value.
    """
    finite = x.isfinite()
    empty = ~finite.any(0)
    low = torch.where(finite, x, torch.inf).amin(0)
    high = torch.where(finite, x, -torch.inf).amax(0)
    return low.masked_fill(empty, 0.0), high.masked_fill(empty, 0.0)
