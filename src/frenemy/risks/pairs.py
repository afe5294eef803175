"""Pairs: how near two classes of a data set come, so how far an enemy may go before he makes a real other example."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import torch
from torch import Tensor

from frenemy.data.examples import Examples
from frenemy.errors import DataError, UsageError, nearest
from frenemy.risks.views import Pairs

__all__ = ["NORMS", "nearest_pairs"]

_GROUPS: Final = 196
"""How many sums, or how many features, an L1 or Linf distance is first judged by."""
_ROUNDING: Final = 2.0**-23
_NEARER: Final = 1 - 1e-6
"""A pair is measured where it may be nearer than the best known by more than this; equal ones are not."""
_BLOCK: Final = 1024
"""Rows of one class that are held against another class at once."""
_CHUNK: Final = 1 << 19
"""Numbers in the pairs that are measured at once: what stays in the cache."""

_Below: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Lower bounds of all distances between rows and rows, each cheap, and none above the distance itself."""


def nearest_pairs(
    examples: Examples, norm: str = "l2", *, progress: Callable[[str, float], None] | None = None
) -> Pairs:
    r"""Find the nearest examples of every two classes, and for every example the nearest one of another class, exactly.

    $$ D_{ab} = \min_{y_i = a,\, y_j = b} \|x_i - x_j\|_p, \qquad g_i = \min_{y_j \ne y_i} \|x_i - x_j\|_p $$

    Every pair is first judged by a lower bound that costs a small part of the distance: for L2 a matrix product less
    all that rounding may do to it, for L1 the distance of the sums over groups of features, for Linf the distance in
    the features that vary most; what is nearest in L2 is measured first. Only pairs whose bound is below the best known
    so far are measured, in float64. So the answer is exact to one part in a million, though of several pairs equally
    near any may be named. The cost is that of one matrix product of all rows (L2), and of n^2 / 2 distances in 196
    dimensions.

    Args:
        examples: of at least two classes.
        norm: `l2`, `l1` or `linf`.
        progress: told `(what, share of all)`.

    Raises:
        UsageError: the norm is another one.
        DataError: there are no two classes, or an input is not finite.

    References:
        002, Section 1.2: MNIST's training set in L2.
    """
    if norm not in NORMS:
        raise UsageError(f"unknown norm '{norm}'{nearest(norm, NORMS)}")
    x = examples.batch().x.flatten(1)
    if not x.isfinite().all():
        raise DataError(
            f"expected finite inputs in {examples.name}, got NaN or infinity; mend or drop these rows"
        )
    exponent = math.frexp(float(x.abs().max()))[1] - 1
    scale = 2.0**exponent  # dividing by it is exact, and afterwards no square overflows
    x = x / scale
    places = [(examples.y == label).nonzero().flatten() for label in range(len(examples.classes))]
    if (full := sum(len(rows) > 0 for rows in places)) < 2:
        raise DataError(
            f"expected examples of two classes or more in {examples.name}, got {full}; take more examples"
        )
    gap = torch.full((len(x),), math.inf, dtype=torch.float64)
    search = _Search(x, NORMS[norm][0], gap, torch.full((len(x),), -1))
    if norm != "l2":
        euclidean = _Search(x, NORMS["l2"][0], gap.clone(), search.other.clone())
        _all(euclidean, places, _products(x), None)
        search.start(euclidean.other)
    distance, pair = _all(search, places, NORMS[norm][1](x), progress)
    place = torch.cat([examples.index, torch.tensor([-1])])
    return Pairs(
        data=examples.name,
        classes=examples.classes,
        norm=norm,
        distance=distance.numpy() * scale,
        pair=place[pair].numpy(),
        index=examples.index.numpy(),
        gap=search.gap.numpy() * scale,
        other=place[search.other].numpy(),
    )


def _all(
    search: _Search, places: list[Tensor], below: _Below, progress: Callable[[str, float], None] | None
) -> tuple[Tensor, Tensor]:
    """Hold every class against every other one; give the smallest distances and the rows that are so near."""
    distance = torch.full((len(places), len(places)), math.inf, dtype=torch.float64)
    pair = torch.full((len(places), len(places), 2), -1)
    both = [
        (a, b) for a, b in itertools.combinations(range(len(places)), 2) if len(places[a]) and len(places[b])
    ]
    for done, (a, b) in enumerate(both, start=1):
        best = math.inf, -1, -1
        for rows in torch.split(places[a], _BLOCK):
            best = search.between(rows, places[b], below, best)
        distance[a, b] = distance[b, a] = best[0]
        pair[a, b], pair[b, a] = torch.tensor(best[1:]), torch.tensor(best[:0:-1])
        if progress:
            progress(f"classes {a} and {b}", done / len(both))
    return distance, pair


