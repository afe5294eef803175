"""Faces: the flat pieces that a model's linearisation gives the border of its decision region."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.attack import Found, Status
from frenemy.attacks.best import look
from frenemy.attacks.slope import slope
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import answer
from frenemy.threats.slack import hold_
from frenemy.threats.threat import Threat, broadcast, radii
from frenemy.types import Goal

__all__ = ["Face", "nearest_face", "rivals", "shorten", "towards"]

_PUSH: Final = 0.01


@final
@dataclass(frozen=True, slots=True, eq=False)
class Face:
    r"""The face `{x' : gap + <normal, x' - x> = 0}` of each row, as the model's slope at `x` draws it.

    Args:
        gap: `(batch,)` how far the answer stands on the perturber's side: `z_k - z_y`, negative before the border.
        normal: `(batch, *shape)` gradient of the gap with respect to `x`.
        size: `(batch,)` dual norm of the normal; 0 where that is zero or not finite, so that nothing leads there.
        backwards: how often each row went back through the model.
    """

    gap: Tensor
    normal: Tensor
    size: Tensor
    backwards: int

    @property
    def blind(self) -> Tensor:
        """`(batch,)` whether nothing leads to the face."""
        return self.size == 0


def towards(objective: Objective) -> bool:
    """Whether success is to answer with the goal's class, not to leave it."""
    return bool(getattr(objective, "towards", False))


def rivals(logits: Tensor, goal: Goal, count: int) -> Tensor:
    """The `count` classes of highest logit but the goal's, best first, `(batch, min(count, classes - 1))`."""
    others = logits.detach().scatter(1, answer(goal)[:, None], -torch.inf)
    return others.topk(min(count, logits.shape[1] - 1), dim=1).indices


def nearest_face(
    x: Tensor,
    logits: Tensor,
    goal: Goal,
    classes: Tensor,
    threat: Threat,
    objective: Objective,
    wanted: Tensor,
    steeper: float,
) -> Face:
    """Among the faces between the goal's class and some others, that which lies nearest in the norm of the threat.

    A face is passed over where it would have to be `steeper` times as steep as the steepest looked at, to lie nearer:
    close to the border one or two backwards do instead of one a class.

    Args:
        x: `(batch, *shape)`, with `requires_grad`.
        logits: `(batch, classes)` at `x`, with their graph, which is used up.
        goal: as the objective gave it.
        classes: `(batch, k)` other classes of each row, best first as `rivals` gives them; at most one backward each.
        threat: says the norm; its eps does not matter.
        objective: `towards` the goal or away from it, which is the sign of the gap.
        wanted: `(batch,)` rows whose face is of use.
        steeper: above 1; inf looks at every face.
    """
    own = logits.gather(1, answer(goal)[:, None]).squeeze(1)
    sign, count, backwards = -1.0 if towards(objective) else 1.0, classes.shape[1], 0
    gap, normal = torch.zeros_like(own.detach()), torch.zeros_like(x)
    size, steepest, distance = gap, gap, torch.full_like(gap, torch.inf)
    for other in classes.unbind(1):
        height = sign * (logits.gather(1, other[:, None]).squeeze(1) - own)
        rise = height.detach()
        near = wanted & ~(rise.abs() >= steeper * steepest * distance)
        if backwards and not bool(near.any()):
            break
        backwards += 1
        gradient = slope(height, x, again=backwards < count)
        steep = threat.dual_norm(gradient).nan_to_num(0.0, 0.0, 0.0)
        far = (rise.abs() / steep).masked_fill(steep == 0, torch.inf)
        if backwards == 1:
            gap, normal, size, steepest, distance = rise, gradient, steep, steep, far
            continue
        steepest = torch.where(near, torch.maximum(steep, steepest), steepest)
        near = near & (far < distance)
        gap, size = torch.where(near, rise, gap), torch.where(near, steep, size)
        distance = torch.where(near, far, distance)
        rows = near.nonzero().flatten()
        normal = normal.index_copy(0, rows, gradient[rows])
    return Face(gap, normal, size, backwards if logits.requires_grad else 0)


def shorten(
    model: Model,
    batch: Batch,
    found: Found,
    threat: Threat,
    objective: Objective,
    steps: int,
    batch_size: int | None,
    where: Tensor,
) -> Found:
    r"""Search the straight line from each input to the success that was found for a nearer one.

    $$ t = a + (b - a) \frac{-h(a)}{h(b) - h(a)}, \quad x_t = x + t (x' - x) $$

    with `h` the gap between the goal's class and the rival that stands highest at `x'`, seen from the perturber's side:
    below 0 at `a`, above at `b`; a hundredth of the way to `b` is added. Of the points looked at, the nearest success
    is kept: never a farther one than before.

    Args:
        model: held still by the caller.
        found: what a search brought back; only rows of status FOUND are looked at.
        steps: points looked at on each line.
        batch_size: the most rows in one forward.
        where: `(batch,)` the rows that are worth it.

    Cost: steps + 2 forwards for each row that was found.

    Source: Croce and Hein 2020, arXiv:1907.02044, Section 3.3 (final search).
    """
    rows = ((found.status == Status.FOUND) & where).nonzero().flatten()
    if not len(rows):
        return found
    start, end = batch.x[rows].detach(), found.x[rows]
    clean = look(model, start, batch_size)
    everywhere = clean.new_zeros(len(batch), clean.shape[1]).index_copy_(0, rows, clean)
    goal = objective.goal(everywhere, batch.y)[rows]
    beyond = look(model, end, batch_size)
    pair = torch.cat([answer(goal)[:, None], rivals(beyond, goal, 1)], 1)
    below, above = _height(clean, pair, objective), _height(beyond, pair, objective)
    a, b = torch.zeros_like(below), torch.ones_like(below)
    x, loss, length = end, found.loss[rows], threat.norm(end - start)
    eps = radii(threat.eps, batch.x)[rows]
    for _ in range(steps):
        t = a + (b - a) * (below / (below - above)).nan_to_num(0.5).clamp(0, 1)
        t = t + _PUSH * (b - t)
        point = hold_(torch.lerp(start, end, broadcast(t.to(start.dtype), start)), threat.low, threat.high)
        logits = look(model, point, batch_size)
        hit, height = objective.success(logits, goal), _height(logits, pair, objective)
        distance = threat.norm(point - start)
        better = hit & (distance < length) & threat.contains(point, start, eps)
        x = torch.where(broadcast(better, x), point, x)
        loss = torch.where(better, objective.loss(logits, goal).to(loss.dtype), loss)
        length = torch.where(better, distance, length)
        a, below = torch.where(hit, a, t), torch.where(hit, below, height)
        b, above = torch.where(hit, t, b), torch.where(hit, height, above)
    forwards = found.forwards.index_add(0, rows, torch.full_like(rows, steps + 2))
    points = found.x.clone()
    points[rows] = x
    return replace(found, x=points, loss=found.loss.index_copy(0, rows, loss), forwards=forwards)


def _height(logits: Tensor, pair: Tensor, objective: Objective) -> Tensor:
    """How far the second class of each pair stands above the first, or below it for an objective towards the first."""
    own, other = logits.gather(1, pair).unbind(1)
    return own - other if towards(objective) else other - own
