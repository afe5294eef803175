"""Packed: weights laid out for quick kernels once, for as long as a model is held still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, TypeVar

from torch import Tensor, nn

__all__ = ["packed", "packing"]

_T = TypeVar("_T")
_Sources: TypeAlias = tuple[Tensor | None, ...]
_Kept: TypeAlias = dict[tuple[int, Callable[..., Any]], tuple[_Sources, list[int], Any]]
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


def packed(weight: Tensor, lay: Callable[..., _T], *others: Tensor | None) -> _T | None:
    """Give `lay(weight, *others)` for a frozen parameter, made when it is asked for the second time; else None.

    Laying out takes as long as a use or two, so that a model that is asked once goes without. A weight that was
    written to since is laid out anew, and so is one that comes with other `others`: the last ones are remembered.

    Args:
        weight: of the model; one that is no parameter, or needs a gradient, is not remembered.
        lay: always the same one, or an equal one, for the same layout; it can be hashed.
        others: what goes into the layout beside the weight.
    """
    kept = _SCOPE.get()
    if kept is None or not isinstance(weight, nn.Parameter) or weight.requires_grad:
        return None
    sources = (weight, *others)
    if any(one is not None and one.is_inference() for one in sources):
        return None
    where, versions = (id(weight), lay), [-1 if one is None else one._version for one in sources]
    known = kept.get(where)
    if (
        known is None
        or known[1] != versions
        or any(a is not b for a, b in zip(known[0], sources, strict=True))
    ):
        kept[where] = (sources, versions, None)
        return None
    laid: _T | None = known[2]
    if laid is None:
        laid = lay(*(None if one is None else one.detach() for one in sources))
        kept[where] = (sources, versions, laid)
    return laid
