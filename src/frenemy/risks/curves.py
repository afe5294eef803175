"""Curves: accuracy against the size of the perturbation, by largest and by exact norm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from frenemy.risks.estimate import Estimate, proportion
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.plan import Plan
from frenemy.risks.pool import Pool
from frenemy.risks.result import Curve
from frenemy.risks.search import Search
from frenemy.risks.wishes import WHO
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

__all__ = ["Course", "grid", "trace"]


def grid(eps: float, points: int) -> tuple[float, ...]:
    """Sizes from 0 to twice the asked `eps`, in `points` equal steps; an even number has `eps` itself among them."""
    return tuple(eps * (2 * k / points) for k in range(points + 1)) if eps > 0 and points > 0 else ()


@final
@dataclass(frozen=True, slots=True)
class Course:
    """The searches that draw the curves of one objective.

    Args:
        wish: the objective.
        largest: draws the curve by largest norm; None where nothing can search the ball.
        exact: draws the curve by exact norm; None where nothing can search the sphere, or the ball has none.
    """

    wish: str
    largest: Search | None
    exact: Search | None

    @classmethod
    def of(cls, plan: Plan, wish: str, ball: Threat, exact: bool = True) -> Course:
        """Choose among the searches of a plan; by exact norm too, where that is wanted."""
        round_ = exact and getattr(ball, "order", None) in (1.0, 2.0, math.inf)
        return cls(wish, plan.curve(wish, ball), plan.curve(wish, Sphere(ball)) if round_ else None)

    def stages(self, sizes: Sequence[float]) -> int:
        """How many searches it takes."""
        one = 0 if self.largest is None else 1 if self.largest.nearest else len(sizes) - 1
        return one + (len(sizes) - 1 if self.exact else 0)


def trace(
    inquiry: Inquiry,
    rows: NDArray[np.int64],
    sizes: Sequence[float],
    ball: Threat,
    name: str,
    courses: Mapping[str, Course],
    pool: Pool,
    spheres: Mapping[float, Pool],
    done: Mapping[str, NDArray[np.int64]],
) -> list[Curve]:
    r"""Measure accuracy at every size, for anything up to it and for exactly it.

    Largest norm: an example that yields at some distance yields at every larger eps, so only the open ones are searched
    again, and the curve cannot rise for an enemy or fall for a false friend; a search for the least distance needs one
    run for all sizes. Exact norm (002, Section 2): all examples are searched on each sphere, on its own; examples whose
    box does not reach that far are left out there.

    Args:
        rows: positions of the examples the curves are drawn from.
        sizes: ascending, from 0.
        ball: the ball whose size is varied.
        name: the norm in words, such as `linf`.
        courses: the searches of `untargeted` or `hypocritical` or both.
        pool: what is known so far of the ball; every point found here is told to it.
        spheres: what is known so far of the sphere of some size.
        done: for each objective, examples whose least distance was searched already, up to the largest size.

    Returns:
        A curve of each kind for each objective, objectives first.
    """
    curves = []
    for wish, course in courses.items():
        what, exact = f"curve: {WHO[wish]}", []
        if course.largest and course.largest.nearest:
            open_rows = np.setdiff1d(rows[~pool.known(wish, 0.0)[rows]], done.get(wish, []))
            search = course.largest
            inquiry.search(what, open_rows, search.attack, ball.at(sizes[-1]), search.wish(wish), [pool])
        for eps in sizes[1:]:
            if course.largest and not course.largest.nearest:
                open_rows, search = rows[~pool.known(wish, eps)[rows]], course.largest
                inquiry.search(what, open_rows, search.attack, ball.at(eps), search.wish(wish), [pool])
            if course.exact:
                there = spheres.get(eps) or Pool(pool.labels, pool.clean, around=False)
                search, sphere = course.exact, Sphere(ball.at(eps))
                found, _ = inquiry.search(what, rows, search.attack, sphere, search.wish(wish), [there, pool])
                exact.append((there, found["rows"]))
        clean = _accuracy(inquiry, Pool(pool.labels, pool.clean), rows, wish, 0.0)
        if course.largest:
            largest = [_accuracy(inquiry, pool, rows, wish, eps) for eps in sizes[1:]]
            curves.append(Curve(wish, "largest", name, tuple(sizes), (clean, *largest)))
        if course.exact:
            on = [_accuracy(inquiry, there, reached, wish, np.inf) for there, reached in exact]
            curves.append(Curve(wish, "exact", name, tuple(sizes), (clean, *on)))
    return curves


def _accuracy(inquiry: Inquiry, pool: Pool, rows: NDArray[np.int64], wish: str, eps: float) -> Estimate:
    counted = np.intersect1d(rows, inquiry.judged)
    known = pool.known(wish, eps)[counted]
    right = known if wish == "hypocritical" else ~known
    return proportion(int(right.sum()), len(counted))
