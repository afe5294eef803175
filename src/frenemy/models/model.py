"""Model: any callable from `(batch, *shape)` to logits `(batch, classes)`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

__all__ = ["Model", "modules_of"]


@runtime_checkable
class Model(Protocol):
    """Anything that maps inputs `(batch, *shape)` to logits `(batch, classes)`, row by row.

    A `torch.nn.Module` gives gradients; so does any function of differentiable torch operations.
    """

    def __call__(self, x: Tensor, /) -> Tensor: ...


def modules_of(model: Model) -> list[nn.Module]:
    """List the torch modules inside `model`; a plain function shows none."""
    return list(model.modules()) if isinstance(model, nn.Module) else []
