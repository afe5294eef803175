"""FMN: a ball that shrinks on success and grows on failure, and a gradient step inside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from frenemy.attacks.active import Active, State
from frenemy.attacks.approach import Approach, Look, Stride
from frenemy.attacks.attack import Found, admit
from frenemy.attacks.best import Best
from frenemy.attacks.faces import nearest_face, rivals, towards
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat, broadcast

__all__ = ["FMN"]

_LAST: Final = 0.01
"""The last gradient step as a share of the first."""
_LEAST: Final = 1e-6
"""The least ball as a share of the step: where two classes tie at the input, the border is there."""


@final
@dataclass(frozen=True, slots=True)
class FMN:
    r"""Come near the closest success in L0, L1, L2 or Linf: climb inside a ball that follows the answers.

    $$ \delta_{k+1} = \Pi_{\varepsilon_{k+1}}(\delta_k + \alpha_k \operatorname{steepest}(g_k)), \quad
    \varepsilon_{k+1} = \min((1 - \gamma_k) \varepsilon_k, \|\delta^*\|) \text{ or } (1 + \gamma_k) \varepsilon_k $$

    with `g_k` the gradient of the gap between the goal's class and the best other. The ball shrinks where
    `x + delta_k` succeeds and grows where not; before the first success it reaches a little beyond the border that the
    gradient foretells, `|delta_k| + |gap| / ||g_k||*`. In L0 it changes by at least one coordinate. `alpha` and `gamma`
    fall along a cosine. The ball never exceeds the threat's.

    Args:
        steps: points looked at after the input, at most; with 0 only the input is judged.
        step_size: first gradient step, 0 or more; the last is a hundredth. In L2 and L1 its norm in the units of the
            inputs; in Linf every coordinate moves by this over sqrt(d); in L0, if not above 1, one coordinate goes to
            an end of its box. 1 suits pixels in [0, 1].
        gamma: share in (0, 1) by which the ball changes at first, and by which it passes the foretold border.
        gamma_last: the same at the last step, above 0 and at most gamma.
        candidates: classes whose border is looked at from the input; the search sets out for the nearest. With 1 it
            sets out for the class that comes second there, as the paper does.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is all rows of the call. Results do not depend on it.

    Returns:
        Found, with `x` the nearest success inside the threat for each row that has one.

    Raises:
        UsageError: a setting is out of its range, or the threat is none of the four balls.

    Cost: a row takes at most steps + 3 forwards and steps + min(candidates, classes - 1) - 1 backwards; those of the
    candidates come again each time that rows enter a full batch.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> FMN(steps=10)(
        ...     model, batch, threat=frenemy.Linf(1.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... ).x.shape
        torch.Size([8, 4])
    """

    steps: int = 100
    step_size: float = 1.0
    gamma: float = 0.05
    gamma_last: float = 0.001
    candidates: int = 10
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Pintor, Roli, Brendel, Biggio",
        title="Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints",
        year=2021,
        venue="NeurIPS",
        link="arXiv:2102.12827",
        place="Algorithm 1, Section 2.1",
        access=Access.GRADIENTS,
        reach=0.95,
        nearest=1.05,
        threats=("l0", "l1", "l2", "linf"),
        deviations=(
            "sets out for the nearest of several borders, where the paper takes that of the second class: distances "
            "come out a few per cent less for a few more backwards",
            "steps in the steepest direction of the norm, where the paper takes the Euclidean one for all: sparser "
            "changes in L0 and L1",
            "the first step is long enough to reach the foretold border, and the ball passes that border by gamma, so "
            "that no point lies on it, where rounding would decide",
            "projects onto the ball, as Algorithm 1; a released implementation scales to the sphere in L2, inwards "
            "and outwards",
            "the ball never exceeds the threat's, since points beyond are no candidates",
        ),
    )

    def __post_init__(self) -> None:
        steady = 0 <= self.step_size < math.inf and self.candidates >= 1
        if not (steady and 0 < self.gamma_last <= self.gamma < 1):
            raise UsageError(
                "expected a finite step_size >= 0, candidates >= 1 and 0 < gamma_last <= gamma < 1, got "
                f"step_size={self.step_size}, candidates={self.candidates}, gamma_last={self.gamma_last}, "
                f"gamma={self.gamma}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        path = _Adaptive(self, threat, objective)
        return Approach(path, self.steps, self.early_stop, self.batch_size)(
            model, batch, threat=threat, objective=objective
        )


@final
@dataclass(frozen=True, slots=True)
class _Adaptive:
    """The path: remembers the size of each row's ball and the distance of its nearest success."""

    plan: FMN
    threat: Threat
    objective: Objective

    def begin(self, best: Best, rows: Tensor) -> State:
        """At the input itself, in a ball of size 0."""
        radius = torch.zeros_like(best.eps[rows])
        return {"x": best.batch.x[rows], "radius": radius, "nearest": torch.full_like(radius, torch.inf)}

    def onward(self, active: Active, seen: Look) -> Stride:
        """Set the ball, then step inside it."""
        plan, threat, order = self.plan, self.threat, float(getattr(self.threat, "order", 2.0))
        first = active.age == 0
        many = plan.candidates if active.fresh and not towards(self.objective) else 1
        face = nearest_face(
            seen.x,
            seen.logits,
            active.goal,
            rivals(seen.logits, active.goal, many),
            threat=threat,
            objective=self.objective,
            wanted=first,
            steeper=math.inf,
        )
        with torch.no_grad():
            useful = ~face.blind
            gradient = torch.where(broadcast(useful, seen.x), face.normal, 0)
            share = (1 + torch.cos(math.pi * active.age.to(seen.x.dtype) / plan.steps)) / 2
            gamma = plan.gamma_last + (plan.gamma - plan.gamma_last) * share
            size = plan.step_size * (_LAST + (1 - _LAST) * share)
            distance = threat.norm(seen.x - active.origin)
            nearest = active.state["nearest"]
            nearest = torch.where(seen.success, torch.minimum(distance, nearest), nearest)
            radius = active.state["radius"]
            less, more = radius * (1 - gamma), radius * (1 + gamma)
            if order == 0:
                less = torch.minimum(radius - 1, less.floor()).clamp(min=1)
                more = torch.maximum(radius + 1, more.floor())
            else:
                away = torch.where(useful, face.gap.abs() / face.size, 0)
                ahead = torch.maximum((1 + plan.gamma) * (distance + away), _LEAST * size)
                more = torch.where(nearest.isfinite(), more, ahead)
                if order == math.inf:
                    size = size / math.sqrt(math.prod(seen.x.shape[1:]))
                size = torch.where(first, torch.maximum(size, torch.minimum(more, active.eps)), size)
            radius = torch.where(seen.success, torch.minimum(less, nearest), more)
            radius = torch.minimum(radius, active.eps)
            x = threat.retract(threat.move(seen.x, gradient, size), active.origin, radius)
            stuck = ~useful & (x == active.origin).flatten(1).all(1)
        done = stuck | (nearest <= 1) if order == 0 else stuck
        return Stride({"x": x, "radius": radius, "nearest": nearest}, done, ~useful, face.backwards)
