"""Packed: weights laid out for quick kernels once, for as long as a model is held still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

from torch import Tensor, nn

__all__ = ["packed", "packing"]

_Kept: TypeAlias = dict[tuple[int, Callable[[Tensor], Tensor]], tuple[Tensor, int, Tensor | None]]
_SCOPE: Final[ContextVar[_Kept | None]] = ContextVar("packed", default=None)


@contextmanager
def packing() -> Iterator[None]:
    """Remember inside what `packed` makes, and forget it on leaving; within such a scope, the outer one goes on.

    Holds in its own thread only.
    """
    if _SCOPE.get() is not None:
        yield
        return
    token = _SCOPE.set({})
    try:
        yield
    finally:
        _SCOPE.reset(token)


def packed(weight: Tensor, lay: Callable[[Tensor], Tensor]) -> Tensor | None:
    """Give a frozen parameter as `lay` lays it out, made when it is asked for the second time; else None.

    Laying out takes as long as a use or two, so that a model that is asked once goes without. A weight that was
    written to since is laid out anew.

    Args:
        weight: of the model; one that is no parameter, or needs a gradient, is not remembered.
        lay: a function of a module, always the same one for the same layout.
    """
    kept = _SCOPE.get()
    if kept is None or not isinstance(weight, nn.Parameter) or weight.requires_grad or weight.is_inference():
        return None
    where, version = (id(weight), lay), weight._version
    known = kept.get(where)
    if known is None or known[1] != version:
        kept[where] = (weight, version, None)
        return None
    laid = known[2]
    if laid is None:
        laid = lay(weight.detach())
        kept[where] = (weight, version, laid)
    return laid
