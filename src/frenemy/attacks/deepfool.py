"""DeepFool: walk to the nearest face of the decision region, as the slopes draw it, until it is passed."""

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
from frenemy.attacks.faces import nearest_face, rivals, shorten, towards
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.plane import landing
from frenemy.threats.slack import hold_
from frenemy.threats.threat import Threat, broadcast

__all__ = ["DeepFool"]

_LOOKS: Final = 2
_ROUNDING: Final = 8
_STEEPER: Final = 3.0


@final
@dataclass(frozen=True, slots=True)
class DeepFool:
    r"""Step to the nearest face of the linearised decision region, a little past it, until the answer turns.

    $$ \hat l = \arg\min_{k \neq y} \frac{|z_k - z_y|}{\|\nabla z_k - \nabla z_y\|_*}, \quad
       x_{t+1} = x_t + (1 + \eta) \arg\min_{d \in \text{face } \hat l} \|d\|_p $$

    Towards a class (`Targeted`, `Hypocritical`) there is one face at a time: that with the best other class.

    Args:
        steps: linearisations, at most; with 0 only the input is judged.
        overshoot: how far past the face each step goes, as a share of its length.
        candidates: classes that are considered, the goal's among them: those of highest logit at the current point.
        early_stop: keep the first success inside the threat as it is; otherwise the line from the input to it is
            searched for a nearer one where few steps were taken, and the last was long.
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found, with `x` inside the set for every row with a finite clean answer; a success lies near the border.

    Raises:
        UsageError: a setting is out of range, or the threat is a sphere.

    Cost: a row takes at most steps + 3 forwards, 4 more if it is found in two steps, and at most steps x
    (candidates - 1) backwards (towards a class: steps). Most rows need some five steps.
    """

    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10
    early_stop: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Moosavi-Dezfooli, Fawzi, Frossard",
        title="DeepFool: a simple and accurate method to fool deep neural networks",
        year=2016,
        venue="CVPR",
        link="arXiv:1511.04599",
        place="Algorithm 2 and Section 3.3",
        access=Access.GRADIENTS,
        reach=0.95,
        nearest=1.02,
        threats=("linf", "l2", "l1"),
        deviations=(
            "steps are cut at the box; in L1, which the paper does not have, they are the shortest inside it",
            "candidates are the highest classes at the current point, where the released code fixes them at the input",
            "steps aim past the face by the rounding of the logits, where the released code adds 1e-4 to them",
            "a face is passed over that would have to be three times as steep as the steepest looked at, to lie nearer",
            "the line from the input to a success of the first two steps is searched for a nearer one",
            "a row that would stand still leaves",
        ),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.overshoot < math.inf or self.candidates < 2:
            raise UsageError(
                f"expected a finite overshoot of 0 or more and candidates >= 2, got overshoot={self.overshoot}, "
                f"candidates={self.candidates}"
            )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch; no random number is drawn."""
        admit(self, threat)
        walk = _Walk(threat, objective, self.overshoot, self.candidates)
        approach = Approach(walk, self.steps, self.early_stop, self.batch_size)
        with torch.inference_mode(False), still(model):
            found = approach(model, batch, threat=threat, objective=objective)
            if self.early_stop:
                return found
            early = found.step <= 2
            return shorten(model, batch, found, threat, objective, _LOOKS, self.batch_size, early)


@final
@dataclass(frozen=True, slots=True)
class _Walk:
    """From face to face; nothing is remembered."""

    threat: Threat
    objective: Objective
    overshoot: float
    candidates: int

    def begin(self, best: Best, rows: Tensor) -> State:
        """At the input."""
        return {"x": best.batch.x[rows]}

    def onward(self, active: Active, seen: Look) -> Stride:
        """Past the nearest face; a row that has passed one is done."""
        x, threat = active.x.detach(), self.threat
        blind = torch.zeros_like(seen.success)
        if not bool((active.live & ~seen.success).any()):
            return Stride({"x": x}, seen.success, blind, 0)
        classes = rivals(seen.logits, active.goal, 1 if towards(self.objective) else self.candidates - 1)
        goal, wanted = active.goal, active.live & ~seen.success
        face = nearest_face(seen.x, seen.logits, goal, classes, threat, self.objective, wanted, _STEEPER)
        logits = seen.logits.detach()
        gap = face.gap - _ROUNDING * torch.finfo(logits.dtype).eps * logits.abs().amax(1)
        if getattr(threat, "order", 0.0) == 1.0:
            step = landing(x, gap, face.normal, threat)
        else:
            step = threat.steepest(face.normal) * broadcast(-gap / face.size, x)
        ahead = hold_(torch.add(x, step, alpha=1 + self.overshoot), threat.low, threat.high)
        blind = face.blind
        stay = seen.success | blind
        ahead = torch.where(broadcast(stay, x), x, ahead)
        return Stride({"x": ahead}, stay | (ahead == x).flatten(1).all(1), blind, face.backwards)
