"""What a judge reads off: how far a logit lies above the others, and whether an error is one of memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from frenemy.objectives.surrogates import Margin

__all__ = ["lead", "out_of_memory"]


def lead(logits: Tensor, label: Tensor) -> Any:
    """How far the logit of a label lies above all others; NaN where it names no class, but serves some objective."""
    known = label < logits.shape[1]
    above = -Margin()(logits, label.where(known, 0))
    return above.where(known, torch.nan).float().cpu().numpy()


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "out of memory" in str(error))
    )
