"""Merging: an attack on some rows of a batch, and what it found taken into what is known of all."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import torch
from torch import Tensor

from frenemy.attacks.attack import Found
from frenemy.objectives.objective import Objective
from frenemy.threats.threat import Threat

__all__ = ["copied", "merge", "sizes_of", "wish_of"]


def sizes_of(threat: Threat, rows: Tensor) -> Threat:
    """The threat of some rows, where each has its own size."""
    eps = threat.eps
    return threat.at(eps[rows.to(eps.device)]) if isinstance(eps, Tensor) and eps.ndim else threat


def wish_of(objective: Objective, rows: Tensor, count: int) -> Objective:
    """The objective of some rows of `count`, where it says something else for each, such as a target."""
    thing = cast(Any, objective)
    own = {
        one.name: value[rows.to(value.device)]
        for one in fields(thing)
        if isinstance(value := getattr(thing, one.name), Tensor) and value.shape == (count,)
    }
    return cast(Objective, replace(thing, **own)) if own else objective


def copied(found: Found, rows: slice | Tensor = slice(None)) -> Found:
    """Some rows of what was found, in tensors of their own, without books."""
    names = [one.name for one in fields(Found) if one.name != "books"]
    return Found(**{name: getattr(found, name)[rows].clone() for name in names})


def merge(best: Found, owner: Tensor, rows: Tensor, found: Found, rank: int, *, closed: bool) -> None:
    """Take over the rows at which `found` is better; what both cost is added.

    Args:
        best: what is known of all rows; changed in place.
        owner: `(all,)` the rank of the search each of them is owed to; changed in place.
        rows: `(batch,)` where the rows of `found` belong.
        rank: of the search that found them; between equals the lower one has it.
        closed: a row that has succeeded stays as it is.
    """
    before, loss = best.success[rows], best.loss[rows]
    higher = (found.loss > loss) | ((found.loss == loss) & (rank < owner[rows]))
    better = torch.where(before == found.success, higher, found.success)
    if closed:
        better = better & ~before
    taken, kept = rows[better], ~(before | found.success)
    best.status[rows] = torch.where(
        kept,
        torch.maximum(best.status[rows], found.status),
        torch.where(before, best.status[rows], found.status),
    )
    best.x[taken], best.loss[taken], owner[taken] = found.x[better], found.loss[better], rank
    best.step[taken], best.success[taken] = found.step[better], found.success[better]
    best.flat[rows] &= found.flat
    best.forwards[rows] += found.forwards
    best.backwards[rows] += found.backwards
