"""Curves: accuracy against the size of the perturbation, by largest and by exact norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from frenemy.attacks.attack import Attack
from frenemy.objectives.objective import Objective
from frenemy.risks.estimate import Estimate, proportion
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.pool import Pool
from frenemy.risks.result import Curve
from frenemy.risks.wishes import WHO
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

__all__ = ["grid", "trace"]


def grid(eps: float, points: int) -> tuple[float, ...]:
    """Sizes from 0 to twice the asked `eps`, in `points` equal steps; an even number has `eps` itself among them."""
    return tuple(eps * (2 * k / points) for k in range(points + 1)) if eps > 0 and points > 0 else ()


def trace(
    inquiry: Inquiry,
    rows: NDArray[np.int64],
    sizes: Sequence[float],
    ball: Threat,
    name: str,
    attack: Attack,
    wishes: dict[str, Objective],
    pool: Pool,
    spheres: Mapping[float, Pool],
) -> list[Curve]:
    r"""Measure accuracy at every size, for anything up to it and for exactly it.

    Largest norm: an example that yields at some distance yields at every larger eps, so only the open ones are searched
    again, and the curve cannot rise for an enemy or fall for a false friend. Exact norm (002, Section 2): all examples
    are searched on each sphere, on its own; examples whose box does not reach that far are left out there.

    Args:
        rows: positions of the examples the curves are drawn from.
        sizes: ascending, from 0.
        ball: the ball whose size is varied.
        name: the norm in words, such as `linf`.
        attack: one search a size.
        wishes: `untargeted` or `hypocritical` or both, with the objective of each.
        pool: what is known so far of the ball; every point found here is told to it.
        spheres: what is known so far of the sphere of some size.

    Returns:
        A curve of each kind for each wish, objectives first.
    """
    curves = []
    for wish, objective in wishes.items():
        largest, exact = [], []
        for eps in sizes[1:]:
            open_rows = rows[~pool.known(wish, eps)[rows]]
            what = f"curve: {WHO[wish]}"
            inquiry.search(what, open_rows, attack, ball.at(eps), objective, [pool])
            sphere = Sphere(ball.at(eps))
            there = spheres.get(eps) or Pool(pool.labels, pool.clean, around=False)
            found, _ = inquiry.search(what, rows, attack, sphere, objective, [there, pool])
            exact.append((there, found["rows"]))
        for eps in sizes[1:]:
            largest.append(_accuracy(inquiry, pool, rows, wish, eps))
        clean = _accuracy(inquiry, Pool(pool.labels, pool.clean), rows, wish, 0.0)
        on = [_accuracy(inquiry, there, reached, wish, np.inf) for there, reached in exact]
        curves.append(Curve(wish, "largest", name, tuple(sizes), (clean, *largest)))
        curves.append(Curve(wish, "exact", name, tuple(sizes), (clean, *on)))
    return curves


def _accuracy(inquiry: Inquiry, pool: Pool, rows: NDArray[np.int64], wish: str, eps: float) -> Estimate:
    counted = np.intersect1d(rows, inquiry.judged)
    known = pool.known(wish, eps)[counted]
    right = known if wish == "hypocritical" else ~known
    return proportion(int(right.sum()), len(counted))
