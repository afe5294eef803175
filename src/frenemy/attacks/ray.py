"""Ray: how far the border lies in a direction, and which way to turn for it to be nearer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.attack import Phase
from frenemy.attacks.border import TRIES, clouds
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg

__all__ = ["EXACT", "Ray", "aim", "beside", "distances", "first_ray", "nearer", "signs", "swerved"]

EXACT: Final = 0.15
"""How exactly to measure distances beside a ray, in units of beta: what is finer is lost in how much they differ."""
_FIRST: Final = 0.01
"""How much nearer or farther is tried first, as a share of the distance (004, Algorithm 2: alpha)."""
_FINE: Final = 1e-4
"""Width of the interval at which the search for the border stops, as a share of its distance."""
_STRIDE: Final = 4.0
"""First step of the search for the border in the middle of a cloud, in widths of the cloud."""
_SLACK: Final = 0.2
"""Width of the interval at which that search stops, likewise."""
_LEAST: Final = 1e-6
"""Narrowest interval that float32 tells apart, as a share of the distance."""
_FARTHEST: Final = 4.0
"""How many times as far as a ray the border is looked for beside it."""
_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True, eq=False)
class Ray:
    """A direction, and how far along it the nearest known success lies.

    Args:
        way: `(features,)` of norm 1, inside the box as far as `far`.
        far: distance, so that `x + far * way` is a success.
    """

    way: Tensor
    far: float


def aim(site: Site, ways: Tensor, far: float | Tensor) -> Tensor:
    """Points of the box at distance `far` from the input, in the directions `ways` or as near them as the box allows.

    For L2 what the box cuts off is made up for in the other coordinates. For Linf the ball is a cube: a direction is
    cut at 1 in each coordinate, so that points change smoothly with it, and no single coordinate decides their
    distance.

    Args:
        ways: `(points, features)`, of norm about 1.
        far: a number, or `(points, 1)`.
    """
    if site.order == math.inf:
        return site.hold(site.x + far * ways.clamp(-1, 1))
    change = ways
    for _ in range(2):
        change = change * (far / site.norm(change).clamp(min=_TINY)[:, None])
        change = site.hold(site.x + change) - site.x
    return site.x + change


def swerved(site: Site, ray: Ray, beta: float, name: str | int, number: int) -> tuple[Tensor, Tensor]:
    """Points at the distance of a ray in directions beside its own, and what they differ by.

    Returns:
        `(number, features)` points `x + far * (way + beta * u)`, and the `u` that the box, or the cube, has left of
        normal noise, less their mean: turns that are cut all lean inwards, and most are farther for it. One alone
        keeps it.
    """
    points = aim(site, torch.add(ray.way, site.noise(name, number), alpha=beta), ray.far)
    turns = (points - site.x - ray.far * ray.way) / (ray.far * beta)
    return points, turns - turns.mean(0) if number > 1 else turns


def first_ray(site: Site, tries: int) -> Leg[Ray | None]:
    """Find the nearest of some random directions: one is searched to its border only if that is nearer than before.

    Brings back None where no direction leads to a success, nor any of 100.
    """
    ray = None
    for attempt, cloud in enumerate(clouds(site, "start", max(tries, TRIES))):
        if attempt >= max(tries, len(site.others)) and ray is not None:
            break
        point = site.hold(cloud) if ray is None else aim(site, cloud - site.x, ray.far * (1 - _FIRST))
        if bool((yield Phase.START, point).won.all()):
            ray = yield from nearer(site, site.hold(point)[0])
    return ray


def nearer(site: Site, point: Tensor) -> Leg[Ray]:
    """Come to the border from a success: in growing strides until one is too far, then by halves (004, Algorithm 2)."""
    change = point - site.x
    high = float(site.norm(change))
    way, low, stride = change / max(high, _TINY), 0.0, _FIRST
    while stride < 1:
        trial = high * (1 - stride)
        if not bool((yield Phase.BORDER, site.x + trial * way[None]).won.all()):
            low = trial
            break
        high, stride = trial, 2 * stride
    while high - low > _FINE * high:
        middle = (low + high) / 2
        if bool((yield Phase.BORDER, site.x + middle * way[None]).won.all()):
            high = middle
        else:
            low = middle
    return Ray(way, high)


def distances(site: Site, ways: Tensor, far: float, fine: float, stride: float = _FIRST) -> Leg[Tensor]:
    """Measure how far the border lies in many directions, where it should lie about as far as `far` in each.

    004, Algorithm 2 for all directions at once: in growing strides until the border is between two points, then by
    halves. Directions share their calls, not their answers.

    Args:
        ways: `(directions, features)`, of norm about 1.
        fine: width of the interval at which to stop, as a share of the distance.
        stride: how much nearer or farther is tried first, likewise.

    Brings back `(directions,)`, the border's far side; 4 times `far` where it was not found so near.
    """
    low, high = torch.full((2, len(ways)), -1.0, dtype=ways.dtype)
    high, at = torch.full_like(low, torch.inf), torch.full_like(low, far)
    rows, fine = torch.arange(len(ways)), max(fine, _LEAST)
    while len(rows):
        won = (yield Phase.SLOPE, aim(site, ways[rows], at[rows, None])).won
        high[rows[won]], low[rows[~won]] = at[rows[won]], at[rows[~won]]
        onward = torch.where(high.isfinite(), at * (1 - stride), at * (1 + stride))
        low[(low < 0) & (onward <= 0)], stride = 0.0, 2 * stride
        known = (low >= 0) & high.isfinite()
        at = torch.where(known, (low + high) / 2, onward)
        lost = at > _FARTHEST * far
        high[lost & ~known] = _FARTHEST * far
        settled = known & (high - low <= fine * high)
        rows = rows[~(settled | lost)[rows]]
    return high


def beside(site: Site, points: Tensor, far: float, width: float) -> Leg[float]:
    """Find how far out the border lies in the middle of a cloud of points.

    A cloud around a point of the border is not halved by it where the box cuts the cloud: all that is left leans
    inwards, next to every point of it is on the same side, and the answers tell nothing. So the cloud is asked about at
    the distance at which the border goes through its middle.

    Args:
        points: `(points, features)`.
        far: distance of the cloud, and about that of the border.
        width: of the cloud in each coordinate, as a share of the distance.

    Brings back that distance; `far` itself where there is no border near.
    """
    middle = (points - site.x).mean(0)
    way = middle / site.norm(middle).clamp(min=_TINY)
    found = float((yield from distances(site, way[None], far, _SLACK * width, _STRIDE * width)))
    return found if found < 2 * far else far


def signs(site: Site, ray: Ray, beta: float, step: int, directions: int) -> Leg[tuple[Tensor, Tensor]]:
    """Learn by one question each whether the border comes nearer in directions beside a ray (004, eq. 2.17).

    Nearer than in their middle, that is, which costs some questions more, and one alone nearer than the ray.

    Brings back `(directions,)` 1 where it does and -1 where not, and `(directions, features)` the turns.
    """
    points, turns = swerved(site, ray, beta, step, directions)
    if directions > 1:
        far = yield from beside(site, points, ray.far, beta)
        points = aim(site, (points - site.x) / ray.far, far)
    won = (yield Phase.SLOPE, points).won
    return 2.0 * won.to(turns.dtype) - 1, turns
