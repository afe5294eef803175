"""Threat: the set of inputs a perturber may put in the place of `x`."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from frenemy.card import Card
from frenemy.errors import ThreatError
from frenemy.rng import Key
from frenemy.types import Flags, Inputs, PerExample

__all__ = ["Threat", "broadcast", "meets", "radii", "room"]


@runtime_checkable
class Threat(Protocol):
    """A set around each input: a ball or a sphere of some norm, cut by a box.

    `eps` is a float or a `(batch,)` tensor with one value for each row; inside the methods it always comes as
    a `(batch,)` tensor made by `radii`. `low` and `high` bound the box, per input or per feature.
    """

    card: ClassVar[Card]

    @property
    def eps(self) -> float | Tensor: ...

    @property
    def low(self) -> float | Tensor: ...

    @property
    def high(self) -> float | Tensor: ...

    def at(self, eps: float | Tensor) -> Threat:
        """The same kind of set with another size."""
        ...

    def norm(self, delta: Inputs) -> PerExample:
        """Size of each perturbation in the norm of the set."""
        ...

    def dual_norm(self, gradient: Inputs) -> PerExample:
        """Largest `<gradient, d>` over `norm(d) <= 1`."""
        ...

    def steepest(self, gradient: Inputs) -> Inputs:
        """A direction of norm at most 1 that attains the dual norm; zero where the gradient is zero."""
        ...

    def move(self, x: Inputs, gradient: Inputs, size: PerExample) -> Inputs:
        """Step from `x` by `size` (in the units of `eps`) up the gradient, before retraction."""
        ...

    def retract(self, x: Inputs, origin: Inputs, eps: PerExample) -> Inputs:
        """Bring each row back into the set; rows inside stay where they are (up to rounding)."""
        ...

    def sample(self, origin: Inputs, index: Tensor, key: Key, eps: PerExample) -> Inputs:
        """Draw a random point of the set for each row, by key and example index."""
        ...

    def contains(self, x: Inputs, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether it lies in the set, with room for float32 rounding only."""
        ...

    def empty(self, origin: Inputs, eps: PerExample) -> Flags:
        """Say of each row whether its set holds no point at all."""
        ...


def radii(eps: float | Tensor, x: Inputs) -> PerExample:
    """Give `eps` one value a row.

    Raises:
        ThreatError: a value is negative or not a number, or there are not as many values as rows.
    """
    sizes = torch.as_tensor(eps, dtype=x.dtype, device=x.device)
    if sizes.ndim == 0:
        sizes = sizes.expand(len(x))
    if sizes.shape != (len(x),):
        raise ThreatError(
            f"expected eps to be one number or {len(x)} numbers, one a row, got shape {tuple(sizes.shape)}"
        )
    if not bool((sizes >= 0).all()):
        bad = float(sizes[~(sizes >= 0)][0])
        raise ThreatError(f"expected eps to be 0 or larger, got {bad}; give a size such as 8/255")
    return sizes


def broadcast(values: Tensor, x: Tensor) -> Tensor:
    """Shape `(batch,)` values to `(batch, 1, ..., 1)` so that they act on rows of `x`."""
    return values.reshape(len(values), *(1,) * (x.ndim - 1))


def room(origin: Inputs, low: float | Tensor, high: float | Tensor) -> tuple[Tensor, Tensor]:
    """How far each coordinate may fall and rise inside the box: `(low - origin, high - origin)`, held to 0 between."""
    return (low - origin).clamp(max=0), (high - origin).clamp(min=0)


def meets(threat: Threat, x: Inputs) -> bool:
    """Say whether the middle of the box belongs to the set of every row, so that all can be turned into one input.

    Then no model withstands the threat for more than one class. A box without ends has no middle, and finite threats
    (rotations, say) are not asked.
    """
    if hasattr(threat, "count"):
        return False
    low, high = (torch.as_tensor(end, dtype=x.dtype, device=x.device) for end in (threat.low, threat.high))
    middle = ((low + high) / 2).expand_as(x)
    return bool(threat.contains(middle, x, radii(threat.eps, x)).all())
