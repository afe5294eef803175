"""What a judge reads off: how far a logit lies above the others, what rounding leaves, whether memory ran out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from frenemy.attacks.best import look
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.surrogates import Margin
from frenemy.risks.tidy import rounded
from frenemy.threats.threat import Threat

__all__ = ["lead", "levelled", "out_of_memory"]


def lead(logits: Tensor, label: Tensor) -> Any:
    """How far the logit of a label lies above all others; NaN where it names no class, but serves some objective."""
    known = label < logits.shape[1]
    above = -Margin()(logits, label.where(known, 0))
    return above.where(known, torch.nan).float().cpu().numpy()


def levelled(
    model: Model, x: Tensor, origin: Tensor, threat: Threat, bits: int | None, batch_size: int
) -> dict[str, Any]:
    """Ask about points rounded to the levels of so many bits: `level_answer`, -1 where none is inside the threat, and
    `level_distance`; nothing without bits.
    """
    if bits is None:
        return {}
    point, inside = rounded(x, origin, threat, bits)
    with still(model):
        logits = look(model, point, batch_size)
    answer = logits.argmax(1).masked_fill(~inside | ~logits.isfinite().all(1), -1)
    distance = threat.norm(point - origin).double().clamp(max=float(threat.eps))
    return {"level_answer": answer.cpu().numpy(), "level_distance": distance.cpu().numpy()}


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "out of memory" in str(error))
    )
