"""Site: where the search of one example begins, and what may be asked about there."""

from __future__ import annotations

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
        index: place of the example in its data set.
        order: of the norm in which distances are measured.
        eps: size of the threat.
        low, high: ends of the box, one number or one a feature.
        key: randomness of the search.
    """

    x: Tensor
    index: int
    order: float
    eps: float
    low: float | Tensor
    high: float | Tensor
    key: Key

    @classmethod
    def of(cls, x: Tensor, index: int, threat: Threat, eps: float, key: Key) -> Site:
        """Stand at one example of a ball with a norm of some order."""
        low, high = threat.low, threat.high
        if isinstance(low, Tensor) or isinstance(high, Tensor):
            low, high = (torch.as_tensor(end).to(x).expand(*_shape(low, high)).flatten() for end in (low, high))
            low, high = low.expand(x.shape), high.expand(x.shape)
        order = float(threat.order)  # type: ignore[attr-defined]
        return cls(x, index, order, eps, low, high, key)

    @property
    def bounded(self) -> bool:
        """Whether the box has finite ends everywhere."""
        return all(bool(torch.as_tensor(end).isfinite().all()) for end in (self.low, self.high))

    def hold(self, points: Tensor) -> Tensor:
        """Cut points at the box."""
        return torch.clamp(points, self.low, self.high)  # type: ignore[call-overload, no-any-return]

    def norm(self, changes: Tensor) -> Tensor:
        """Length of each change, over the last axis."""
        return torch.linalg.vector_norm(changes, ord=self.order, dim=-1)  # type: ignore[no-any-return]

    def noise(self, name: str | int, count: int) -> Tensor:
        """Draw `(count, features)` standard normal numbers, other ones for each name."""
        return self.key.fold(name).noise(self.index, (count, len(self.x)), self.x.dtype)


def _shape(low: float | Tensor, high: float | Tensor) -> tuple[int, ...]:
    return tuple(torch.broadcast_shapes(*(torch.as_tensor(end).shape for end in (low, high))))
