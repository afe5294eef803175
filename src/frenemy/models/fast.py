"""Fast: the same float32 arithmetic on a CPU, in layouts and kernels that take less time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from frenemy.models.layout import ChannelsLast
from frenemy.models.model import Model

__all__ = ["Fast"]

_HERE = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_ONEDNN: Final = bool(_HERE and hasattr(torch.ops.mkldnn, "_linear_pointwise"))


@final
class Fast(nn.Module):
    """Run a model's float32 convolutions and linear maps on a CPU the quick way; nothing else changes.

    Two-dimensional convolutions work on channels-last tensors, and linear maps go to oneDNN instead of the BLAS. Both
    are full float32 (logits agree to about 1e-6 of their size); whoever needs a verdict to the last bit confirms it
    on the model itself, as the risks do. On other devices and dtypes the model runs as it is.

    Linear maps do so while the model is frozen (inside `still`, or under `no_grad`): a weight that needs a gradient
    takes the ordinary way. The model is not modified: calls are rerouted while its forward runs, in this thread only.

    Args:
        model: any model; gradients with respect to the input flow as before, second derivatives do not.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the model, `(batch, classes)`, in the ordinary layout."""
        if x.device.type != "cpu" or x.dtype != torch.float32 or not _ONEDNN:
            return self.model(x)
        with _Quick():
            return self.model(x)


@final
class _Quick(ChannelsLast):
    """Sends linear maps to oneDNN besides."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is linear and args:
            return _linear(*args, **kwargs or {})
        return super().__torch_function__(func, types, args, kwargs)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    wants = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (weight, bias))
    if x.ndim != 2 or not x.dtype == weight.dtype == torch.float32 or wants:
        return linear(x, weight, bias)
    result: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return result


class _Linear(torch.autograd.Function):
    """A linear map through oneDNN, with the gradient of its input only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return torch.ops.mkldnn._linear_pointwise(gradients[0], weight.t(), None, "none", [], ""), None, None
