"""A device that is not there: its tensors compute on the CPU, but refuse to meet tensors that live on the CPU.

What forgets a device, or names one, fails on a GPU alone. In `with Elsewhere():` such code fails without one:
`x.to(PLACE)` moves `x` there, and `x.cpu()` back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["PLACE", "Elsewhere"]

PLACE: Final = torch.device("lazy")
"""Of the names that torch knows, one that no build uses and whose gradients are computed in the CPU's queue."""
_MOVES: Final = ("aten._to_copy.default", "aten.copy_.default")
_LOOK_UP: Final = (
    "aten.index.Tensor",
    "aten.index_put.default",
    "aten.index_put_.default",
    "aten._index_put_impl_.default",
)


class _There(Tensor):
    """A tensor that says it lives elsewhere; `own` holds its numbers."""

    own: Tensor

    @staticmethod
    def __new__(cls, own: Tensor) -> _There:
        made: _There = torch.Tensor._make_wrapper_subclass(
            cls,
            own.shape,
            strides=own.stride(),
            storage_offset=own.storage_offset(),
            dtype=own.dtype,
            device=PLACE,
        )
        made.own = own
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _computed(func, args, kwargs or {})

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        return f"elsewhere: {self.own}"

    def tolist(self) -> Any:
        return self.own.tolist()


class Elsewhere(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While this is on, the device is there: what is made on it, or from tensors on it, stays on it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._lifted = torch._C._only_lift_cpu_tensors()

    def __enter__(self) -> Self:
        # torch.tensor(..., device=PLACE) is then made here and moved, and the move is seen
        torch._C._set_only_lift_cpu_tensors(True)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(self._lifted)
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute on the CPU, and say where the result lives. As on a GPU, single numbers and indices may be of the CPU."""
    name, tensors = str(func), [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    there = [one for one in tensors if isinstance(one, _There)]
    strangers = [one for one in tensors if one.ndim and not isinstance(one, _There)]
    free = name in _MOVES or (name in _LOOK_UP and isinstance(args[0], _There))
    if there and strangers and not free:
        raise RuntimeError(
            f"expected all tensors of {name} elsewhere, got one of {tuple(strangers[0].shape)} on cpu"
        )
    wanted = kwargs.get("device")
    stays = bool(there) if wanted is None else torch.device(wanted).type == PLACE.type
    if wanted is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    result = func(*tree_map(_own, args), **tree_map(_own, kwargs))
    if name == "aten.copy_.default":
        return args[0]
    known = {id(one.own): one for one in there}  # what is changed in place stays the same tensor

    def placed(one: Any) -> Any:
        return known[id(one)] if id(one) in known else _There(one) if isinstance(one, Tensor) else one

    return tree_map(placed, result) if stays else result


def _own(one: Any) -> Any:
    return one.own if isinstance(one, _There) else one
