"""Spheres: the norms at which lexicographic training asks, and what each counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from frenemy.errors import UsageError

__all__ = ["checked", "weighed"]


def checked(sizes: Sequence[float]) -> None:
    """Refuse shares of eps that do not ascend within (0, 1].

    Raises:
        UsageError: they do not, or there is none.
    """
    if not sizes or not sizes[0] > 0 or not sizes[-1] <= 1 or any(not a < b for a, b in pairwise(sizes)):
        raise UsageError(
            f"expected sizes that ascend in (0, 1], got {tuple(sizes)}; (0.5, 1) is half of eps and eps"
        )


def weighed(alpha: float, count: int) -> list[float]:
    """Give `alpha` to the first of `count` terms, and the rest to the others, evenly."""
    return [alpha, *[(1 - alpha) / max(count - 1, 1)] * (count - 1)]
