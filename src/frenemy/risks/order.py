"""Order: which of two classifiers is more robust, when small perturbations count before large ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from frenemy.errors import UsageError
from frenemy.risks.estimate import Estimate, difference

__all__ = ["Order", "lexicographic"]


@final
@dataclass(frozen=True, slots=True)
class Order:
    """How the second of two classifiers stands to the first.

    Args:
        relation: `better` or `worse`, by the first size at which they are known to differ; `equal` if they are known
            to agree at every size; `undecided` if a size comes first of which neither is known.
        eps: the size that decides; NaN if all are equal.
        differences: second less first at each size up to that one.
    """

    relation: str
    eps: float
    differences: tuple[Estimate, ...]


def lexicographic(
    eps: Sequence[float], first: Sequence[Estimate], second: Sequence[Estimate], tolerance: float = 0.0
) -> Order:
    r"""Compare two accuracy functions by exact norm, the smallest size first.

    $$ f_2 > f_1 \iff \exists\, t:\ a_1(d_s) = a_2(d_s)\ \forall s < t \ \text{ and }\ a_2(d_t) > a_1(d_t), \quad
       0 = d_1 < d_2 < \dots < d_T $$

    With standard accuracy by exact norm this is lexicographical standard robustness (LSR), with genuine accuracy
    lexicographical genuine robustness (LGR). At each size the accuracies differ if the interval of their difference
    lies beyond the tolerance, and are equal if it lies within; else neither is known at this sample size, and since
    no later size may overrule an earlier one, so is the order.

    Args:
        eps: the sizes, ascending.
        first, second: accuracy at each size; numbers that are exact have ends equal to their value.
        tolerance: what difference is none, from 0; 0 for exact numbers.

    Raises:
        UsageError: the sizes do not ascend, the lengths differ, or the tolerance is no number of 0 or more.

    References:
        002, Definitions 6 and 7. Deviations: these ask for equality at all eps < d and a difference at d, for some d.
        Read so they are no total preorder: two functions that are equal at 0 and differ on all of (0, 1] are not
        ordered, as f1 and f3 of 002's own example; nor are those that differ on an open interval only. A grid of sizes
        always has a first one. Definition 6 prints a_1(d) > a_1(d) for a_2(d) > a_1(d).
    """
    if not len(eps) == len(first) == len(second):
        raise UsageError(
            f"expected as many accuracies as sizes, got {len(first)} and {len(second)} for {len(eps)} sizes; "
            "measure both classifiers at the same sizes"
        )
    if any(not a < b for a, b in pairwise(eps)):
        raise UsageError(f"expected sizes that ascend, got {list(eps)[:8]}; sort them and leave none twice")
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"expected a tolerance of 0 or more, got {tolerance:g}; 0.01 is one point")
    seen: list[Estimate] = []
    for size, one, other in zip(eps, first, second, strict=True):
        seen.append(difference(one, other))
        relation = _relation(seen[-1], tolerance)
        if relation != "equal":
            return Order(relation, size, tuple(seen))
    return Order("equal", math.nan, tuple(seen))


def _relation(found: Estimate, tolerance: float) -> str:
    if found.low > tolerance:
        return "better"
    if found.high < -tolerance:
        return "worse"
    return "equal" if -tolerance <= found.low and found.high <= tolerance else "undecided"
