"""BPDA: see through a front end without useful gradients, by lending it those of a replacement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from frenemy.errors import ModelError
from frenemy.models.model import Model

__all__ = ["BPDA", "identity"]


def identity(x: Tensor) -> Tensor:
    """Give the input back: the replacement for a front end that hardly changes it."""
    return x


@final
class BPDA(nn.Module):
    r"""Answer `model(front(x))`; on the way back, take `backward` for the front end.

    $$ f(x) = m(g(x)), \quad \nabla f(x) := J_{\tilde g}(x)^\top \nabla m(z) \big|_{z = g(x)} $$

    The answers are those of the defended model, bit for bit; only the gradient is an approximation.

    Args:
        front: the front end g, any map of inputs, differentiable or not, without gradients or with useless ones.
        model: what stands behind it.
        backward: a differentiable map near `front`, with results of the same shape; the identity suits front ends that
            clean or quantise. It is called in the backward pass only.

    Raises:
        ModelError: in the backward pass, if `backward` gives another shape than `front`, or nothing differentiable.

    Cost: one call of `front` a forward, one of `backward` and its gradient a backward. First derivatives with respect
    to the input only.

    Example:
        >>> import torch
        >>> model = BPDA(torch.round, torch.nn.Identity())
        >>> x = torch.tensor([[0.2, 0.7]], requires_grad=True)
        >>> torch.autograd.grad(model(x)[0, 1], x)[0]
        tensor([[0., 1.]])

    References:
        Athalye, Carlini and Wagner 2018, "Obfuscated gradients give a false sense of security", ICML, arXiv:1802.00420,
        Section 4.1.
    """

    def __init__(
        self, front: Callable[[Tensor], Tensor], model: Model, backward: Callable[[Tensor], Tensor] = identity
    ) -> None:
        super().__init__()
        self.front, self.model, self.backward = front, model, backward

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of the defended model, `(batch, classes)`."""
        return self.model(_Lent.apply(x, self.front, self.backward))  # type: ignore[no-untyped-call]


class _Lent(torch.autograd.Function):
    """The front end forwards, its replacement backwards."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, front: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.back = back
        result = front(x)
        shared = result.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
        return result.clone() if shared else result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            near = ctx.back(point)
        _agree(near, gradient)
        (slope,) = torch.autograd.grad(near, point, gradient)
        return slope, None, None


def _agree(near: Tensor, gradient: Tensor) -> None:
    if near.shape != gradient.shape or not near.requires_grad:
        raise ModelError(
            f"expected backward to give something differentiable of the front end's shape {tuple(gradient.shape)}, got "
            f"shape {tuple(near.shape)}{'' if near.requires_grad else ' without a gradient'}; give a smooth stand-in"
        )
