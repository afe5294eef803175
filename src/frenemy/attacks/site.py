"""Site: where the search of one example begins, and what may be asked about there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Site"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One example, flat and on the CPU, with its box.

    Args:
        x: `(features,)` the input.
        shape: of the input before it was laid flat.
        index: place of the example in its data set.
        order: of the norm in which distances are measured.
        eps: size of the threat.
        low, high: ends of the box, `()` or `(features,)`.
        key: randomness of the search.
        others: `(points, features)` given points that are likely successes, nearest first.
    """

    x: Tensor
    shape: tuple[int, ...]
    index: int
    order: float
    eps: float
    low: Tensor
    high: Tensor
    key: Key
    others: Tensor

    @classmethod
    def of(cls, x: Tensor, index: int, threat: Threat, eps: float, key: Key, others: Tensor) -> Site:
        """Stand at one example, `(*shape)` on the CPU, under a ball of some order."""
        low, high = (_flat(end, x) for end in (threat.low, threat.high))
        order: float = threat.order  # type: ignore[attr-defined]
        return cls(x.flatten(), tuple(x.shape), index, order, eps, low, high, key, others)

    @property
    def bounded(self) -> bool:
        """Whether the box has finite ends everywhere."""
        return bool(self.low.isfinite().all()) and bool(self.high.isfinite().all())

    def hold(self, points: Tensor) -> Tensor:
        """Cut points at the box."""
        return torch.clamp(points, self.low, self.high)

    def within(self, points: Tensor) -> Tensor:
        """Bring points into the ball, and cut them at the box."""
        change = points - self.x
        if self.order == math.inf:
            return self.hold(self.x + change.clamp(-self.eps, self.eps))
        share = (self.eps / self.norm(change).clamp(min=1e-30)).clamp(max=1.0)
        return self.hold(self.x + change * share[..., None])

    def norm(self, changes: Tensor) -> Tensor:
        """Length of each change, over the last axis."""
        return torch.linalg.vector_norm(changes, ord=self.order, dim=-1)  # type: ignore[no-any-return]

    def noise(self, name: str | int, count: int) -> Tensor:
        """Draw `(count, features)` standard normal numbers, other ones for each name."""
        return self.key.fold(name).noise(self.index, (count, len(self.x)), self.x.dtype)


def _flat(end: float | Tensor, x: Tensor) -> Tensor:
    one = torch.as_tensor(end).to(x)
    return one.expand(x.shape).flatten() if one.ndim else one
