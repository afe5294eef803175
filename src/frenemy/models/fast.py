"""Fast: the same float32 arithmetic on a CPU, in layouts and kernels that take less time."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from frenemy.models.deferred import finished
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

    Two-dimensional convolutions work on channels-last tensors, and they and linear maps go to oneDNN instead of the
    BLAS. Both are full float32 (logits agree to about 1e-6 of their size); whoever needs a verdict to the last bit
    confirms it on the model itself, as the risks do. On other devices and dtypes the model runs as it is.

    All this while the model is frozen (inside `still`, or under `no_grad`): a weight that needs a gradient takes the
    ordinary way. While it is held still further copies of its weights are kept, in the layout that oneDNN works on: of
    linear maps where few rows are asked about at a time, of convolutions with the batch norm after them folded in, and
    a second where gradients are asked for. The model is not modified: calls are rerouted while its forward runs, in
    this thread only.

    A convolution is worked out when its result is used, and one that batch norm, a sum or ReLU follows along with
    those. A model does not notice, unless it writes to the input of a convolution and uses, after that, a result from
    between these steps once more: that is refused with a ModelError.

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
            result = self.model(x)
        return finished(result)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    wants = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (weight, bias))
    if x.ndim != 2 or not x.dtype == weight.dtype == torch.float32 or wants:
        return linear(x, weight, bias)
    laid = packed(weight, laid_out) if len(x) <= _FEW else None
    return mapped(x, weight if laid is None else laid, weight.t(), bias)
