"""FixedNorm: batch norm that stands on its running statistics, as a linear map whose slope is one product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["normed"]


def normed(
    x: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """What `torch.nn.functional.batch_norm` gives, or None where only that can give it.

    PyTorch's own backward sums up gradients of weight and bias as well, which a model that is held still has no use
    for. Second derivatives flow; those of the statistics do not.
    """
    frozen = not any(one is not None and one.requires_grad for one in (mean, var, weight, bias))
    plain = training or mean is None or var is None or not frozen
    if plain or not (torch.is_grad_enabled() and x.requires_grad and x.device.type == "cpu" and x.ndim == 4):
        return None
    result: Tensor = _Normed.apply(x, mean, var, weight, bias, eps)  # type: ignore[no-untyped-call]
    return result


class _Normed(torch.autograd.Function):
    """The forward is PyTorch's own, to the last bit."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(var, weight)
        ctx.eps = eps
        return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        var, weight = ctx.saved_tensors
        scale = (var + ctx.eps).rsqrt() if weight is None else weight * (var + ctx.eps).rsqrt()
        return gradients[0] * scale.to(gradients[0].dtype)[:, None, None], None, None, None, None, None
