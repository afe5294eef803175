"""Views: a search on its way, the loss around the inputs, how near classes come, what transfers: numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.risks.estimate import Estimate, proportion

__all__ = ["Convergence", "Landscape", "Pairs", "Transfer"]

_LAST: Final = 0.2
"""What still falls in this last share of the steps tells whether the search had come to rest."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Convergence:
    """What a search looked like on its way.

    Args:
        model, data, threat, objective, attack: what was searched, in words; `attack` with its loss.
        index: `(n,)` the examples, by their place in the data.
        loss: `(runs, n, points)` float32, the loss of each example at each point of each run; the first point is the
            start, and one step lies between points. NaN where the answer was not finite.
        reached: `(runs, n, points)` whether the objective was met at that point or earlier in that run, or at the clean
            input.
        apart: how many examples were left out, because their clean answer or their input is not finite.
        settings: all that decides the numbers.
    """

    model: str
    data: str
    threat: str
    objective: str
    attack: str
    index: NDArray[np.int64]
    loss: NDArray[np.float32]
    reached: NDArray[np.bool_]
    apart: int
    settings: dict[str, Any]

    def accuracy(self, runs: int, step: int = -1) -> Estimate:
        """Share of examples answered rightly once the first `runs` runs took `step` steps: the worst case for an enemy.

        For a false friend the best case counts; for a reversal, the share that kept the clean answer.
        """
        reached = np.any(self.reached[:runs, :, step], axis=0)
        hits = int(reached.sum())
        return proportion(hits if self.objective == "hypocritical" else len(reached) - hits, len(reached))

    @property
    def late(self) -> int:
        """Examples that were reached, by all runs together, in the last fifth of the steps alone."""
        reached = np.any(self.reached, axis=0)
        steps = reached.shape[1] - 1
        return int((reached[:, -1] & ~reached[:, steps - round(_LAST * steps)]).sum())

    @property
    def last(self) -> int:
        """Examples that only the last run reached; none if there was but one."""
        if len(self.reached) < 2:
            return 0
        ends = self.reached[:, :, -1]
        return int((ends[-1] & ~np.any(ends[:-1], axis=0)).sum())


@final
@dataclass(frozen=True, slots=True, eq=False)
class Landscape:
    """The loss of some examples over a plane each.

    Args:
        model, data, threat, objective, loss_name: what was looked at, in words.
        index: `(n,)` the examples, by their place in the data.
        sizes: `(points,)` how far one goes in each direction, in the units of eps; 0 in the middle.
        loss: `(n, points, points)` float32: along the gradient first, along the random direction second.
        plane: `(n, 2)` slope of the loss at the input in each direction.
        apart: how many examples were left out, because an input, a gradient or an answer is not finite.
        settings: all that decides the numbers.
    """

    model: str
    data: str
    threat: str
    objective: str
    loss_name: str
    index: NDArray[np.int64]
    sizes: NDArray[np.float64]
    loss: NDArray[np.float32]
    plane: NDArray[np.float32]
    apart: int
    settings: dict[str, Any]

    @property
    def middle(self) -> int:
        """Place of the input itself in both directions."""
        return len(self.sizes) // 2

    @property
    def rise(self) -> tuple[float, float]:
        """How much the loss rises from the inputs to the end of each direction, on average."""
        m = self.middle
        here = self.loss[:, m, m]
        return float((self.loss[:, -1, m] - here).mean()), float((self.loss[:, m, -1] - here).mean())

    @property
    def bend(self) -> NDArray[np.float32]:
        r"""`(n,)` how far each surface leaves its tangent plane.

        $$ \max_d |\ell(x + d) - \ell(x) - \langle \nabla, d \rangle| $$

        Local linearity of Qin et al. 2019 (arXiv:1907.02610, eq. 5), taken over the plane.
        """
        along, beside = self.sizes[None, :, None], self.sizes[None, None, :]
        tangent = self.plane[:, 0, None, None] * along + self.plane[:, 1, None, None] * beside
        here = self.loss[:, self.middle, self.middle, None, None]
        bend: NDArray[np.float32] = np.abs(self.loss - here - tangent).max((1, 2)).astype(np.float32)
        return bend


