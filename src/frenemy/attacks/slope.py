"""Slope: which way each row of a search should go."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["leads", "slope"]


def slope(height: Tensor, x: Tensor, again: bool = False) -> Tensor:
    """Gradient of each row's height with respect to its own input; zero where no path leads there.

    Args:
        height: `(batch,)`; row `i` depends on row `i` of `x` alone.
        x: `(batch, *shape)`, with `requires_grad`.
        again: the graph is needed once more (another height will be asked about).
    """
    if not height.requires_grad:
        return torch.zeros_like(x)
    each = torch.ones_like(height)
    (gradient,) = torch.autograd.grad(height, x, each, allow_unused=True, retain_graph=again)
    return torch.zeros_like(x) if gradient is None else gradient.detach()


def leads(gradient: Tensor) -> Tensor:
    """Say of each row whether its gradient is finite and not zero."""
    peak = gradient.flatten(1).abs().amax(1)
    return (peak > 0) & (peak < torch.inf)
