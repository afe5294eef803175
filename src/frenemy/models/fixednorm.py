"""FixedNorm: batch norm that stands on its running statistics, as a linear map whose slope is one product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

__all__ = ["Norm", "normed", "scale_of"]


@final
@dataclass(frozen=True, slots=True)
class Norm:
    """Batch norm on running statistics: `weight (y - mean) / sqrt(var + eps) + bias`, all `(channels,)`."""

    mean: Tensor
    var: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float

    @classmethod
    def of(
        cls,
        mean: Tensor | None,
        var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Norm | None:
        """What `torch.nn.functional.batch_norm` is asked for, or None where it learns or is learnt."""
        if training or mean is None or var is None:
            return None
        parts = [one for one in (mean, var, weight, bias) if one is not None]
        learnt = torch.is_grad_enabled() and any(one.requires_grad for one in parts)
        return None if learnt else cls(mean, var, weight, bias, eps)


def scale_of(var: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """What batch norm multiplies each channel by, `(channels,)`."""
    scale = (var + eps).rsqrt()
    return scale if weight is None else weight * scale


def normed(x: Tensor, *how: Any, **named: Any) -> Tensor | None:
    """What `torch.nn.functional.batch_norm` gives, or None where only that can give it.

    PyTorch's own backward sums up gradients of weight and bias as well, which a model that is held still has no use
    for. Second derivatives flow; those of the statistics do not.
    """
    norm = Norm.of(*how, **named)
    if norm is None or not (
        torch.is_grad_enabled() and x.requires_grad and x.device.type == "cpu" and x.ndim == 4
    ):
        return None
    result: Tensor = _Normed.apply(x, norm.mean, norm.var, norm.weight, norm.bias, norm.eps)  # type: ignore[no-untyped-call]
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
        scale = scale_of(var, weight, ctx.eps)
        return gradients[0] * scale.to(gradients[0].dtype)[:, None, None], None, None, None, None, None
