"""Features: examples with one feature that is mostly right and many that are each a little right."""

from __future__ import annotations

import numpy as np
import torch

from frenemy.errors import UsageError
from frenemy.rng import Key
from frenemy.theory.problem import Draws, inside

__all__ = ["checked", "drawn"]


def checked(p: float, d: int, eta: float, eps: float) -> None:
    """Refuse parameters that are out of range.

    Raises:
        UsageError: p is not in [1/2, 1), d below 1, eta not above 0, or eps not in [0, 1).
    """
    inside("p", p, 0.5, 1, "0.95 is usual", ends="[)")
    inside("eta", eta, 0, 1e6, "3 / sqrt(d) is usual")
    inside("eps", eps, 0, 1, "from 1 on the enemy flips the first feature too", ends="[)")
    if d < 1:
        raise UsageError(f"expected at least one weak feature, got d={d}; 100 is usual")


def drawn(p: float, d: int, eta: float, key: Key, n: int) -> Draws:
    """Draw examples: the first feature is y with probability p and else -y; d weak ones are of N(eta y, 1)."""
    rows = torch.arange(n)
    y = np.where(key.fold("y").uniform(rows, (), torch.float64).numpy() < 0.5, -1, 1)
    first = np.where(key.fold("first").uniform(rows, (), torch.float64).numpy() < p, y, -y)
    weak = key.fold("weak").normal(rows, (d,), torch.float64).numpy() + eta * y[:, None]
    return Draws(np.column_stack([first, weak]), y)
