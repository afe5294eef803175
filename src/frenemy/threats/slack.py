"""What all balls share: sound settings, a box in the units of `x`, and how much float32 rounding is forgiven."""

from __future__ import annotations

import torch
from torch import Tensor

from frenemy.errors import ThreatError
from frenemy.types import Flags, Inputs, PerExample

__all__ = ["bounds", "check", "hold_", "inside", "slack"]

_RELATIVE = 1e-5
_ULPS = 4 * 2.0**-24


def check(eps: float | Tensor, low: float | Tensor, high: float | Tensor) -> None:
    """Refuse a size or a box that makes no set.

    Raises:
        ThreatError: `eps` is negative, infinite or not a number; or `low < high` fails somewhere.
    """
    sizes, floor, ceiling = (_number(value) for value in (eps, low, high))
    sound = sizes.isfinite() & (sizes >= 0)
    if not bool(sound.all()):
        raise ThreatError(
            f"expected eps to be finite and 0 or larger, got {float(sizes[~sound].flatten()[0])}; "
            "give a size such as 8/255"
        )
    try:
        wrong = ~(floor < ceiling)
    except RuntimeError as error:
        raise ThreatError(
            f"expected low and high of one shape, got {tuple(floor.shape)} and {tuple(ceiling.shape)}; "
            "give one number each or one a feature"
        ) from error
    if bool(wrong.any()):
        floor, ceiling = floor.expand(wrong.shape), ceiling.expand(wrong.shape)
        raise ThreatError(
            f"expected low to be below high everywhere, got low {float(floor[wrong][0])} and high "
            f"{float(ceiling[wrong][0])}; drop features that cannot move or widen their box"
        )


def bounds(low: float | Tensor, high: float | Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Give both ends of the box as tensors of the dtype and on the device of `x`."""
    floor = torch.as_tensor(low, dtype=x.dtype, device=x.device)
    return floor, torch.as_tensor(high, dtype=x.dtype, device=x.device)


def hold_(x: Inputs, low: float | Tensor, high: float | Tensor) -> Inputs:
    """Cut `x` at the box, in place."""
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return x.clamp_(*bounds(low, high, x))
    return x.clamp_(low, high)


def inside(x: Inputs, low: float | Tensor, high: float | Tensor) -> Flags:
    """Say of each row whether every coordinate lies in the box, ends included; NaN never does."""
    if isinstance(low, Tensor) or isinstance(high, Tensor) or not x.numel():
        low, high = bounds(low, high, x)
        return ((x >= low) & (x <= high)).flatten(1).all(1)
    least, most = torch.aminmax(x.flatten(1), dim=1)
    return (least >= low) & (most <= high)


def slack(length: PerExample, eps: PerExample) -> PerExample:
    """How far past `eps` a norm may read because the point was stored in float32.

    `1e-5 eps + 4 * 2^-24 * length`: rounding a point to float32 moves each coordinate by at most half a unit in
    its last place, and the norm of all these moves is bounded by the norm of the point.

    Args:
        length: `(batch,)` norm of the origins, in the norm of the set.
        eps: `(batch,)` size of the set.
    """
    return _RELATIVE * eps + _ULPS * length


def _number(value: float | Tensor) -> Tensor:
    try:
        return torch.as_tensor(value, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ThreatError(
            f"expected eps, low and high to be numbers, got {type(value).__name__}; give a float or a tensor"
        ) from error
