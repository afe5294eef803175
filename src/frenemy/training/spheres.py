"""Spheres: the norms at which lexicographic training asks, and what each counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from torch import Tensor
from torch.nn.functional import cross_entropy

from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.training.recipe import Preset, Term, Terms, answers
from frenemy.types import Labels

__all__ = ["FULL_BATCH", "checked", "named", "ordered"]

FULL_BATCH: Final = Preset(
    "002, Section 6.2",
    "lenet",
    "l2:4",
    {"steps": 40, "step_size": 1 / 40},
    {"epochs": 2000, "batch_size": 2000, "rate": 1e-3, "select": "last"},
)
"""2,000 images of MNIST, all in one batch."""


def checked(sizes: Sequence[float]) -> None:
    """Refuse shares of eps that do not ascend within (0, 1], or that cannot be told apart in a log.

    Raises:
        UsageError: they do not, they cannot, or there is none.
    """
    if not sizes or not sizes[0] > 0 or not sizes[-1] <= 1 or any(not a < b for a, b in pairwise(sizes)):
        raise UsageError(
            f"expected sizes that ascend in (0, 1], got {tuple(sizes)}; (0.5, 1) is half of eps and eps"
        )
    if len({named(share) for share in sizes}) < len(sizes):
        raise UsageError(f"expected sizes that differ in six digits, got {tuple(sizes)}; leave some out")


def named(share: float) -> str:
    """What points of this norm, and their losses, are called."""
    return f"norm {share:g}"


def ordered(model: Model, points: Mapping[str, Tensor], y: Labels, *, alpha: float, forward: str) -> Terms:
    """Cross-entropy at some points, in their order: the first weighs `alpha`, the others share the rest evenly."""
    logits = answers(model, list(points.values()), forward)
    weights = [alpha, *[(1 - alpha) / max(len(points) - 1, 1)] * (len(points) - 1)]
    return {
        name: Term(cross_entropy(one, y, reduction="none"), weight)
        for name, one, weight in zip(points, logits, weights, strict=True)
    }
