"""Ruled: any attack on a table whose columns have rules: it searches what may change, and its points keep the rules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final, cast, final

import torch
from torch import Tensor, nn

from frenemy.attacks.attack import Attack, Books, Found, Status
from frenemy.attacks.best import look
from frenemy.attacks.others import Others
from frenemy.data.batch import Batch
from frenemy.data.rules import Rules
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.risks.tidy import single, stuck, tidied
from frenemy.risks.trust import Finding
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["about_rules", "refuse_spheres", "ruled"]

_STILL: Final = 0.49
"""How far a coordinate may move that shall round to where it was."""


def refuse_spheres(rules: Rules | None, threat: Threat) -> None:
    """Refuse an exact norm for a table with rules: whole numbers seldom lie on it.

    Raises:
        UsageError: the threat is a sphere, or has no box of its own.
    """
    if rules is not None and not hasattr(threat, "order"):
        raise UsageError(
            f"expected linf, l2, l1 or l0 for a table with rules, got {type(threat).__name__.lower()}; the points of "
            f"other threats cannot keep {rules.source}"
        )


def about_rules(rules: Rules, threat: Threat, lost: int, rows: int) -> Finding:
    """Say which columns could change, which could not for want of size, and what keeping the rules cost the search.

    Args:
        lost: successes that did not outlive the rounding.
        rows: searches in all.
    """
    whole, swaps = stuck(rules, threat)
    names = [*(rules.columns[place] for place in whole), *(name for name, _ in swaps)]
    seen = rules.sentence()
    if names:
        seen += f" With so small an eps {', '.join(names)} could not change either."
    seen += (
        f" Of {rows:,} searches, {lost:,} had a success that was none any more once its point kept the rules."
    )
    fix = (
        "Points between whole numbers are no points of the table; another attack may find what rounding lost."
    )
    return Finding("rules", seen, "note", fix if lost else "")


def ruled(
    attack: Attack,
    model: Model,
    batch: Batch,
    goal: Tensor,
    rules: Rules | None,
    *,
    threat: Threat,
    objective: Objective,
    key: Key,
) -> tuple[Found, Tensor | None]:
    """Let an attack search the columns that may change, and judge its points once they keep the rules.

    Rows whose fixed columns hold the same values are searched together: the attack sees the other columns alone, in a
    box of their own, and a model in which the fixed ones stand. That model rounds whole numbers and takes the largest
    of a group, and gives the slope as if it did not (straight-through). So any attack will do. In an Linf ball the
    coordinates of whole numbers are stretched, so that its walls are whole steps away; columns that `stuck` names keep
    their value.

    Args:
        goal: of the objective, a row an example.
        rules: None lets the attack search as it is.

    Returns:
        What was found, with `x` as `tidied` makes it, asked about once more; and for which rows a success was lost by
        that, None without rules.
    """
    if rules is None:
        return attack(model, batch, threat=threat, objective=objective, key=key), None
    fixed = batch.x[:, rules.fixed]
    _, group = torch.unique(fixed, dim=0, return_inverse=True)
    parts = []
    for number in range(int(group.max()) + 1 if len(batch) else 1):
        rows = (group == number).nonzero().flatten()
        part = batch.rows(rows)
        view = _View(
            model, part.x[:1] if len(part) else batch.x.new_zeros(1, len(rules.columns)), rules, threat
        )
        mine = attack
        if isinstance(others := getattr(attack, "others", None), Others):
            mine = cast(Attack, replace(cast(Any, attack), others=Others(view.enter(others.x), others.y)))
        inner = Batch(view.enter(part.x), part.y, part.index)
        found = mine(view, inner, threat=view.threat, objective=objective, key=key)
        x = part.x.clone()
        moved = (found.x != inner.x).any(1)
        x[moved] = tidied(view.leave(found.x), part.x, rules, threat)[moved]
        parts.append((rows, replace(found, x=x)))
    found = _joined(parts, len(batch))
    with still(model):
        logits = look(model, found.x, getattr(attack, "batch_size", None))
    success = objective.success(logits, goal) & found.success
    lost = found.success & ~success
    status = torch.where(lost, int(Status.NOT_FOUND), found.status)
    loss = objective.loss(logits, goal).to(found.loss.dtype)
    step = found.step.masked_fill(lost, -1)
    kept = replace(found, loss=loss, success=success, status=status, step=step, forwards=found.forwards + 1)
    return kept, lost


@final
class _View(nn.Module):
    """A model of the columns that may change, for rows whose other columns hold the same values."""

    def __init__(self, model: Model, row: Tensor, rules: Rules, threat: Threat) -> None:
        super().__init__()
        self.model, self.row, self.free = model, row, list(rules.free)
        where = {place: number for number, place in enumerate(self.free)}
        whole, swaps = stuck(rules, threat)
        self.integer = [where[place] for place in rules.integer]
        self.groups = [[where[place] for place in group] for _, group in rules.groups]
        still_ = [*whole, *(place for _, group in swaps for place in group)]
        self.still = [where[place] for place in still_]
        eps = float(threat.eps)
        self.scale = torch.ones(len(self.free), dtype=row.dtype, device=row.device)
        if getattr(threat, "order", None) == math.inf and eps >= 1:
            self.scale[self.integer] = math.floor(eps + 1e-6) / eps
        if eps > _STILL:
            self.scale[self.still] = _STILL / eps
        low, high = (
            (torch.as_tensor(end, dtype=row.dtype, device=row.device).expand(row.shape[1])[self.free])
            / self.scale
            for end in (threat.low, threat.high)
        )
        self.threat = cast(Threat, replace(cast(Any, threat), low=low, high=high))

    def enter(self, x: Tensor) -> Tensor:
        """The coordinates that are searched."""
        return x[:, self.free].to(self.scale) / self.scale

    def leave(self, u: Tensor) -> Tensor:
        """Points at these coordinates, not yet rounded."""
        x = self.row.to(u).expand(len(u), -1).clone()
        x[:, self.free] = u * self.scale.to(u)
        return x

    def forward(self, u: Tensor) -> Tensor:
        """Answer at the rounded point, with the slope of the point itself."""
        z = u * self.scale.to(u)
        with torch.no_grad():
            near = z.clone()
            near[:, self.integer] = z[:, self.integer].round()
            for group in self.groups:
                near[:, group] = single(z[:, group])
        slope = torch.ones_like(self.scale)
        slope[self.still] = 0
        z = near + slope.to(u) * (z - z.detach())
        x = self.row.to(u).expand(len(u), -1)
        logits: Tensor = self.model(x.index_copy(1, torch.tensor(self.free, device=u.device), z))
        return logits


def _joined(parts: list[tuple[Tensor, Found]], count: int) -> Found:
    """Put the rows of several searches in their places."""
    order = torch.cat([rows for rows, _ in parts])
    back = torch.empty_like(order)
    back[order] = torch.arange(count, device=order.device)
    names = ("x", "loss", "success", "status", "step", "flat", "forwards", "backwards")
    columns = {name: torch.cat([getattr(found, name) for _, found in parts])[back] for name in names}
    books = [found.books for _, found in parts if found.books is not None]
    kept = None
    if len(books) == len(parts):
        made = [[getattr(one, name) for one in books] for name in ("phases", "unsafe", "trace")]
        kept = Books(*(torch.cat(column)[back] for column in made))
    return replace(parts[0][1], **columns, books=kept)
