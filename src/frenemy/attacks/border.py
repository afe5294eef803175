"""Border: a first success at any distance, and the way from it to the border of the answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from frenemy.attacks.attack import Phase
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg

__all__ = ["TRIES", "away", "bisected", "blend", "clouds"]

TRIES: Final = 100
"""Random points tried before a search is given up."""


def clouds(site: Site, name: str, number: int) -> Iterator[Tensor]:
    """Give `(1, features)` points to begin at: the given ones, then draws all over a box, or from ever wider clouds."""
    for point in site.others:
        yield point[None]
    scale = 0.5 * float(site.x.abs().mean()) or 1.0
    for attempt in range(number):
        noise = site.noise(f"{name} {attempt}", 1)
        if site.bounded:
            yield site.low + torch.special.ndtr(noise) * (site.high - site.low)
        else:
            yield site.x + scale * 2 ** (attempt / 5) * noise


def away(site: Site) -> Leg[Tensor | None]:
    """Look for a success at random: over the whole box, or where it has no end in ever wider clouds.

    Brings back the `(features,)` first success; None after 100 tries.
    """
    for point in clouds(site, "away", TRIES):
        if bool((yield Phase.START, point).won.all()):
            return site.hold(point)[0]
    return None


def blend(site: Site, far: Tensor, share: Tensor) -> Tensor:
    """Points between the input and a far one: `share` of the way, or cut at `share` of its Linf distance.

    Args:
        far: `(features,)`.
        share: `(points,)` in [0, 1].

    Returns:
        `(points, features)`
    """
    change = far - site.x
    if site.order == math.inf:
        limit = (share * change.abs().max())[:, None]
        return site.x + change.clamp(-limit, limit)
    return torch.addcmul(site.x, share[:, None], change)


def bisected(site: Site, far: Tensor, tolerance: float, guess: float | None = None) -> Leg[Tensor]:
    """Halve the way between the input and a success until the border is known to a share of it.

    Args:
        far: `(features,)` a success.
        tolerance: width of the interval at which to stop, as a share of the way.
        guess: where the border may be, as a share of the way in (0, 1): first questions lie around it, then ever
            farther from it, until halving is faster. None: in the middle.

    Brings back the nearest success on the way, which is `far` itself if no other was seen. Cost:
    `log2(1 / tolerance)` questions by halving, and a few less or more by a guess that is right or wrong.
    """
    low, high, point = 0.0, 1.0, far
    share, reach = 0.5, 1.0
    if guess is not None:
        reach = max(4 * tolerance, min(guess, 1 - guess) / 4)
        share = max(guess - reach / 2, guess / 2)
    while high - low > tolerance:
        trial = blend(site, far, torch.tensor([share], dtype=far.dtype))
        if bool((yield Phase.BORDER, trial).won.all()):
            high, point = share, site.hold(trial)[0]
            share = max(high - reach, (low + high) / 2)
        else:
            low = share
            share = min(low + reach, (low + high) / 2)
        reach *= 2
    return point
