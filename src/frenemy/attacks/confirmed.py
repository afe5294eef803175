"""Confirmed: a search of a quick way to run a model, whose successes stand up on the model itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from frenemy.attacks.attack import Found, Status
from frenemy.attacks.best import look
from frenemy.attacks.merging import copied, merge, wish_of
from frenemy.data.batch import Batch
from frenemy.models.fast import Fast
from frenemy.models.lowered import Lowered
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective

__all__ = ["confirmed", "nearer"]

_Search: TypeAlias = Callable[[Model, Tensor], Found]
"""Searches a model for some rows."""


def confirmed(
    search: _Search,
    model: Model,
    batch: Batch,
    rows: Tensor,
    objective: Objective,
    batch_size: int | None = None,
) -> Found:
    """What a search finds at some rows of `batch`, searched the next way where the model itself does not confirm it.

    Args:
        search: is given the model to ask and the rows; the same draws for the same rows.
        objective: of the whole batch.
        batch_size: the most rows in one forward of what confirms; None is all of them.

    Cost: two forwards a success more; none where `model` is no stand-in for another (Fast, Lowered).
    """
    found, after = search(model, rows), nearer(model)
    claimed = found.success.nonzero().flatten()
    if after is None or not len(claimed):
        return found
    itself, last = after, nearer(after)
    while last is not None:
        itself, last = last, nearer(last)
    at = batch.rows(rows[claimed])
    with still(itself):
        wish = wish_of(objective, rows[claimed], len(batch))
        goal = wish.goal(look(itself, at.x, batch_size), at.y)
        stands = wish.success(look(itself, found.x[claimed], batch_size), goal)
    found = copied(found)
    found.forwards[claimed] += 2
    again = claimed[~stands]
    if len(again):
        found.success[again], found.status[again], found.step[again] = False, Status.NOT_FOUND, -1
        more = confirmed(search, after, batch, rows[again], objective, batch_size)
        merge(found, torch.zeros_like(rows), again, more, 0, closed=False)
    return found


def nearer(model: Model) -> Model | None:
    """What a search goes on with where this way of running a model has claimed falsely; None for the model itself.

    From bfloat16 it goes to quick float32, from there to the model as it is.
    """
    if isinstance(model, Lowered):
        return Fast(model.model)
    return model.model if isinstance(model, Fast) else None
