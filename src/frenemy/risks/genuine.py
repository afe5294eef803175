"""Genuine accuracy: by exact norm, at points that are not nearer to another example."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from frenemy.attacks.apgd import APGD
from frenemy.attacks.attack import Attack
from frenemy.attacks.pgd import PGD
from frenemy.attacks.worst_of import WorstOf
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.model import Model, device_of
from frenemy.models.still import still
from frenemy.objectives.surrogates import CrossEntropy, Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.risks.allowed import Allowed, Both
from frenemy.risks.estimate import Estimate, proportion
from frenemy.rng import Key
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat, radii
from frenemy.types import Labels

__all__ = ["Genuine", "Nearest", "genuine_accuracy"]

_SEARCH: Final = WorstOf((PGD(steps=40), APGD(steps=40)))
_ROWS: Final = 256
_BLOCK: Final = 4_000_000
_SLACK: Final = 1e-4


@final
@dataclass(frozen=True, slots=True)
class Genuine:
    """What was measured at one exact norm.

    Args:
        eps: the norm.
        standard: accuracy by exact norm at all points (none where the box is too small for the norm).
        genuine: accuracy at points that are not nearer than eps to any example, over the examples that have some.
        pseudo: examples that fall at some point of this norm, but at none of those that were found to be genuine.
    """

    eps: float
    standard: Estimate
    genuine: Estimate
    pseudo: int


@final
class Nearest(nn.Module):
    """How far the nearest of some examples is beyond a distance: `min_j ||x - x_j|| - eps`, `(batch, 1)`.

    Exact for a finite set, in the norm of order 1, 2 or inf. Cost: one distance for each example and row; the gradient
    goes through the nearest one alone.
    """

    def __init__(self, x: Tensor, order: float, eps: float) -> None:
        super().__init__()
        self.order, self.eps = order, eps
        self.register_buffer("known", x.flatten(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Give the distance beyond eps, with a graph to `x`."""
        known = self.get_buffer("known")
        flat = x.flatten(1)
        with torch.no_grad():
            step = max(
                1, _BLOCK // max(1, len(flat) * flat.shape[1] if self.order == math.inf else len(flat))
            )
            least = torch.full((len(flat),), math.inf, device=x.device, dtype=flat.dtype)
            place = torch.zeros(len(flat), dtype=torch.int64, device=x.device)
            for start in range(0, len(known), step):
                near, which = torch.cdist(flat, known[start : start + step], p=self.order).min(1)
                better = near < least
                least, place = torch.where(better, near, least), torch.where(better, which + start, place)
        distance: Tensor = torch.linalg.vector_norm(flat - known[place], self.order, dim=1)
        return (distance - self.eps)[:, None]


def genuine_accuracy(
    model: Model,
    examples: Examples,
    ball: Threat,
    sizes: Sequence[float],
    *,
    key: Key,
    known: Examples | None = None,
    explored: Callable[[float], Model] | None = None,
    attack: Attack = _SEARCH,
) -> tuple[Genuine, ...]:
    r"""Measure genuine adversarial accuracy by exact norm, and standard accuracy by exact norm beside it.

    $$ a(\varepsilon) = E_{x \in S(\varepsilon)} 1[f(x^*) = y], \quad
       x^* = \arg\max_{\|x' - x\| = \varepsilon,\ x' \notin X_\varepsilon} \ell(f(x'), y), \quad
       X_\varepsilon = \{x' : \|x' - x_j\| < \varepsilon \text{ for some } j\} $$

    S holds the examples that have such a point at all. For the finite set of `known` examples the test for X is exact
    (the distance to the nearest one); for a region that was learned, give `explored`.

    Args:
        model: any callable that gives `(batch, classes)` logits.
        examples: what is measured.
        ball: an Linf, L2 or L1 ball, for norm and box.
        sizes: the norms, ascending from 0; at 0 the natural accuracy.
        key: settles the search.
        known: the clean examples; by default `examples` alone. Where there is a training set, give both together.
        explored: for a norm, a callable that gives `(batch, 1)` numbers, 0 or more where a point is not explored yet; a
            module is moved to the model's device.
        attack: by default PGD and APGD (40 steps each), on cross-entropy and on the margin.

    Raises:
        UsageError: a size is no finite number of 0 or more.

    Cost: four searches an example and size; the exact test costs a distance to each known example and step.

    References:
        002, Definitions 4 and 5. Deviations: S and the points are what the search finds, so accuracies are upper
        bounds; the region is asked with a slack of 1e-4 eps, so that rounding does not exclude points at eps from x.
    """
    if not all(0 <= size < math.inf for size in sizes):
        raise UsageError(f"expected finite norms of 0 or more, got {list(sizes)[:8]}")
    device, order = device_of(model), float(getattr(ball, "order", 2.0))
    clean = (known or examples).batch(torch.arange(len(known or examples)), device).x
    told = []
    for size in sizes:
        threat = Sphere(ball.at(size))
        witness: Model = explored(size) if explored else Nearest(clean, order, size * (1 - _SLACK))
        if isinstance(witness, nn.Module):
            witness.to(device)
        told.append(_at(model, witness, examples, threat, size, key, attack))
    return tuple(told)


def _at(
    model: Model, witness: Model, examples: Examples, threat: Threat, size: float, key: Key, attack: Attack
) -> Genuine:
    classes, both = len(examples.classes), Both(model, witness)
    counts = [0, 0, 0, 0, 0]
    with still(both):
        for rows in torch.split(torch.arange(len(examples)), _ROWS):
            batch = examples.batch(rows, device_of(model))
            if size == 0:
                with torch.no_grad():
                    right = int((model(batch.x).argmax(1) == batch.y).sum())
                counts = [a + b for a, b in zip(counts, (right, len(rows), right, len(rows), 0), strict=True)]
                continue
            possible = ~threat.empty(batch.x, radii(size, batch.x))
            batch = batch.rows(possible)
            if not len(batch):
                continue
            falls, reached, exists = torch.zeros(3, len(batch), dtype=torch.bool, device=batch.x.device)
            for surrogate in (CrossEntropy(), Margin()):
                plain = Untargeted(surrogate)
                fenced = Allowed(plain, classes, _beyond)
                found = attack(both, batch, threat=threat, objective=fenced, key=key)
                with torch.no_grad():
                    exists = exists | (witness(found.x).flatten() >= 0)
                reached = reached | found.success
                falls = falls | attack(model, batch, threat=threat, objective=plain, key=key).success
            falls, held, pseudo = falls | reached, exists & ~reached, falls & ~reached
            news = [int(flags.sum()) for flags in (~falls, possible, held, exists, pseudo)]
            counts = [a + b for a, b in zip(counts, news, strict=True)]
    return Genuine(size, proportion(counts[0], counts[1]), proportion(counts[2], counts[3]), counts[4])


def _beyond(value: Tensor, y: Labels) -> Tensor:
    return value[:, 0]
