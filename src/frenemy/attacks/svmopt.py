"""SVM-OPT: the direction in which the border is nearest, by a separating plane of single questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from scipy.optimize import nnls
from torch import Tensor

from frenemy.attacks.attack import Found, admit
from frenemy.attacks.descent import Descent
from frenemy.attacks.others import Others
from frenemy.attacks.ray import Ray, signs
from frenemy.attacks.site import Site
from frenemy.attacks.walk import Leg
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["SVMOPT", "separating"]

_TINY: Final = 1e-30


@final
@dataclass(frozen=True, slots=True)
class SVMOPT:
    r"""Turn towards the nearest border by the shortest slope that agrees with the sign of every directional derivative.

    $$ \min_z z^T z \quad \text{s.t.} \quad y_q z^T u_q \ge 1 \quad \forall q, \qquad
       y_q = \operatorname{sign}(g(\theta + \beta u_q) - g(\theta)) $$

    a support vector machine without bias, solved in its dual `min_{a >= 0} |sum_q a_q y_q u_q|^2 / 2 - sum_q a_q`.

    Args:
        queries: the most rows the model is asked about for one example, its clean input included; at least 1. Never
            passed.
        directions: `Q`, asked about for each estimate.
        tries: random directions of which the nearest is the first.
        alpha: first turn, as a share of the length of a ray; above 0. Later ones begin with the last that was taken.
        beta: how far beside a ray directions are asked about, in each coordinate and as a share of its length; above 0.
        memory: share in [0, 1) of the last estimate that stays in the next.
        others: given examples to start from, where there are some; else the search starts from random points.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is 1024. Results do not depend on it.

    Returns:
        Found, with `x` the nearest success inside the threat for each row that has one.

    Raises:
        UsageError: a setting is out of range, or the threat is neither L2 nor Linf.

    Cost: one forward a query a row, exactly `queries` where a first success is found; no backward.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> found = SVMOPT(queries=50)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> bool((found.queries <= 50).all())
        True
    """

    queries: int = 4000
    directions: int = 100
    tries: int = 10
    alpha: float = 0.2
    beta: float = 0.0003
    memory: float = 0.5
    others: Others | None = None
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Cheng",
        title="Toward Building More Robust and Trustworthy Machine Learning Models",
        year=2021,
        venue="thesis",
        link="004",
        place="Algorithm 5, eq. 2.19",
        access=Access.LABELS,
        nearest=1.1,
        threats=("l2", "linf"),
        deviations=(
            "the label multiplies the left side of the constraint; 004's (2.19) as printed asks nothing of y = -1",
            "a thousandth is added to the diagonal of the dual, so that signs that no slope agrees with have an answer",
            "settings as for Sign-OPT",
            "directions are drawn again where the box cuts them, by making up for it in the other coordinates, and the "
            "estimate is made of what is left; the released code cuts its questions, not what it returns or measures",
            "a question tells whether the border is nearer than in the middle of all directions of the estimate, not "
            "than on the ray, and turns are taken from their middle: all that the box leaves lean inwards, so late "
            "in a search next to no question succeeded. On a plane in a box with 240 of 300 features at an end, "
            "1.03 times the optimum after 4000 queries, against 1.15 without",
            "a first direction is searched to its border only if a question at the best distance so far succeeds, and "
            "so is every turn, which saves most questions of both",
            "for Linf a direction is cut at 1 in each coordinate (a cube) instead of divided by its largest, so that "
            "its distance is smooth",
        ),
    )

    def __post_init__(self) -> None:
        Descent.by(self)

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        descent = Descent.by(self)
        return descent(model, batch, threat=threat, objective=objective, key=key, estimate=self._estimate)

    def _estimate(self, site: Site, ray: Ray, step: int) -> Leg[Tensor]:
        won, turns = yield from signs(site, ray, self.beta, step, self.directions)
        return separating(won[:, None] * turns)


def separating(rows: Tensor, ridge: float = 1e-3) -> Tensor:
    """The shortest `z` with `rows @ z >= 1`, or nearly so where there is none.

    With the Gram matrix `K = R R^T` (and its diagonal raised) and its Cholesky factor L, the dual is the least-squares
    problem `min_{a >= 0} |L^T a - L^{-1} 1|`.

    Args:
        rows: `(directions, features)`, each already multiplied by its sign.
        ridge: how far the diagonal is raised, as a share of its mean.
    """
    gram = (rows @ rows.T).double()
    gram.diagonal().add_(ridge * float(gram.diagonal().mean()) + _TINY)
    lower = torch.linalg.cholesky(gram)
    aim = torch.linalg.solve_triangular(lower, torch.ones(len(rows), 1, dtype=gram.dtype), upper=False)
    weights, _ = nnls(lower.T.numpy(), aim[:, 0].numpy())
    return torch.from_numpy(weights).to(rows.dtype) @ rows
