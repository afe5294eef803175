"""Landscape: the loss over a plane through each input, along its gradient and along a random direction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frenemy.attacks.best import look
from frenemy.attacks.slope import slope
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import DataError, UsageError
from frenemy.ledger import Arrays, open_ledger
from frenemy.models.answers import Answers
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.question import question
from frenemy.risks.views import Landscape
from frenemy.risks.wishes import wish_named, wished
from frenemy.rng import Key
from frenemy.threats.spec import spell
from frenemy.threats.threat import Threat, broadcast

__all__ = ["check", "landscape"]


def landscape(
    model: Model | str,
    data: Examples | str,
    *,
    threat: Threat | str = "linf:8/255",
    objective: str = "untargeted",
    loss: str = "ce",
    points: int = 25,
    span: float = 1.0,
    seed: int = 0,
    batch_size: int = 128,
    out: Path | str | None = None,
    name: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Landscape:
    r"""Look at the loss around each input, over a plane that its gradient and a random direction span.

    $$ z(a, b) = \ell(x + a u + b v), \quad u = \operatorname{steepest}(\nabla_x \ell(x)), \quad v = r / \|r\|,
       \quad r \in \{-1, 1\}^d $$

    Both directions have length 1 in the norm of the threat: for Linf, u is the sign of the gradient and v = r. Points
    may leave the box: clipping would bend the plane.

    Args:
        model: gives logits; looked at in evaluation mode and left as it was. Or words, as for `frenemy.audit`.
        data: the examples, or what `frenemy.load` understands.
        threat: its norm gives the directions, its eps the scale.
        objective: whose loss: `untargeted` (or `enemy`), `hypocritical` (or `friend`), `reversal`.
        loss: `ce`, `margin`, `dlr`, `kl`.
        points: how many in each direction; odd, so that the input itself is among them.
        span: how far to go, in eps.
        seed: root of the random directions, one an example; models that are compared see the same.
        batch_size: the most rows in one forward; the result does not depend on it.
        out: run directory; a run that was killed goes on where it was.
        name: what to call the model; its class by default.
        progress: told `(what, share of all)`.

    Returns:
        Landscape. Examples whose input, gradient or surface is not finite are left out, and counted.

    Raises:
        UsageError: the threat has no directions, or something that was given cannot be used.
        DataError: no example is left.

    Cost: points^2 + 1 forwards and one backward an example.

    References:
        004, Figures 4.2 and 5.4, after Engstrom, Ilyas and Athalye 2018 (arXiv:1807.10272), Figure 2.
    """
    asks = question(model, data, threat, name).look()
    examples, around = asks.examples, asks.threat
    around = check(around, objective, loss, points, span)
    if batch_size < 1:
        raise UsageError(f"expected batch_size >= 1, got {batch_size}")
    wish = wish_named(objective)
    eps = float(torch.as_tensor(around.eps).max())
    sizes = torch.linspace(-span * eps, span * eps, points, dtype=torch.float64)
    settings = asks.identity() | {
        "threat": repr(around)[:2000],
        "objective": wish,
        "loss": loss,
        "points": points,
        "span": span,
        "seed": seed,
    }
    key, told = Key(seed).fold("landscape"), progress or (lambda what, share: None)
    surfaces, planes = (
        np.full((len(examples), points, points), np.nan, np.float32),
        np.full((len(examples), 2), np.nan),
    )
    rows = examples.x.flatten(1).isfinite().all(1).nonzero().flatten()
    shards = torch.split(rows, max(1, 4096 // points**2))
    with open_ledger(None if out is None else Path(out), settings) as ledger:
        for place, shard in enumerate(shards):

            def work(shard: Tensor = shard) -> Arrays:
                batch = examples.batch(shard, asks.device)
                return _surface(asks.model, batch, around, wished(wish, loss), sizes, key, batch_size)

            seen = ledger.result({**settings, "rows": shard.tolist()}, work)
            surfaces[shard], planes[shard] = seen["loss"], seen["plane"]
            told("planes", (place + 1) / len(shards))
    kept = np.isfinite(surfaces).all((1, 2)) & np.isfinite(planes).all(1)
    if not kept.any():
        raise DataError(
            f"expected an example of {examples.name} with finite answers, got none of {len(examples)}"
        )
    return Landscape(
        model=asks.name,
        data=examples.name,
        threat=f"{spell(around)}:{eps:g}",
        objective=wish,
        loss_name=loss,
        index=examples.index.numpy()[kept],
        sizes=sizes.numpy(),
        loss=surfaces[kept],
        plane=planes[kept].astype(np.float32),
        apart=int((~kept).sum()),
        settings=settings,
    )


def check(threat: Threat, objective: str, loss: str, points: int, span: float) -> Threat:
    """Refuse what cannot be used; give the ball whose norm gives the directions, that of a sphere its own.

    Raises:
        UsageError: the threat has no directions, a name is unknown, or a number is out of range.
    """
    ball: Threat = getattr(threat, "ball", threat)
    wish_named(objective)
    surrogate(loss)
    if not hasattr(ball, "steepest") or hasattr(ball, "count"):
        raise UsageError(
            f"expected a ball such as linf:8/255, got {spell(ball)}; it has no directions to go in"
        )
    if points < 3 or not points % 2 or not 0 < span < np.inf:
        raise UsageError(
            f"expected an odd number of points of 3 or more and a span above 0, got points={points}, span={span:g}; "
            "25 and 1 are usual"
        )
    return ball


def _surface(
    model: Answers,
    batch: Batch,
    threat: Threat,
    objective: Objective,
    sizes: Tensor,
    key: Key,
    batch_size: int,
) -> Arrays:
    """The loss over the plane of each row."""
    with torch.inference_mode(False), torch.enable_grad(), still(model):
        x = batch.x.detach().clone().requires_grad_()
        logits = model(x)
        goal = objective.goal(logits.detach(), batch.y)
        gradient = slope(objective.loss(logits, goal), x)
        u = threat.steepest(gradient)
        sign = torch.where(key.uniform(batch.index, tuple(x.shape[1:]), x.dtype) < 0.5, -1.0, 1.0).to(x)
        v = sign / broadcast(threat.norm(sign), sign)
        plane = torch.stack([(gradient * way).flatten(1).sum(1) for way in (u, v)], 1)
        steps, rows = sizes.to(x), torch.arange(len(x), device=x.device)
        losses = []
        for a in steps:
            grid = (x.detach() + a * u)[:, None] + steps.reshape(-1, *(1,) * (x.ndim - 1)) * v[:, None]
            answers = look(model, grid.flatten(0, 1), batch_size)
            loss = objective.loss(answers, goal[rows.repeat_interleave(len(steps))])
            losses.append(loss.reshape(len(x), len(steps)))
    return {"loss": torch.stack(losses, 1).float().cpu().numpy(), "plane": plane.float().cpu().numpy()}
