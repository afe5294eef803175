"""Fast: the same float32 arithmetic on a CPU, in layouts and kernels that take less time."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from frenemy.models.layout import ChannelsLast
from frenemy.models.model import Model
from frenemy.models.onednn import FLOAT32, laid_out, mapped
from frenemy.models.packed import packed

__all__ = ["Fast"]

_FEW: Final = 128
"""Up to so many rows a linear map gains from a copy of its weights laid out for it; above, memory is worth more."""


@final
class Fast(nn.Module):
    """Run a model's float32 convolutions and linear maps on a CPU the quick way; nothing else changes.

    Two-dimensional convolutions work on channels-last tensors, and linear maps go to oneDNN instead of the BLAS. Both
    are full float32 (logits agree to about 1e-6 of their size); whoever needs a verdict to the last bit confirms it
    on the model itself, as the risks do. On other devices and dtypes the model runs as it is.

    Linear maps do so while the model is frozen (inside `still`, or under `no_grad`): a weight that needs a gradient
    takes the ordinary way. While it is held still and asked about few rows at a time, a second copy of their weights is
    kept, in the layout that oneDNN works on. The model is not modified: calls are rerouted while its forward runs, in
    this thread only.

    Args:
        model: any model; gradients with respect to the input flow as before, second derivatives do not.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the model, `(batch, classes)`, in the ordinary layout."""
        if x.device.type != "cpu" or x.dtype != torch.float32 or not FLOAT32:
            return self.model(x)
        with ChannelsLast(_linear):
            return self.model(x)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    wants = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (weight, bias))
    if x.ndim != 2 or not x.dtype == weight.dtype == torch.float32 or wants:
        return linear(x, weight, bias)
    laid = packed(weight, laid_out) if len(x) <= _FEW else None
    return mapped(x, weight if laid is None else laid, weight.t(), bias)
