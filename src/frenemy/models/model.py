"""Model: any callable from `(batch, *shape)` to logits `(batch, classes)`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

__all__ = ["Model", "device_of", "modules_of"]


@runtime_checkable
class Model(Protocol):
    """Anything that maps inputs `(batch, *shape)` to logits `(batch, classes)`, row by row.

    A `torch.nn.Module` gives gradients; so does any function of differentiable torch operations.
    """

    def __call__(self, x: Tensor, /) -> Tensor: ...


def modules_of(model: Model) -> list[nn.Module]:
    """List the torch modules inside `model`; a plain function shows none."""
    return list(model.modules()) if isinstance(model, nn.Module) else []


def device_of(model: Model) -> str:
    """Say where the parameters of `model` lie; a plain function lies on the CPU."""
    return next((str(one.device) for module in modules_of(model) for one in module.parameters()), "cpu")
