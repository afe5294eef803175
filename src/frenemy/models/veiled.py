"""Veiled: show less of a model, so that no search sees more than it should."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from frenemy.card import Access
from frenemy.errors import UsageError
from frenemy.models.model import Model

__all__ = ["Veiled", "veil"]


@final
class Veiled(nn.Module):
    """Ask `model`, and show its scores without gradients, the highest few of them, or its label alone.

    Args:
        model: any model; a module becomes a submodule.
        access: what is shown: `Access.SCORES` or `Access.LABELS`.
        top: with scores, show only so many of the highest, as log-probabilities; what is left of the probability is
            spread evenly over the other classes, as who sees only the highest would have to. 0 shows all.

    Returns:
        In a call `(batch, classes)`: scores; or 1 at the label and 0 elsewhere. An answer that is not finite stays so.

    Raises:
        UsageError: gradients are to be shown, or `top` is negative.
    """

    def __init__(self, model: Model, access: Access, top: int = 0) -> None:
        super().__init__()
        if access is Access.GRADIENTS or top < 0:
            raise UsageError(
                f"expected scores or labels to be shown, and top >= 0, got {access.value} and top={top}; "
                "use the model itself"
            )
        self.model, self.access, self.top = model, access, top

    def forward(self, x: Tensor) -> Tensor:
        """Give what is shown at `x`."""
        return veil(self.model(x).detach(), self.access, self.top)


def veil(logits: Tensor, access: Access, top: int = 0) -> Tensor:
    """Show of `(batch, classes)` logits what `access` allows; see `Veiled`."""
    if access is Access.LABELS:
        label = torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)
        return label.where(logits.isfinite().all(1, keepdim=True), torch.nan)
    shown = logits.detach() if access is Access.SCORES else logits
    classes = logits.shape[1]
    if not 0 < top < classes:
        return shown
    probability = shown.softmax(1)
    best, place = probability.topk(top, dim=1)
    rest = (1 - best.sum(1, keepdim=True)).clamp(min=torch.finfo(best.dtype).tiny) / (classes - top)
    return rest.expand(-1, classes).scatter(1, place, best).log()