@final
@dataclass(slots=True)
class _Search:
    """What is known so far: of each row the distance to the nearest one of another class, and which that is."""

    x: Tensor
    length: Callable[[Tensor], Tensor]
    gap: Tensor
    other: Tensor

    def start(self, other: Tensor) -> None:
        """Measure one other example for each row."""
        everyone = torch.arange(len(self.x))
        self._measured(everyone, everyone, torch.stack([everyone, other], 1), (math.inf, -1, -1))

    def between(
        self, rows: Tensor, cols: Tensor, below: _Below, best: tuple[float, int, int]
    ) -> tuple[float, int, int]:
        """Hold some rows of one class against another class; give the nearest two: distance and rows."""
        bounds = below(rows, cols)
        firsts = [
            torch.stack([torch.arange(len(rows)), bounds.argmin(1)], 1),
            torch.stack([bounds.argmin(0), torch.arange(len(cols))], 1),
        ]
        best = self._measured(rows, cols, torch.cat(firsts), best)
        worth = torch.maximum(self.gap[rows][:, None], self.gap[cols][None]).clamp_(min=best[0]).float()
        return self._measured(rows, cols, (bounds < worth.mul_(_NEARER)).nonzero(), best)

    def _measured(
        self, rows: Tensor, cols: Tensor, pairs: Tensor, best: tuple[float, int, int]
    ) -> tuple[float, int, int]:
        """Measure pairs, and remember what is nearer than what was known."""
        for some in torch.split(pairs, max(_CHUNK // self.x.shape[1], 1)) if len(pairs) else ():
            i, j = rows[some[:, 0]], cols[some[:, 1]]
            far = self.length(self.x[i].double().sub_(self.x[j]))
            first = int(far.argmin())
            if float(far[first]) < best[0]:
                best = float(far[first]), int(i[first]), int(j[first])
            for one, another in ((i, j), (j, i)):
                before = self.gap[one]
                self.gap.scatter_reduce_(0, one, far, "amin")
                nearer = (far < before) & (far == self.gap[one])
                self.other[one[nearer]] = another[nearer]
        return best


def _products(x: Tensor) -> _Below:
    """For L2: the square by a matrix product, less what rounding may have added."""
    squares = x.square().sum(1)

    def below(rows: Tensor, cols: Tensor) -> Tensor:
        sums = squares[rows][:, None] + squares[cols][None]
        found = torch.addmm(sums, x[rows], x[cols].T, alpha=-2)
        return found.sub_(sums, alpha=2 * (x.shape[1] + 4) * _ROUNDING).clamp_(min=0).sqrt_()

    return below


def _sums(x: Tensor) -> _Below:
    """For L1: |sum of differences| is at most the sum of |differences|, group by group."""
    parts = torch.stack([part.sum(1) for part in x.double().chunk(min(_GROUPS, x.shape[1]), 1)], 1)
    coarse, sizes = parts.float(), x.abs().sum(1)

    def below(rows: Tensor, cols: Tensor) -> Tensor:
        found = torch.cdist(coarse[rows], coarse[cols], p=1)
        return found.sub_(sizes[rows][:, None] + sizes[cols][None], alpha=(_GROUPS + 4) * _ROUNDING)

    return below


def _widest(x: Tensor) -> _Below:
    """For Linf: the largest difference among some of the features is at most that among all."""
    some = x[:, x.var(0).topk(min(_GROUPS, x.shape[1])).indices]

    def below(rows: Tensor, cols: Tensor) -> Tensor:
        return torch.cdist(some[rows], some[cols], p=math.inf).mul_(1 - _ROUNDING)

    return below


NORMS: Final[dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], _Below]]]] = {
    "l2": (lambda change: change.square_().sum(1).sqrt_(), _products),
    "l1": (lambda change: change.abs_().sum(1), _sums),
    "linf": (lambda change: change.abs_().amax(1), _widest),
}
"""The norms a distance may be in: how long a change is, and what makes the lower bounds."""
