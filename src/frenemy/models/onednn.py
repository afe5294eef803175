"""oneDNN's linear maps and convolutions, which PyTorch keeps for its compiler; on many CPUs the quickest there are."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

__all__ = [
    "BFLOAT16",
    "CONVOLVED",
    "FLOAT32",
    "Geometry",
    "convolved",
    "kernel_laid_out",
    "laid_out",
    "mapped",
]

_HERE = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_OPS: Final = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
FLOAT32: Final = bool(_HERE and all(hasattr(torch.ops.mkldnn, name) for name in _OPS))
"""Whether these maps are there at all."""
BFLOAT16: Final = bool(FLOAT32 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Whether this processor takes them in bfloat16."""
CONVOLVED: Final = bool(
    _HERE
    and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_convolution_pointwise", "_reorder_convolution_weight")
    )
)
"""Whether its convolutions, with what follows them, are there."""
Geometry: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]
"""Padding, stride, dilation and groups of a convolution."""
_ROWS: Final = 64
"""The layout depends a little on how many rows it is for; this one does for all."""


def laid_out(weight: Tensor) -> Tensor:
    """A weight as oneDNN wants it, in a layout of its own that only its linear maps can read."""
    result: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    return result


def kernel_laid_out(weight: Tensor, geometry: Geometry, size: tuple[int, ...]) -> Tensor:
    """The weight of a convolution of inputs `(c, h, w)`, in a layout that only oneDNN's convolutions can read."""
    result: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, (_ROWS, *size))
    return result


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, other: Tensor | None = None
) -> Tensor:
    """`x * weight + bias + other`; no gradients flow.

    The kernel could take `max(0, .)` too, but makes 0 of NaN.

    Args:
        x, other: channels last, in the dtype of the weight.
        weight: may be laid out.
    """
    op = torch.ops.mkldnn._convolution_pointwise
    result: Tensor
    if other is None:
        result = op(x, weight, bias, *geometry, "none", [], "")
    else:
        result = op.binary(x, other, weight, bias, *geometry, "add", 1.0, None, [], "")
    return result


def mapped(x: Tensor, weight: Tensor, turned: Tensor, bias: Tensor | None) -> Tensor:
    """`x W^T + b` through oneDNN; `turned` is `W^T`, and either may be laid out."""
    result: Tensor = _Linear.apply(x, weight, turned, bias)  # type: ignore[no-untyped-call]
    return result


class _Linear(torch.autograd.Function):
    """A linear map through oneDNN, with the gradient of its input only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, turned: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(turned)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (turned,) = ctx.saved_tensors
        slope = torch.ops.mkldnn._linear_pointwise(gradients[0], turned, None, "none", [], "")
        return slope, None, None, None
