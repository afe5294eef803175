"""DDN: the direction follows the gradient, the distance follows the answers."""

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
from frenemy.attacks.slope import leads, slope
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.slack import bounds, hold_
from frenemy.threats.threat import Threat, broadcast

__all__ = ["DDN"]

_LAST: Final = 0.01
"""The last gradient step as a share of the first."""
_LEAST: Final = 1e-6
"""The least first distance as a share of `initial`: where two classes tie at the input, the border is there."""


@final
@dataclass(frozen=True, slots=True)
class DDN:
    r"""Come near the closest success in L2: turn by the gradient, and shrink or grow the distance by the answer.

    $$ \delta_{k+1} = \varepsilon_{k+1} \frac{\delta_k + \alpha_k g_k / |g_k|}{|\delta_k + \alpha_k g_k / |g_k||},
    \quad \varepsilon_{k+1} = (1 \mp \gamma) \varepsilon_k $$

    with minus where `x + delta_k` succeeds, `g_k` the gradient of the objective's loss there, and `alpha_k` falling
    from `initial` to a hundredth of it along a cosine. The distance never exceeds the threat's eps.

    Args:
        steps: points looked at after the input, at most; with 0 only the input is judged.
        gamma: share in (0, 1) by which the distance changes each step.
        initial: first gradient step and, at most, first distance; above 0, in the units of the inputs; 1 suits pixels
            in [0, 1].
        candidates: classes whose border is looked at from the input; the search sets out for the nearest, and as far as
            it. With 0 it sets out along the loss, as the paper does.
        levels: put changed coordinates on a grid of so many values over the box (256 for pictures of 8 bits); it is the
            point on the grid that is judged. 0 for none.
        early_stop: a row leaves at its first success inside the threat, near or not.
        batch_size: the most rows in one forward; None is all rows of the call. Results do not depend on it.

    Returns:
        Found, with `x` the nearest success inside the threat for each row that has one.

    Raises:
        UsageError: a setting is out of its range, the threat is not L2, or there are levels and the box has no end.

    Cost: a row takes at most steps + 3 forwards and steps + min(candidates, classes - 1) backwards; those of the
    candidates come again each time that rows enter a full batch.

    Example:
        >>> import frenemy, torch
        >>> model, x = torch.nn.Linear(4, 3), torch.rand(8, 4)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(8))
        >>> DDN(steps=10)(
        ...     model, batch, threat=frenemy.L2(2.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... ).x.shape
        torch.Size([8, 4])
    """

    steps: int = 100
    gamma: float = 0.05
    initial: float = 1.0
    candidates: int = 10
    levels: int = 0
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger",
        title="Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks and Defenses",
        year=2019,
        venue="CVPR",
        link="arXiv:1811.09600",
        place="Algorithm 1",
        access=Access.GRADIENTS,
        reach=0.95,
        nearest=1.02,
        threats=("l2",),
        deviations=(
            "sets out for the nearest of several borders, and as far as it, where the paper follows the loss from the "
            "start to a distance of 1: distances come out a few per cent less for a few more backwards",
            "delta is the change after the cut at the box, as in the released code; Algorithm 1 keeps it uncut",
            "the distance never exceeds the threat's eps, since points beyond are no candidates",
            "the gradient steps scale with `initial`, which is 1 in the paper, so that units do not matter",
            "no quantisation unless asked for; the paper always uses 256 levels",
            "where the gradient is zero the direction stays; the released code draws one",
        ),
    )

    def __post_init__(self) -> None:
        counts = self.candidates >= 0 and (self.levels == 0 or self.levels > 1)
        if not (counts and 0 < self.gamma < 1 and 0 < self.initial < math.inf):
            raise UsageError(
                "expected 0 < gamma < 1, a finite initial > 0, candidates >= 0 and levels 0 or above 1, got "
                f"gamma={self.gamma}, initial={self.initial}, candidates={self.candidates}, levels={self.levels}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        if self.levels and not all(
            bool(end.isfinite().all()) for end in bounds(threat.low, threat.high, batch.x)
        ):
            raise UsageError(
                "expected a box with finite ends to put levels on, got an infinite one; set levels=0"
            )
        path = _Decoupled(self, threat, objective)
        approach = Approach(path, self.steps, self.early_stop, self.batch_size)
        return approach(model, batch, threat=threat, objective=objective)


@final
@dataclass(frozen=True, slots=True)
class _Decoupled:
    """The path: remembers the distance of each row; its direction is that of the current point."""

    plan: DDN
    threat: Threat
    objective: Objective

    def begin(self, best: Best, rows: Tensor) -> State:
        """At the input itself."""
        return {"x": best.batch.x[rows], "radius": torch.full_like(best.eps[rows], self.plan.initial)}

    def onward(self, active: Active, seen: Look) -> Stride:
        """Turn, then set the distance."""
        plan, threat, radius = self.plan, self.threat, active.state["radius"]
        opening, backwards = active.fresh and plan.candidates > 0, 1
        gradient = slope(seen.loss, seen.x, again=opening)
        if opening:
            face = nearest_face(
                seen.x,
                seen.logits,
                active.goal,
                rivals(seen.logits, active.goal, 1 if towards(self.objective) else plan.candidates),
                threat=threat,
                objective=self.objective,
                wanted=active.age == 0,
                steeper=math.inf,
            )
            first, backwards = (active.age == 0) & ~face.blind, 1 + face.backwards
            gradient = torch.where(broadcast(first, gradient), face.normal, gradient)
            away = (face.gap.abs() / face.size).clamp(_LEAST * plan.initial, plan.initial)
            radius = torch.where(first, away.to(radius.dtype), radius)
        with torch.no_grad():
            useful = leads(gradient)
            gradient = torch.where(broadcast(useful, gradient), gradient, 0)
            turn = torch.cos(math.pi * active.age.to(gradient.dtype) / plan.steps)
            size = plan.initial * (_LAST + (1 - _LAST) * (1 + turn) / 2)
            change = threat.move(seen.x - active.origin, gradient, size)
            radius = torch.where(seen.success, radius * (1 - plan.gamma), radius * (1 + plan.gamma))
            radius = torch.minimum(radius, active.eps)
            x = hold_(threat.move(active.origin, change, radius), threat.low, threat.high)
            if plan.levels:
                x = self._snapped(x, active)
            stuck = ~useful & (x == active.origin).flatten(1).all(1)
        return Stride({"x": x, "radius": radius}, stuck, ~useful, backwards)

    def _snapped(self, x: Tensor, active: Active) -> Tensor:
        """Put what has changed on the nearest level, or on the one nearer to the origin where that leaves the ball.

        So every point that is looked at lies inside the ball, and the loop has none to bring back off its levels.
        """
        levels, threat = self.plan.levels, self.threat
        low, high = bounds(threat.low, threat.high, x)
        place, width = (x - low) / (high - low) * (levels - 1), high - low
        near, below, above = (
            low + k / (levels - 1) * width for k in (place.round(), place.floor(), place.ceil())
        )
        origin = active.origin
        inwards = torch.where(x > origin, torch.maximum(below, origin), torch.minimum(above, origin))
        near = torch.where(x == origin, origin, near)
        fits = threat.contains(near, origin, active.eps)
        return torch.where(broadcast(fits, x), near, inwards)