@final
@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The nearest examples of different classes.

    Args:
        data: name of the data set.
        classes: their names.
        norm: `l2`, `l1` or `linf`.
        distance: `(classes, classes)` float64, the smallest distance between two classes; inf where one is empty, and
            on the diagonal.
        pair: `(classes, classes, 2)` int64, the places in the data of the two that are so near, that of the first class
            first; -1 where there are none.
        index: `(n,)` the examples, by their place in the data.
        gap: `(n,)` float64, from each example to the nearest one of another class.
        other: `(n,)` int64, the place of that one.
    """

    data: str
    classes: tuple[str, ...]
    norm: str
    distance: NDArray[np.float64]
    pair: NDArray[np.int64]
    index: NDArray[np.int64]
    gap: NDArray[np.float64]
    other: NDArray[np.int64]

    @property
    def radius(self) -> float:
        """Half the least distance: up to this eps no two balls around examples of different classes overlap."""
        return float(self.gap.min()) / 2

    @property
    def order(self) -> tuple[tuple[int, int], ...]:
        """Every two classes that have examples, the nearest first."""
        a, b = np.triu_indices(len(self.classes), 1)
        by = np.argsort(self.distance[a, b], kind="stable")
        return tuple((int(a[k]), int(b[k])) for k in by if np.isfinite(self.distance[a[k], b[k]]))

    def pseudo(self, eps: float) -> int:
        """Count the examples that a perturber of this eps can change into an example of another class (002, 1.2)."""
        return int((self.gap <= eps).sum())

    def crossed(self, eps: float) -> int:
        """Count the pairs of classes that come as near as eps or nearer."""
        return sum(bool(self.distance[a, b] <= eps) for a, b in self.order)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """What points that were found on some models do to others, for one objective.

    Args:
        models: the names of those that are judged.
        sources: whose points; a model by its name, or `random points` of the threat, which nobody searched for.
        attacks: what searched each source, in words.
        data, threat, objective: in words; the objective is `untargeted` or `hypocritical`.
        index: `(n,)` the examples, by their place in the data.
        clean: `(models, n)` whether each model is right on the inputs themselves.
        right: `(sources, models, n)` whether each model is right on the points of each source.
        apart: how many examples were left out: an input, an answer of some model or a point of some source is none.
        notes: sentences on what was left out or handled.
        settings: all that decides the numbers.
    """

    models: tuple[str, ...]
    sources: tuple[str, ...]
    attacks: tuple[str, ...]
    data: str
    threat: str
    objective: str
    index: NDArray[np.int64]
    clean: NDArray[np.bool_]
    right: NDArray[np.bool_]
    apart: int
    notes: tuple[str, ...]
    settings: dict[str, Any]

    def rate(self, source: int, target: int) -> Estimate:
        """Share of the examples that the target gets right (for a false friend: wrong) which the points turn.

        Every point of the source counts, also where it did nothing to the source itself (000, A.4).
        """
        counted = self._open(target)
        return proportion(int(self._turned(source, target)[counted].sum()), int(counted.sum()))

    def carried(self, source: int, target: int) -> Estimate:
        """The same among those of these examples that the points turn on the source itself."""
        if self.sources[source] not in self.models:
            return proportion(0, 0)
        home = self.models.index(self.sources[source])
        counted = self._open(target) & self._open(home) & self._turned(source, home)
        return proportion(int(self._turned(source, target)[counted].sum()), int(counted.sum()))

    def accuracy(self, source: int, target: int) -> Estimate:
        """Share of all examples that the target gets right on the points of the source (001, Table 4)."""
        return proportion(int(self.right[source, target].sum()), len(self.index))

    def _open(self, model: int) -> NDArray[np.bool_]:
        counted: NDArray[np.bool_] = self.clean[model] == (self.objective == "untargeted")
        return counted

    def _turned(self, source: int, target: int) -> NDArray[np.bool_]:
        turned: NDArray[np.bool_] = self.right[source, target] != (self.objective == "untargeted")
        return turned
